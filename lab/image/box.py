"""The node image as a Vagrant box for libvirt: the same disk, the same kernel, the same files.

A box (https://developer.hashicorp.com/vagrant/docs/boxes/format) is a tar of a disk and a
description. Ours has no boot loader: kernel and initial RAM disk lie beside the disk, and
lab/providers/ruby/machines.rb points libvirt at them.
"""

import io
import json
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from lab.image import cpio
from lab.image.recipe import HERE, Entry, key_of
from lab.image.store import Image
from lab.process import run

BOX = HERE / "box"
UNIT = "lab-dhcp.service"
DISK_GB = 4
"""Size of the image's disk (``DISK_SIZE`` in lab.image.build), in the unit of a box."""
CONVERT_S = 300.0


@dataclass(frozen=True, slots=True)
class Boot:
    """How the kernel of a machine is started, as it is for every provider's.

    Attributes:
        kernel_arguments: Its command line, without what differs from node to node.
        emulated_cpu: QEMU's ``-cpu`` where there is no hardware acceleration.
    """

    kernel_arguments: str
    emulated_cpu: str


def box_key(image: Image, boot: Boot) -> str:
    """Return 16 hex digits that differ if anything in the box does."""
    return key_of(
        (
            ("image", f"{image.manifest.key} {image.manifest.created}".encode()),
            ("boot", repr(boot).encode()),
            *((entry.path, repr(entry).encode()) for entry in _entries()),
            ("box.py", Path(__file__).read_bytes()),
        )
    )


def build_box(image: Image, boot: Boot, version: str, directory: Path) -> Path:
    """Build a box into a directory of its own; return the file with which Vagrant adds it.

    Raises:
        CommandFailed: The disk could not be converted.
    """
    disk = directory / "box.img"
    run(
        ("qemu-img", "convert", "-f", "raw", "-O", "qcow2", image.path / "disk", disk),
        timeout_s=CONVERT_S,
    )
    about = {"version": version, "key": box_key(image, boot), **asdict(boot)}
    metadata = {"provider": "libvirt", "format": "qcow2", "virtual_size": DISK_GB}
    box = directory / "node.box"
    with tarfile.open(box, "w") as tar:
        _add(tar, "metadata.json", json.dumps(metadata).encode())
        _add(tar, "lab.json", json.dumps(about, indent=2).encode())
        _add(tar, "vmlinux", (image.path / "vmlinux").read_bytes())
        _add(tar, "initrd", (image.path / "initrd").read_bytes() + cpio.archive(_entries()))
        # QEMU reads these files as another user: they must not be private as the image's are.
        tar.add(disk, "box.img", filter=_readable)
    disk.unlink()
    return box


def catalogue(name: str, version: str, box: Path) -> str:
    """Return the text of the file that tells Vagrant the version of a box, which is not in it."""
    providers = [{"name": "libvirt", "url": box.as_uri()}]
    return json.dumps({"name": name, "versions": [{"version": version, "providers": providers}]})


def _entries() -> Iterator[Entry]:
    """Yield what a box lays over the image's initial RAM disk."""
    yield Entry("node/env", content=(BOX / "env").read_bytes())
    for path in sorted((BOX / "root").rglob("*")):
        if path.is_file():
            mode = 0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644
            yield Entry(f"node/{path.relative_to(BOX)}", content=path.read_bytes(), mode=mode)
    yield Entry(f"node/root/etc/systemd/system/sysinit.target.wants/{UNIT}", link=f"../{UNIT}")


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def _readable(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.mode, member.uid, member.gid, member.uname, member.gname = 0o644, 0, 0, "root", "root"
    return member
