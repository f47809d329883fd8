"""Hop "traffic", second half: the very rules and backends judged before counted what was sent.

A counter that moved by less than what was sent means that some of it took another way. It may
move by more: other clients are not forbidden.
"""

from collections import Counter
from collections.abc import Callable
from ipaddress import IPv4Address

from lab.errors import FactUnavailable
from lab.facts.iptables import Rule, Ruleset
from lab.facts.model import NodeCounters
from lab.hops.judge import judge, slot_number
from lab.hops.observations import Answer, Manner
from lab.hops.situation import Blocked, Situation
from lab.hops.verdict import Check, Finding, Hop, Scope

Wanted = Callable[[Rule], bool]


@judge(
    Check(
        "R9-dnat-counter",
        Hop.TRAFFIC,
        Scope.NODE,
        "the host's DNAT rule counted every connection through the node",
        cause="the request was answered without this rule: another one, or a proxy, took it",
        see="iptables -t nat -nvL DOCKER-INGRESS",
    )
)
def dnat_counted(situation: Situation, name: str) -> Finding:
    """The nat table counts the first packet of each connection."""
    port = situation.port
    before, after = _around(situation, name)
    return _moved(
        before.host,
        after.host,
        lambda r: r.table == "nat" and r.jump == "DNAT" and r.destination_port == port,
        len(_connections(situation, name)),
        "DNAT",
    )


@judge(
    Check(
        "R10-mark-counter",
        Hop.TRAFFIC,
        Scope.NODE,
        "the sandbox's mark rule counted every connection through the node",
        cause="the requests did not come through this sandbox",
        see="nsenter --net=/var/run/docker/netns/ingress_sbox iptables -t mangle -nvL PREROUTING",
    )
)
def mark_counted(situation: Situation, name: str) -> Finding:
    """The mangle table counts every packet: at least as many as connections."""
    port = situation.port
    before, after = _around(situation, name)
    return _moved(
        _rules(before),
        _rules(after),
        lambda r: r.table == "mangle" and r.jump == "MARK" and r.destination_port == port,
        len(_connections(situation, name)),
        "the mark",
    )


@judge(
    Check(
        "R11-ipvs-counter",
        Hop.TRAFFIC,
        Scope.NODE,
        "each IPVS backend of the node counted the connections its task answered",
        cause="the task was reached without this node's IPVS",
        see="nsenter --net=/var/run/docker/netns/ingress_sbox ipvsadm -Ln --stats",
    )
)
def backends_counted(situation: Situation, name: str) -> Finding:
    """Compare, task by task, answers through this entry with connections IPVS counted."""
    before, after = _around(situation, name)
    mark = situation.known_mark(name)
    earlier, later = _by_backend(before, mark), _by_backend(after, mark)
    sent = Counter(a.ingress_address for a in _connections(situation, name))
    moved = {task: later.get(task, 0) - earlier.get(task, 0) for task in sent}
    return Finding(
        ok=all(moved[task] >= count for task, count in sent.items()),
        expected=", ".join(f"{task} by {count} or more" for task, count in sorted(sent.items())),
        found=", ".join(f"{task} by {count}" for task, count in sorted(moved.items())),
    )


@judge(
    Check(
        "R12-snat-counter",
        Hop.TRAFFIC,
        Scope.NODE,
        "the sandbox's SNAT rule counted every connection through the node",
        cause="what IPVS sent on kept its source, so replies do not come back this way",
        see="nsenter --net=/var/run/docker/netns/ingress_sbox iptables -t nat -nvL POSTROUTING",
    )
)
def snat_counted(situation: Situation, name: str) -> Finding:
    """The rule for IPVS packets counts the first packet of each connection."""
    before, after = _around(situation, name)
    return _moved(
        _rules(before),
        _rules(after),
        lambda r: r.table == "nat" and r.jump == "SNAT" and r.ipvs,
        len(_connections(situation, name)),
        "SNAT",
    )


@judge(
    Check(
        "R13-redirect-counter",
        Hop.TRAFFIC,
        Scope.SLOT,
        "the task's redirect rule counted every connection it answered",
        cause="the program was reached without this rule, on its own port",
        see="{task} iptables -t nat -nvL PREROUTING",
    )
)
def redirect_counted(situation: Situation, subject: str) -> Finding:
    """Compare the answers of this task, through all entries, with its redirect rule."""
    slot = slot_number(subject)
    address = situation.task(slot).ingress_address
    namespace = situation.namespace(slot)
    port = situation.port
    rounds = situation.sent().rounds
    mine = [a for r in rounds for a in r.connections if a.ingress_address == address]
    if not mine:
        raise Blocked(
            f"{subject} answered nothing",
            owner="R4-even",
            cause="IPVS does not send to it: B5, B8",
        )
    before, after = _around(situation, namespace.node)
    return _moved(
        _container(before, namespace.name),
        _container(after, namespace.name),
        lambda r: r.table == "nat" and r.jump == "REDIRECT" and r.destination_port == port,
        len(mine),
        "REDIRECT",
    )


def _moved(before: Ruleset, after: Ruleset, wanted: Wanted, sent: int, what: str) -> Finding:
    rules = [r for r in after.rules if wanted(r)]
    earlier = sum(r.packets for r in before.rules if wanted(r))
    moved = sum(r.packets for r in rules) - earlier
    return Finding(
        ok=bool(rules) and moved >= sent,
        expected=f"{what} moved by {sent} or more",
        found=f"it moved by {moved}" if rules else "there is no such rule",
        evidence=tuple(r.raw for r in rules),
    )


def _connections(situation: Situation, name: str) -> tuple[Answer, ...]:
    rounds = situation.sent().through(name, *Manner)
    connections = tuple(a for r in rounds for a in r.connections)
    if not connections:
        raise Blocked(
            f"no answer came through {name}, so there is nothing to count",
            owner="R1-inside",
            cause="a hop before this one is broken; the first failed check names it",
        )
    return connections


def _around(situation: Situation, name: str) -> tuple[NodeCounters, NodeCounters]:
    traffic = situation.sent()
    before = next((n for n in traffic.before if n.node == name), None)
    after = next((n for n in traffic.after if n.node == name), None)
    if before is None or after is None:
        raise FactUnavailable(f"the counters of {name} were not read")
    return before, after


def _rules(counters: NodeCounters) -> Ruleset:
    if counters.sandbox is None:
        raise Blocked(
            f"there is no namespace ingress_sbox on {counters.node}", owner="H10-address"
        )
    return counters.sandbox


def _container(counters: NodeCounters, namespace: str) -> Ruleset:
    found = next((rules for name, rules in counters.containers if name == namespace), None)
    if found is None:
        raise Blocked(
            f"the container's namespace {namespace} is gone from {counters.node}",
            owner="S2-placed",
        )
    return found


def _by_backend(counters: NodeCounters, mark: int) -> dict[IPv4Address, int]:
    service = next((s for s in counters.virtual_services if s.fwmark == mark), None)
    backends = service.backends if service else ()
    return {b.address: b.traffic.connections if b.traffic else 0 for b in backends}


JUDGES = (
    dnat_counted,
    mark_counted,
    backends_counted,
    snat_counted,
    redirect_counted,
)
