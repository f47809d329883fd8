"""Somebody's own hosts: what is known of them, what is asked of them, and what is not."""

from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from lab.attached import (
    NOT_ASKED,
    Wish,
    _attach,
    _expect_answers,
    _expect_swarm,
    numbered,
)
from lab.diagnosis.examine import diagnose
from lab.diagnosis.text import render
from lab.errors import LabError, NotRunning, UsageError
from lab.facts.docker_model import SwarmState
from lab.facts.gather import join_readings
from lab.facts.model import ClusterFacts
from lab.facts.node import read_node
from lab.hops.catalogue import JUDGES, judge_all
from lab.hops.cluster import reaches_the_others
from lab.hops.observations import Reach
from lab.hops.surroundings import slots
from lab.host_shell import shell_to
from lab.inventory import HostSpec
from lab.settings import pace
from lab.topology_values import Role
from lab.trace.build import Request, trace
from lab.trace.model import Key
from lab.trace.text import render as drawn
from tests.attached_world import FILE, facts_of, inventory, look, published, way
from tests.facts.captures import batch


@pytest.mark.parametrize(
    ("service", "port", "asked"),
    [
        ("web", "8080", 90),
        ("web", "9090", 88),
        ("dns", "", 90),
        ("dns", "5353/udp", 90),
        ("agent", "", 90),
    ],
)
def test_a_swarm_that_is_well_is_whole(service: str, port: str, asked: int) -> None:
    hosts = look(service, port)
    situation = hosts.place.situation(hosts.facts)
    found = diagnose(situation)
    failed = [str(hop.verdict) for hop in found.broken]
    if port == "9090":  # nobody listens on its target port: that is the image's doing
        assert {hop.verdict.check for hop in found.broken} == {"T2-listens"}
    else:
        assert not failed
    assert sum(v.ok for v in found.verdicts) >= asked


def test_checks_of_a_lab_are_not_asked_and_the_reason_is_told() -> None:
    hosts = look("dns")
    situation = hosts.place.situation(hosts.facts)
    asked = {verdict.check for verdict in diagnose(situation).verdicts}
    assert not asked & NOT_ASKED.keys()
    # Nothing was tried, and the manager was captured before IPVS's timeouts were read.
    unasked = {j.check.id for j in JUDGES} - asked - NOT_ASKED.keys()
    assert unasked == {"B16-idle", "C7-reach", "F6-ping"}
    said = render(diagnose(situation), hosts.typed)
    assert "no request is sent to a service of your own" in said.replace("\n", " ")


def test_what_only_ipvsadm_tells_is_not_asked_of_a_node_without_it() -> None:
    hosts = look("dns")
    without = {node.node for node in hosts.facts.nodes if node.substitutes}
    assert without == {"worker1"}
    situation = hosts.place.situation(hosts.facts)
    assert "not installed" in (situation.why_left_out("B16-idle", "worker1") or "")
    # It has ipvsadm, but was captured before its timeouts were read.
    assert situation.why_left_out("B16-idle", "manager") == "ipvsadm did not tell it there"


def test_udp_rules_are_those_that_are_looked_at() -> None:
    hosts = look("dns")
    situation = hosts.place.situation(hosts.facts)
    found = {v.check: v for v in diagnose(situation).verdicts if v.node == "manager"}
    assert found["H3-dnat"].expected == "udp 5353 DNAT to 172.19.0.2:5353"
    assert found["T1-redirect"].found.startswith("REDIRECT to 3000")
    assert found["H1-reserved"].found == "dockerd listens on it"
    assert "ss -lunp" in found["H1-reserved"].see
    tcp = replace(situation.topology.service, protocol="tcp")  # type: ignore[type-var]
    wrong = replace(situation, topology=replace(situation.topology, service=tcp))  # type: ignore[type-var]
    assert "H3-dnat" in {v.check for v in diagnose(wrong).verdicts if not v.ok}


def test_a_ghost_is_found_in_the_kernels_own_list_too() -> None:
    def haunted(facts: ClusterFacts) -> ClusterFacts:
        node = facts.node("worker1")
        assert node.sandbox is not None
        services = tuple(
            replace(
                s, backends=(*s.backends, replace(s.backends[0], address=IPv4Address("10.0.0.99")))
            )
            for s in node.sandbox.virtual_services
        )
        sandbox = replace(node.sandbox, virtual_services=services)
        nodes = tuple(replace(n, sandbox=sandbox) if n is node else n for n in facts.nodes)
        return replace(facts, nodes=nodes)

    hosts = look("web", "8080", haunted)
    found = diagnose(hosts.place.situation(hosts.facts))
    assert found.broken[0].name == "B5-backends on worker1"
    typed = render(found, hosts.typed)
    assert "ssh worker1 nsenter" in typed
    assert "invoke lab." not in typed
    assert found.broken[0].look[0].endswith("cat /proc/net/ip_vs")


