"""Every judge there is, in path order, and the path that leads to one of them."""

from collections.abc import Iterator

from lab.errors import FactUnavailable
from lab.hops import (
    bridge,
    cluster,
    counters,
    fabric,
    host,
    sandbox,
    sandbox_ways,
    service,
    task,
    traffic,
)
from lab.hops.judge import Judge, slot_name
from lab.hops.situation import Situation
from lab.hops.surroundings import slots
from lab.hops.verdict import Scope, Verdict

JUDGES: tuple[Judge, ...] = (
    *cluster.JUDGES,
    *service.JUDGES,
    *host.JUDGES,
    *bridge.JUDGES,
    *sandbox.JUDGES,
    *sandbox_ways.JUDGES,
    *fabric.JUDGES,
    *task.JUDGES,
    *fabric.TRIED,
    *traffic.JUDGES,
    *counters.JUDGES,
)

LANDMARKS = frozenset(
    {
        "C1-member",
        "S1-replicas",
        "S4-port",
        "H3-dnat",
        "H10-address",
        "H11-route",
        "B1-mark",
        "B4-ipvs",
        "B5-backends",
        "B9-snat",
        "F5-fdb",
        "T1-redirect",
        "T2-listens",
    }
)
"""The checks whose findings, read in order, tell the way of a packet."""

BESIDE_THE_WAY = frozenset(
    {
        "C2-leader",
        "C3-roles",
        "C4-engine",
        "C9-backend",
        "S3-image",
        "S6-vip-value",
        "H1-reserved",
        "H4-sandbox-value",
        "B2-mark-value",
        "B3-vip-mark",
        "B6-backends-value",
        "B16-idle",
    }
)
"""Checks that may fail while packets still find their way: not the reason for a later one.

Some are where nothing else is: rules that nobody sees (C9-backend) may drop anything, and a
manager that is none any more (C2-leader, C3-roles) has no control port and no logs.
"""

AT_THE_OTHER_END = frozenset({"C10-control-in", "C11-link", "F1-vxlan", "F2-tunnel-in"})
"""Checks that matter on every node: gossip, link and tunnel have two ends."""

TRIED = frozenset(
    {"C7-reach", *(judge.check.id for judge in (*fabric.TRIED, *traffic.JUDGES, *counters.JUDGES))}
)
"""Checks that tell of packets; all others tell of rules, tables and settings."""


def subjects(situation: Situation, scope: Scope) -> tuple[str, ...]:
    """Return whom a check of this scope is asked about, in the topology's order."""
    topology = situation.topology
    match scope:
        case Scope.SWARM:
            return (topology.manager.name,)
        case Scope.NODE:
            return tuple(node.name for node in topology.nodes)
        case Scope.SLOT:
            return tuple(map(slot_name, slots(situation)))


def asked(situation: Situation, judge: Judge) -> tuple[str, ...]:
    """Return whom a check is asked about: all subjects of its scope, but for what is left out."""
    return tuple(
        subject
        for subject in subjects(situation, judge.check.scope)
        if situation.why_left_out(judge.check.id, subject) is None
    )


def judge_all(situation: Situation) -> Iterator[Verdict]:
    """Judge everything, in path order.

    Raises:
        FactUnavailable: Something was not probed or sent that a judge needs.
    """
    for judge in JUDGES:
        for subject in asked(situation, judge):
            yield judge(situation, subject)


def path_to(situation: Situation, verdict: Verdict) -> tuple[Verdict, ...]:
    """Return what a packet depends on before it comes to a verdict: landmarks and what failed.

    That is everything earlier in the catalogue about the swarm, about the same node, about the
    tunnels and about the tasks: a request through a node may be answered by any of them. What
    nobody tried or sent is left out.
    """
    return tuple(
        step
        for step in _earlier(situation, verdict)
        if step.check in LANDMARKS or not (step.ok or step.check in BESIDE_THE_WAY)
    )


def _earlier(situation: Situation, verdict: Verdict) -> Iterator[Verdict]:
    for judge in JUDGES:
        if judge.check.id == verdict.check:
            return
        for subject in asked(situation, judge):
            elsewhere = judge.check.scope is Scope.NODE and subject != verdict.node
            if elsewhere and judge.check.id not in AT_THE_OTHER_END:
                continue
            try:
                yield judge(situation, subject)
            except FactUnavailable:
                continue
