"""The default provider: plain QEMU, no root, no daemon, nothing but Debian packages."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from lab.access import Access
from lab.errors import CommandFailed, ProviderFailed
from lab.home import LabHome, lab_home, lab_names
from lab.image.store import ensure_image
from lab.paths import private_dir, write_private
from lab.process import (
    ProcessId,
    end,
    find_program,
    identify,
    is_alive,
    missing,
    resident_mib,
    run,
    using,
)
from lab.providers import Machines, MachineState
from lab.providers.acceleration import choose
from lab.providers.node_files import node_initrd
from lab.providers.ports import choose_ports, reserving
from lab.providers.qemu_command import QEMU, MachineSpec, hub_argv, machine_argv
from lab.steps import Steps
from lab.topology import NodeSpec, Topology
from lab.topology_rules import MANAGEMENT_SUBNET

PROGRAMS = (QEMU, "qemu-img", "mmdebstrap", "mke2fs", "zstd", "ssh", "ssh-keygen")
START_TIMEOUT_S = 30.0


class Record(BaseModel):
    """What this provider remembers of a lab; written before the first process starts.

    ``ports`` maps a node to its ssh port and its entry port; ``processes`` holds a process id and
    start time for every machine and, under ``hub``, for the hub.
    """

    model_config = ConfigDict(frozen=True)

    image: Path
    accelerator: str
    pace: float
    remark: str
    ports: dict[str, tuple[int, int]]
    processes: dict[str, tuple[int, int]] = {}


class QemuProvider:
    """Machines as QEMU processes of the user; see ``lab.providers.Provider``."""

    name = "qemu"

    def preflight(self, topology: Topology) -> None:  # noqa: ARG002 - any topology fits
        """Raise PreflightFailed if a program is missing."""
        for program in PROGRAMS:
            if find_program(program) is None:
                raise missing(program)

    def create(self, home: LabHome, topology: Topology, steps: Steps) -> Machines:
        """Start the machines that do not run; see ``Provider.create``."""
        image = ensure_image(steps)
        record = _load(home)
        if record is None:
            acceleration = choose(image, steps)
            with reserving():
                record = Record(
                    image=image.path,
                    accelerator=acceleration.accelerator,
                    pace=acceleration.pace,
                    remark=str(acceleration),
                    ports=_new_ports(topology),
                )
                _save(home, record)
                record = self._start_all(home, topology, record, steps)
        else:
            record = self._start_all(home, topology, record, steps)
        return Machines(_access(home, record), record.pace, record.remark)

    def destroy(self, home: LabHome) -> None:
        """End every process of the lab, recorded or not."""
        record = _load(home)
        recorded = [] if record is None else [ProcessId(*p) for p in record.processes.values()]
        # Machines of ours name the lab's directory in their command line, the hub its sockets'.
        stray = using(QEMU, home.path, home.runtime)
        end([*recorded, *(p for p in stray if p not in recorded)])
        (home.path / "qemu.json").unlink(missing_ok=True)

    def states(self, home: LabHome, topology: Topology) -> Mapping[str, MachineState]:
        """Return the state of every node's process and disk."""
        record = _load(home)
        return {node.name: _state(home, record, node.name) for node in topology.nodes}

    def console(self, home: LabHome, node: str) -> Path | None:
        """Return the log of the node's serial console."""
        return home.node_dir(node) / "console.log"

    def _start_all(
        self, home: LabHome, topology: Topology, record: Record, steps: Steps
    ) -> Record:
        names = ", ".join(node.name for node in topology.nodes)
        with steps.step(f"Starting {len(topology.nodes)} machines: {names}"):
            private_dir(home.runtime)
            if len(topology.nodes) > 2:
                record = self._start_hub(home, topology, record)
            for number, node in enumerate(topology.nodes, start=1):
                if not _runs(record, node.name):
                    _prepare(home, topology, node, record.image)
                    machine = _spec(home, topology, record, number)
                    machine.link.unlink(missing_ok=True)
                    record = _launch(home, record, node.name, machine_argv(machine))
        return record

    def _start_hub(self, home: LabHome, topology: Topology, record: Record) -> Record:
        if _runs(record, "hub"):
            return record
        ends = tuple(
            (home.runtime / f"hub-{number}", home.runtime / f"link-{number}")
            for number in range(1, len(topology.nodes) + 1)
        )
        for own, _ in ends:
            own.unlink(missing_ok=True)
        return _launch(home, record, "hub", hub_argv(ends, home.node_dir("hub") / "pid"))