def test_a_host_whose_kernel_lacks_ip_vs_is_looked_at_and_it_is_said() -> None:
    def bare(facts: ClusterFacts) -> ClusterFacts:
        node = facts.node("manager")
        assert node.sandbox is not None
        sandbox = replace(node.sandbox, virtual_services=(), timeouts=None)
        nodes = tuple(replace(n, sandbox=sandbox) if n is node else n for n in facts.nodes)
        return replace(facts, nodes=nodes)

    hosts = look("web", "8080", bare)
    found = diagnose(hosts.place.situation(hosts.facts))
    assert [hop.name for hop in found.broken] == ["B4-ipvs on manager"]
    assert "B16-idle" in {verdict.check for verdict in found.broken[0].blocks}


def test_a_missing_tool_is_said_with_what_was_read_instead() -> None:
    (note,) = look("dns").notes
    assert note.startswith("worker1: ipvsadm is not installed: /proc/net/ip_vs was read instead")
    assert "apt-get install ipvsadm" in note


def test_roles_and_addresses_come_from_the_swarm() -> None:
    topology = look("dns").place.topology
    assert [(n.name, n.role, str(n.address)) for n in topology.nodes] == [
        ("manager", Role.MANAGER, "192.168.56.10"),
        ("worker1", Role.WORKER, "192.168.56.11"),
    ]
    assert topology.manager.name == "manager"
    assert (topology.service.protocol, topology.service.published_port) == ("udp", 5353)


def test_tasks_of_mode_global_are_told_by_their_hosts() -> None:
    hosts = look("agent")
    assert slots(hosts.place.situation(hosts.facts)) == (1, 2)
    homes = {hosts.facts.node_of(task).node: task.slot for task in hosts.facts.running_tasks}  # type: ignore[union-attr]
    assert homes == {"manager": 1, "worker1": 2}
    assert hosts.notes[-1].endswith("slot-1 on manager, slot-2 on worker1")
    assert numbered(hosts.facts) == hosts.facts


def test_a_member_that_is_not_looked_at_is_said_and_its_tasks_are_left_out() -> None:
    def alone(facts: ClusterFacts) -> ClusterFacts:
        return replace(facts, nodes=facts.nodes[:1])

    hosts = look("dns", "", alone)
    assert hosts.notes == ("members that are not looked at: worker1",)
    assert hosts.place.strangers == (IPv4Address("192.168.56.11"),)
    situation = hosts.place.situation(hosts.facts)
    assert len(slots(situation)) < 2
    assert not [v for v in diagnose(situation).verdicts if not v.ok]


def test_the_way_to_a_task_on_such_a_member_is_told_as_far_as_the_tunnel() -> None:
    hosts = look("dns", "", lambda facts: replace(facts, nodes=facts.nodes[:1]))
    situation = hosts.place.situation(hosts.facts)
    found = trace(
        situation, diagnose(situation), Request("manager", "manager"), lab="p", made="now"
    )
    (branch,) = [one for one in found.branches if one.task is None]
    text = drawn(found)
    assert f"to {branch.backend}, whose task runs on a member that was not looked at" in text
    assert "sent to 192.168.56.11, a member not looked at" in " ".join(
        text.replace("│", " ").split()
    )
    assert f"→ {branch.backend}:5353   inside UDP 192.168.56.10 → 192.168.56.11:4789" in text
    assert "nobody answers" not in text
    assert "goes no further" not in text


def test_sockets_of_sctp_are_not_asked_for() -> None:
    hosts = look("dns", "", published(protocol="sctp"))
    situation = hosts.place.situation(hosts.facts)
    found = diagnose(situation)
    assert not {"H1-reserved", "T2-listens"} & {v.check for v in found.verdicts}
    assert "sockets of sctp are not looked at" in {one.reason for one in found.unasked}
    said = {(s.key, s.does) for s in way(hosts).stations}
    assert (Key.PORT, "sockets of sctp are not looked at") in said
    assert (Key.PROGRAM, "sockets of sctp are not looked at") in said


def test_what_does_not_use_ingress_is_said() -> None:
    assert (
        "mode host: it does not use ingress" in look("dns", "", published(mode="host")).statement
    )

    def bare(facts: ClusterFacts) -> ClusterFacts:
        assert facts.service is not None
        return replace(facts, service=replace(facts.service, ports=()))

    assert "publishes no port" in look("dns", "", bare).statement
    assert look("idle").statement.startswith("idle has 0 replicas")
    assert look("dns").statement == ""


