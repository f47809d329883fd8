"""The processes of a lab's machines: who is who, and where each of them lives."""

from pathlib import Path

import pytest

from lab.home import lab_home
from lab.paths import private_dir
from lab.process import ProcessId
from lab.providers import qemu_machines
from lab.providers.qemu_machines import Record, machine_spec, process_of, start_machines
from lab.topology import Topology
from tests.conftest import Dirs


def recorded(topology: Topology) -> Record:
    return Record(
        image=Path("/image"),
        accelerator="tcg",
        pace=8.0,
        remark="",
        ports={node.name: (15000 + n, 15010 + n) for n, node in enumerate(topology.nodes)},
    )


def test_a_node_called_hub_is_not_taken_for_the_hub(
    dirs: Dirs, four_nodes: Topology, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = lab_home("mine")
    private_dir(home.path)
    named = four_nodes.nodes[1].model_copy(update={"name": "hub"})
    topology = four_nodes.model_copy(
        update={"nodes": (four_nodes.nodes[0], named, *four_nodes.nodes[2:])}
    )
    places: list[Path] = []

    def launch(name: str, argv: list[str], directory: Path) -> ProcessId:
        places.append(directory)
        return ProcessId(len(places), 1)

    monkeypatch.setattr(qemu_machines, "launch", launch)
    monkeypatch.setattr(qemu_machines, "is_alive", lambda process: True)
    record = recorded(topology)
    machines = [machine_spec(home, topology, record, n, Path("-")) for n in topology.nodes]
    record = start_machines(home, topology, record, machines)
    assert len(set(places)) == len(topology.nodes) + 1
    processes = {process_of(record, name) for name in record.processes}
    assert len(processes) == len(topology.nodes) + 1
