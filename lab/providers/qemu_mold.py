"""The second QEMU that takes the state of a running machine and writes it down: the mold.

The memory of a saved machine is a plain file, that of a running one is not: dirty pages of a file
are written to the disk all the time. So saving moves the paused machine's state over a socket into
a second QEMU whose memory is the new file, which then writes the device state and ends; the
machine itself goes on.
"""

import shlex
import shutil
from dataclasses import replace
from pathlib import Path

from lab.home import LabHome
from lab.paths import private_dir
from lab.process import end, run
from lab.providers.identity import HOST_KEY
from lab.providers.qemu_command import CONSOLE, MachineSpec, Ram, machine_argv
from lab.providers.qemu_machines import Record, launch, machine_spec
from lab.providers.qmp import Monitor, await_migration, monitor
from lab.topology import NodeSpec, Topology

MOVE_S = 60.0
"""How long a machine's state may take to be moved: 1 GiB of memory takes about a second."""
CONVERT_S = 120.0
IGNORE_SHARED = "x-ignore-shared"
KEPT = ("initrd", f"{HOST_KEY}.pub")
"""What is kept of a machine beside its memory, devices and disk; the guest has the rest."""


def save_machine(
    home: LabHome,
    topology: Topology,
    record: Record,
    node: NodeSpec,
    machine: Monitor,
    directory: Path,
) -> None:
    """Write a paused machine into ``directory/NODE``: memory, devices, disk, console, keys.

    Args:
        home: The lab.
        topology: Its topology.
        record: What is remembered of it.
        node: Whose machine it is.
        machine: The paused machine's monitor.
        directory: Where what is saved of every node goes.

    Raises:
        LabError: It did not succeed; what was written is worth nothing.
    """
    target = private_dir(directory / node.name)
    source_dir = home.node_dir(node.name)
    spec = machine_spec(home, topology, record, node, target / "initrd")
    # What the disk holds itself, as it is over the same image; anything between would be lost.
    run(
        (
            *("qemu-img", "convert", "--force-share", "-O", "qcow2", "-F", "raw"),
            *("-B", record.image / "disk", source_dir / "disk.qcow2", target / "disk.qcow2"),
        ),
        timeout_s=CONVERT_S,
    )
    for name in KEPT:
        copy_private(source_dir / name, target / name)
    entrance = home.runtime / f"{node.name}.in"
    mold = replace(
        spec,
        directory=target,
        disk=target / "disk.qcow2",
        monitor=mold_socket(home, node.name),
        plugs=None,
        ram=Ram(target / "ram", shared=True),
        incoming=f"unix:{entrance}",
    )
    process = launch(f"the mold of {node.name}", machine_argv(mold), target)
    try:
        _pour(machine, mold, entrance, target / "devices")
    finally:
        end([process])
    (target / "pid").unlink(missing_ok=True)
    # Over the mold's, which is empty: a copy does not boot, and could not show what happened then.
    copy_private(source_dir / CONSOLE, target / CONSOLE)
    for file in target.iterdir():
        file.chmod(0o600)


def _pour(machine: Monitor, mold: MachineSpec, entrance: Path, devices: Path) -> None:
    ignore_shared(machine, on=False)
    # Unlimited: the default of 128 MiB/s is meant for networks.
    machine.execute("migrate-set-parameters", {"max-bandwidth": 0})
    machine.execute("migrate", {"uri": f"unix:{entrance}"})
    await_migration(machine, mold.name, timeout_s=MOVE_S)
    with monitor(mold.monitor, f"the mold of {mold.name}") as copy:
        await_migration(copy, mold.name, timeout_s=MOVE_S)
        ignore_shared(copy, on=True)
        copy.execute("migrate", {"uri": f"exec:cat > {shlex.quote(str(devices))}"})
        await_migration(copy, mold.name, timeout_s=MOVE_S)


def ignore_shared(machine: Monitor, *, on: bool) -> None:
    """Say whether memory that is a file is left out of a machine's state."""
    capabilities = [{"capability": IGNORE_SHARED, "state": on}]
    machine.execute("migrate-set-capabilities", {"capabilities": capabilities})


def mold_socket(home: LabHome, node: str) -> Path:
    """Where the mold of a machine is told what to do."""
    return home.runtime / f"{node}.mold"


def copy_private(source: Path, target: Path) -> None:
    """Copy a file, for its owner alone."""
    shutil.copyfile(source, target)
    target.chmod(0o600)
