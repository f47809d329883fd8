"""The QEMU command lines of a lab. Pure: names, paths and numbers in, argv out."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

QEMU = "qemu-system-x86_64"
CONSOLE = "console.log"
"""What a machine writes on its serial console, in its directory."""

KERNEL_ARGUMENTS = (
    "root=/dev/vda console=ttyS0 quiet loglevel=3 panic=-1 net.ifnames=0 "
    # Nothing hostile runs in a lab, and each of these costs emulated time.
    "mitigations=off audit=0 apparmor=0 selinux=0 nowatchdog cryptomgr.notests "
    "random.trust_cpu=on no_timer_check tsc=reliable 8250.nr_uarts=1 "
    # Every program at the same addresses each time it runs. With random ones QEMU 7.2 translates
    # a program anew at each start: 3800 blocks for `runc --version`, 500 or fewer without. Each of
    # Docker's hundreds of iptables took 0.10 s of processor, and takes 0.03 s (`info jit`).
    "norandmaps"
)

CPU = {
    "kvm": "host",
    # Without 5-level page tables every soft page walk is shorter; without ERMS and FSRM the
    # kernel copies with ordinary moves, which TCG runs faster than `rep movsb`. 3 s of a boot.
    "tcg": "max,la57=off,erms=off,fsrm=off",
}
ACCELERATOR = {
    "kvm": "kvm",
    # Room for translated code, MiB: QEMU would take up to 1 GiB and never give it back. A cold
    # start fills twice as much as this; with half of it, code was thrown away nine times.
    "tcg": "tcg,thread=multi,tb-size=256",
}


@dataclass(frozen=True, slots=True)
class Plugs:
    """What a machine is connected to.

    Attributes:
        ssh_port: Loopback port forwarded to the node's port 22.
        entry_port: Loopback port forwarded to the node's published port.
        published_port: The published port on the node.
        link: This machine's end of the private link, a socket path.
        peer: The other end: the other machine's, or the hub's for this machine.
        agent: Socket of the guest agent.
    """

    ssh_port: int
    entry_port: int
    published_port: int
    link: Path
    peer: Path
    agent: Path


@dataclass(frozen=True, slots=True)
class Ram:
    """A file that is the machine's memory; ``shared``: what the machine writes goes into it."""

    path: Path
    shared: bool


@dataclass(frozen=True, slots=True)
class MachineSpec:
    """Everything that differs between two machines.

    Attributes:
        name: The node's name.
        lab: The lab's name.
        number: Position in the topology, from 1; makes the MAC addresses.
        memory_mib: RAM.
        accelerator: ``kvm`` or ``tcg``.
        directory: Where its console and pid file are.
        kernel: The uncompressed kernel.
        initrd: The initial RAM disk.
        disk: The disk, qcow2.
        management: Network of the user-mode NIC, CIDR.
        monitor: Socket of QEMU's machine protocol.
        plugs: What it is connected to; nothing for a machine that never runs.
        ram: Its memory as a file; QEMU's own if ``None``.
        incoming: Where its state comes from, as after ``-incoming``; it boots if ``None``.
    """

    name: str
    lab: str
    number: int
    memory_mib: int
    accelerator: str
    directory: Path
    kernel: Path
    initrd: Path
    disk: Path
    management: str
    monitor: Path
    plugs: Plugs | None
    ram: Ram | None = None
    incoming: str | None = None


def machine_argv(machine: MachineSpec) -> list[str]:
    """Return the command line of one machine; the process puts itself into the background."""
    home = machine.directory
    # fmt: off
    return [
        QEMU,
        "-name", f"{machine.lab}-{machine.name}",
        "-nodefaults", "-no-user-config",
        "-display", "none",
        *_memory(machine),
        "-accel", ACCELERATOR[machine.accelerator],
        "-cpu", CPU[machine.accelerator],
        "-smp", "1",
        "-kernel", str(machine.kernel),
        "-initrd", str(machine.initrd),
        "-append", KERNEL_ARGUMENTS,
        # The disk is thrown away with the lab: never wait for the host's disk.
        "-drive", f"if=none,id=disk,file={escaped(machine.disk)},cache=unsafe,discard=unmap",
        "-device", "virtio-blk-pci,drive=disk",
        *_connections(machine),
        "-device", f"virtio-net-pci,netdev=management,mac={mac(machine, 0)},romfile=",
        "-device", f"virtio-net-pci,netdev=link,mac={mac(machine, 1)},romfile=",
        "-device", "virtio-rng-pci",
        # Tells the guest's kernel that it is a copy, which makes new randomness (vmgenid).
        "-device", "vmgenid,guid=auto",
        "-device", "virtio-serial-pci",
        "-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0",
        "-chardev", f"file,id=console,path={escaped(home / CONSOLE)},append=on",
        "-serial", "chardev:console",
        "-chardev", f"socket,id=monitor,path={escaped(machine.monitor)},server=on,wait=off",
        "-mon", "chardev=monitor,mode=control",
        *(("-incoming", machine.incoming) if machine.incoming else ()),
        "-pidfile", str(home / "pid"),
        "-daemonize",
    ]
    # fmt: on


