import os
import pwd
import stat
from pathlib import Path

import pytest

from lab.errors import Conflict, PreflightFailed
from lab.paths import (
    cache_dir,
    expect_room_for_sockets,
    private_dir,
    runtime_dir,
    state_dir,
    write_private,
)
from tests.conftest import Dirs


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_directories_are_where_the_user_wants_them(dirs: Dirs) -> None:
    assert (cache_dir(), state_dir(), runtime_dir()) == (dirs.cache, dirs.state, dirs.runtime)


def test_without_wishes_they_are_in_the_home_directory(
    dirs: Dirs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("XDG_STATE_HOME")
    home = tmp_path / "home"
    assert cache_dir() == home / ".cache" / "swarm-ingress-lab"
    assert state_dir() == home / ".local" / "state" / "swarm-ingress-lab"


def test_a_user_without_a_home_directory_is_told(
    dirs: Dirs, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name)

    def unknown(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for find in (cache_dir, state_dir):
        with pytest.raises(PreflightFailed, match="no home directory to keep labs in") as caught:
            find()
        assert caught.value.hint == "set HOME, or XDG_STATE_HOME and XDG_CACHE_HOME"


def test_sockets_outlive_the_login_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAB_RUNTIME_DIR", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    directory = runtime_dir()
    assert (directory.parent, directory.name) == (Path("/tmp"), f"sil-{os.getuid()}")  # noqa: S108
    assert mode(directory) == 0o700


def test_a_directory_for_sockets_is_made_private(
    dirs: Dirs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_RUNTIME_DIR", str(dirs.runtime / "new"))
    monkeypatch.chdir(dirs.runtime)
    assert mode(runtime_dir()) == 0o700
    monkeypatch.setenv("LAB_RUNTIME_DIR", "new")
    assert runtime_dir() == dirs.runtime / "new"


def test_a_directory_open_to_others_is_not_used(dirs: Dirs) -> None:
    dirs.runtime.chmod(0o755)
    with pytest.raises(Conflict, match="not a private directory") as caught:
        runtime_dir()
    assert "drwxr-xr-x" in caught.value.details


def test_a_link_is_not_followed(dirs: Dirs, monkeypatch: pytest.MonkeyPatch) -> None:
    """In /tmp anybody could have put it there."""
    link = dirs.runtime / "link"
    link.symlink_to(private_dir(dirs.runtime / "target"))
    monkeypatch.setenv("LAB_RUNTIME_DIR", str(link))
    with pytest.raises(Conflict, match="not a private directory"):
        runtime_dir()


def test_sockets_must_fit_the_kernels_limit() -> None:
    """DIRECTORY/NODE.ssh and, while ssh binds it, 17 characters more: 107 bytes in all."""
    expect_room_for_sockets(Path("/".ljust(78, "r")), ["manager", "worker"])
    with pytest.raises(PreflightFailed, match="too long") as caught:
        expect_room_for_sockets(Path("/".ljust(79, "r")), ["worker", "manager"])
    assert caught.value.details == "the longest would have 108 bytes, 107 are possible"
    assert "LAB_RUNTIME_DIR" in caught.value.hint


def test_bytes_count_not_characters() -> None:
    with pytest.raises(PreflightFailed):
        expect_room_for_sockets(Path("/" + "é" * 40), ["manager"])


def test_private_directories_are_made_with_their_parents(tmp_path: Path) -> None:
    path = private_dir(tmp_path / "a" / "b" / "c")
    assert [mode(made) for made in (path, *path.parents[:2])] == [0o700] * 3
    path.chmod(0o755)
    assert mode(private_dir(path)) == 0o700


def test_a_private_file_is_never_readable_by_others(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("old")
    file.chmod(0o644)
    write_private(file, "new")
    assert (file.read_text(), mode(file)) == ("new", 0o600)
    write_private(file, b"\0\1")
    assert file.read_bytes() == b"\0\1"


def test_readers_keep_the_old_content_until_the_new_is_complete(tmp_path: Path) -> None:
    file = tmp_path / "state"
    write_private(file, "old")
    with file.open() as reader:
        write_private(file, "new")
        assert reader.read() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    with pytest.raises(IsADirectoryError):
        write_private(tmp_path / "state", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["state"]
