"""Snapshots of machines that are not there: what is saved is the swarm they form in memory."""

import json
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from lab.access import Access
from lab.home import LabHome
from lab.providers import Machines
from lab.shell import Shell
from lab.steps import Steps
from lab.topology import Topology
from tests.fake_lab import ClusterShell, FakeProvider


@dataclass
class FakeSnapshots:
    """Saves what has happened to a cluster; see ``lab.providers.Snapshots``.

    ``fits`` is what a saved state depends on, and ``None`` makes all of them useless. Copies that
    are ``numb`` start and answer nothing, for which nobody has to wait.
    """

    provider: FakeProvider
    fits: dict[str, str] | None = field(default_factory=lambda: {"machine": "of paper"})
    numb: bool = False
    marked: bool = False

    def circumstances(self, topology: Topology) -> Mapping[str, str] | None:
        return self.fits

    def save(self, home: LabHome, topology: Topology, directory: Path) -> None:
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert list(directory.iterdir()) == []
        assert self.provider.lives(home.name) == sorted(node.name for node in topology.nodes)
        self.marked = (home.path / "paused").exists()
        cluster = self.provider.cluster
        for node in topology.nodes:
            saved = {
                "image": node.name in cluster.images,
                "bridge": node.name in cluster.bridges,
                "swarm": cluster.swarms.get(node.name),
            }
            (directory / node.name).mkdir(mode=0o700)
            (directory / node.name / "devices").write_text(json.dumps(saved))
        (directory / "services").write_text(json.dumps(cluster.services))
        cluster.did("provider", "save")

    def restore(
        self,
        home: LabHome,
        topology: Topology,
        directory: Path,
        earlier: Mapping[str, Access],
        steps: Steps,
    ) -> Machines:
        machines = self.provider.begin(home, topology)
        sources = {node.name: directory / node.name for node in topology.nodes}
        self._wake_up(sources)
        services = json.loads((directory / "services").read_text())
        self.provider.cluster.services.update(
            dict.fromkeys(services, 0) if self.numb else services
        )
        self.provider.cluster.did("provider", "restore")
        access = dict(earlier) or machines.access
        return Machines(access, 0.001 if self.numb else machines.pace, machines.remark)

    def multiply(self, home: LabHome, topology: Topology, machine: Path, steps: Steps) -> Machines:
        machines = self.provider.begin(home, topology)
        self._wake_up({node.name: machine for node in topology.nodes})
        self.provider.cluster.did("provider", "multiply")
        return machines

    @contextmanager
    def shell(self, home: LabHome, node: str) -> Iterator[Shell]:
        yield ClusterShell(node, self.provider.cluster)

    def wake(self, home: LabHome, topology: Topology) -> None:
        self.provider.cluster.did("provider", "wake")

    def _wake_up(self, sources: Mapping[str, Path]) -> None:
        cluster = self.provider.cluster
        for node, source in sources.items():
            saved = json.loads((source / "devices").read_text())
            if saved["image"]:
                cluster.images.add(node)
            if saved["bridge"]:
                cluster.bridges.add(node)
            if saved["swarm"]:
                cluster.swarms[node] = saved["swarm"]
