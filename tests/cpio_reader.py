"""A small reader of "newc" archives, written from the kernel's documentation alone.

Documentation/driver-api/early-userspace/buffer-format.rst
"""

import stat
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Unpacked:
    """One file as the kernel would make it."""

    path: str
    mode: int
    uid: int
    gid: int
    content: bytes
    inode: int

    @property
    def is_dir(self) -> bool:
        return stat.S_ISDIR(self.mode)

    @property
    def is_link(self) -> bool:
        return stat.S_ISLNK(self.mode)

    @property
    def permissions(self) -> int:
        return stat.S_IMODE(self.mode)


def read_archives(data: bytes) -> Iterator[Unpacked]:
    """Yield the files of one archive after the other, without the trailers."""
    at = 0
    while at < len(data):
        assert data[at : at + 6] == b"070701", f"no header at {at}"
        assert at % 4 == 0, f"a header at {at}, which 4 does not divide"
        fields = [int(data[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        inode, mode, uid, gid, links, mtime, size = fields[:7]
        name_size, check = fields[11:]
        assert (links, mtime, check) == (1, 0, 0)
        name_at = at + 110
        name = data[name_at : name_at + name_size]
        assert name.endswith(b"\0")
        content_at = padded(name_at + name_size)
        content = data[content_at : content_at + size]
        assert len(content) == size, f"{name!r} is cut short"
        at = padded(content_at + size)
        if name != b"TRAILER!!!\0":
            yield Unpacked(name[:-1].decode(), mode, uid, gid, content, inode)


def padded(position: int) -> int:
    return (position + 3) // 4 * 4
