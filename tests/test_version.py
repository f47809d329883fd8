import os
import stat
from pathlib import Path

import pytest

from lab.errors import CommandFailed, PreflightFailed
from lab.version import version_of
from tests.conftest import Dirs


@pytest.fixture
def program(dirs: Dirs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that leaves a line in ``asked`` whenever it is; the cache directory is there."""
    dirs.cache.mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    program = tmp_path / "teller"
    tell(program, "teller 1.0 (Debian 1:1.0-2)")
    return program


def tell(program: Path, *lines: str, first: str = "#!/bin/sh") -> None:
    asked = program.parent / "asked"
    words = "\n".join(f"echo '{line}'" for line in lines)
    program.write_text(f'{first}\necho "$*" >> {asked}\n{words}\n')
    program.chmod(0o755)


def times_asked(program: Path) -> int:
    asked = program.parent / "asked"
    return len(asked.read_text().splitlines()) if asked.exists() else 0


def test_a_version_is_the_first_line_and_asked_for_once(program: Path) -> None:
    tell(program, " teller 1.0 ", "Copyright (c) Nobody")
    assert [version_of("teller") for _ in range(3)] == ["teller 1.0"] * 3
    assert (program.parent / "asked").read_text() == "--version\n"


def test_a_program_that_was_replaced_is_asked_again(program: Path) -> None:
    assert version_of("teller") == "teller 1.0 (Debian 1:1.0-2)"
    found = program.stat()
    tell(program, "teller 1.0.1 (Debian 1:1.0-2)")
    os.utime(program, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert version_of("teller") == "teller 1.0.1 (Debian 1:1.0-2)", "another size"
    tell(program, "teller 1.0.2 (Debian 1:1.0-2)")
    os.utime(program, ns=(found.st_atime_ns, found.st_mtime_ns + 1))
    assert version_of("teller") == "teller 1.0.2 (Debian 1:1.0-2)", "another time"


def test_what_a_program_said_before_is_forgotten_and_others_are_not(
    program: Path, dirs: Dirs
) -> None:
    program.with_name("teller2").write_bytes(program.read_bytes())
    program.with_name("teller2").chmod(0o755)
    version_of("teller")
    version_of("teller2")
    tell(program, "teller 2")
    version_of("teller")
    assert times_asked(program) == 3
    version_of("teller2")
    assert times_asked(program) == 3
    assert len((dirs.cache / "versions.json").read_text().splitlines()) == 4


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff", b"[]", b"null"])
def test_a_damaged_memory_is_no_memory(program: Path, dirs: Dirs, damage: bytes) -> None:
    file = dirs.cache / "versions.json"
    file.write_bytes(damage)
    assert version_of("teller") == "teller 1.0 (Debian 1:1.0-2)"
    assert version_of("teller") == "teller 1.0 (Debian 1:1.0-2)"
    assert times_asked(program) == 1
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("place", ["nowhere", "file"])
def test_what_cannot_be_remembered_is_asked_again(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """The doctor looks at machines on which nothing has been made yet, and changes nothing."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / place))
    for _ in range(2):
        assert version_of("teller") == "teller 1.0 (Debian 1:1.0-2)"
    assert times_asked(program) == 2
    assert not (tmp_path / "nowhere").exists()


def test_a_program_that_is_not_there_is_said_to_be_missing(program: Path) -> None:
    version_of("teller")
    program.unlink()
    with pytest.raises(PreflightFailed, match="teller is not installed"):
        version_of("teller")


def test_a_program_that_says_nothing_has_no_version(program: Path) -> None:
    tell(program)
    with pytest.raises(CommandFailed, match="teller --version prints nothing") as caught:
        version_of("teller")
    assert caught.value.details == str(program)


def test_a_program_that_fails_has_no_version(program: Path) -> None:
    tell(program, "teller 1.0", first="#!/bin/sh\ntrap 'exit 3' EXIT")
    for _ in range(2):
        with pytest.raises(CommandFailed, match="exit code 3"):
            version_of("teller")
    assert times_asked(program) == 2
