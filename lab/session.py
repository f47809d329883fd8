"""A running lab as the checks see it: what it should be and how to reach it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.advice import typed_here
from lab.diagnosis.words import Typed, through_invoke
from lab.evidence import Place
from lab.home import DEFAULT_NAME, LabHome, LabState
from lab.lifecycle import require_running
from lab.machine import crowding
from lab.node import Node, connected
from lab.openssh import OpenSshShell
from lab.providers import provider_named
from lab.topology import Topology
from lab.wait import Deadlines

ANSWERS_S = 1.5
"""How long real hardware may take to begin a command, its ssh connection included."""


@dataclass(frozen=True, slots=True)
class LabSession:
    """A lab whose machines run."""

    home: LabHome
    state: LabState

    @property
    def name(self) -> str:
        """The lab's name."""
        return self.state.name

    @property
    def topology(self) -> Topology:
        """What the lab should be."""
        return self.state.topology

    @property
    def ssh_config(self) -> Path:
        """The ssh_config of all its nodes."""
        return self.home.ssh_config

    @property
    def deadline(self) -> Deadlines:
        """Scales a deadline in seconds to the machines' speed, as long as others are busy too."""
        return Deadlines(self.state.pace * crowding())

    @property
    def answers_s(self) -> float:
        """How long a node may take to begin a command, in seconds."""
        return max(10.0, self.deadline(ANSWERS_S))

    @property
    def published(self) -> Mapping[str, str]:
        """For each node the URL on this machine that enters the ingress through it."""
        return {node: f"http://{access.entry}" for node, access in self.state.access.items()}

    @contextmanager
    def connected(self) -> Iterator[tuple[Node, ...]]:
        """Connect to all nodes for as long as the body runs; see ``lab.node.connected``."""
        with connected(self.home, self.state) as nodes:
            yield nodes


def place_of(lab: LabSession) -> Place:
    """Return where evidence on a lab is looked for: its nodes, over the connections it keeps."""
    provider = provider_named(lab.state.provider)
    shells = {
        node.name: OpenSshShell(
            node.name, lab.ssh_config, lab.answers_s, provider.console(lab.home, node.name)
        )
        for node in lab.topology.nodes
    }
    return Place(lab.topology, shells, lab.published, lab.deadline)


def typed_for(lab: LabSession) -> Typed:
    """Return how commands for the nodes of a lab are typed in the current directory."""
    manager = lab.topology.manager.name
    option = "" if lab.name == DEFAULT_NAME else f" --name {lab.name}"
    return lambda node, line: typed_here(
        through_invoke(node, line, manager=manager, option=option)
    )


def open_lab(name: str) -> LabSession:
    """Return a running lab.

    Raises:
        NotRunning: There is no such lab, or a machine of it is down.
    """
    status = require_running(name)
    return LabSession(status.home, status.state)
