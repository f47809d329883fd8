"""Engines whose rules are known, and one that is newer: unknown is not broken."""

from dataclasses import replace

import pytest

from lab.diagnosis.examine import diagnose
from lab.hops.layouts import OF_THE_LAYOUT, is_known, series, unknown_layouts
from tests.hops.healthy import healthy


@pytest.mark.parametrize(
    ("version", "known"),
    [
        ("19.03.15", False),
        ("20.10.24+dfsg1", True),
        ("26.1.5+dfsg1", True),
        ("28.5.2", True),
        ("29.7.2", True),
        ("29.8.0", False),
        ("30.0.0-rc.1", False),
        ("dev", False),
    ],
)
def test_known_engines(version: str, *, known: bool) -> None:
    assert is_known(version) is known


@pytest.mark.parametrize(
    ("version", "why"),
    [
        ("dev", "engine dev has no number"),
        ("19.03.15", "engine 19.03.15 is older than 20.10"),
        ("29.8.0", "engine 29.8.0 is newer than 29.7"),
    ],
)
def test_every_other_layout_is_unknown_alike(version: str, why: str) -> None:
    assert unknown_layouts([("a", version), ("b", "28.5.2")]) == {
        f"{check}@a": f"unknown layout: {why}" for check in OF_THE_LAYOUT
    }


def test_what_has_no_number_is_no_newer_one() -> None:
    assert series("dev") == (0, 0)


def test_a_newer_layout_is_unknown_and_not_broken() -> None:
    """As 29.8 leaves a node: without DOCKER-INGRESS and its jumps (moby pull request 53118)."""
    whole = healthy()
    worker = whole.cluster.node("worker")
    rules = replace(
        worker.host.rules,
        chains=tuple(c for c in worker.host.rules.chains if c.name != "DOCKER-INGRESS"),
        rules=tuple(
            r
            for r in worker.host.rules.rules
            if "DOCKER-INGRESS" not in (r.chain, r.jump) and r.jump != "MASQUERADE"
        ),
    )
    newer = replace(
        worker, engine_version="29.8.0", host=replace(worker.host, rules=rules, listeners=())
    )
    nodes = tuple(newer if node is worker else node for node in whole.cluster.nodes)
    seen = replace(whole, cluster=replace(whole.cluster, nodes=nodes), traffic=None, reach=None)
    broken = {v.check for v in diagnose(seen).verdicts if not v.ok and v.node == "worker"}
    assert set(OF_THE_LAYOUT) <= broken
    left_out = unknown_layouts((n.node, n.engine_version) for n in nodes)
    found = diagnose(replace(seen, left_out=left_out))
    failed = {(v.check, v.node) for v in found.verdicts if not v.ok}
    assert not {check for check, _ in failed} & set(OF_THE_LAYOUT)
    reasons = {one.reason for one in found.unasked if one.subject == "worker"}
    assert "unknown layout: engine 29.8.0 is newer than 29.7" in reasons
