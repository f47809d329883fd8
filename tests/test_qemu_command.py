import re
from dataclasses import replace
from pathlib import Path

import pytest

from lab.providers.qemu_command import (
    KERNEL_ARGUMENTS,
    MachineSpec,
    Plugs,
    Ram,
    escaped,
    hub_argv,
    mac,
    machine_argv,
)

PLUGS = Plugs(
    ssh_port=15002,
    entry_port=15000,
    published_port=5000,
    link=Path("/run/1234abcd/link-1"),
    peer=Path("/run/1234abcd/link-2"),
    agent=Path("/run/1234abcd/manager.agent"),
)
MANAGER = MachineSpec(
    name="manager",
    lab="article",
    number=1,
    memory_mib=1024,
    accelerator="kvm",
    directory=Path("/state/article/nodes/manager"),
    kernel=Path("/cache/images/0123456789abcdef/vmlinux"),
    initrd=Path("/state/article/nodes/manager/initrd"),
    disk=Path("/state/article/nodes/manager/disk.qcow2"),
    management="192.168.120.0/24",
    monitor=Path("/run/1234abcd/manager.qmp"),
    plugs=PLUGS,
)
SAVED = Path("/cache/snapshots/0123456789abcdef/manager")
COPY = replace(MANAGER, ram=Ram(SAVED / "ram", shared=False), incoming="defer")
MOLD = replace(
    MANAGER,
    directory=SAVED,
    initrd=SAVED / "initrd",
    disk=SAVED / "disk.qcow2",
    monitor=Path("/run/1234abcd/manager.mold"),
    plugs=None,
    ram=Ram(SAVED / "ram", shared=True),
    incoming="unix:/run/1234abcd/manager.in",
)


def options(argv: list[str]) -> list[str]:
    """One line for each option with its value."""
    return re.sub(r" (?=-[a-z])", "\n", " ".join(argv)).splitlines()


def test_a_machine_with_hardware_acceleration() -> None:
    argv = machine_argv(MANAGER)
    assert KERNEL_ARGUMENTS in argv
    argv[argv.index("-append") + 1] = "KERNEL_ARGUMENTS"
    assert options(argv) == [
        "qemu-system-x86_64",
        "-name article-manager",
        "-nodefaults",
        "-no-user-config",
        "-display none",
        "-machine q35,vmport=off",
        "-m 1024",
        "-accel kvm",
        "-cpu host",
        "-smp 1",
        "-kernel /cache/images/0123456789abcdef/vmlinux",
        "-initrd /state/article/nodes/manager/initrd",
        "-append KERNEL_ARGUMENTS",
        "-drive if=none,id=disk,file=/state/article/nodes/manager/disk.qcow2,"
        "cache=unsafe,discard=unmap",
        "-device virtio-blk-pci,drive=disk",
        "-netdev user,id=management,net=192.168.120.0/24,restrict=on,ipv6=off,"
        "hostfwd=tcp:127.0.0.1:15002-:22,hostfwd=tcp:127.0.0.1:15000-:5000",
        "-netdev dgram,id=link,local.type=unix,local.path=/run/1234abcd/link-1,"
        "remote.type=unix,remote.path=/run/1234abcd/link-2",
        "-chardev socket,id=agent,path=/run/1234abcd/manager.agent,server=on,wait=off",
        f"-device virtio-net-pci,netdev=management,mac={mac(MANAGER, 0)},romfile=",
        f"-device virtio-net-pci,netdev=link,mac={mac(MANAGER, 1)},romfile=",
        "-device virtio-rng-pci",
        "-device vmgenid,guid=auto",
        "-device virtio-serial-pci",
        "-device virtserialport,chardev=agent,name=org.qemu.guest_agent.0",
        "-chardev file,id=console,path=/state/article/nodes/manager/console.log,append=on",
        "-serial chardev:console",
        "-chardev socket,id=monitor,path=/run/1234abcd/manager.qmp,server=on,wait=off",
        "-mon chardev=monitor,mode=control",
        "-pidfile /state/article/nodes/manager/pid",
        "-daemonize",
    ]


def test_emulation_differs_in_accelerator_and_processor_only() -> None:
    with_kvm, with_tcg = (
        machine_argv(replace(MANAGER, accelerator=accelerator)) for accelerator in ("kvm", "tcg")
    )
    different = {(a, b) for a, b in zip(with_kvm, with_tcg, strict=True) if a != b}
    assert {a for a, _ in different} == {"kvm", "host"}
    assert all(re.match("tcg,thread=multi|max,", b) for _, b in different)


def differences(machine: MachineSpec) -> list[tuple[str, str]]:
    """The options in which a machine is not the manager; both have equally many of those."""
    pairs = zip(options(machine_argv(MANAGER)), options(machine_argv(machine)), strict=True)
    return [(a, b) for a, b in pairs if a != b]


def test_a_copy_maps_the_saved_memory_and_never_writes_into_it() -> None:
    """Its name in the saved state is that of a memory without a file."""
    booted, copied = (options(machine_argv(machine)) for machine in (MANAGER, COPY))
    assert [line for line in booted if line not in copied] == ["-machine q35,vmport=off"]
    assert [line for line in copied if line not in booted] == [
        "-machine q35,vmport=off,memory-backend=pc.ram",
        "-object memory-backend-file,id=pc.ram,x-use-canonical-path-for-ramblock-id=off,"
        f"size=1024M,mem-path={SAVED}/ram,share=off",
        "-incoming defer",
    ]


