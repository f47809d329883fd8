import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from lab.image.cpio import archive
from lab.image.recipe import Entry
from tests.cpio_reader import Unpacked, read_archives

ENTRIES = (
    Entry("init", content=b"#!/bin/sh\n", mode=0o755),
    Entry("etc/ssh/key", content=b"secret", mode=0o600),
    Entry("etc/empty", content=b""),
    Entry("root/.ssh", mode=0o700),
    Entry("root/.ssh/authorized_keys", content=b"x" * 4097, mode=0o600),
    Entry("etc/localtime", link="/usr/share/zoneinfo/UTC"),
)


def unpacked(data: bytes) -> dict[str, Unpacked]:
    found = list(read_archives(data))
    assert len({file.path for file in found}) == len(found), "a path comes twice"
    return {file.path: file for file in found}


def test_files_links_and_directories() -> None:
    files = unpacked(archive(ENTRIES))
    assert files["init"].content == b"#!/bin/sh\n"
    assert files["init"].mode == stat.S_IFREG | 0o755
    assert files["etc/empty"].content == b""
    assert files["root/.ssh/authorized_keys"].content == b"x" * 4097
    assert files["etc/localtime"].is_link
    assert files["etc/localtime"].content == b"/usr/share/zoneinfo/UTC"


def test_directories_come_before_what_is_in_them() -> None:
    """The kernel does not make them by itself."""
    paths = [file.path for file in read_archives(archive(ENTRIES))]
    assert paths == [
        "init",
        "etc",
        "etc/ssh",
        "etc/ssh/key",
        "etc/empty",
        "root",
        "root/.ssh",
        "root/.ssh/authorized_keys",
        "etc/localtime",
    ]


def test_modes_are_those_asked_for() -> None:
    files = unpacked(archive(ENTRIES))
    assert files["etc/ssh/key"].permissions == 0o600
    assert (files["root/.ssh"].is_dir, files["root/.ssh"].permissions) == (True, 0o700)
    assert (files["etc"].is_dir, files["etc"].permissions) == (True, 0o755)


def test_everything_belongs_to_root_and_is_a_file_of_its_own() -> None:
    found = list(read_archives(archive(ENTRIES)))
    assert {(file.uid, file.gid) for file in found} == {(0, 0)}
    assert len({file.inode for file in found}) == len(found)


@pytest.mark.parametrize("size", range(5))
def test_any_length_keeps_the_next_file_in_line(size: int) -> None:
    entries = [Entry("n" * length, content=b"c" * size) for length in range(1, 6)]
    found = unpacked(archive(entries))
    assert [file.content for file in found.values()] == [b"c" * size] * 5


def test_archives_can_be_put_one_after_the_other() -> None:
    first = archive([Entry("init", content=b"all nodes")])
    second = archive([Entry("node/env", content=b"this node")])
    files = unpacked(first + second)
    assert list(files) == ["init", "node", "node/env"]


def test_the_same_entries_give_the_same_bytes() -> None:
    assert archive(ENTRIES) == archive(ENTRIES)


@pytest.mark.skipif(shutil.which("cpio") is None, reason="cpio is not installed")
def test_cpio_itself_unpacks_it(tmp_path: Path) -> None:
    done = subprocess.run(
        ["cpio", "--extract", "--make-directories", "--quiet", "--no-preserve-owner"],
        input=archive(ENTRIES),
        cwd=tmp_path,
        capture_output=True,
        timeout=10,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "init").read_bytes() == b"#!/bin/sh\n"
    assert stat.S_IMODE((tmp_path / "root/.ssh").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "etc/ssh/key").stat().st_mode) == 0o600
    assert (tmp_path / "etc/localtime").readlink() == Path("/usr/share/zoneinfo/UTC")
