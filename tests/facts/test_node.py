"""What the captured states of two nodes come to."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface

import pytest

from lab.errors import FactUnavailable, UnreadableOutput
from lab.facts.batch import Batch, Section
from lab.facts.commands import DOCKER, HOST, IPVS, IPVS_TIMEOUTS, NO_IPVS, RULES
from lab.facts.docker_model import (
    GossipService,
    GossipTask,
    LocalSwarm,
    MemberRole,
    NetworkEndpoint,
    NetworkPeer,
    PublishedPort,
    SwarmState,
)
from lab.facts.iptables_save import parse_iptables_save
from lab.facts.ipvs import Timeouts
from lab.facts.model import NodeCounters
from lab.facts.node import read_counters, read_node
from tests.facts.captures import batch, captured, cluster_facts, node_facts

BACKENDS = frozenset({IPv4Address("10.0.0.5"), IPv4Address("10.0.0.6")})


TIMEOUTS = "Timeout (tcp tcpfin udp): 900 120 300"


def altered(state: str, namespace: str, section: str, **changes: object) -> Batch:
    """Return a captured answer with one section changed."""
    original = batch(state)
    assert any((s.namespace, s.name) == (namespace, section) for s in original.sections)

    def change(found: Section) -> Section:
        if (found.namespace, found.name) != (namespace, section):
            return found
        return replace(found, **changes)  # type: ignore[arg-type]  # a test's own literal

    return Batch(original.node, tuple(change(s) for s in original.sections))


def test_the_cluster() -> None:
    facts = cluster_facts("two-replicas")
    assert [(m.hostname, m.role, m.is_leader, m.state) for m in facts.members] == [
        ("manager", MemberRole.MANAGER, True, "ready"),
        ("worker", MemberRole.WORKER, False, "ready"),
    ]
    assert facts.service is not None
    assert facts.service.ports == (PublishedPort("tcp", 5000, 3000, "ingress"),)
    assert (facts.service.replicas, facts.service.mode) == (2, "replicated")
    assert facts.virtual_address == IPv4Address("10.0.0.4")
    assert facts.backend_addresses == BACKENDS
    placed = {task.slot: facts.node_of(task) for task in facts.running_tasks}
    assert placed == {1: facts.node("worker"), 2: facts.node("manager")}
    member = facts.member(facts.node("worker"))
    assert member is not None
    assert member.address == IPv4Address("192.168.56.11")
    with pytest.raises(FactUnavailable, match="named worker-2"):
        facts.node("worker-2")


def test_a_node_from_its_bridge_to_its_task() -> None:
    node = node_facts("worker-two-replicas")
    assert node.swarm == LocalSwarm(
        SwarmState.ACTIVE,
        "spt2iu7gks1nnwogruf1zn9be",
        IPv4Address("192.168.56.11"),
        is_manager=False,
        error="",
    )
    assert (node.engine_version, node.iptables_backend) == ("26.1.5+dfsg1", "nf_tables")
    assert node.bridge is not None
    assert node.bridge.sandbox == NetworkEndpoint(
        "ingress-sbox",
        "gateway_ingress-sbox",
        "02:42:ac:13:00:02",
        IPv4Interface("172.19.0.2/16"),
    )
    assert node.bridge.option("com.docker.network.bridge.name") == "docker_gwbridge"
    assert node.bridge.option("no.such.option") is None
    assert node.host.route_to_sandbox is not None
    assert node.host.route_to_sandbox.device == "docker_gwbridge"
    assert node.sandbox is not None
    service = node.sandbox.virtual_service(0x102)
    assert service is not None
    assert {backend.address for backend in service.backends} == BACKENDS
    assert node.sandbox.virtual_service(0x100) is None
    assert node.sandbox.interface_with(IPv4Address("10.0.0.4")) is not None
    (task,) = node.tasks
    assert task.ingress_address == IPv4Address("10.0.0.5")
    assert task.namespace is not None
    assert task.namespace.by_hand == "nsenter --net=/var/run/docker/netns/12e0695f39ac "
    assert [e.port for e in task.namespace.listeners if e.any_ipv4] == [3000]


def test_what_a_node_learned_by_gossip() -> None:
    node = node_facts("worker-two-replicas")
    assert node.ingress is not None
    assert node.ingress.peers == (
        NetworkPeer("337279a03b73", IPv4Address("192.168.56.10")),
        NetworkPeer("d0f6ca4b0b85", IPv4Address("192.168.56.11")),
    )
    (service,) = node.ingress.services
    assert service == GossipService("hello-a", IPv4Address("10.0.0.4"), 0x102, service.tasks)
    assert set(service.tasks) == {
        GossipTask(
            "hello-a.1.xo4lhbu8uk7bdbxn3spm09uqz",
            IPv4Address("10.0.0.5"),
            IPv4Address("192.168.56.11"),
        ),
        GossipTask(
            "hello-a.2.ng0lzi4fj3nvgy83pwmcze6q7",
            IPv4Address("10.0.0.6"),
            IPv4Address("192.168.56.10"),
        ),
    }


def test_images_by_name_with_and_without_a_tag() -> None:
    node = node_facts("worker-two-replicas")
    (tagged,) = (image for image in node.images if image.tags)
    assert node.image_id("node-test") == node.image_id("node-test:latest") == tagged.id
    assert node.image_id("node-test:1") is None
    assert node.image_id("localhost:5000/node-test") is None


def test_several_services_ports_and_an_overlay_of_the_user() -> None:
    facts = cluster_facts("three-services", service="multi")
    assert facts.service is not None
    assert facts.service.ports == (
        PublishedPort("tcp", 8080, 3000, "ingress"),
        PublishedPort("udp", 8081, 3001, "ingress"),
    )
    expected = {IPv4Address(f"10.0.0.{last}") for last in (8, 9, 10)}
    assert facts.backend_addresses == expected
    for node in facts.nodes:
        assert node.sandbox is not None
        service = node.sandbox.virtual_service(0x104)
        assert service is not None
        assert {backend.address for backend in service.backends} == expected
        (balancer,) = node.load_balancers
        assert (balancer.name, balancer.virtual_services[0].fwmark) == ("lb_rennsjdt1", 0x103)
        assert node.overlay is not None
        assert node.overlay.name == "1-rhws85r6ch"
        apps = next(n for n in node.networks if n.name == "apps")
        apps_overlay = node.overlay_of(apps.id)
        assert apps_overlay is not None
        assert apps_overlay.vxlan is not None
        assert apps_overlay.vxlan.vni == 4097
        marks = [
            (r.protocol, r.destination_port)
            for r in node.sandbox.rules.in_chain("mangle", "PREROUTING")
            if r.set_mark == 0x104
        ]
        assert sorted(marks) == [("tcp", 8080), ("udp", 8081)]
    assert [len(node.tasks) for node in facts.nodes] == [1, 2]


def test_a_service_without_ports_has_tasks_but_no_ingress_address() -> None:
    facts = cluster_facts("three-services", service="front")
    assert facts.virtual_address is None
    assert facts.backend_addresses == frozenset()
    assert [(t.ingress_address, bool(t.namespace)) for n in facts.nodes for t in n.tasks] == [
        (None, True),
        (None, True),
    ]


def test_tasks_that_start_do_not_count_as_running() -> None:
    reading = read_node(batch("manager-starting"), service="multi")
    assert reading.cluster is not None
    states = [(t.state, t.is_running) for t in reading.cluster.tasks if t.slot == 3]
    assert states == [("starting", False)]


def test_a_drained_backend_keeps_its_place_with_weight_zero() -> None:
    sandbox = node_facts("worker-weight-zero").sandbox
    assert sandbox is not None
    service = sandbox.virtual_service(0x102)
    assert service is not None
    assert [backend.weight for backend in service.backends] == [0, 1]


def test_a_refused_route_to_the_sandbox_is_a_finding() -> None:
    lookup = node_facts("worker-blackhole").host.route_to_sandbox
    assert lookup is not None
    assert lookup.device is None
    assert lookup.error == "RTNETLINK answers: Invalid argument"


def test_before_the_swarm_everything_of_it_is_absent() -> None:
    node = node_facts("no-swarm")
    assert node.swarm.state is SwarmState.INACTIVE
    assert node.bridge is not None
    assert (node.sandbox_address, node.ingress_address, node.sandbox) == (None, None, None)
    assert (node.ingress, node.overlay, node.overlays, node.tasks) == (None, None, (), ())
    assert node.host.route_to_sandbox is None
    assert node_facts("fresh-engine").bridge is None


def test_counters_move_with_traffic_on_every_hop() -> None:
    before = read_counters(batch("manager-counters"))
    after = read_counters(batch("manager-counters-after-traffic"))

    def passed(counters: NodeCounters) -> tuple[int, int, int]:
        assert counters.sandbox is not None
        assert counters.virtual_services[0].traffic is not None
        return (
            counters.host.in_chain("nat", "DOCKER-INGRESS")[0].packets,
            counters.sandbox.in_chain("mangle", "PREROUTING")[0].packets,
            counters.virtual_services[0].traffic.connections,
        )

    dnat, marked, balanced = (b - a for a, b in zip(passed(before), passed(after), strict=True))
    assert (dnat, balanced) == (4, 4)
    assert marked > 4
    assert [name for name, _ in after.containers] == ["12380dd7cc49"]


def test_counters_before_the_swarm() -> None:
    counters = read_counters(Batch("worker", batch("no-swarm").sections))
    assert (counters.sandbox, counters.virtual_services, counters.containers) == (None, (), ())


def test_a_failed_command_is_never_an_empty_result() -> None:
    broken = altered(
        "worker-two-replicas", "ingress_sbox", IPVS.section, exit_code=127, stderr="not found"
    )
    with pytest.raises(
        FactUnavailable, match="`cat /proc/net/ip_vs` could not be read in ingress_sbox"
    ):
        read_node(broken, service="hello-a")


@pytest.mark.parametrize(
    ("state", "code", "said", "found"),
    [
        ("worker-two-replicas", 0, TIMEOUTS, Timeouts(900, 120, 300, TIMEOUTS)),
        ("worker1-attached", 127, "", None),
        ("worker-two-replicas", 0, NO_IPVS, None),
        ("worker-two-replicas", 2, "Can't initialize ipvs: Protocol not available", None),
        ("worker-two-replicas", 127, "sh: 1: eval: ipvsadm: not found", None),
        ("worker-two-replicas", 0, "Timeout (tcp tcpfin udp quic): 1 2 3 4", None),
    ],
    ids=["with ipvsadm", "without", "no module", "no module to load", "neither", "unknown"],
)
def test_only_ipvsadm_tells_timeouts(
    state: str, code: int, said: str, found: Timeouts | None
) -> None:
    asked = Section("ingress_sbox", IPVS_TIMEOUTS.section, code, said, "")
    answer = replace(batch(state), sections=(*batch(state).sections, asked))
    sandbox = read_node(answer, service="hello-a").facts.sandbox
    assert sandbox is not None
    assert sandbox.timeouts == found


def test_an_unreadable_answer_names_node_namespace_and_command() -> None:
    broken = altered("worker-two-replicas", HOST, RULES.section, stdout="*nat\nwhat\nCOMMIT\n")
    with pytest.raises(UnreadableOutput) as caught:
        read_node(broken, service="hello-a")
    assert caught.value.brief.startswith("worker, host: iptables-save printed")
    assert caught.value.hint == "on worker: iptables-save -c"


def test_rules_that_iptables_cannot_show_are_warned_of() -> None:
    warning = "# Warning: iptables-legacy tables present, use iptables-legacy-save to see them"
    warned = altered("worker-two-replicas", HOST, RULES.section, stderr=warning)
    assert read_node(warned, service="hello-a").facts.host.rules.warnings == (warning,)


def test_rules_that_nft_made_are_warned_of_with_their_place() -> None:
    said = captured("iptables-save/made-with-nft")
    warning = "# Warning: iptables-legacy tables present, use iptables-legacy-save to see them"
    warned = altered("worker-two-replicas", HOST, RULES.section, stdout=said, stderr=warning)
    rules = read_node(warned, service="hello-a").facts.host.rules
    assert rules.warnings == (warning, *parse_iptables_save(said).warnings)
    with pytest.raises(FactUnavailable, match="worker, host: iptables-save does not show"):
        rules.in_chain("filter", "FORWARD")


def test_an_ingress_network_of_another_name_is_said() -> None:
    api = batch("worker-two-replicas").answer(HOST, DOCKER)
    renamed = altered(
        "worker-two-replicas",
        HOST,
        DOCKER.section,
        stdout=api.replace('"Name":"ingress","Id"', '"Name":"mesh","Id"'),
    )
    with pytest.raises(FactUnavailable, match="the ingress network is called 'mesh' here"):
        read_node(renamed, service="hello-a")
