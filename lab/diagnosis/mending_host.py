"""Repairs of the host's rules, bridge and routes."""

from collections.abc import Iterator, Mapping

from lab.diagnosis.mending import (
    ANEW,
    RESTART,
    Mend,
    deletion,
    deletions,
    dropping,
    named_in,
    publishing,
)
from lab.diagnosis.model import Repair
from lab.facts.iptables import NatTarget, Rule, Ruleset
from lab.hops.clients import owners_rules
from lab.hops.host import INGRESS_CHAIN
from lab.hops.situation import BRIDGE, Blocked, Situation
from lab.hops.surroundings import bridge_subnet, gateway
from lab.hops.verdict import Verdict

TO_THE_CHAIN = f"-m addrtype --dst-type LOCAL -j {INGRESS_CHAIN}"


def mend_reservation(situation: Situation, verdict: Verdict) -> Iterator[Repair]:
    """End who holds the port, and have dockerd hold it again."""
    node = situation.cluster.node(verdict.node)
    held = [
        s
        for s in node.host.listeners
        if (s.protocol, s.port) == (situation.protocol, situation.port)
    ]
    owners = {p.pid: p.name for s in held for p in s.processes if p.name != "dockerd"}
    for pid, name in sorted(owners.items()):
        yield Repair(verdict.node, f"kill {pid}", f"{name} holds the port")
    manager = situation.topology.manager.name
    update = "docker service update"
    service = situation.topology.service.name
    removed, added = publishing(situation)
    if removed:
        note = "tasks are made anew, twice"
        yield Repair(manager, f"{update} {' '.join(removed)} {service}", note)
    yield Repair(manager, f"{update} {added} {service}")


def mend_jumps(situation: Situation, verdict: Verdict) -> Iterator[Repair]:
    """Put Docker's jump before everything else again."""
    rules = situation.cluster.node(verdict.node).host.rules
    if rules.chain("nat", INGRESS_CHAIN) is None:
        yield Repair(verdict.node, RESTART, ANEW)
        return
    for chain in ("PREROUTING", "OUTPUT"):
        if chain in verdict.found:
            jumps = (r for r in rules.in_chain("nat", chain) if r.jump == INGRESS_CHAIN)
            for rule in jumps:
                yield Repair(verdict.node, deletion(rule), "it comes too late: once more below")
            yield Repair(verdict.node, f"iptables -t nat -I {chain} {TO_THE_CHAIN}")


def mend_dnat(situation: Situation, verdict: Verdict) -> Iterator[Repair]:
    """Delete what leads elsewhere, and lead to the sandbox."""
    rules = situation.cluster.node(verdict.node).host.rules
    try:
        wanted = NatTarget(situation.sandbox_address(verdict.node), situation.port)
    except Blocked:
        yield Repair(verdict.node, RESTART, ANEW)
        return
    if rules.chain("nat", INGRESS_CHAIN) is None:
        yield Repair(verdict.node, RESTART, ANEW)
        return
    found = [r for r in named_in(rules, verdict) if r.jump == "DNAT"]
    wrong = [r for r in found if r.to_destination != wanted]
    yield from deletions(verdict.node, wrong)
    if len(wrong) == len(found):
        proto = situation.protocol
        yield Repair(
            verdict.node,
            f"iptables -t nat -I {INGRESS_CHAIN} -p {proto} -m {proto} --dport {situation.port} "
            f"-j DNAT --to-destination {wanted.address}:{wanted.port}",
        )


def mend_filter(situation: Situation, verdict: Verdict) -> Iterator[Repair]:
    """Delete the rules that drop; where only the policy does, put Docker's own rules back."""
    rules = situation.cluster.node(verdict.node).host.rules
    # Whoever deletes a list of allowed clients opens the port to everyone.
    kept = () if situation.is_lab else owners_rules(rules)
    guilty = _not_dockers(rules, verdict, kept)
    yield from guilty
    if not guilty and "FORWARD" in verdict.found:
        yield from _let_forward(situation, verdict, rules)
    elif not guilty:
        for chain in ("INPUT", "OUTPUT"):
            if f"filter {chain}: DROP by policy" in verdict.found:
                yield Repair(verdict.node, f"iptables -P {chain} ACCEPT")


def _not_dockers(rules: Ruleset, verdict: Verdict, kept: tuple[Rule, ...]) -> tuple[Repair, ...]:
    """Return the deletions of dropping rules, but for those Docker makes itself and some more."""
    own = ("DOCKER-ISOLATION", "DOCKER-INTERNAL")
    guilty = (
        rule
        for rule in dropping(rules, verdict)
        if not rule.chain.startswith(own)
        and not rule.in_interface == rule.out_interface == BRIDGE
        and rule not in kept
    )
    return tuple(deletions(verdict.node, guilty))


