"""Looking at a running lab: what its manager says, asked with little patience.

Nothing is changed, so nothing is lost when an answer does not come: a command that looks ends
within seconds, even if a machine has stopped.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.home import LabHome, LabState
from lab.service import Replica, replicas
from lab.wait import Deadlines

if TYPE_CHECKING:
    from lab.docker_api import Engine


@dataclass(frozen=True, slots=True)
class SwarmView:
    """The swarm as its manager sees it: every node's state by name, and the service's replicas."""

    nodes: Mapping[str, str]
    replicas: tuple[Replica, ...]


def patience_s(state: LabState) -> float:
    """Return how long one answer is waited for, in seconds."""
    return max(3.0, Deadlines(state.pace)(1))


@contextmanager
def manager_engine(home: LabHome, state: LabState) -> Iterator["Engine"]:
    """Connect to the manager's Docker Engine for as long as the body runs.

    Raises:
        NotRunning: The manager does not answer.
    """
    from lab import docker_api  # it loads half a second's worth of libraries

    name = state.topology.manager.name
    engine = docker_api.connect(
        name,
        config=home.ssh_config,
        socket=home.runtime / f"{name}.docker",
        timeout_s=patience_s(state),
    )
    with engine:
        yield engine


def look_at_swarm(home: LabHome, state: LabState) -> SwarmView:
    """Return the swarm as the lab's manager sees it.

    Raises:
        NotRunning: The manager does not answer.
        CommandFailed: It is not in a swarm.
    """
    with manager_engine(home, state) as engine:
        nodes = {member.hostname: member.state for member in engine.members()}
        return SwarmView(nodes, replicas(engine, state.topology.service.name))
