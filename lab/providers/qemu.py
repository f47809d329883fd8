"""The default provider: plain QEMU, no root, no daemon, nothing but Debian packages."""

from collections.abc import Mapping
from pathlib import Path

from lab.home import LabHome, LabState
from lab.image.store import ensure_image
from lab.process import ProcessId, end, find_program, missing, resident_mib, using
from lab.providers import Machines, MachineState
from lab.providers.acceleration import choose
from lab.providers.identity import host_keys, make_identity
from lab.providers.ports import reserving
from lab.providers.qemu_command import CONSOLE, QEMU
from lab.providers.qemu_machines import (
    Record,
    access_of,
    load,
    machine_spec,
    make_disk,
    new_ports,
    process_of,
    save,
    start_machines,
)
from lab.providers.qemu_snapshots import QemuSnapshots
from lab.steps import Steps
from lab.topology import Topology

PROGRAMS = (QEMU, "qemu-img", "mmdebstrap", "mke2fs", "zstd", "ssh", "ssh-keygen")


class QemuProvider:
    """Machines as QEMU processes of the user; see ``lab.providers.Provider``."""

    name = "qemu"
    snapshots = QemuSnapshots()

    def preflight(self, topology: Topology, lab: LabState | None = None) -> None:  # noqa: ARG002 - any topology fits
        """Raise PreflightFailed if a program is missing."""
        for program in PROGRAMS:
            if find_program(program) is None:
                raise missing(program)

    def prepare(self, steps: Steps) -> None:
        """Build the image and find out how machines run, unless that is known."""
        choose(ensure_image(steps), steps)

    def create(self, home: LabHome, topology: Topology, steps: Steps) -> Machines:
        """Start the machines that do not run; see ``Provider.create``."""
        image = ensure_image(steps)
        record = load(home)
        if record is None:
            acceleration = choose(image, steps)
            with reserving(steps):
                record = Record(
                    image=image.path,
                    built=image.manifest.created,
                    accelerator=acceleration.accelerator,
                    pace=acceleration.pace,
                    remark=str(acceleration),
                    ports=new_ports(topology),
                )
                save(home, record)
                record = self._start_all(home, topology, record, steps)
        else:
            record = self._start_all(home, topology, record, steps)
        return Machines(access_of(home, record, host_keys(home)), record.pace, record.remark)

    def destroy(self, home: LabHome) -> None:
        """End every process of the lab, recorded or not."""
        record = load(home)
        recorded = [] if record is None else [ProcessId(*p) for p in record.processes.values()]
        # Machines of ours name the lab's directory in their command line, the hub its sockets'.
        stray = using(QEMU, home.path, home.runtime)
        end([*recorded, *(p for p in stray if p not in recorded)])
        (home.path / "qemu.json").unlink(missing_ok=True)

    def states(self, home: LabHome, topology: Topology) -> Mapping[str, MachineState]:
        """Return the state of every node's process and disk."""
        record = load(home)
        return {node.name: _state(home, record, node.name) for node in topology.nodes}

    def console(self, home: LabHome, node: str) -> Path | None:
        """Return the log of the node's serial console."""
        return home.node_dir(node) / CONSOLE

    def _start_all(
        self, home: LabHome, topology: Topology, record: Record, steps: Steps
    ) -> Record:
        count = len(topology.nodes)
        names = ", ".join(node.name for node in topology.nodes)
        with steps.step(f"Starting {count} machine{'s' * (count > 1)}: {names}"):
            dead = [node for node in topology.nodes if process_of(record, node.name) is None]
            machines = []
            for node in dead:
                initrd = make_identity(home, topology, node, record.image)
                machines.append(machine_spec(home, topology, record, node, initrd))
                if not machines[-1].disk.exists():
                    make_disk(record.image, machines[-1].disk)
            return start_machines(home, topology, record, machines)


def _state(home: LabHome, record: Record | None, node: str) -> MachineState:
    disk = home.node_dir(node) / "disk.qcow2"
    disk_mib = disk.stat().st_blocks * 512 / 2**20 if disk.exists() else 0.0
    process = None if record is None else process_of(record, node)
    if process is None:
        return MachineState(running=False, resident_mib=0.0, disk_mib=disk_mib)
    return MachineState(running=True, resident_mib=resident_mib(process), disk_mib=disk_mib)
