"""The QEMU command lines of a lab. Pure: names, paths and numbers in, argv out."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

QEMU = "qemu-system-x86_64"

KERNEL_ARGUMENTS = (
    "root=/dev/vda console=ttyS0 quiet loglevel=3 panic=-1 net.ifnames=0 "
    # Nothing hostile runs in a lab, and each of these costs emulated time.
    "mitigations=off audit=0 apparmor=0 selinux=0 nowatchdog cryptomgr.notests "
    "random.trust_cpu=on no_timer_check tsc=reliable 8250.nr_uarts=1"
)

CPU = {
    "kvm": "host",
    # Without 5-level page tables every soft page walk is shorter; without ERMS and FSRM the
    # kernel copies with ordinary moves, which TCG runs faster than `rep movsb`. 3 s of a boot.
    "tcg": "max,la57=off,erms=off,fsrm=off",
}
ACCELERATOR = {
    "kvm": "kvm",
    # Room for translated code, MiB: QEMU would take up to 1 GiB and never give it back.
    "tcg": "tcg,thread=multi,tb-size=256",
}


@dataclass(frozen=True, slots=True)
class MachineSpec:
    """Everything that differs between two machines.

    Attributes:
        name: The node's name.
        lab: The lab's name.
        number: Position in the topology, from 1; makes the MAC addresses.
        memory_mib: RAM.
        accelerator: ``kvm`` or ``tcg``.
        directory: Where its disk, initrd, console and pid file are.
        kernel: The uncompressed kernel.
        ssh_port: Loopback port forwarded to the node's port 22.
        entry_port: Loopback port forwarded to the node's published port.
        published_port: The published port on the node.
        management: Network of the user-mode NIC, CIDR.
        link: This machine's end of the private link, a socket path.
        peer: The other end: the other machine's, or the hub's for this machine.
    """

    name: str
    lab: str
    number: int
    memory_mib: int
    accelerator: str
    directory: Path
    kernel: Path
    ssh_port: int
    entry_port: int
    published_port: int
    management: str
    link: Path
    peer: Path


def machine_argv(machine: MachineSpec) -> list[str]:
    """Return the command line of one machine; the process puts itself into the background."""
    home = machine.directory
    disk = escaped(home / "disk.qcow2")
    forwards = (
        f"hostfwd=tcp:127.0.0.1:{machine.ssh_port}-:22,"
        f"hostfwd=tcp:127.0.0.1:{machine.entry_port}-:{machine.published_port}"
    )
    # fmt: off
    return [
        QEMU,
        "-name", f"{machine.lab}-{machine.name}",
        "-nodefaults", "-no-user-config",
        "-display", "none",
        "-machine", "q35,vmport=off",
        "-accel", ACCELERATOR[machine.accelerator],
        "-cpu", CPU[machine.accelerator],
        "-smp", "1",
        "-m", str(machine.memory_mib),
        "-kernel", str(machine.kernel),
        "-initrd", str(home / "initrd"),
        "-append", KERNEL_ARGUMENTS,
        # The disk is thrown away with the lab: never wait for the host's disk.
        "-drive", f"if=none,id=disk,file={disk},cache=unsafe,discard=unmap",
        "-device", "virtio-blk-pci,drive=disk",
        # restrict: a lab reaches nothing but itself, so it is the same with and without internet.
        "-netdev", f"user,id=management,net={machine.management},restrict=on,{forwards}",
        "-device", f"virtio-net-pci,netdev=management,mac={mac(machine, 0)},romfile=",
        "-netdev", _dgram("link", machine.link, machine.peer),
        "-device", f"virtio-net-pci,netdev=link,mac={mac(machine, 1)},romfile=",
        "-device", "virtio-rng-pci",
        "-chardev", f"file,id=console,path={escaped(home / 'console.log')}",
        "-serial", "chardev:console",
        "-pidfile", str(home / "pid"),
        "-daemonize",
    ]
    # fmt: on


def hub_argv(ends: tuple[tuple[Path, Path], ...], pid_file: Path) -> list[str]:
    """Return the command line of a hub for three nodes or more: a QEMU without a machine.

    Args:
        ends: For each node the hub's socket and the node's socket.
        pid_file: Where the hub writes its process id.
    """
    argv = [QEMU, "-machine", "none", "-nodefaults", "-no-user-config", "-display", "none"]
    for number, (own, node) in enumerate(ends):
        argv += [
            "-netdev",
            _dgram(f"node{number}", own, node),
            "-netdev",
            f"hubport,id=port{number},hubid=0,netdev=node{number}",
        ]
    return [*argv, "-pidfile", str(pid_file), "-daemonize"]


def mac(machine: MachineSpec, card: int) -> str:
    """Return the MAC of a card: QEMU's prefix, a byte of the lab, the card, the node's number."""
    lab = hashlib.sha256(machine.lab.encode()).digest()[0]
    return f"52:54:00:{lab:02x}:{card:02x}:{machine.number:02x}"


def _dgram(name: str, own: Path, peer: Path) -> str:
    return (
        f"dgram,id={name},local.type=unix,local.path={escaped(own)},"
        f"remote.type=unix,remote.path={escaped(peer)}"
    )


def escaped(path: Path) -> str:
    """Return a path as it stands in a key=value list, where a comma is written twice (qemu(1))."""
    return str(path).replace(",", ",,")
