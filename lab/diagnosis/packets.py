"""What the counters saw of the requests that were sent: how far packets came."""

from collections.abc import Callable, Iterator
from ipaddress import IPv4Address

from lab.errors import FactUnavailable
from lab.facts.iptables import Rule, Ruleset
from lab.facts.model import NodeCounters
from lab.hops.observations import Manner, Round, Traffic
from lab.hops.situation import Blocked, Situation
from lab.hops.verdict import Verdict

Wanted = Callable[[Rule], bool]


def told(verdict: Verdict) -> str:
    """Return what a check says of packets, without what was not sent any more."""
    parts = [part for part in verdict.found.split("; ") if not part.endswith("nothing was sent")]
    return f"{verdict.check} on {verdict.node}: {'; '.join(parts) or verdict.found}"


def counted(situation: Situation, entry: str) -> Iterator[str]:
    """Yield lines on how far the requests through one node came; none when none were sent.

    As ``through worker: 3 connections tried, 0 answered; DNAT counted 3, the mark 0 packets, IPVS
    sent none, SNAT counted 0``. Retransmitted packets count again, so more is no surprise.
    """
    traffic = situation.traffic
    if traffic is None or not traffic.through(entry):
        return
    before, after = _of(traffic.before, entry), _of(traffic.after, entry)
    if before is None or after is None:
        return
    port = situation.port
    rounds = traffic.through(entry)
    tried = sum(_connections(r) for r in rounds)
    answered = sum(len(r.connections) for r in rounds)
    sent = _balanced(situation, entry, before, after)
    shares = ", ".join(f"{n} to {task}" for task, n in sorted(sent.items()) if n)
    dnat = _moved(before.host, after.host, lambda r: r.jump == "DNAT" and _is_for(r, port))
    marked = _moved(before.sandbox, after.sandbox, lambda r: r.jump == "MARK" and _is_for(r, port))
    snat = _moved(before.sandbox, after.sandbox, lambda r: r.jump == "SNAT" and r.ipvs)
    yield (
        f"through {entry}: {tried} connections tried, {answered} answered; DNAT counted {dnat}, "
        f"the mark {marked} packets, IPVS sent {shares or 'none'}, SNAT counted {snat}"
    )
    if sent and any(sent.values()):
        yield from _arrived(situation, traffic)


def _connections(sent: Round) -> int:
    """Return how many connections were tried in a round."""
    tried = len(sent.exchanges)
    return min(1, tried) if sent.errand.manner is Manner.KEPT else tried


def _arrived(situation: Situation, traffic: Traffic) -> Iterator[str]:
    """Yield for every task that got less than all nodes' IPVS sent to it, how much less."""
    missed = list(_missed(situation, traffic))
    yield from missed or ["what IPVS sent on, on any node, arrived at the tasks"]


def _missed(situation: Situation, traffic: Traffic) -> Iterator[str]:
    for task in situation.cluster.running_tasks:
        address = task.ingress_address
        node = situation.cluster.node_of(task)
        if address is None or node is None:
            continue
        sent = 0
        for spec in situation.topology.nodes:
            before, after = _of(traffic.before, spec.name), _of(traffic.after, spec.name)
            if before is not None and after is not None:
                sent += _balanced(situation, spec.name, before, after).get(address, 0)
        arrived = _redirected(situation, traffic, task.slot or 0)
        if arrived is None or arrived < sent:
            counted = "cannot be read" if arrived is None else f"counted {arrived}"
            yield (
                f"all nodes' IPVS sent {sent} connections to {address} (slot-{task.slot} on "
                f"{node.node}), the REDIRECT there {counted}"
            )


def _redirected(situation: Situation, traffic: Traffic, slot: int) -> int | None:
    try:
        namespace = situation.namespace(slot)
    except Blocked:
        return None
    before, after = _of(traffic.before, namespace.node), _of(traffic.after, namespace.node)
    if before is None or after is None:
        return None
    return _moved(
        dict(before.containers).get(namespace.name),
        dict(after.containers).get(namespace.name),
        lambda r: r.jump == "REDIRECT" and _is_for(r, situation.port),
    )


def _balanced(
    situation: Situation, node: str, before: NodeCounters, after: NodeCounters
) -> dict[IPv4Address, int]:
    try:
        mark = situation.known_mark(node)
    except (Blocked, FactUnavailable):
        return {}
    earlier, later = _by_backend(before, mark), _by_backend(after, mark)
    return {address: count - earlier.get(address, 0) for address, count in later.items()}


def _by_backend(counters: NodeCounters, mark: int) -> dict[IPv4Address, int]:
    service = next((s for s in counters.virtual_services if s.fwmark == mark), None)
    backends = service.backends if service else ()
    return {b.address: b.traffic.connections for b in backends if b.traffic}


def _is_for(rule: Rule, port: int) -> bool:
    return rule.destination_port == port


def _moved(before: Ruleset | None, after: Ruleset | None, wanted: Wanted) -> int:
    def total(rules: Ruleset | None) -> int:
        return sum(r.packets for r in rules.rules if wanted(r)) if rules else 0

    return total(after) - total(before)


def _of(counters: tuple[NodeCounters, ...], node: str) -> NodeCounters | None:
    return next((c for c in counters if c.node == node), None)
