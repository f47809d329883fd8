"""The first broken hop is the right one for every broken thing the judges are shown.

The situations are captured facts with one thing changed, see ``tests/hops/mutations.py``. What
was sent stays as it was when all was well, so packets are fine in most of them.
"""

import re
from dataclasses import replace

import pytest

from lab.diagnosis.examine import MENDS, diagnose
from lab.diagnosis.model import Agreement, Diagnosis, State
from lab.diagnosis.needs import NEEDS, SCOPES, causes_of
from lab.errors import NotRunning
from lab.facts.ipvs import Forwarding
from lab.facts.model import NodeFacts
from lab.hops.catalogue import BESIDE_THE_WAY, JUDGES, TRIED
from lab.hops.observations import Connect
from lab.hops.situation import Situation
from lab.hops.surroundings import DATA_PORT
from tests.hops import altering as a
from tests.hops import breaking as b
from tests.hops.breaking import NODE_A, NODE_B, Mutation
from tests.hops.healthy import healthy
from tests.hops.mutations import MUTATIONS, diagnosed
from tests.hops.test_not_done_yet import only_a_swarm, only_machines

FIRST = {
    "the worker is of another swarm": {"C1-member[worker]"},
    "a task failed": {"S1-replicas[manager]"},
    "the container was removed behind swarm's back": {"S2-placed[slot-1]"},
    "a task has the virtual address": {"S5-vip[manager]"},
    "the sandbox lost its address": {"H10-address[worker]"},
    "the IPVS table was cleared": {"B4-ipvs[worker]"},
    "a backend is missing": {"B5-backends[worker]"},
    "two sandboxes share an address": {"B11-unique[manager]"},
    "a neighbour entry is missing": {"F4-neighbours[worker]"},
    "nothing is answered": {"R1-inside[worker]"},
    "every other answer is lost on its way back": {"R1-inside[worker]"},
    "one task answers everything": {"R3-alternate[worker]"},
    "the sandbox counted nothing": {"R10-mark-counter[worker]"},
}
"""What is named where several checks fail and not all of them are broken by themselves."""


def named(diagnosis: Diagnosis) -> set[str]:
    broken = [hop.verdict for hop in diagnosis.broken]
    return {f"{v.check}[{v.subject}]" for v in broken}


def kept(names: frozenset[str]) -> set[str]:
    return {name for name in names if "-value" not in name}


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.name)
def test_the_hop_that_is_broken_is_named_and_no_other(mutation: Mutation) -> None:
    found = diagnosed(mutation)
    assert named(found) == FIRST.get(mutation.name, kept(mutation.red))


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.name)
def test_every_failed_check_is_broken_or_blocked_or_a_promise(mutation: Mutation) -> None:
    found = diagnosed(mutation)
    told = named(found)
    told |= {f"{v.check}[{v.subject}]" for hop in found.broken for v in hop.blocks}
    told |= {f"{v.check}[{v.subject}]" for v in found.promises}
    assert told == mutation.red
    for verdict in found.verdicts:
        is_cause = f"{verdict.check}[{verdict.subject}]" in named(found)
        if not verdict.ok and not is_cause and verdict not in found.promises:
            assert found.blocker_of(verdict) is not None


def test_a_healthy_lab_is_whole() -> None:
    found = diagnose(healthy())
    assert found.is_healthy
    assert not found.broken + found.promises + found.unasked
    assert {state for walk in found.walks for _, state in walk.hops} == {State.OK}


def test_a_promise_that_is_not_kept_breaks_nothing() -> None:
    found = diagnose(b.promise(fwmark=0x100)(healthy()))
    assert found.is_healthy
    assert [v.check for v in found.promises] == ["B2-mark-value", "B2-mark-value"]


def test_independent_faults_are_all_named_in_path_order() -> None:
    change = a.both(
        a.sandbox_rules(NODE_B, a.without("-j SNAT --to-source 10.0.0.3")),
        a.sandbox_rules(NODE_A, a.without("--dport 5000 -j MARK")),
        a.host_rules(NODE_B, a.without("-j DNAT")),
        a.host_rules(NODE_A, a.first("-A INPUT -p udp -m udp --dport 4789 -j DROP")),
    )
    found = diagnose(change(healthy()))
    names = [(h.verdict.check, h.verdict.node) for h in found.broken]
    assert names == [
        ("H3-dnat", NODE_B),
        ("B1-mark", NODE_A),
        ("B9-snat", NODE_B),
        ("F2-tunnel-in", NODE_A),
    ]