def _memory(machine: MachineSpec) -> tuple[str, ...]:
    size = ("-m", str(machine.memory_mib))
    if machine.ram is None:
        return ("-machine", "q35,vmport=off", *size)
    share = "on" if machine.ram.shared else "off"
    return (
        "-machine",
        "q35,vmport=off,memory-backend=pc.ram",
        *size,
        "-object",
        # The name of the memory in a saved state must be the one it has without a file: pc.ram.
        "memory-backend-file,id=pc.ram,x-use-canonical-path-for-ramblock-id=off,"
        f"size={machine.memory_mib}M,mem-path={escaped(machine.ram.path)},share={share}",
    )


def _connections(machine: MachineSpec) -> tuple[str, ...]:
    # restrict: a lab reaches nothing but itself, so it is the same with and without internet.
    # No IPv6: QEMU would announce a way out, and with it curl's try of ::1, which the nodes do not
    # have, gets lost instead of being refused at once.
    management = f"user,id=management,net={machine.management},restrict=on,ipv6=off"
    if machine.plugs is None:
        link, agent = "hubport,id=link,hubid=0", "null,id=agent"
    else:
        plugs = machine.plugs
        management += (
            f",hostfwd=tcp:127.0.0.1:{plugs.ssh_port}-:22"
            f",hostfwd=tcp:127.0.0.1:{plugs.entry_port}-:{plugs.published_port}"
        )
        link = _dgram("link", plugs.link, plugs.peer)
        agent = f"socket,id=agent,path={escaped(plugs.agent)},server=on,wait=off"
    return ("-netdev", management, "-netdev", link, "-chardev", agent)


def kernel_argv(image: Path, directory: Path, accelerator: str) -> list[str]:
    """Return the command line of a machine that has no disk: its kernel starts ``/init``.

    Args:
        image: The directory with the kernel and the initial RAM disk.
        directory: Where ``console`` and ``pid`` are written.
        accelerator: ``kvm`` or ``tcg``.
    """
    # fmt: off
    return [
        QEMU, "-nodefaults", "-no-user-config", "-display", "none",
        "-machine", "q35", "-accel", ACCELERATOR[accelerator], "-cpu", CPU[accelerator],
        "-m", "256",
        "-kernel", str(image / "vmlinux"), "-initrd", str(image / "initrd"),
        "-append", "console=ttyS0 panic=-1",
        "-chardev", f"file,id=console,path={escaped(directory / 'console')}",
        "-serial", "chardev:console",
        "-pidfile", str(directory / "pid"), "-daemonize",
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
    """Return the MAC of a card: 52, three bytes of the lab, the card, the node's number.

    52 is the first byte of QEMU's own prefix: not a group, locally administered. The rest of that
    prefix would leave one byte for the lab, the same for one pair of labs in 256: labs never meet
    on a link, but two machines in one person's captures would look like one.
    """
    lab = hashlib.sha256(machine.lab.encode()).digest()[:3].hex(":")
    return f"52:{lab}:{card:02x}:{machine.number:02x}"


def _dgram(name: str, own: Path, peer: Path) -> str:
    return (
        f"dgram,id={name},local.type=unix,local.path={escaped(own)},"
        f"remote.type=unix,remote.path={escaped(peer)}"
    )


def escaped(path: Path) -> str:
    """Return a path as it stands in a key=value list, where a comma is written twice (qemu(1))."""
    return str(path).replace(",", ",,")