def _let_forward(situation: Situation, verdict: Verdict, rules: Ruleset) -> Iterator[Repair]:
    port, proto = situation.port, situation.protocol
    start = "DOCKER-FORWARD" if rules.chain("filter", "DOCKER-FORWARD") else "FORWARD"
    chain = rules.in_chain("filter", INGRESS_CHAIN)
    if rules.chain("filter", INGRESS_CHAIN) is None:
        yield Repair(verdict.node, RESTART, ANEW)
        return
    if not any(r.jump == INGRESS_CHAIN for r in rules.in_chain("filter", start)):
        yield Repair(verdict.node, f"iptables -I {start} -j {INGRESS_CHAIN}")
    if not any(r.jump == "ACCEPT" and r.destination_port == port for r in chain):
        yield Repair(
            verdict.node,
            f"iptables -I {INGRESS_CHAIN} -p {proto} -m {proto} --dport {port} -j ACCEPT",
        )
    if not any(r.jump == "ACCEPT" and r.source_port == port for r in chain):
        yield Repair(
            verdict.node,
            f"iptables -I {INGRESS_CHAIN} -p {proto} -m {proto} --sport {port} "
            "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        )


def mend_masquerade(situation: Situation, verdict: Verdict) -> Iterator[Repair]:
    """Put the rule and the switch back that let local requests out on the bridge."""
    if "route_localnet 0" in verdict.found:
        yield Repair(verdict.node, f"sysctl -w net.ipv4.conf.{BRIDGE}.route_localnet=1")
    if not verdict.found.startswith(("MASQUERADE", "SNAT")):
        yield from deletions(
            verdict.node, named_in(situation.cluster.node(verdict.node).host.rules, verdict)
        )
        yield Repair(
            verdict.node,
            f"iptables -t nat -I POSTROUTING -o {BRIDGE} -m addrtype --src-type LOCAL "
            "-j MASQUERADE",
        )


def mend_bridge(situation: Situation, verdict: Verdict) -> Iterator[Repair]:
    """Set the bridge up and give it its address; another subnet needs a new bridge."""
    subnet = bridge_subnet(situation, verdict.node)
    wanted = f"{gateway(situation, verdict.node)}/{subnet.prefixlen}"
    node = situation.cluster.node(verdict.node)
    interface = node.host.interface(BRIDGE)
    if interface is None or node.bridge is None:
        yield Repair(verdict.node, RESTART, ANEW)
        return
    if wanted not in map(str, interface.addresses):
        yield Repair(verdict.node, f"ip addr add {wanted} dev {BRIDGE}")
    if "UP" not in interface.flags:
        yield Repair(verdict.node, f"ip link set {BRIDGE} up")


def mend_shadow(situation: Situation, verdict: Verdict) -> Iterator[Repair]:
    """Delete the routes and rules that claim the sandbox's address."""
    host = situation.cluster.node(verdict.node).host
    interface = host.interface(BRIDGE)
    for line in verdict.evidence:
        priority, colon, _ = line.partition(":")
        if colon and priority.isdecimal():
            yield Repair(verdict.node, f"ip rule del priority {priority}")
        else:
            yield Repair(verdict.node, f"ip route del {line.removeprefix('unicast ')}")
    if not verdict.evidence and interface is not None:
        subnet = bridge_subnet(situation, verdict.node)
        source = gateway(situation, verdict.node)
        yield Repair(verdict.node, f"ip route add {subnet} dev {BRIDGE} src {source}")


def mend_switches(_: Situation, verdict: Verdict) -> Iterator[Repair]:
    """Turn on what is found off; the verdict's words are ``name value`` pairs."""
    for pair in verdict.found.split(", "):
        name, value = pair.split()
        if value != "1":
            yield Repair(verdict.node, f"sysctl -w {name}=1")


HOST: Mapping[str, Mend] = {
    "H1-reserved": mend_reservation,
    "H2-jump": mend_jumps,
    "H3-dnat": mend_dnat,
    "H5-requests-pass": mend_filter,
    "H6-replies-pass": mend_filter,
    "H7-local-pass": mend_filter,
    "H8-masquerade": mend_masquerade,
    "H9-bridge": mend_bridge,
    "H12-no-shadow": mend_shadow,
    "H13-forwarding": mend_switches,
}