def test_rules_of_one_balancer_do_not_hide_each_other() -> None:
    change = a.both(
        a.ipvs(NODE_B, lambda s: replace(s, scheduler="lc")),
        a.backends(NODE_B, lambda b: (replace(b[0], weight=0, forwarding=Forwarding.ROUTE),)),
        a.sandbox_rules(NODE_B, a.without("-j SNAT --to-source 10.0.0.3")),
    )
    found = diagnose(change(healthy()))
    names = ("B4-ipvs", "B5-backends", "B7-masq", "B8-weight", "B9-snat")
    assert named(found) == {f"{name}[worker]" for name in names}


def test_a_balancer_without_backends_is_one_fault() -> None:
    found = diagnose(a.backends(NODE_B, lambda _: ())(healthy()))
    assert named(found) == {"B5-backends[worker]"}


def test_a_tunnel_that_is_down_is_one_fault_with_all_that_the_kernel_forgot() -> None:
    """What a node looks like after ``ip link set vxlan0 down``: no socket and no neighbours."""
    change = a.both(
        a.overlay(
            NODE_B,
            interfaces=lambda found: tuple(map(b.down("vxlan0"), found)),
            neighbours=lambda _: (),
        ),
        b.listeners(NODE_B, lambda s: s.port != DATA_PORT),
    )
    (hop,) = diagnose(change(healthy())).broken
    assert (hop.verdict.check, hop.verdict.node) == ("F1-vxlan", NODE_B)
    assert {v.check for v in hop.blocks} >= {"C6-listeners", "F4-neighbours"}
    first, *others = (repair.command for repair in hop.repairs)
    assert first.endswith("ip link set vxlan0 up")
    assert len(others) == 1
    assert "ip neigh replace" in others[0]


def test_what_is_beside_the_way_is_said_last_unless_it_hinders() -> None:
    odd = a.both(
        b.listeners(NODE_A, lambda s: s.port != 5000),
        a.sandbox_rules(NODE_B, a.without("-j SNAT --to-source 10.0.0.3")),
    )
    assert [h.verdict.check for h in diagnose(odd(healthy())).broken] == ["B9-snat", "H1-reserved"]
    image = a.both(
        a.node(NODE_B, lambda n: replace(n, images=())),
        a.task(2, state="rejected", error="No such image: node-test:latest"),
    )
    found = diagnose(image(healthy()))
    assert named(found) == {"S3-image[worker]"}
    assert not found.broken[0].is_beside


def unanswered(situation: Situation) -> Situation:
    return a.rounds(NODE_B, b.nothing)(situation)


def test_rules_and_packets_are_told_apart() -> None:
    unmarked = a.sandbox_rules(NODE_B, a.without("--dport 5000 -j MARK"))
    (hop,) = diagnose(a.both(unmarked, unanswered)(healthy())).broken
    assert hop.agreement is Agreement.BOTH
    assert any(line.startswith("R1-inside on worker: ") for line in hop.packets)
    (hop,) = diagnose(unmarked(healthy())).broken
    assert hop.agreement is Agreement.RULES
    (hop,) = diagnose(unanswered(healthy())).broken
    assert (hop.verdict.check, hop.agreement) == ("R1-inside", Agreement.PACKETS)
    assert "no rule we read" in hop.causes[0]
    unsent = replace(unmarked(healthy()), traffic=None, reach=None)
    (hop,) = diagnose(unsent).broken
    assert hop.agreement is Agreement.UNSENT
    beside = a.both(b.listeners(NODE_B, lambda s: s.port != 5000), unmarked, unanswered)
    last = diagnose(beside(healthy())).broken[-1]
    assert (last.verdict.check, last.agreement) == ("H1-reserved", Agreement.OTHER)


def test_counters_tell_how_far_packets_came() -> None:
    lost = a.both(unanswered, a.counted_nothing(NODE_B, "sandbox"))
    (hop,) = diagnose(lost(healthy())).broken
    assert (
        "through worker: 5 connections tried, 0 answered; DNAT counted 14, the mark 0 packets, "
        "IPVS sent 8 to 10.0.0.5, 6 to 10.0.0.6, SNAT counted 0"
    ) in hop.packets
    assert "what IPVS sent on, on any node, arrived at the tasks" in hop.packets
    never = a.both(unanswered, a.counted_nothing(NODE_A, "containers"))
    hop = diagnose(never(healthy())).broken[0]
    assert (
        "all nodes' IPVS sent 12 connections to 10.0.0.6 (slot-2 on manager), the REDIRECT there "
        "counted 0"
    ) in hop.packets


