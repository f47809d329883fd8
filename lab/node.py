"""One node of a lab: its part of the topology, a shell on it and its Docker Engine."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.home import LabHome, LabState
from lab.parallel import on_all
from lab.shell import Shell
from lab.topology import NodeSpec

if TYPE_CHECKING:
    from lab.docker_api import Engine

API_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Node:
    """A node that answers.

    ``entry`` is ``host:port`` on this machine through which a request enters at this node.
    """

    spec: NodeSpec
    shell: Shell
    engine: "Engine"
    entry: str

    @property
    def name(self) -> str:
        """The node's name."""
        return self.spec.name


@contextmanager
def connected(home: LabHome, state: LabState) -> Iterator[tuple[Node, ...]]:
    """Connect to all nodes of a lab, in the order of the topology, for as long as the body runs.

    Raises:
        NotRunning: A node does not answer.
    """
    from lab import docker_api  # both load half a second's worth of libraries
    from lab.ssh import SshShell

    with ExitStack() as stack:

        def connect(spec: NodeSpec) -> Node:
            engine = docker_api.connect(
                spec.name,
                config=home.ssh_config,
                socket=home.runtime / f"{spec.name}.docker",
                timeout_s=API_TIMEOUT_S * state.pace,
            )
            stack.callback(engine.close)
            shell = SshShell(
                spec.name, state.access[spec.name], connect_timeout_s=10 * max(1.0, state.pace / 2)
            )
            stack.callback(shell.close)
            return Node(spec, shell, engine, state.access[spec.name].entry)

        yield on_all(state.topology.nodes, connect)


Connect = Callable[[LabHome, LabState], AbstractContextManager[tuple[Node, ...]]]
"""What `connected` is: a test gives nodes that have no machine."""
