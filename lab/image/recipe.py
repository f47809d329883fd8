"""What a node is made of: Debian packages, our files, the units left out. Pure.

One definition for every provider that makes machines: the default one boots it directly, others
pack it as a box or a container image.
"""

import hashlib
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

SUITE = "trixie"
KERNEL = "linux-image-cloud-amd64"
PACKAGES = (
    "busybox-static",  # the initial RAM disk
    "chrony",  # the nodes' clocks are kept together
    "conntrack",
    "containerd",
    "curl",
    "docker-cli",
    "docker.io",
    "ethtool",
    "iproute2",
    "iptables",
    "iputils-ping",
    "ipvsadm",
    "kmod",
    "less",
    "nano",
    "net-tools",
    "netbase",
    "openssh-server",
    "procps",
    "python3-minimal",  # the node-test container is cut out of it
    "qemu-guest-agent",  # a way in that needs no network and no new connection
    "systemd-sysv",
    "tcpdump",
    "xz-utils",  # the kernel's modules are unpacked while building
)

LEFT_OUT = (
    # Device discovery: two disks' worth of virtio devices are known beforehand, and every veth
    # Docker makes would wake udev's workers. 17 of the first prototype's 60 seconds were udev.
    "systemd-udevd.service",
    "systemd-udevd-control.socket",
    "systemd-udevd-kernel.socket",
    "systemd-udev-trigger.service",
    "systemd-udev-load-credentials.service",
    # Nobody logs in on a console; ssh is the way in, and it does not use PAM.
    "getty.target",
    "getty-static.service",
    "getty@tty1.service",
    "systemd-ask-password-console.path",
    "systemd-ask-password-wall.path",
    "systemd-logind.service",
    "systemd-user-sessions.service",
    "dbus.service",
    "dbus.socket",
    # Housekeeping of machines that live longer than an afternoon.
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "fstrim.timer",
    "systemd-tmpfiles-clean.timer",
    "systemd-pstore.service",
    "systemd-random-seed.service",
    "systemd-journal-flush.service",
    "systemd-journal-catalog-update.service",
    "systemd-hwdb-update.service",
    "systemd-update-done.service",
    "ldconfig.service",
    "systemd-firstboot.service",
    "systemd-machine-id-commit.service",
    "systemd-binfmt.service",
    "proc-sys-fs-binfmt_misc.automount",
    "systemd-hibernate-clear.service",
    "remote-fs.target",
    # Mounts, modules and static device nodes that neither Docker nor a student asks for. Each
    # is a process or more: all of them together were 5 of 28 emulated seconds (measured).
    "kmod-static-nodes.service",
    "modprobe@configfs.service",
    "modprobe@dm_mod.service",
    "modprobe@drm.service",
    "modprobe@efi_pstore.service",
    "modprobe@fuse.service",
    "modprobe@loop.service",
    "run-lock.mount",
    "sys-kernel-config.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "systemd-sysusers.service",
    "systemd-tmpfiles-setup-dev-early.service",
    "systemd-tmpfiles-setup-dev.service",
    # Hardware these machines do not have.
    "systemd-pcrmachine.service",
    "systemd-pcrphase.service",
    "systemd-pcrphase-sysinit.service",
    "systemd-pcrextend.socket",
    "systemd-pcrlock.socket",
    "systemd-tpm2-setup.service",
    "systemd-tpm2-setup-early.service",
    "dev-hugepages.mount",
    "dev-mqueue.mount",
    "sys-fs-fuse-connections.mount",
    # Services that answer questions nobody asks here.
    "systemd-creds.socket",
    "systemd-hostnamed.socket",
    "systemd-initctl.socket",
    "systemd-sysext.socket",
    # The lab brings the host key (sshd-keygen would make three, one of them RSA: seconds).
    "sshd-keygen.service",
    # Would restore a saved IPVS table: swarm's is dockerd's business alone.
    "ipvsadm.service",
)

