"""Whatever is missing, a judge has a verdict: nothing there is never an error, nor a good sign."""

from dataclasses import replace

import pytest

from lab.facts.iptables import Ruleset
from lab.hops.catalogue import judge_all
from lab.hops.verdict import render
from tests.hops import altering as a
from tests.hops.breaking import NODE_B
from tests.hops.healthy import healthy

NO_RULES = Ruleset(None, (), ())
EMPTY: dict[str, a.Change] = {
    "host interfaces": a.inside(NODE_B, "host", interfaces=lambda _: ()),
    "host routes": a.inside(NODE_B, "host", routes=lambda _: ()),
    "host rules": a.host_rules(NODE_B, lambda _: NO_RULES),
    "host listeners": a.inside(NODE_B, "host", listeners=lambda _: ()),
    "bridge endpoints": a.inside(NODE_B, "bridge", endpoints=lambda _: ()),
    "bridge subnets": a.inside(NODE_B, "bridge", subnets=lambda _: ()),
    "bridge": a.node(NODE_B, lambda n: replace(n, bridge=None)),
    "ingress endpoints": a.inside(NODE_B, "ingress", endpoints=lambda _: ()),
    "ingress subnets": a.inside(NODE_B, "ingress", subnets=lambda _: ()),
    "ingress peers": a.inside(NODE_B, "ingress", peers=lambda _: ()),
    "ingress services": a.inside(NODE_B, "ingress", services=lambda _: ()),
    "ingress options": a.inside(NODE_B, "ingress", options=lambda _: ()),
    "ingress": a.node(NODE_B, lambda n: replace(n, ingress=None)),
    "sandbox": a.node(NODE_B, lambda n: replace(n, sandbox=None)),
    "sandbox interfaces": a.inside(NODE_B, "sandbox", interfaces=lambda _: ()),
    "sandbox routes": a.inside(NODE_B, "sandbox", routes=lambda _: ()),
    "sandbox rules": a.sandbox_rules(NODE_B, lambda _: NO_RULES),
    "IPVS services": a.ipvs(NODE_B, lambda _: None),
    "IPVS backends": a.backends(NODE_B, lambda _: ()),
    "overlays": a.node(NODE_B, lambda n: replace(n, overlays=())),
    "overlay interfaces": a.overlay(NODE_B, interfaces=lambda _: ()),
    "overlay neighbours": a.overlay(NODE_B, neighbours=lambda _: ()),
    "overlay forwarding": a.overlay(NODE_B, forwarding=lambda _: ()),
    "images": a.node(NODE_B, lambda n: replace(n, images=())),
    "containers of the service": a.node(NODE_B, lambda n: replace(n, tasks=())),
    "container rules": a.container_rules(1, lambda _: NO_RULES),
    "container listeners": a.container(1, lambda c: replace(c, listeners=())),
    "container interfaces": a.container(1, lambda c: replace(c, interfaces=())),
    "container namespace": a.node(
        NODE_B,
        lambda n: replace(n, tasks=tuple(replace(t, namespace=None) for t in n.tasks)),
    ),
    "members": a.cluster(members=()),
    "tasks": a.cluster(tasks=()),
    "task attachments": a.task(1, attachments=()),
    "tcp probes": a.reached(NODE_B, tcp=lambda _: ()),
    "pings": a.reached(NODE_B, pings=lambda _: ()),
    "fetches": a.reached(NODE_B, fetches=lambda _: ()),
    "rounds": a.sent(lambda t: replace(t, rounds=())),
    "exchanges": a.sent(
        lambda t: replace(t, rounds=tuple(replace(r, exchanges=()) for r in t.rounds))
    ),
    "log": a.sent(lambda t: replace(t, log=())),
    "counters of the sandbox": a.sent(
        lambda t: replace(t, after=tuple(replace(n, sandbox=None) for n in t.after))
    ),
    "counters of containers": a.sent(
        lambda t: replace(t, after=tuple(replace(n, containers=()) for n in t.after))
    ),
}


@pytest.mark.parametrize("change", EMPTY.values(), ids=EMPTY.keys())
def test_what_is_missing_is_told(change: a.Change) -> None:
    failed = [v for v in judge_all(change(healthy())) if not v.ok]
    assert failed
    for verdict in failed:
        assert verdict.found
        assert verdict.cause
        assert verdict.see
        assert verdict.check in render(verdict)