def test_the_task_that_was_missed_is_in_the_command_to_look_with() -> None:
    missed = a.reached(NODE_A, pings=lambda p: tuple(replace(one, answered=False) for one in p))
    (hop,) = diagnose(missed(healthy())).broken
    assert hop.look[0].endswith("ping -c 2 -M do -s 1422 10.0.0.5")


def test_a_blocked_gossip_explains_what_gossip_did_not_bring() -> None:
    change = a.both(
        a.host_rules(NODE_B, a.first("-A INPUT -p tcp -m tcp --dport 7946 -j DROP")),
        a.reached(NODE_A, tcp=lambda t: tuple(replace(p, outcome=Connect.SILENT) for p in t)),
        a.inside(NODE_A, "ingress", peers=lambda peers: peers[:1]),
        b.gossip(NODE_A, tasks=()),
        a.backends(NODE_A, lambda found: found[:1]),
    )
    (hop,) = diagnose(change(healthy())).broken
    assert hop.verdict.check == "C10-control-in"
    blocked = {v.check for v in hop.blocks}
    assert {"C7-reach", "C8-gossip", "S7-same-service", "B5-backends"} <= blocked


def test_silence_between_nodes_explains_lost_packets_only_while_no_rule_does() -> None:
    silent = a.reached(NODE_A, tcp=lambda t: tuple(replace(p, outcome=Connect.SILENT) for p in t))
    unpinged = a.reached(NODE_A, pings=lambda p: tuple(replace(one, answered=False) for one in p))
    (hop,) = diagnose(a.both(silent, unpinged)(healthy())).broken
    assert (hop.verdict.check, [v.check for v in hop.blocks]) == ("C7-reach", ["F6-ping"])
    gossip = a.host_rules(NODE_B, a.first("-A INPUT -p tcp -m tcp --dport 7946 -j DROP"))
    both = diagnose(a.both(silent, unpinged, gossip)(healthy()))
    assert [h.verdict.check for h in both.broken] == ["C10-control-in", "F6-ping"]


def test_before_the_swarm_the_first_step_is_named_and_typed() -> None:
    first = diagnose(only_machines()).broken[0]
    assert first.verdict.check == "C1-member"
    assert first.repairs[0].command.startswith("docker swarm init --advertise-addr")
    created = diagnose(only_a_swarm()).broken[0]
    assert created.verdict.check == "S1-replicas"
    assert created.repairs[0].command.startswith("docker service create --replicas 2")
    assert created.repairs[0].node == NODE_A


def test_a_node_that_cannot_be_looked_at_is_said_and_the_rest_is_judged() -> None:
    base = healthy()
    alone = replace(base, cluster=replace(base.cluster, nodes=base.cluster.nodes[:1]))
    error = NotRunning("worker does not answer ssh", details="timed out", hint="invoke lab.status")
    found = diagnose(alone, {NODE_B: error})
    assert not found.is_healthy
    assert found.silent[0].reason == "worker does not answer ssh: timed out"
    assert {u.subject for u in found.unasked} >= {NODE_B}
    assert any(v.check == "H3-dnat" and v.ok for v in found.verdicts)


def test_the_table_of_needs_names_checks_and_has_no_circle() -> None:
    ids = {judge.check.id for judge in JUDGES}
    assert NEEDS.keys() <= ids
    plain = {check: {n.rstrip("*!") for n in needs} for check, needs in NEEDS.items()}
    assert set().union(*plain.values()) <= ids
    order = {judge.check.id: place for place, judge in enumerate(JUDGES)}
    assert len(order) == len(SCOPES)
    seen: set[str] = set()

    def visit(check: str, path: tuple[str, ...]) -> None:
        assert check not in path, f"a circle: {' <- '.join((*path, check))}"
        if check not in seen:
            for needed in plain.get(check, ()):
                visit(needed, (*path, check))
            seen.add(check)

    for check in ids:
        visit(check, ())


def test_rules_beside_the_way_are_nobodys_reason_on_packets() -> None:
    """C4 and S3 do hinder rules and tasks, which hinder packets; others only in reserve."""
    direct = {n.rstrip("*") for c, needs in NEEDS.items() if c in TRIED for n in needs}
    assert not direct & BESIDE_THE_WAY
    in_reserve = {n.rstrip("*!") for n in direct if n.endswith("!")}
    assert in_reserve & BESIDE_THE_WAY == {"C2-leader", "C3-roles", "C9-backend"}


