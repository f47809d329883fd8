import json
import multiprocessing
import os
import shutil
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lab.access import Access
from lab.errors import Conflict, LabError, NotRunning, UsageError
from lab.home import DEFAULT_NAME, LabHome, LabState, Stage, lab_home, lab_names
from lab.topology import Topology
from tests.conftest import Dirs


def state_of(home: LabHome, topology: Topology) -> LabState:
    return LabState(
        name=home.name,
        provider="qemu",
        topology=topology,
        created=datetime(2026, 11, 22, 13, 30, tzinfo=UTC),
        runtime=home.runtime,
        reached=Stage.SWARM,
        pace=8.0,
        access={
            "manager": Access(
                host="127.0.0.1",
                port=15002,
                user="root",
                identity_file=home.path / "id",
                known_hosts=home.path / "known_hosts",
                entry="127.0.0.1:15000",
            )
        },
    )


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("name", ["a", "7", "article", "my-lab-2", "a" * 24])
def test_names_that_can_be_host_names(dirs: Dirs, name: str) -> None:
    assert lab_home(name).path == dirs.state / name


@pytest.mark.parametrize(
    "name", ["", "-a", "a-", "A", "a_b", "a.b", "a/b", "..", "a b", "ä", "a" * 25, "a\n", "--all"]
)
def test_other_names_are_refused(dirs: Dirs, name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a lab") as caught:
        lab_home(name)
    assert "1 to 24" in caught.value.details


def test_a_home_does_not_exist_by_being_looked_at(dirs: Dirs) -> None:
    assert not lab_home("article").exists()
    assert lab_names() == ()


def test_what_was_saved_is_read_again(dirs: Dirs, article: Topology) -> None:
    home = lab_home("article")
    state = state_of(home, article)
    home.save(state)
    assert lab_home("article").load() == state
    assert lab_names() == ("article",)


def test_nobody_else_may_read_a_lab(dirs: Dirs, article: Topology) -> None:
    old = os.umask(0)
    try:
        home = lab_home("article")
        home.save(state_of(home, article))
    finally:
        os.umask(old)
    assert mode(home.path) == 0o700
    assert mode(home.path / "state.json") == 0o600


def test_an_unknown_lab_names_those_there_are(dirs: Dirs, article: Topology) -> None:
    for name in ("two", "one"):
        lab_home(name).save(state_of(lab_home(name), article))
    with pytest.raises(NotRunning, match="no lab named three") as caught:
        lab_home("three").load()
    assert caught.value.details == "known labs: one, two"
    assert caught.value.hint == "invoke lab.up --name three"
    with pytest.raises(NotRunning) as caught:
        lab_home(DEFAULT_NAME).load()
    assert caught.value.hint == "invoke lab.up"


@pytest.mark.parametrize(
    "damage",
    [b"", b"{", b"[]", b"\xff\xfe\0", b"null", b'{"version": 2}', b'{"version": 1, "name": "x"}'],
)
def test_damaged_state_says_how_to_get_rid_of_it(
    dirs: Dirs, article: Topology, damage: bytes
) -> None:
    home = lab_home("broken")
    home.save(state_of(home, article))
    (home.path / "state.json").write_bytes(damage)
    again = lab_home("broken")
    with pytest.raises(LabError, match="state of lab broken cannot be read") as caught:
        again.load()
    assert str(home.path / "state.json") in caught.value.details
    assert caught.value.hint == "invoke lab.down --name broken"
    assert lab_names() == ("broken",)


def test_state_of_a_later_version_is_not_misread(dirs: Dirs, article: Topology) -> None:
    home = lab_home("article")
    home.save(state_of(home, article))
    file = home.path / "state.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"version": 2}))
    with pytest.raises(LabError, match="cannot be read"):
        home.load()


def test_sockets_are_where_up_put_them(
    dirs: Dirs, article: Topology, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = lab_home("article")
    home.save(state_of(home, article))
    (tmp_path / "other").mkdir(mode=0o700)
    monkeypatch.setenv("LAB_RUNTIME_DIR", str(tmp_path / "other"))
    assert lab_home("article").runtime == home.runtime
    assert lab_home("new").runtime.parent == tmp_path / "other"


def test_labs_of_one_name_in_two_state_directories_share_no_socket(
    dirs: Dirs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = lab_home("article").runtime
    assert lab_home("article").runtime == first
    assert lab_home("article-2").runtime != first
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another"))
    assert lab_home("article").runtime != first


def test_other_directories_are_no_labs(dirs: Dirs, article: Topology) -> None:
    home = lab_home("article")
    home.save(state_of(home, article))
    for name in ("article.bak", "Copy of article"):
        (dirs.state / name).mkdir()
        (dirs.state / name / "state.json").write_bytes((home.path / "state.json").read_bytes())
    (dirs.state / "empty").mkdir()
    assert lab_names() == ("article",)


def _hold(name: str, held: "multiprocessing.synchronize.Event") -> None:
    with lab_home(name).lock():
        held.set()
        multiprocessing.Event().wait(30)


def test_two_commands_do_not_change_a_lab_at_the_same_time(dirs: Dirs) -> None:
    spawn = multiprocessing.get_context("fork")
    held = spawn.Event()
    other = spawn.Process(target=_hold, args=("article", held), daemon=True)
    other.start()
    assert held.wait(10)
    try:
        with (
            pytest.raises(Conflict, match="Another command is working on lab article") as caught,
            lab_home("article").lock(),
        ):
            pass
        assert f"process {other.pid} holds" in caught.value.details
        with lab_home("another").lock():
            pass
    finally:
        other.kill()
        other.join()
    with lab_home("article").lock():
        assert not lab_home("article").exists()


def test_removing_a_lab_does_not_open_its_lock(dirs: Dirs, article: Topology) -> None:
    """`up` removes what an earlier one left and goes on for minutes."""
    home = lab_home("article")
    with home.lock():
        home.save(state_of(home, article))
        home.remove()
        with pytest.raises(Conflict), lab_home("article").lock():
            pass


def test_remove_leaves_no_file_and_is_safe_to_repeat(dirs: Dirs, article: Topology) -> None:
    home = lab_home("article")
    home.save(state_of(home, article))
    home.node_dir("manager").mkdir(parents=True)
    home.runtime.mkdir()
    home.remove()
    home.remove()
    assert not home.path.exists()
    assert not home.runtime.exists()


def test_a_lab_that_was_not_removed_completely_is_still_known(
    dirs: Dirs, article: Topology, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = lab_home("article")
    home.save(state_of(home, article))
    home.node_dir("manager").mkdir(parents=True)
    (home.path / "known_hosts").symlink_to(home.path)
    rmtree = shutil.rmtree

    def interrupted(path: Path) -> None:
        if path == home.path:
            raise KeyboardInterrupt
        rmtree(path)

    with monkeypatch.context() as patch:
        patch.setattr("lab.home.shutil.rmtree", interrupted)
        with pytest.raises(KeyboardInterrupt):
            home.remove()
    assert [path.name for path in home.path.iterdir()] == ["state.json"]
    assert lab_names() == ("article",)
    home.remove()
    assert not home.path.exists()


@pytest.mark.parametrize("change", ["opened", "gone"])
def test_sockets_in_a_directory_that_is_not_private_any_more_are_not_used(
    dirs: Dirs,
    article: Topology,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: str,
) -> None:
    first = dirs.runtime / "mine"
    monkeypatch.setenv("LAB_RUNTIME_DIR", str(first))
    home = lab_home("article")
    home.save(state_of(home, article))
    monkeypatch.setenv("LAB_RUNTIME_DIR", str(dirs.runtime))
    if change == "gone":
        first.rmdir()
        assert lab_home("article").load().runtime == home.runtime
        assert first.stat().st_mode & 0o777 == 0o700, "it was made again, for us alone"
        return
    first.chmod(0o777)
    again = lab_home("article")
    assert again.runtime.parent == dirs.runtime
    with pytest.raises(LabError, match="sockets of lab article cannot be trusted") as caught:
        again.load()
    assert f"{first} is not a private directory" in caught.value.details
    assert caught.value.hint == "invoke lab.down"
    again.remove()
    assert lab_names() == ()


def test_what_cannot_be_deleted_is_not_called_removed(dirs: Dirs) -> None:
    home = lab_home("article")
    dirs.state.mkdir()
    home.path.write_text("a file where a directory should be")
    with pytest.raises(LabError, match="Not everything of lab article") as caught:
        home.remove()
    assert str(home.path) in caught.value.details
    assert caught.value.hint.startswith("sudo rm -r ")
