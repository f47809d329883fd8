"""Initial RAM disks: the "newc" cpio format the kernel unpacks (initramfs buffer format).

Written here because root ownership and device-free archives need no privilege this way, and the
standard library has no cpio.
"""

import stat
from collections.abc import Iterable

from lab.image.recipe import Entry

TRAILER = "TRAILER!!!"


def archive(entries: Iterable[Entry]) -> bytes:
    """Return a cpio archive of the entries and of the directories above them, owned by root.

    Archives may be concatenated: the kernel unpacks one after the other.
    """
    parts: list[bytes] = []
    known: set[str] = set()
    number = 0
    for entry in entries:
        above = entry.path.split("/")[:-1]
        for depth in range(1, len(above) + 1):
            directory = "/".join(above[:depth])
            if directory not in known:
                known.add(directory)
                number += 1
                parts.append(_record(Entry(directory, mode=0o755), number))
        number += 1
        known.add(entry.path)
        parts.append(_record(entry, number))
    parts.append(_record(Entry(TRAILER, content=b"", mode=0), 0))
    return b"".join(parts)


def _record(entry: Entry, number: int) -> bytes:
    if entry.link is not None:
        kind, data = stat.S_IFLNK | 0o777, entry.link.encode()
    elif entry.content is not None:
        kind, data = stat.S_IFREG | entry.mode, entry.content
    else:
        kind, data = stat.S_IFDIR | entry.mode, b""
    name = entry.path.encode() + b"\0"
    # inode, mode, uid, gid, links, mtime, size, 4 device numbers, name size, check
    fields = (number, kind, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0)
    header = b"070701" + b"".join(b"%08x" % field for field in fields)
    return _padded(header + name) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