def test_rules_nobody_sees_are_to_blame_only_where_no_rule_that_is_seen_is() -> None:
    warned = ("Warning: iptables-legacy tables",)
    legacy = a.host_rules(NODE_B, lambda r: replace(r, warnings=warned))
    (hop,) = diagnose(a.both(legacy, unanswered)(healthy())).broken
    assert (hop.verdict.check, hop.is_beside) == ("C9-backend", False)
    (hop,) = diagnose(legacy(healthy())).broken
    assert hop.is_beside
    unmarked = a.sandbox_rules(NODE_B, a.without("--dport 5000"))
    broken = diagnose(a.both(legacy, unmarked, unanswered)(healthy())).broken
    assert [h.verdict.check for h in broken] == ["B1-mark", "C9-backend"]


def test_what_takes_requests_before_the_mesh_explains_counters_that_stand_still() -> None:
    proxied = a.host_rules(
        NODE_B,
        a.first(
            "-A PREROUTING -p tcp -m tcp --dport 5000 -j REDIRECT --to-ports 8099", table="nat"
        ),
    )
    still = [a.counted_nothing(NODE_B, w) for w in ("host", "sandbox", "virtual_services")]
    (hop,) = diagnose(a.both(proxied, *still)(healthy())).broken
    assert hop.verdict.check == "H2-jump"
    blocked = {v.check for v in hop.blocks}
    counters = {"R9-dnat-counter", "R10-mark-counter", "R11-ipvs-counter", "R12-snat-counter"}
    assert counters <= blocked


def test_a_port_that_no_task_answers_is_nobodys_fault_but_the_tasks() -> None:
    unpublished = [a.host_rules(node, a.without("--dport 5000")) for node in (NODE_A, NODE_B)]
    gone = a.both(a.cluster(tasks=()), *unpublished, a.rounds(NODE_A, b.nothing), unanswered)
    (hop,) = diagnose(gone(healthy())).broken
    assert hop.verdict.check == "S1-replicas"


def test_a_node_that_knows_no_service_without_tasks_is_not_to_blame() -> None:
    unlearned = [a.inside(node, "ingress", services=lambda _: ()) for node in (NODE_A, NODE_B)]
    gone = a.both(a.cluster(tasks=()), *unlearned, a.rounds(NODE_A, b.nothing), unanswered)
    (hop,) = diagnose(gone(healthy())).broken
    assert hop.verdict.check == "S1-replicas"


def without_ingress(node: NodeFacts) -> NodeFacts:
    assert node.bridge is not None
    others = tuple(e for e in node.bridge.endpoints if e.container_id != "ingress-sbox")
    listeners = tuple(one for one in node.host.listeners if one.port != DATA_PORT)
    return replace(
        node,
        ingress=None,
        sandbox=None,
        overlays=(),
        bridge=replace(node.bridge, endpoints=others),
        host=replace(node.host, listeners=listeners),
    )


def test_without_the_ingress_network_it_is_the_network_that_is_named() -> None:
    gone = a.both(
        a.node(NODE_A, without_ingress), a.node(NODE_B, without_ingress), b.service(ports=())
    )
    broken = diagnose(gone(healthy())).broken
    assert [hop.name for hop in broken] == [
        "C8-gossip on manager",
        "C8-gossip on worker",
        "S4-port on manager",
    ]


def test_every_check_of_rules_has_a_repair_or_a_reason_not_to() -> None:
    nothing_to_type = {
        "C4-engine",  # another engine is a decision
        "H4-sandbox-value",
        "S6-vip-value",
        "B2-mark-value",
        "B6-backends-value",
        "B11-unique",  # which of the two is wrong cannot be known
        "H11-route",  # what shadows it is H12's
    }
    rules = {judge.check.id for judge in JUDGES} - TRIED
    assert rules - MENDS.keys() == nothing_to_type
    assert not MENDS.keys() & TRIED


def test_causes_do_not_depend_on_checks_that_hold() -> None:
    assert causes_of(()) == {}


def test_repairs_hold_the_values_of_the_lab() -> None:
    for mutation in MUTATIONS:
        for hop in diagnosed(mutation).broken:
            for repair in hop.repairs:
                assert repair.node in (NODE_A, NODE_B)
                assert not re.search(r"\{\w+\}|None|\bTASK\b|\bNS\b", repair.command), repair
