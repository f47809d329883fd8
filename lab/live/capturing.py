"""Capturing on all nodes at once while something is sent."""

import contextlib
import secrets
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from lab.errors import CommandFailed, LabError
from lab.evidence import Place
from lab.facts.commands import HOST
from lab.facts.model import INGRESS_NAMESPACE
from lab.live.catch import Catch, put_together
from lab.live.points import Hop, Point
from lab.live.scripts import (
    DIRECTORY,
    Collected,
    Kind,
    Look,
    Started,
    abandon_script,
    read_collected,
    read_started,
    start_script,
    stop_script,
)
from lab.parallel import on_all
from lab.shell import succeed

T = TypeVar("T")

SPARE_S = 10.0
"""How much longer than what is sent may take a capture lives, on real hardware."""


def capture(
    place: Place, points: Sequence[Point], send: Callable[[], T], *, sending_s: float
) -> tuple[Catch, T]:
    """Capture at places while ``send`` runs; return what was seen, and its result.

    Nothing stays on the nodes, whatever happens: what could not be ended from here ends by itself.

    Args:
        place: The lab.
        points: Where to capture; only those on nodes that have a shell.
        send: What to do meanwhile.
        sending_s: How long that takes at most.

    Raises:
        CommandFailed: A program is missing on a node, or the files did not come back.
        NotRunning: A node does not answer.
    """
    by_node = {node: [p for p in points if p.node == node] for node in place.shells}
    nodes = [node for node, mine in by_node.items() if mine]
    directory = f"{DIRECTORY}.{secrets.token_hex(6)}"
    life_s = sending_s + place.deadline(SPARE_S)

    def start(node: str) -> Started:
        mine = by_node[node]
        looks = _looks(mine, (Kind.RULES,))
        patience_s = place.deadline(2)
        script = start_script(directory, mine, looks, life_s=life_s, patience_s=patience_s)
        said = succeed(place.shells[node], script, timeout_s=2 * patience_s)
        return _equipped(read_started(said, node), node)

    def stop(node: str) -> Collected:
        script = stop_script(directory, by_node[node], _looks(by_node[node], tuple(Kind)))
        said = succeed(place.shells[node], script, timeout_s=place.deadline(10))
        return read_collected(said, node)

    def abandon(node: str) -> None:
        with contextlib.suppress(LabError):  # then it ends by itself
            place.shells[node].run(abandon_script(directory), timeout_s=place.deadline(3))

    try:
        # Not before all have started: what starts after we are gone would not be abandoned.
        started = dict(zip(nodes, on_all(nodes, start, interruptible=False), strict=True))
        sent = send()
        collected = dict(zip(nodes, on_all(nodes, stop), strict=True))
    except BaseException:
        on_all(nodes, abandon, interruptible=False)
        raise
    return put_together(by_node, started, collected), sent


def _equipped(started: Started, node: str) -> Started:
    if started.missing:
        raise CommandFailed(
            f"{node} has no {', no '.join(started.missing)}: nothing can be captured there",
            details="a lab's own image has them; other machines may not",
            hint=f"invoke lab.exec {node} -- apt-get install -y {' '.join(started.missing)}",
        )
    return started


def _looks(points: Iterable[Point], kinds: Sequence[Kind]) -> tuple[Look, ...]:
    """Return which tables to read: of the host, the sandbox and the tasks."""
    telling = [p for p in points if p.hop is not Hop.TUNNEL]
    spaces = {HOST: "", **{point.namespace: point.enter for point in telling}}
    return tuple(
        Look(name, enter, kind)
        for name, enter in spaces.items()
        for kind in kinds
        if kind is not Kind.IPVS or name == INGRESS_NAMESPACE
    )