@pytest.mark.parametrize(
    ("service", "port", "said"),
    [
        ("web", "", "web publishes several"),
        ("web", "443", "web does not publish 443"),
        ("web", "8080/udp", "web does not publish 8080/udp"),
        ("wob", "", "the swarm has no service named 'wob'"),
        ("", "", "which service?"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(service: str, port: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        look(service, port)
    assert "8080/tcp, 9090/tcp" in caught.value.details or "agent, dns" in caught.value.details


def test_hosts_that_are_no_swarm_are_told() -> None:
    wish = Wish(FILE, "web")
    whole = facts_of("web")
    silent: dict[str, LabError] = {"manager": NotRunning("manager: no", hint="ssh manager true")}
    outside = replace(
        whole.nodes[1], swarm=replace(whole.nodes[1].swarm, state=SwarmState.INACTIVE)
    )
    with pytest.raises(UsageError, match="not in a swarm: worker1"):
        _expect_swarm(wish, replace(whole, nodes=(whole.nodes[0], outside)), {})
    with pytest.raises(UsageError, match="no manager of the swarm answers") as refused:
        _expect_swarm(wish, replace(whole, nodes=whole.nodes[1:], members=()), silent)
    assert "manager: no" in refused.value.details


def test_hosts_that_do_not_answer_are_told() -> None:
    wish = Wish(FILE, "web")
    shells = tuple(shell_to(host, inventory(), Path("/x")) for host in inventory().hosts)
    one: dict[str, LabError] = {"manager": NotRunning("manager: no", hint="ssh manager true")}
    _expect_answers(wish, shells, one, all_or_none=False)
    with pytest.raises(NotRunning, match="manager cannot be looked at") as caught:
        _expect_answers(wish, shells, one, all_or_none=True)
    assert (caught.value.hint, caught.value.details) == ("ssh manager true", "manager: no")
    both = {**one, "worker1": NotRunning("worker1: no")}
    with pytest.raises(NotRunning, match=r"no host of prod\.yaml can be looked at"):
        _expect_answers(wish, shells, both, all_or_none=False)


def test_a_role_that_is_not_true_is_a_finding() -> None:
    hosts = inventory(HostSpec(name="manager"), HostSpec(name="worker1", role=Role.MANAGER))
    shells = tuple(shell_to(host, hosts, Path("/x")) for host in hosts.hosts)
    seen = _attach(Wish(FILE, "dns"), hosts, shells, facts_of("dns"), {})
    found = diagnose(seen.place.situation(seen.facts))
    assert [hop.verdict.found for hop in found.broken] == ["worker1 is worker, not manager"]


def test_a_trace_is_drawn_of_hosts_too() -> None:
    hosts = look("dns")
    situation = hosts.place.situation(hosts.facts)
    found = trace(
        situation, diagnose(situation), Request("worker1", "worker1"), lab="prod.yaml", made="now"
    )
    text = drawn(found)
    assert text.startswith("dns, udp 5353")
    assert "invoke lab" not in text


def test_more_patience_is_asked_for_by_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAB_PACE", raising=False)
    assert pace() == 1
    monkeypatch.setenv("LAB_PACE", "8")
    assert pace() == 8
    for wrong in ("0.5", "fast", "nan", "1e9"):
        monkeypatch.setenv("LAB_PACE", wrong)
        with pytest.raises(UsageError, match="LAB_PACE"):
            pace()


def test_all_verdicts_can_be_asked_for() -> None:
    hosts = look("web", "8080")
    with pytest.raises(LabError):  # nothing was probed
        list(judge_all(hosts.place.situation(hosts.facts)))


@pytest.mark.parametrize(
    ("capture", "version", "chain"),
    [
        ("manager-engine20", "20.10.24+dfsg1", "FORWARD"),
        ("worker-engine28", "28.5.2+dfsg4", "DOCKER-FORWARD"),
    ],
)
def test_older_and_newer_engines_lay_their_rules_out_otherwise_and_are_whole(
    capture: str, version: str, chain: str
) -> None:
    name = capture.partition("-")[0]
    facts = join_readings([read_node(batch(capture), service="web")], service="web")
    (node,) = facts.nodes
    assert node.engine_version == version
    jumps = [r.chain for r in node.host.rules.rules if r.jump == "DOCKER-INGRESS"]
    assert chain in jumps
    hosts = inventory(HostSpec(name=name))
    shells = (shell_to(hosts.hosts[0], hosts, Path("/x")),)
    seen = _attach(Wish(FILE, "web", ""), hosts, shells, facts, {})
    found = diagnose(seen.place.situation(facts))
    assert [str(hop.verdict) for hop in found.broken] == []
    assert sum(v.ok for v in found.verdicts) > 50


def test_a_swarm_of_one_has_nobody_to_reach() -> None:
    facts = join_readings([read_node(batch("worker-engine28"), service="web")], service="web")
    hosts = inventory(HostSpec(name="worker"))
    shells = (shell_to(hosts.hosts[0], hosts, Path("/x")),)
    place = _attach(Wish(FILE, "web", ""), hosts, shells, facts, {}).place
    alone = replace(place.situation(facts), reach=(Reach("worker", (), (), ()),))
    verdict = reaches_the_others(alone, "worker")
    assert verdict.ok
    assert verdict.expected == "nothing: there is no other node"
