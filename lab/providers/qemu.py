"""The default provider: plain QEMU, no root, no daemon, nothing but Debian packages."""

from collections.abc import Mapping
from pathlib import Path

from lab.home import LabHome
from lab.image.store import ensure_image
from lab.paths import private_dir, write_private
from lab.process import ProcessId, end, find_program, missing, resident_mib, run, using
from lab.providers import Machines, MachineState
from lab.providers.acceleration import choose
from lab.providers.node_files import node_initrd
from lab.providers.ports import reserving
from lab.providers.qemu_command import QEMU
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
from lab.topology import NodeSpec, Topology

PROGRAMS = (QEMU, "qemu-img", "mmdebstrap", "mke2fs", "zstd", "ssh", "ssh-keygen")


class QemuProvider:
    """Machines as QEMU processes of the user; see ``lab.providers.Provider``."""

    name = "qemu"
    snapshots = QemuSnapshots()

    def preflight(self, topology: Topology) -> None:  # noqa: ARG002 - any topology fits
        """Raise PreflightFailed if a program is missing."""
        for program in PROGRAMS:
            if find_program(program) is None:
                raise missing(program)

    def create(self, home: LabHome, topology: Topology, steps: Steps) -> Machines:
        """Start the machines that do not run; see ``Provider.create``."""
        image = ensure_image(steps)
        record = load(home)
        if record is None:
            acceleration = choose(image, steps)
            with reserving():
                record = Record(
                    image=image.path,
                    accelerator=acceleration.accelerator,
                    pace=acceleration.pace,
                    remark=str(acceleration),
                    ports=new_ports(topology),
                )
                save(home, record)
                record = self._start_all(home, topology, record, steps)
        else:
            record = self._start_all(home, topology, record, steps)
        return Machines(access_of(home, record, _host_keys(home)), record.pace, record.remark)

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
        return home.node_dir(node) / "console.log"

    def _start_all(
        self, home: LabHome, topology: Topology, record: Record, steps: Steps
    ) -> Record:
        names = ", ".join(node.name for node in topology.nodes)
        with steps.step(f"Starting {len(topology.nodes)} machines: {names}"):
            dead = [node for node in topology.nodes if process_of(record, node.name) is None]
            for node in dead:
                _prepare(home, topology, node, record.image)
            machines = [
                machine_spec(home, topology, record, node, _initrd(home, node.name))
                for node in dead
            ]
            return start_machines(home, topology, record, machines)


def _prepare(home: LabHome, topology: Topology, node: NodeSpec, image: Path) -> None:
    """Make a node's keys, initial RAM disk and empty disk; what exists already stays."""
    directory = private_dir(home.node_dir(node.name))
    lab_key = home.path / "id_ed25519"
    for key in (lab_key, directory / "ssh_host_ed25519_key"):
        if not key.exists():
            run(
                ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", home.name, "-f", key),
                timeout_s=20,
            )
    initrd = (image / "initrd").read_bytes() + node_initrd(
        topology,
        node,
        host_key=(directory / "ssh_host_ed25519_key").read_bytes(),
        authorized_key=lab_key.with_suffix(".pub").read_bytes(),
    )
    write_private(_initrd(home, node.name), initrd)
    disk = directory / "disk.qcow2"
    if not disk.exists():
        make_disk(image / "disk", "raw", disk)


def _initrd(home: LabHome, node: str) -> Path:
    return home.node_dir(node) / "initrd"


def _host_keys(home: LabHome) -> dict[str, str]:
    files = (home.path / "nodes").glob("*/ssh_host_ed25519_key.pub")
    return {file.parent.name: file.read_text() for file in files}


def _state(home: LabHome, record: Record | None, node: str) -> MachineState:
    disk = home.node_dir(node) / "disk.qcow2"
    disk_mib = disk.stat().st_blocks * 512 / 2**20 if disk.exists() else 0.0
    process = None if record is None else process_of(record, node)
    if process is None:
        return MachineState(running=False, resident_mib=0.0, disk_mib=disk_mib)
    return MachineState(running=True, resident_mib=resident_mib(process), disk_mib=disk_mib)
