"""Building the node image: packages, kernel, initial RAM disk, disk. Needs no root."""

import io
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path

from lab.errors import CommandFailed, PreflightFailed, ProviderFailed
from lab.image import cpio
from lab.image.container_image import build_archive
from lab.image.kernel import extract_vmlinux
from lab.image.recipe import (
    HERE,
    INIT,
    KERNEL,
    NODE_TEST,
    NODE_TEST_ARCHIVE,
    PACKAGES,
    SUITE,
    Entry,
    overlay,
)
from lab.process import run
from lab.steps import Steps

DISK_SIZE = "4G"
INITRD_MODULES = ("virtio_blk", "failover", "net_failover", "virtio_net")
NODE_TEST_TAG = "node-test:latest"
BUILD_TIMEOUT_S = 1800.0
CUSTOMIZATION = "CUSTOMIZE_SH"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
"""From the package debian-archive-keyring."""


@dataclass(frozen=True, slots=True)
class Built:
    """What a build yields besides its files: versions and the container image's id."""

    packages: tuple[tuple[str, str], ...]
    kernel: str
    node_test_id: str


def as_root() -> tuple[str, ...]:
    """Return the words that run a program as root, or as the root of a user namespace.

    mmdebstrap's own helper is used because distributions that restrict user namespaces make an
    exception for it (Ubuntu 24.04, /etc/apparmor.d/mmdebstrap).
    """
    return () if os.geteuid() == 0 else ("mmdebstrap", "--unshare-helper")


def check_namespaces() -> None:
    """Make sure an image can be built by this user.

    Raises:
        PreflightFailed: User namespaces are not to be had.
    """
    try:
        run((*as_root(), "true"), timeout_s=20)
    except CommandFailed as error:
        raise PreflightFailed(
            "This user cannot make user namespaces, which building the image without root needs",
            details=error.details,
            hint=f"sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 "
            f"{os.environ.get('USER', 'YOU')}   (or: make up, which does it)",
        ) from error


def build(directory: Path, steps: Steps) -> Built:
    """Build an image into ``directory``: ``vmlinux``, ``initrd``, ``disk`` and ``node-test.tar``.

    Raises:
        PreflightFailed: A program or a privilege is missing.
        CommandFailed: A step failed, for example because the package mirror is out of reach.
    """
    check_namespaces()
    rootfs = directory / "rootfs.tar"
    with steps.step(f"Installing Debian {SUITE} and Docker into a root file system"):
        run(mmdebstrap_argv(rootfs), timeout_s=BUILD_TIMEOUT_S, env=with_customization())
    with steps.step("Making the kernel, the initial RAM disk and the node-test image"):
        built = _take_apart(rootfs, directory)
        _lay_over(rootfs, directory / "node-test.tar")
    with steps.step("Making the disk"):
        run(
            ("sh", HERE / "pack.sh", rootfs, directory / "disk", DISK_SIZE, *as_root()),
            timeout_s=BUILD_TIMEOUT_S,
        )
        rootfs.unlink()
    return built


def with_customization() -> dict[str, str]:
    """Return our environment and the script of the hook.

    Not its path: the root of a user namespace may not enter a home directory of mode 0750, as
    Ubuntu makes them (measured with 24.04).
    """
    return dict(os.environ) | {CUSTOMIZATION: (HERE / "customize.sh").read_text()}


def mmdebstrap_argv(output: Path) -> list[str]:
    """Return the command line that makes the root file system, as a tar at ``output``."""
    mode = "root" if os.geteuid() == 0 else "unshare"
    mirror = os.environ.get("LAB_DEBIAN_MIRROR")
    # The apt of Ubuntu does not trust Debian's keys. A mirror of one's own may have its own.
    source = () if mirror else (f"--keyring={KEYRING}",)
    return [
        "mmdebstrap",
        f"--mode={mode}",
        *source,
        "--variant=apt",
        f"--include={','.join(PACKAGES)}",
        '--aptopt=Acquire::Languages "none"',
        '--aptopt=Acquire::Retries "3"',
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-exclude=/usr/share/man/*",
        "--dpkgopt=path-exclude=/usr/share/info/*",
        "--dpkgopt=path-exclude=/usr/share/locale/*",
        f'--customize-hook=sh -c "${CUSTOMIZATION}" customize "$1" {KERNEL}',
        SUITE,
        str(output),
        *([mirror] if mirror else []),
    ]


def _take_apart(rootfs: Path, directory: Path) -> Built:
    with tarfile.open(rootfs) as tar:
        names = tar.getnames()
        kernel = _one(names, "./boot/vmlinuz-")
        extract_vmlinux(_content(tar, kernel), directory / "vmlinux")
        modules = {
            name.rsplit("/", 1)[1].removesuffix(".ko"): name
            for name in names
            if name.endswith(".ko")
        }
        entries = [
            Entry("init", content=INIT.read_bytes(), mode=0o755),
            Entry("busybox", content=_content(tar, "./usr/bin/busybox"), mode=0o755),
            *(
                Entry(f"modules/{name}.ko", content=_content(tar, modules[name]))
                for name in INITRD_MODULES
            ),
            *(Entry(name, mode=0o755) for name in ("dev", "root")),
        ]
        (directory / "initrd").write_bytes(cpio.archive(entries))
        node_test_id = build_archive(
            tar, NODE_TEST.read_bytes(), directory / "node-test.tar", tag=NODE_TEST_TAG
        )
        packages = _versions(_content(tar, "./var/lib/dpkg/status").decode())
    return Built(packages, kernel.removeprefix("./boot/vmlinuz-"), node_test_id)


def _lay_over(rootfs: Path, archive: Path) -> None:
    """Append our files to the tar; what comes later wins when it is unpacked."""
    with tarfile.open(rootfs, "a") as tar:
        for entry in (
            *overlay(),
            Entry(NODE_TEST_ARCHIVE.lstrip("/"), content=archive.read_bytes()),
        ):
            member = tarfile.TarInfo(f"./{entry.path}")
            member.mode = entry.mode
            if entry.content is not None:
                member.size = len(entry.content)
                tar.addfile(member, io.BytesIO(entry.content))
                continue
            member.type = tarfile.SYMTYPE if entry.link else tarfile.DIRTYPE
            member.linkname = entry.link or ""
            tar.addfile(member)


def _versions(status: str) -> tuple[tuple[str, str], ...]:
    """Return (package, version) pairs of a dpkg status file, sorted."""
    found = []
    for paragraph in status.split("\n\n"):
        fields = dict(
            line.split(": ", 1)
            for line in paragraph.splitlines()
            if not line.startswith(" ") and ": " in line
        )
        if "Package" in fields and "Version" in fields:
            found.append((fields["Package"], fields["Version"]))
    return tuple(sorted(found))


def _content(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    if file is None:
        raise ProviderFailed(f"{name} in the root file system is not a file")
    return file.read()


def _one(names: list[str], prefix: str) -> str:
    found = [name for name in names if name.startswith(prefix)]
    if len(found) != 1:
        raise ProviderFailed(
            f"Expected one {prefix}* in the root file system", details=f"found {found or 'none'}"
        )
    return found[0]
