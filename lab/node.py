"""One node of a lab: its part of the topology, a shell on it and its Docker Engine."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from threading import Thread
from typing import TypeVar

from lab import docker_api
from lab.docker_api import Engine
from lab.home import LabHome, LabState
from lab.shell import Shell, SshShell
from lab.topology import NodeSpec

S = TypeVar("S")
T = TypeVar("T")
API_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Node:
    """A node that answers.

    ``entry`` is ``host:port`` on this machine through which a request enters at this node.
    """

    spec: NodeSpec
    shell: Shell
    engine: Engine
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


def on_all(items: Sequence[S], action: Callable[[S], T]) -> tuple[T, ...]:
    """Do something with every item at the same time; return the results in the same order.

    The first error is raised after all have ended. An interrupt is raised at once: the threads
    are daemons, so that nobody who pressed Ctrl-C waits for a deadline of theirs.
    """
    futures: tuple[Future[T], ...] = tuple(Future() for _ in items)

    def act(item: S, future: Future[T]) -> None:
        try:
            future.set_result(action(item))
        except BaseException as error:  # noqa: BLE001 - raised again where the result is read
            future.set_exception(error)

    for item, future in zip(items, futures, strict=True):
        Thread(target=act, args=(item, future), daemon=True).start()
    wait(futures)
    return tuple(future.result() for future in futures)