def _launch(home: LabHome, record: Record, name: str, argv: list[str]) -> Record:
    pid_file = private_dir(home.node_dir(name)) / "pid"
    try:
        run(argv, timeout_s=START_TIMEOUT_S)
    except CommandFailed as error:
        raise ProviderFailed(
            f"QEMU did not start {name}", details=error.details, hint="invoke lab.doctor"
        ) from error
    process = identify(int(pid_file.read_text()))
    updated = record.model_copy(
        update={"processes": record.processes | {name: (process.pid, process.started)}}
    )
    _save(home, updated)
    return updated


def _spec(home: LabHome, topology: Topology, record: Record, number: int) -> MachineSpec:
    node = topology.nodes[number - 1]
    ssh_port, entry_port = record.ports[node.name]
    alone = len(topology.nodes) == 2
    return MachineSpec(
        name=node.name,
        lab=home.name,
        number=number,
        memory_mib=node.memory_mib,
        accelerator=record.accelerator,
        directory=home.node_dir(node.name),
        kernel=record.image / "vmlinux",
        ssh_port=ssh_port,
        entry_port=entry_port,
        published_port=topology.service.published_port,
        management=str(MANAGEMENT_SUBNET),
        link=home.runtime / f"link-{number}",
        peer=home.runtime / (f"link-{3 - number}" if alone else f"hub-{number}"),
    )


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
    write_private(directory / "initrd", initrd)
    disk = directory / "disk.qcow2"
    if not disk.exists():
        run(
            ("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", image / "disk", disk),
            timeout_s=20,
        )
        disk.chmod(0o600)


def _access(home: LabHome, record: Record) -> dict[str, Access]:
    known_hosts = home.path / "known_hosts"
    lines = []
    for node, (ssh_port, _) in record.ports.items():
        public = home.node_dir(node) / "ssh_host_ed25519_key.pub"
        kind, key = public.read_text().split()[:2]
        lines.append(f"[127.0.0.1]:{ssh_port} {kind} {key}\n")
    write_private(known_hosts, "".join(lines))
    return {
        node: Access(
            host="127.0.0.1",
            port=ssh_port,
            user="root",
            identity_file=home.path / "id_ed25519",
            known_hosts=known_hosts,
            entry=f"127.0.0.1:{entry_port}",
        )
        for node, (ssh_port, entry_port) in record.ports.items()
    }


def _new_ports(topology: Topology) -> dict[str, tuple[int, int]]:
    others = [_load(lab_home(name)) for name in lab_names()]
    taken = frozenset(
        port
        for record in others
        if record is not None
        for pair in record.ports.values()
        for port in pair
    )
    count = len(topology.nodes)
    ports = choose_ports(2 * count, taken)
    # The published port's entries come first: `curl http://127.0.0.1:15000` is the manager.
    return {node.name: (ports[count + i], ports[i]) for i, node in enumerate(topology.nodes)}


def _state(home: LabHome, record: Record | None, node: str) -> MachineState:
    disk = home.node_dir(node) / "disk.qcow2"
    disk_mib = disk.stat().st_blocks * 512 / 2**20 if disk.exists() else 0.0
    if record is None or not _runs(record, node):
        return MachineState(running=False, resident_mib=0.0, disk_mib=disk_mib)
    memory = resident_mib(ProcessId(*record.processes[node]))
    return MachineState(running=True, resident_mib=memory, disk_mib=disk_mib)


def _runs(record: Record, name: str) -> bool:
    process = record.processes.get(name)
    return process is not None and is_alive(ProcessId(*process))


def _load(home: LabHome) -> Record | None:
    try:
        return Record.model_validate_json((home.path / "qemu.json").read_bytes())
    except (OSError, ValidationError):
        return None


def _save(home: LabHome, record: Record) -> None:
    write_private(home.path / "qemu.json", record.model_dump_json(indent=2) + "\n")
