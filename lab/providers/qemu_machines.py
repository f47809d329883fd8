"""The processes of a QEMU lab: what is remembered of them, how they are started and told."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from lab.access import Access
from lab.errors import CommandFailed, ProviderFailed
from lab.home import LabHome, lab_home, lab_names
from lab.parallel import on_all
from lab.paths import private_dir, write_private
from lab.process import ProcessId, identify, is_alive, run
from lab.providers.identity import write_access
from lab.providers.ports import forwarded_ports
from lab.providers.qemu_command import MachineSpec, Plugs, hub_argv, machine_argv
from lab.topology import NodeSpec, Topology
from lab.topology_rules import MANAGEMENT_SUBNET

START_TIMEOUT_S = 30.0
HUB = ".hub"
"""No node has such a name."""


class Record(BaseModel):
    """What this provider remembers of a lab; written before the first process starts.

    ``built`` is when the image was built that the disks are over. ``ports`` maps a node to its ssh
    port and its entry port; ``processes`` holds a process id and start time for every machine and,
    under ``HUB``, for the hub.
    """

    model_config = ConfigDict(frozen=True)

    image: Path
    built: datetime | None = None
    accelerator: str
    pace: float
    remark: str
    ports: dict[str, tuple[int, int]]
    processes: dict[str, tuple[int, int]] = {}


def load(home: LabHome) -> Record | None:
    """Return what is remembered of a lab, ``None`` if nothing is."""
    try:
        return Record.model_validate_json((home.path / "qemu.json").read_bytes())
    except (OSError, ValidationError):
        return None


def save(home: LabHome, record: Record) -> None:
    """Remember a lab."""
    write_private(home.path / "qemu.json", record.model_dump_json(indent=2) + "\n")


def process_of(record: Record, name: str) -> ProcessId | None:
    """Return the process of a machine or the hub if it runs."""
    recorded = record.processes.get(name)
    process = ProcessId(*recorded) if recorded else None
    return process if process is not None and is_alive(process) else None


def new_ports(topology: Topology) -> dict[str, tuple[int, int]]:
    """Return an ssh port and an entry port for every node, which no other lab has."""
    others = [load(lab_home(name)) for name in lab_names()]
    recorded = [pair for record in others if record is not None for pair in record.ports.values()]
    return forwarded_ports(topology, frozenset(port for pair in recorded for port in pair))


def machine_spec(
    home: LabHome, topology: Topology, record: Record, node: NodeSpec, initrd: Path
) -> MachineSpec:
    """Return the machine of a node as it boots: connected, with memory of its own."""
    ssh_port, entry_port = record.ports[node.name]
    number = topology.nodes.index(node) + 1
    alone = len(topology.nodes) == 2
    return MachineSpec(
        name=node.name,
        lab=home.name,
        number=number,
        memory_mib=node.memory_mib,
        accelerator=record.accelerator,
        directory=home.node_dir(node.name),
        kernel=record.image / "vmlinux",
        initrd=initrd,
        disk=home.node_dir(node.name) / "disk.qcow2",
        management=str(MANAGEMENT_SUBNET),
        monitor=monitor_socket(home, node.name),
        plugs=Plugs(
            ssh_port=ssh_port,
            entry_port=entry_port,
            published_port=topology.service.published_port,
            link=home.runtime / f"link-{number}",
            peer=home.runtime / (f"link-{3 - number}" if alone else f"hub-{number}"),
            agent=agent_socket(home, node.name),
        ),
    )


def monitor_socket(home: LabHome, node: str) -> Path:
    """Where a machine's QEMU is told what to do."""
    return home.runtime / f"{node}.qmp"


def agent_socket(home: LabHome, node: str) -> Path:
    """Where a machine's guest agent is reached."""
    return home.runtime / f"{node}.agent"


def make_disk(image: Path, disk: Path) -> None:
    """Make an empty disk over that of an image, which it never changes."""
    overlay = ("-f", "qcow2", "-F", "raw", "-b", image / "disk")
    run(("qemu-img", "create", "-q", *overlay, disk), timeout_s=20)
    disk.chmod(0o600)


def start_machines(
    home: LabHome, topology: Topology, record: Record, machines: Iterable[MachineSpec]
) -> Record:
    """Start the hub if one is needed, then all machines at once; return who runs now."""
    private_dir(home.runtime)
    processes = {}
    if len(topology.nodes) > 2 and process_of(record, HUB) is None:
        processes[HUB] = _start_hub(home, topology)
    specs = tuple(machines)
    for spec, process in zip(specs, on_all(specs, _start_machine), strict=True):
        processes[spec.name] = process
    numbers = {name: (process.pid, process.started) for name, process in processes.items()}
    record = record.model_copy(update={"processes": record.processes | numbers})
    save(home, record)
    return record


def launch(name: str, argv: list[str], directory: Path) -> ProcessId:
    """Start a QEMU that puts itself into the background.

    Raises:
        ProviderFailed: It ended before it did.
    """
    try:
        run(argv, timeout_s=START_TIMEOUT_S)
    except CommandFailed as error:
        raise ProviderFailed(
            f"QEMU did not start {name}", details=error.details, hint="invoke lab.doctor"
        ) from error
    return identify(int((directory / "pid").read_text()))


def access_of(home: LabHome, record: Record, host_keys: Mapping[str, str]) -> dict[str, Access]:
    """Return how to reach every node; writes the known_hosts that goes with it.

    Args:
        home: The lab.
        record: What is remembered of it.
        host_keys: For each node the line of its public host key.
    """
    where = {
        node: ("127.0.0.1", ssh_port, f"127.0.0.1:{entry_port}")
        for node, (ssh_port, entry_port) in record.ports.items()
    }
    return write_access(home, where, host_keys)


def _start_machine(machine: MachineSpec) -> ProcessId:
    private_dir(machine.directory)
    if machine.plugs is not None:
        machine.plugs.link.unlink(missing_ok=True)
    return launch(machine.name, machine_argv(machine), machine.directory)


def _start_hub(home: LabHome, topology: Topology) -> ProcessId:
    ends = tuple(
        (home.runtime / f"hub-{number}", home.runtime / f"link-{number}")
        for number in range(1, len(topology.nodes) + 1)
    )
    for own, _ in ends:
        own.unlink(missing_ok=True)
    directory = private_dir(home.node_dir(HUB))
    return launch(HUB, hub_argv(ends, directory / "pid"), directory)