def test_a_mold_is_the_machine_itself_with_a_file_for_its_memory_and_no_plugs() -> None:
    """A saved state only fits the same devices: all of them are there, connected to nothing."""
    bare = replace(MOLD, ram=None, incoming=None)
    found = differences(bare)
    assert [b for _, b in found] == [
        f"-initrd {SAVED}/initrd",
        f"-drive if=none,id=disk,file={SAVED}/disk.qcow2,cache=unsafe,discard=unmap",
        "-netdev user,id=management,net=192.168.120.0/24,restrict=on,ipv6=off",
        "-netdev hubport,id=link,hubid=0",
        "-chardev null,id=agent",
        f"-chardev file,id=console,path={SAVED}/console.log,append=on",
        "-chardev socket,id=monitor,path=/run/1234abcd/manager.mold,server=on,wait=off",
        f"-pidfile {SAVED}/pid",
    ]
    lines = options(machine_argv(MOLD))
    assert "-incoming unix:/run/1234abcd/manager.in" in lines
    assert any(line.endswith(f"mem-path={SAVED}/ram,share=on") for line in lines)


def test_a_mold_listens_nowhere_and_reaches_no_other_machine() -> None:
    line = " ".join(machine_argv(MOLD))
    for word in ("hostfwd", "/run/1234abcd/link", "/run/1234abcd/manager.agent"):
        assert word in " ".join(machine_argv(MANAGER))
        assert word not in line


def test_everything_listens_on_loopback_only() -> None:
    forwards = re.findall(r"hostfwd=([^, ]+)", " ".join(machine_argv(MANAGER)))
    assert len(forwards) == 2
    assert all(forward.startswith("tcp:127.0.0.1:") for forward in forwards)


def test_a_comma_in_a_path_does_not_end_it() -> None:
    home, runtime = Path("/a,b c/manager"), Path("/r,1")
    machine = replace(
        MANAGER,
        directory=home,
        initrd=home / "initrd",
        disk=home / "disk.qcow2",
        monitor=runtime / "m",
        plugs=replace(PLUGS, link=runtime / "a", peer=runtime / "b", agent=runtime / "g"),
        ram=Ram(Path("/s,2/ram"), shared=False),
    )
    argv = machine_argv(machine)
    line = " ".join(argv)
    assert "file=/a,,b c/manager/disk.qcow2," in line
    assert "path=/a,,b c/manager/console.log" in line
    assert "local.path=/r,,1/a,remote.type=unix,remote.path=/r,,1/b" in line
    assert "id=agent,path=/r,,1/g," in line
    assert "id=monitor,path=/r,,1/m," in line
    assert "mem-path=/s,,2/ram," in line
    # These are options of their own, where a comma is a comma.
    assert argv[argv.index("-pidfile") + 1] == "/a,b c/manager/pid"
    assert argv[argv.index("-initrd") + 1] == "/a,b c/manager/initrd"
    assert escaped(Path("/plain")) == "/plain"


def test_two_machines_are_each_others_peer() -> None:
    turned = replace(PLUGS, link=PLUGS.peer, peer=PLUGS.link)
    worker = replace(MANAGER, name="worker", number=2, plugs=turned)
    first, second = (" ".join(machine_argv(machine)) for machine in (MANAGER, worker))
    assert (
        "local.path=/run/1234abcd/link-1,remote.type=unix,remote.path=/run/1234abcd/link-2"
        in first
    )
    assert (
        "local.path=/run/1234abcd/link-2,remote.type=unix,remote.path=/run/1234abcd/link-1"
        in second
    )


def test_three_machines_meet_at_a_hub() -> None:
    ends = tuple((Path(f"/run/x/hub-{n}"), Path(f"/run/x/link-{n}")) for n in (1, 2, 3))
    assert options(hub_argv(ends, Path("/state/hub/pid"))) == [
        "qemu-system-x86_64",
        "-machine none",
        "-nodefaults",
        "-no-user-config",
        "-display none",
        *(
            line
            for n in (1, 2, 3)
            for line in (
                f"-netdev dgram,id=node{n - 1},local.type=unix,local.path=/run/x/hub-{n},"
                f"remote.type=unix,remote.path=/run/x/link-{n}",
                f"-netdev hubport,id=port{n - 1},hubid=0,netdev=node{n - 1}",
            )
        ),
        "-pidfile /state/hub/pid",
        "-daemonize",
    ]


def test_macs_differ_between_labs_cards_and_nodes() -> None:
    machines = [
        replace(MANAGER, lab=lab, number=number)
        for lab in ("article", *(f"lab-{n}" for n in range(300)))  # a byte would not do
        for number in (1, 8)
    ]
    macs = {mac(machine, card) for machine in machines for card in (0, 1)}
    assert len(macs) == 2 * len(machines)
    assert all(re.fullmatch(r"52(:[0-9a-f]{2}){5}", found) for found in macs)


@pytest.mark.parametrize("accelerator", ["hvf", ""])
def test_an_unknown_accelerator_is_a_mistake_of_ours(accelerator: str) -> None:
    with pytest.raises(KeyError):
        machine_argv(replace(MANAGER, accelerator=accelerator))