LEFT_OUT_GENERATORS = (
    "systemd-debug-generator",
    "systemd-fstab-generator",
    "systemd-getty-generator",
    "systemd-gpt-auto-generator",
    "systemd-hibernate-resume-generator",
    "systemd-rc-local-generator",
    "systemd-run-generator",
    "systemd-ssh-generator",
    "systemd-system-update-generator",
    "systemd-sysv-generator",
    "systemd-tpm2-generator",
)

HERE = Path(__file__).parent
FILES = HERE / "files"
INIT = HERE / "init"
NODE_TEST = HERE.parent.parent / "node-test" / "server.py"
NOT_INPUTS = ("box.py", "provision.py", "store.py")
"""How images are kept, packed and made up for elsewhere says nothing about what is in them."""

NODE_TEST_ARCHIVE = "/usr/share/node-test/node-test.tar"
"""Where a node keeps the service's image, in the format of ``docker load``."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file, link or directory to lay over the root file system.

    ``path`` has no leading slash. Exactly one of ``content`` and ``link`` is set, or neither for
    a directory.
    """

    path: str
    content: bytes | None = None
    link: str | None = None
    mode: int = 0o644


def overlay() -> tuple[Entry, ...]:
    """Return everything we add to Debian's packages, in a stable order."""
    return tuple(sorted(_entries(), key=lambda entry: entry.path))


def recipe_key(build_tools: str) -> str:
    """Return the name under which an image of today's inputs is kept: 16 hex digits.

    Args:
        build_tools: Versions of the programs that build it.
    """
    return key_of(inputs(build_tools))


def inputs(build_tools: str) -> tuple[tuple[str, bytes], ...]:
    """Return everything an image is made of, each with a name."""
    sources = [
        path
        for path in sorted(HERE.iterdir())
        if path.suffix in (".py", ".sh") and path.name not in NOT_INPUTS
    ]
    return (
        ("packages", "\n".join((SUITE, KERNEL, *PACKAGES)).encode()),
        ("build tools", build_tools.encode()),
        *((f"/{entry.path}", repr(entry).encode()) for entry in overlay()),
        *((path.name, path.read_bytes()) for path in (*sources, INIT, NODE_TEST)),
    )


def key_of(parts: Iterable[tuple[str, bytes]]) -> str:
    """Return 16 hex digits that differ if any name or content, or their order, differs."""
    digest = hashlib.sha256()
    for name, content in parts:
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]


def settings() -> Iterator[Entry]:
    """Yield the files that make any Debian behave as a node: what is set, nothing left out."""
    for path in sorted(FILES.rglob("*")):
        name = str(path.relative_to(FILES))
        if path.is_dir():
            yield Entry(name, mode=0o755)
        elif path.name != ".keep":
            mode = 0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644
            yield Entry(name, content=path.read_bytes(), mode=mode)


def name_service() -> Entry:
    """Return the file that names the name server, of which there is none.

    No name server can be reached. An address that refuses at once beats one that is silent:
    dockerd asks for the registry of node-test's tag before it starts the first task, and a
    silent server made that 20 s (measured).
    """
    return Entry("etc/resolv.conf", content=b"nameserver 127.0.0.1\n")


def _entries() -> Iterator[Entry]:
    yield from settings()
    for unit in LEFT_OUT:
        yield Entry(f"etc/systemd/system/{unit}", link="/dev/null")
    yield Entry("etc/systemd/system-generators", mode=0o755)
    for generator in LEFT_OUT_GENERATORS:
        yield Entry(f"etc/systemd/system-generators/{generator}", link="/dev/null")
    yield Entry("etc/systemd/system/default.target", link="/lib/systemd/system/multi-user.target")
    yield Entry(
        "etc/systemd/system/multi-user.target.wants/qemu-guest-agent.service",
        link="../qemu-guest-agent.service",
    )
    yield Entry("etc/fstab", content=b"")
    yield name_service()
