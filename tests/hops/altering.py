"""Small changes of a healthy situation: what an administrator, a fault or a student may do."""

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

from lab.facts.docker_model import SwarmTask
from lab.facts.iptables import Rule, Ruleset
from lab.facts.iptables_save import parse_iptables_save
from lab.facts.ipvs import Backend, VirtualService
from lab.facts.model import ContainerFacts, NodeCounters, NodeFacts
from lab.facts.sysctls import Sysctls
from lab.hops.observations import Answer, Exchange, Reach, Round, Traffic
from lab.hops.situation import Situation

Change = Callable[[Situation], Situation]


def both(*changes: Change) -> Change:
    def change(situation: Situation) -> Situation:
        for each in changes:
            situation = each(situation)
        return situation

    return change


def cluster(**values: Any) -> Change:
    return lambda s: replace(s, cluster=replace(s.cluster, **values))


def node(name: str, change: Callable[[NodeFacts], NodeFacts]) -> Change:
    def apply(situation: Situation) -> Situation:
        nodes = tuple(change(n) if n.node == name else n for n in situation.cluster.nodes)
        return replace(situation, cluster=replace(situation.cluster, nodes=nodes))

    return apply


def part(name: str, what: str, **values: Any) -> Change:
    """Replace fields of one part of a node: its host, sandbox, bridge, ingress, swarm."""
    return node(name, lambda n: replace(n, **{what: replace(getattr(n, what), **values)}))


def inside(name: str, what: str, **changes: Callable[[Any], Any]) -> Change:
    """Change fields of one part of a node, each by a function of its old value."""

    def apply(n: NodeFacts) -> NodeFacts:
        found = getattr(n, what)
        values = {field: change(getattr(found, field)) for field, change in changes.items()}
        return replace(n, **{what: replace(found, **values)})

    return node(name, apply)


def member(name: str, **values: Any) -> Change:
    def apply(situation: Situation) -> Situation:
        members = tuple(
            replace(m, **values) if m.hostname == name else m for m in situation.cluster.members
        )
        return replace(situation, cluster=replace(situation.cluster, members=members))

    return apply


def task(slot: int, **values: Any) -> Change:
    def changed(found: SwarmTask) -> SwarmTask:
        return replace(found, **values) if found.slot == slot and found.is_running else found

    def apply(situation: Situation) -> Situation:
        tasks = tuple(map(changed, situation.cluster.tasks))
        return replace(situation, cluster=replace(situation.cluster, tasks=tasks))

    return apply


def rule(line: str, *, table: str = "filter") -> Rule:
    """Read one rule as iptables-save would print it."""
    return parse_iptables_save(f"*{table}\n[0:0] {line}\nCOMMIT\n").rules[0]


Edit = Callable[[Ruleset], Ruleset]


def without(text: str, *, table: str | None = None) -> Edit:
    """Delete the rules whose line holds the text; at least one must."""

    def edit(rules: Ruleset) -> Ruleset:
        kept = tuple(r for r in rules.rules if text not in r.raw or table not in (None, r.table))
        assert len(kept) < len(rules.rules), f"no rule holds {text!r}"
        return replace(rules, rules=kept)

    return edit


def first(line: str, *, table: str = "filter") -> Edit:
    """Insert a rule before all others, as ``iptables -I`` does."""
    added = rule(line, table=table)
    return lambda rules: replace(rules, rules=(added, *rules.rules))


def last(line: str, *, table: str = "filter") -> Edit:
    """Append a rule after all others, as ``iptables -A`` does."""
    added = rule(line, table=table)
    return lambda rules: replace(rules, rules=(*rules.rules, added))


def swapped(old: str, new: str) -> Edit:
    """Rewrite part of the lines that hold the old text."""

    def edit(rules: Ruleset) -> Ruleset:
        assert any(old in r.raw for r in rules.rules), f"no rule holds {old!r}"
        return replace(rules, rules=tuple(_rewritten(r, old, new) for r in rules.rules))

    return edit


def _rewritten(found: Rule, old: str, new: str) -> Rule:
    if old not in found.raw:
        return found
    line = found.raw.partition("] ")[2].replace(old, new)
    return rule(line, table=found.table)


def host_rules(name: str, edit: Edit) -> Change:
    return node(name, lambda n: replace(n, host=replace(n.host, rules=edit(n.host.rules))))


