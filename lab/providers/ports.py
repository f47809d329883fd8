"""Loopback ports for a lab: low, stable numbers that no other lab and no other program holds."""

import fcntl
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from lab.errors import Conflict
from lab.paths import private_dir, state_dir

FIRST_PORT = 15000
LAST_PORT = 15999


@contextmanager
def reserving() -> Iterator[None]:
    """Hold the choice of ports: between choosing and listening nobody else of us may choose."""
    with (private_dir(state_dir()) / ".ports").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


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
            candidate.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
