"""Loopback ports for a lab: low, stable numbers that no other lab and no other program holds."""

import fcntl
import os
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from lab.errors import Conflict, LabError
from lab.home import lab_home, lab_names
from lab.paths import private_dir, state_dir
from lab.steps import Steps
from lab.topology import Topology

FIRST_PORT = 15000
LAST_PORT = 15999
LOOPBACK = "127.0.0.1"


@contextmanager
def reserving(steps: Steps | None = None) -> Iterator[None]:
    """Hold the choice of ports: between choosing and listening nobody else of us may choose.

    Args:
        steps: Tells whom it is waited for.
    """
    with (private_dir(state_dir()) / ".ports").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if steps is not None:
                lock.seek(0)
                steps.note(f"process {lock.read().strip()} is starting machines: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def forwarded_ports(
    topology: Topology, taken: frozenset[int] = frozenset()
) -> dict[str, tuple[int, int]]:
    """Return an ssh port and an entry port for every node, which no other lab has.

    Args:
        topology: Its nodes.
        taken: Ports that are known to be another lab's, besides those of labs that came up.
    """
    count = len(topology.nodes)
    ports = choose_ports(2 * count, taken | _reached_through())
    # The published port's entries come first: `curl http://127.0.0.1:15000` is the manager.
    return {node.name: (ports[count + i], ports[i]) for i, node in enumerate(topology.nodes)}


def _reached_through() -> frozenset[int]:
    """Return the ports through which labs are reached, whoever makes their machines."""
    found: set[int] = set()
    for name in lab_names():
        try:
            accesses = lab_home(name).load().access.values()
        except LabError:  # damaged, or removed at this very moment
            continue
        for access in accesses:
            if access.host == LOOPBACK:
                found |= {access.port, int(access.entry.rpartition(":")[2])}
    return frozenset(found)


def expect_free(ports: Iterable[int]) -> None:
    """Make sure that ports a lab has had before are not another program's by now.

    Raises:
        Conflict: One of them is.
    """
    for port in ports:
        if not _is_free(port):
            raise Conflict(
                f"Port {port} of this machine, at which the lab was reached, is taken",
                details=f"ss -ltnp 'sport = :{port}' shows by which program",
                hint="end that program; or invoke lab.down, then invoke lab.up at other ports",
            )


def choose_ports(count: int, taken: frozenset[int]) -> tuple[int, ...]:
    """Return ``count`` free loopback TCP ports, the lowest first.

    Args:
        count: How many.
        taken: Ports recorded by other labs, running or not.

    Raises:
        Conflict: There are not enough between 15000 and 15999.
    """
    found: list[int] = []
    for port in range(FIRST_PORT, LAST_PORT + 1):
        if len(found) == count:
            break
        if port not in taken and _is_free(port):
            found.append(port)
    if len(found) < count:
        raise Conflict(
            f"No {count} free ports between {FIRST_PORT} and {LAST_PORT}",
            details=f"found {len(found)}",
            hint="invoke lab.list shows your labs; invoke lab.down --all removes them",
        )
    return tuple(found)


def _is_free(port: int) -> bool:
    with socket.socket() as candidate:
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