def sandbox_rules(name: str, edit: Edit) -> Change:
    def change(n: NodeFacts) -> NodeFacts:
        assert n.sandbox is not None
        return replace(n, sandbox=replace(n.sandbox, rules=edit(n.sandbox.rules)))

    return node(name, change)


def settings(name: str, what: str, **values: str) -> Change:
    """Set kernel settings of a node's host or sandbox; ``__`` stands for a dot."""

    def change(n: NodeFacts) -> NodeFacts:
        found = getattr(n, what)
        sysctls: Sysctls = found.sysctls
        wanted = {key.replace("__", "."): value for key, value in values.items()}
        known = dict(sysctls.values)
        assert wanted.keys() <= known.keys()
        changed = replace(sysctls, values=tuple((known | wanted).items()))
        return replace(n, **{what: replace(found, sysctls=changed)})

    return node(name, change)


def ipvs(name: str, change: Callable[[VirtualService], VirtualService | None]) -> Change:
    """Change, or drop, every IPVS service of a node."""

    def apply(n: NodeFacts) -> NodeFacts:
        assert n.sandbox is not None
        services = tuple(s for s in map(change, n.sandbox.virtual_services) if s is not None)
        return replace(n, sandbox=replace(n.sandbox, virtual_services=services))

    return node(name, apply)


def backends(name: str, change: Callable[[tuple[Backend, ...]], tuple[Backend, ...]]) -> Change:
    return ipvs(name, lambda s: replace(s, backends=change(s.backends)))


def container(slot: int, change: Callable[[ContainerFacts], ContainerFacts]) -> Change:
    """Change the namespace of a slot's container, on the node that runs it."""

    def apply(situation: Situation) -> Situation:
        found = situation.local(slot)
        assert found.namespace is not None
        changed = replace(found, namespace=change(found.namespace))
        nodes = tuple(
            replace(n, tasks=tuple(changed if t is found else t for t in n.tasks))
            for n in situation.cluster.nodes
        )
        return replace(situation, cluster=replace(situation.cluster, nodes=nodes))

    return apply


def container_rules(slot: int, edit: Edit) -> Change:
    return container(slot, lambda c: replace(c, rules=edit(c.rules)))


def overlay(name: str, **changes: Callable[[Any], Any]) -> Change:
    """Change fields of the overlay namespace of a node's ingress network."""

    def apply(n: NodeFacts) -> NodeFacts:
        own = n.overlay
        assert own is not None
        values = {field: change(getattr(own, field)) for field, change in changes.items()}
        changed = replace(own, **values)
        return replace(n, overlays=tuple(changed if o is own else o for o in n.overlays))

    return node(name, apply)


def reached(name: str, **changes: Callable[[Any], Any]) -> Change:
    """Change what one node's probes saw."""

    def changed(found: Reach) -> Reach:
        if found.node != name:
            return found
        return replace(found, **{f: change(getattr(found, f)) for f, change in changes.items()})

    return lambda s: replace(s, reach=tuple(map(changed, s.reach or ())))


def sent(change: Callable[[Traffic], Traffic]) -> Change:
    return lambda s: replace(s, traffic=change(s.sent()))


def rounds(entry: str, change: Callable[[Round], Round]) -> Change:
    """Change every round that entered through one node; the log stays."""
    return sent(
        lambda t: replace(
            t, rounds=tuple(change(r) if r.errand.entry == entry else r for r in t.rounds)
        )
    )


def answers(change: Callable[[Answer], Answer]) -> Callable[[Round], Round]:
    def exchanged(e: Exchange) -> Exchange:
        return replace(e, answer=change(e.answer)) if e.answer else e

    return lambda r: replace(r, exchanges=tuple(map(exchanged, r.exchanges)))


def counted_nothing(name: str, what: str) -> Change:
    """Put one part of a node's counters back to what it was before."""

    def changed(traffic: Traffic, after: NodeCounters) -> NodeCounters:
        if after.node != name:
            return after
        before = next(n for n in traffic.before if n.node == name)
        return replace(after, **{what: getattr(before, what)})

    return sent(lambda t: replace(t, after=tuple(changed(t, n) for n in t.after)))


def ip(address: str) -> IPv4Address:
    return IPv4Address(address)
