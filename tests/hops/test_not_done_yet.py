"""Before the swarm and before the service: red, with the command to type, and never an error."""

from dataclasses import replace

import pytest

from lab.errors import FactUnavailable
from lab.facts.docker_model import LocalSwarm, SwarmState
from lab.facts.model import NodeFacts
from lab.hops.catalogue import JUDGES, judge_all
from lab.hops.judge import Judge
from lab.hops.situation import Situation
from lab.hops.verdict import Scope
from tests.hops.healthy import healthy

# These look at the machines and their image, which are there before any swarm.
HOLD_WITHOUT_A_SWARM = {
    "C4-engine",
    "C9-backend",
    "C11-link",
    "S3-image",
    "H9-bridge",
    "H13-forwarding",
}
HOLD_WITHOUT_A_SERVICE = {
    *HOLD_WITHOUT_A_SWARM,
    "C1-member",
    "C2-leader",
    "C3-roles",
    "C5-advertise",
    "C6-listeners",
    "C7-reach",
    "C8-gossip",
    "C10-control-in",
    "H10-address",
    "H11-route",
    "H12-no-shadow",
    "B15-way-back",
    "B16-idle",
    "F1-vxlan",
    "F2-tunnel-in",
    "F3-mtu",
}


def only_machines() -> Situation:
    def fresh(node: NodeFacts) -> NodeFacts:
        return replace(
            node,
            swarm=LocalSwarm(SwarmState.INACTIVE, None, None, is_manager=False, error=""),
            ingress=None,
            sandbox=None,
            overlays=(),
            tasks=(),
            container_namespaces=(),
            host=replace(node.host, route_to_sandbox=None),
        )

    base = healthy()
    nodes = tuple(map(fresh, base.cluster.nodes))
    cluster = replace(base.cluster, nodes=nodes, members=(), service=None, tasks=())
    return replace(base, cluster=cluster)


def only_a_swarm() -> Situation:
    base = healthy()
    nodes = tuple(
        replace(
            node,
            tasks=(),
            container_namespaces=(),
            ingress=replace(node.ingress, services=()) if node.ingress else None,
        )
        for node in base.cluster.nodes
    )
    cluster = replace(base.cluster, nodes=nodes, service=None, tasks=())
    return replace(base, cluster=cluster)


def failed(situation: Situation) -> dict[str, str]:
    return {v.check: v.found for v in judge_all(situation) if not v.ok}


def test_without_a_swarm_every_check_says_how_to_begin() -> None:
    found = failed(only_machines())
    assert {j.check.id for j in JUDGES} - found.keys() == HOLD_WITHOUT_A_SWARM
    assert {text for text in found.values() if "docker swarm init" not in text} == {
        "not done yet: docker swarm join --advertise-addr 192.168.56.11 "
        "--data-path-addr 192.168.56.11 --token TOKEN 192.168.56.10:2377"
    }
    assert found["C2-leader"] == (
        "not done yet: docker swarm init --advertise-addr 192.168.56.10 "
        "--data-path-addr 192.168.56.10 --default-addr-pool 10.0.0.0/8 "
        "--default-addr-pool-mask-length 24"
    )


def test_without_a_service_every_check_says_how_to_create_it() -> None:
    found = failed(only_a_swarm())
    assert {j.check.id for j in JUDGES} - found.keys() == HOLD_WITHOUT_A_SERVICE
    assert set(found.values()) == {
        'not done yet: docker service create --replicas 2 --name="hello-a" -p 5000:3000 node-test'
    }


@pytest.mark.parametrize("state", [SwarmState.ERROR, SwarmState.LOCKED, SwarmState.PENDING])
def test_a_swarm_in_trouble_is_not_taken_for_one_to_be_made(state: SwarmState) -> None:
    base = only_machines()
    swarm = LocalSwarm(state, None, None, is_manager=False, error="certificate expired")
    nodes = tuple(replace(node, swarm=swarm) for node in base.cluster.nodes)
    found = failed(replace(base, cluster=replace(base.cluster, nodes=nodes)))
    assert found["C1-member"] == f"the engine's swarm state is {state}: certificate expired"


@pytest.mark.parametrize(
    "judge",
    [j for j in JUDGES if j.check.id in ("C7-reach", "F6-ping", "R1-inside", "R9-dnat-counter")],
    ids=lambda j: j.check.id,
)
def test_what_was_not_tried_is_missing_evidence_and_no_verdict(judge: Judge) -> None:
    assert judge.check.scope is Scope.NODE
    with pytest.raises(FactUnavailable):
        judge(replace(healthy(), reach=None, traffic=None), "worker")
