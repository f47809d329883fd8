"""A healthy lab as the judges see it: captured facts, with invented probes and requests."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from ipaddress import IPv4Address
from itertools import cycle
from pathlib import Path

from lab.facts.batch import parse_batch
from lab.facts.gather import join_readings
from lab.facts.iptables import Rule, Ruleset
from lab.facts.ipvs import Backend, VirtualService, parse_timeouts
from lab.facts.model import ClusterFacts, NodeCounters, NodeFacts
from lab.facts.node import read_node
from lab.hops.observations import (
    Answer,
    Connect,
    Errand,
    Exchange,
    FetchProbe,
    PingProbe,
    Reach,
    Round,
    TcpProbe,
    Traffic,
)
from lab.hops.probing import targets_of
from lab.hops.requesting import LARGE_BYTES, errands_inside, errands_outside
from lab.hops.situation import Situation
from lab.topology_file import default_topology_path, load_topology

CAPTURED = Path(__file__).parent.parent / "captured" / "batch"


@cache
def healthy() -> Situation:
    """The captured two-node swarm, everything tried and sent, and all of it well."""
    readings = [
        read_node(
            parse_batch((CAPTURED / f"{node}-two-replicas.txt").read_text(), node=node),
            service="hello-a",
        )
        for node in ("manager", "worker")
    ]
    cluster = with_timeouts(same_image(join_readings(readings, service="hello-a")))
    situation = Situation(cluster, load_topology(default_topology_path()))
    return replace(situation, reach=reach(situation), traffic=traffic(situation))


def same_image(cluster: ClusterFacts) -> ClusterFacts:
    """The nodes that were captured had each imported the image themselves: two ids."""
    images = cluster.nodes[0].images
    return replace(cluster, nodes=tuple(replace(node, images=images) for node in cluster.nodes))


def with_timeouts(cluster: ClusterFacts) -> ClusterFacts:
    """When these nodes were captured, nobody asked IPVS for its timeouts; this is what it says."""
    timeouts = parse_timeouts((CAPTURED.parent / "ipvsadm" / "timeouts.txt").read_text())

    def told(node: NodeFacts) -> NodeFacts:
        assert node.sandbox is not None
        return replace(node, sandbox=replace(node.sandbox, timeouts=timeouts))

    return replace(cluster, nodes=tuple(map(told, cluster.nodes)))


def reach(situation: Situation) -> tuple[Reach, ...]:
    tasks = sorted(situation.cluster.backend_addresses)
    return tuple(
        Reach(
            node.name,
            tuple(TcpProbe(a, p, Connect.OPEN) for a, p in targets_of(situation, node.name)),
            tuple(PingProbe(task, 1450, answered=True, raw="2 received") for task in tasks),
            tuple(
                FetchProbe(task, size, size or 240, 200, "")
                for task in tasks
                for size in (0, LARGE_BYTES)
            ),
        )
        for node in situation.topology.nodes
    )


def errands(situation: Situation) -> tuple[Errand, ...]:
    urls = [(node.name, f"http://127.0.0.1:{node.name}") for node in situation.topology.nodes]
    inside = (e for wave in errands_inside(situation.topology, "t0") for e in wave)
    return (*inside, *errands_outside(situation.topology, "t0", urls))


def traffic(situation: Situation) -> Traffic:
    """Every request answered in turn, logged once, and counted where it passed."""
    rounds = tuple(_round(situation, errand) for errand in errands(situation))
    log = tuple(answer for r in rounds for answer in r.answers)
    before = tuple(map(counters, situation.cluster.nodes))
    return Traffic(rounds, log, before, tuple(_counted(situation, n, rounds) for n in before))


def counters(node: NodeFacts) -> NodeCounters:
    return NodeCounters(
        node=node.node,
        host=node.host.rules,
        sandbox=node.sandbox.rules if node.sandbox else None,
        virtual_services=node.sandbox.virtual_services if node.sandbox else (),
        containers=tuple((c.name, c.rules) for c in node.container_namespaces),
    )


def _round(situation: Situation, errand: Errand) -> Round:
    tasks = cycle(sorted(situation.cluster.backend_addresses))
    client = situation.ingress_address(errand.entry)
    exchanges = []
    for number, request_id in enumerate(errand.request_ids, start=1):
        kept = errand.manner.name == "KEPT"
        if number == 1 or not kept:
            task = next(tasks)
        answer = Answer(request_id, f"host-{task}", task, client, number if kept else 1)
        exchanges.append(Exchange(request_id, 200, "", errand.asked_bytes or 240, answer))
    return Round(errand, tuple(exchanges))


def _counted(situation: Situation, node: NodeCounters, rounds: Iterable[Round]) -> NodeCounters:
    rounds = tuple(rounds)
    here = [a for r in rounds if r.errand.entry == node.node for a in r.connections]
    by_task = Counter(a.ingress_address for r in rounds for a in r.connections)
    own = {
        t.namespace.name: by_task[t.ingress_address]
        for t in situation.cluster.node(node.node).tasks
        if t.namespace and t.ingress_address
    }
    return replace(
        node,
        host=_add(node.host, len(here)),
        sandbox=_add(node.sandbox, len(here)) if node.sandbox else None,
        virtual_services=tuple(
            _add_connections(service, Counter(a.ingress_address for a in here))
            for service in node.virtual_services
        ),
        containers=tuple((name, _add(rules, own.get(name, 0))) for name, rules in node.containers),
    )


def _add(rules: Ruleset, packets: int) -> Ruleset:
    def counted(rule: Rule) -> Rule:
        moves = rule.jump in ("DNAT", "MARK", "SNAT", "REDIRECT")
        return replace(rule, packets=rule.packets + packets) if moves else rule

    return replace(rules, rules=tuple(map(counted, rules.rules)))


def _add_connections(service: VirtualService, counts: Counter[IPv4Address]) -> VirtualService:
    def counted(backend: Backend) -> Backend:
        assert backend.traffic is not None
        connections = backend.traffic.connections + counts[backend.address]
        return replace(backend, traffic=replace(backend.traffic, connections=connections))

    return replace(service, backends=tuple(map(counted, service.backends)))
