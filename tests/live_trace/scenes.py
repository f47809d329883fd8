"""Live traces made from what two nodes answered to the scripts (tests/captured/live)."""

from functools import cache

from lab.hops.observations import Errand, Manner
from lab.hops.requesting import parse_exchanges, parse_log, rounds_of
from lab.hops.situation import Situation
from lab.live.asked import Asked
from lab.live.catch import Catch, put_together
from lab.live.follow import Taken, follow
from lab.live.model import Live, Sight
from lab.live.points import Point, on_the_way, points
from lab.live.scripts import read_collected, read_started
from lab.topology_file import default_topology_path, load_topology
from lab.trace.model import Key
from tests.facts.captures import NODES, captured, cluster_facts

ENTRY = "worker"
PORTS = {"across": 24490, "unmarked": 24810, "swallowed": 25418, "frozen": 25975, "kept": 26348}
"""The scenes, and the source port each one's request was given."""
TAKEN = Taken("article", "2026-11-25 23:25:00 UTC")


@cache
def situation() -> Situation:
    """The lab the captures are from, before anything was broken."""
    return Situation(cluster_facts("live"), load_topology(default_topology_path()))


def places() -> tuple[Point, ...]:
    """Where it was captured: all requests were made on the worker."""
    return on_the_way(points(situation()), ENTRY, local=True)


@cache
def catch(scene: str) -> Catch:
    """What came back from both nodes in one scene."""
    started = {n: read_started(captured(f"live/{scene}-{n}-start"), n) for n in NODES}
    collected = {n: read_collected(captured(f"live/{scene}-{n}-stop"), n) for n in NODES}
    by_node = {n: [p for p in places() if p.node == n] for n in NODES}
    return put_together(by_node, started, collected)


@cache
def asked(scene: str) -> Asked:
    """What curl on the worker said, and the log when there was no answer."""
    exchanges = parse_exchanges(captured(f"live/{scene}-{ENTRY}-curl"))
    ids = tuple(exchange.request_id for exchange in exchanges)
    errand = Errand(ENTRY, ENTRY, "http://127.0.0.1:5000/", Manner.FRESH, ids, 0, PORTS[scene])
    sent = rounds_of((errand,), exchanges)[0]
    if sent.is_complete:
        return Asked(sent)
    return Asked(sent, parse_log(captured(f"live/{scene}-manager-log")))


def seen(scene: str) -> Live:
    """The live trace of a scene."""
    return follow(situation(), catch(scene), asked(scene), TAKEN)


def sight(live: Live, key: Key, node: str = ENTRY) -> Sight:
    """One station of it; those of tasks are found by the node they are on."""
    return next(s for s in live.sights if s.key is key and s.node == node)
