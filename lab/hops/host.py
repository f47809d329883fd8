"""Hop "host": the published port on a node, and the way from it into the hidden sandbox."""

from ipaddress import IPv4Address

from lab.facts.iptables import NatTarget, Rule
from lab.hops import clients, flows
from lab.hops.judge import judge
from lab.hops.situation import BRIDGE, Situation
from lab.hops.verdict import Check, Finding, Hop, Scope

INGRESS_CHAIN = "DOCKER-INGRESS"
NEWER_LAYOUT = (
    "engine 29.8 and later publish swarm ports in the chain DOCKER: a layout not known here"
)


@judge(
    Check(
        "H1-reserved",
        Hop.HOST,
        Scope.NODE,
        "dockerd holds the published port, so that no other program can take it",
        cause="another program had the port before the service was created",
        see="ss -ltnp 'sport = :{port}'",
    )
)
def port_is_reserved(situation: Situation, name: str) -> Finding:
    """Look for dockerd's listener; it only reserves the port and never accepts."""
    node = situation.served(name)
    protocol = situation.protocol
    held = [s for s in node.host.listeners if (s.protocol, s.port) == (protocol, situation.port)]
    owners = sorted({p.name for s in held for p in s.processes})
    return Finding(
        ok=owners == ["dockerd"],
        expected=f"dockerd listens on {protocol} {situation.port}",
        found=f"{', '.join(owners) or 'nobody'} listens on it",
        evidence=tuple(s.raw for s in held),
    )


@judge(
    Check(
        "H2-jump",
        Hop.HOST,
        Scope.NODE,
        "packets to any local address are led to DOCKER-INGRESS, from outside and from the node",
        cause="a firewall reload or `iptables -F` removed Docker's jumps, or an earlier rule "
        "takes the packet away",
        see="iptables -t nat -nvL PREROUTING; iptables -t nat -nvL OUTPUT",
    )
)
def nat_leads_to_the_chain(situation: Situation, name: str) -> Finding:
    """Follow a request through nat PREROUTING and OUTPUT until it meets the jump."""
    host = situation.published(name).host
    wanted = flows.door(situation)
    packets = [("PREROUTING", flows.arriving(e, wanted)) for e in flows.entrances(situation, name)]
    packets.append(("OUTPUT", flows.leaving_locally(wanted)))
    lost: dict[str, Rule | None] = {}
    jumps: dict[str, str] = {}
    for chain, packet in packets:
        fate = flows.Stage("nat", chain, packet).fate(host.rules)
        jump = next((r for r in fate.trail if r.jump == INGRESS_CHAIN), None)
        if jump is None:
            lost[chain] = fate.rule
        else:
            jumps[chain] = jump.raw
    taken = tuple(rule.raw for rule in lost.values() if rule is not None)
    newer = _publishes_elsewhere(situation, name) is not None
    return Finding(
        ok=not lost,
        expected=f"nat PREROUTING and OUTPUT jump to {INGRESS_CHAIN} for local addresses",
        found=f"no packet of {' and '.join(sorted(lost))} gets there"
        if lost
        else f"PREROUTING and OUTPUT lead to {INGRESS_CHAIN}",
        evidence=taken or tuple(jumps.values()),
        cause=NEWER_LAYOUT if newer else "",
    )


@judge(
    Check(
        "H3-dnat",
        Hop.HOST,
        Scope.NODE,
        "the published port is rewritten to the hidden sandbox's address on docker_gwbridge",
        cause="the rule was flushed (firewalld, `iptables -F`), or the sandbox was rebuilt with "
        "another address; restarting docker writes it again",
        see="iptables -t nat -nvL DOCKER-INGRESS",
    )
)
def dnat_points_at_the_sandbox(situation: Situation, name: str) -> Finding:
    """Compare every DNAT of the port with the address docker_gwbridge gives ingress-sbox."""
    situation.served(name)
    wanted = NatTarget(situation.sandbox_address(name), situation.port)
    what = flows.door(situation)
    rules = _dnat_rules(situation, name)
    newer = not rules and _publishes_elsewhere(situation, name) is not None
    return Finding(
        ok=bool(rules) and all(rule.to_destination == wanted for rule in rules),
        expected=f"{what} DNAT to {_target(wanted)}",
        found=", ".join(f"DNAT to {_target(r.to_destination)}" for r in rules)
        or f"no DNAT for {what} in {INGRESS_CHAIN}",
        evidence=tuple(rule.raw for rule in rules or _chain(situation, name)),
        cause=NEWER_LAYOUT if newer else "",
    )


@judge(
    Check(
        "H4-sandbox-value",
        Hop.HOST,
        Scope.NODE,
        "the port is rewritten to the very address the topology promises",
        cause="docker_gwbridge was not made beforehand with the topology's subnet, or another "
        "container took the first address",
        see="iptables -t nat -nvL DOCKER-INGRESS; docker network inspect docker_gwbridge",
    )
)
def sandbox_is_as_promised(situation: Situation, name: str) -> Finding:
    """Compare with ``expected.sandbox``, where the topology declares it."""
    situation.published(name)
    wanted = situation.topology.expected.sandbox
    rules = _dnat_rules(situation, name)
    found = [rule.to_destination.address for rule in rules if rule.to_destination]
    return Finding(
        ok=wanted is None or found == [wanted],
        expected="nothing promised" if wanted is None else f"DNAT to {wanted}:{situation.port}",
        found=", ".join(f"DNAT to {address}" for address in found) or "no DNAT",
        evidence=tuple(rule.raw for rule in rules),
    )


@judge(
    Check(
        "H5-requests-pass",
        Hop.HOST,
        Scope.NODE,
        "the host's filter lets requests through to the sandbox, whatever rules came before",
        cause="a rule of the administrator drops them (DOCKER-USER, FORWARD), or the jump to "
        "DOCKER-INGRESS is gone and the policy of FORWARD is DROP",
        see="iptables -nvL FORWARD; iptables -nvL DOCKER-USER; iptables -nvL DOCKER-INGRESS",
    )
)
def requests_pass(situation: Situation, name: str) -> Finding:
    """Follow a request from each side through raw, mangle and filter."""
    situation.served(name)
    return _passing(clients.passages(situation, name, flows.outside_request))


@judge(
    Check(
        "H6-replies-pass",
        Hop.HOST,
        Scope.NODE,
        "the host's filter lets the sandbox's replies out again",
        cause="a rule drops what comes from docker_gwbridge, or the rules for established "
        "connections are gone",
        see="iptables -nvL FORWARD; iptables -nvL DOCKER-INGRESS",
    )
)
def replies_pass(situation: Situation, name: str) -> Finding:
    """Follow a reply to each side through raw, mangle and filter."""
    situation.published(name)
    return _passing(clients.passages(situation, name, flows.outside_reply))


@judge(
    Check(
        "H7-local-pass",
        Hop.HOST,
        Scope.NODE,
        "requests made on the node itself, and their replies, pass its filter",
        cause="a rule in OUTPUT or INPUT drops them",
        see="iptables -nvL OUTPUT; iptables -nvL INPUT",
    )
)
def local_requests_pass(situation: Situation, name: str) -> Finding:
    """Follow `curl http://127.0.0.1:PORT` out through OUTPUT and back through INPUT."""
    situation.published(name)
    sandbox = situation.sandbox_address(name)
    ways = (
        flows.local_request(sandbox, flows.door(situation)),
        flows.local_reply(sandbox, flows.door(situation)),
    )
    rules = situation.cluster.node(name).host.rules
    return _passing(tuple(flows.pass_all(rules, stages) for stages in ways))


@judge(
    Check(
        "H8-masquerade",
        Hop.HOST,
        Scope.NODE,
        "requests made on the node get a source address the sandbox can answer to",
        cause="the MASQUERADE rule for docker_gwbridge was flushed: 127.0.0.1 then goes out on "
        "the bridge, and no answer comes back",
        see="iptables -t nat -nvL POSTROUTING; "
        "sysctl net.ipv4.conf.docker_gwbridge.route_localnet",
    )
)
def local_source_is_rewritten(situation: Situation, name: str) -> Finding:
    """Follow a local request to nat POSTROUTING; route_localnet lets it leave loopback at all."""
    host = situation.published(name).host
    sandbox = situation.sandbox_address(name)
    fate = flows.masquerading(sandbox, flows.door(situation)).fate(host.rules)
    localnet = host.sysctls.integer(f"net.ipv4.conf.{BRIDGE}.route_localnet")
    return Finding(
        ok=fate.target in ("MASQUERADE", "SNAT") and localnet == 1,
        expected=f"MASQUERADE out of {BRIDGE}, route_localnet 1",
        found=f"{fate.target if fate.rule else 'no rule'}, route_localnet {localnet}",
        evidence=fate.lines,
    )


def _passing(passages: tuple[flows.Passage, ...]) -> Finding:
    shown = [p for p in passages if not p.ok] or passages
    lines = dict.fromkeys(line for p in shown for line in p.fate.lines)
    return Finding(
        ok=bool(passages) and all(p.ok for p in passages),
        expected="accepted, and by no rule dropped before",
        found="; ".join(dict.fromkeys(map(str, shown))) or "no way into this node is known",
        evidence=tuple(lines),
    )


def _chain(situation: Situation, name: str) -> tuple[Rule, ...]:
    return situation.cluster.node(name).host.rules.in_chain("nat", INGRESS_CHAIN)


def _dnat_rules(situation: Situation, name: str) -> tuple[Rule, ...]:
    return tuple(r for r in _chain(situation, name) if _rewrites(r, flows.door(situation)))


def _publishes_elsewhere(situation: Situation, name: str) -> Rule | None:
    rules = situation.cluster.node(name).host.rules
    if rules.chain("nat", INGRESS_CHAIN) is not None:
        return None
    door = flows.door(situation)
    here = (r for r in rules.in_chain("nat", "DOCKER") if _rewrites(r, door))
    return next(here, None)


def _rewrites(rule: Rule, door: flows.Door) -> bool:
    return rule.jump == "DNAT" and (rule.protocol, rule.destination_port) == (
        door.protocol,
        door.port,
    )


def _target(target: NatTarget | None) -> str:
    if target is None:
        return "a range"
    address: IPv4Address | str = target.address or "the same address"
    return f"{address}:{target.port}" if target.port else str(address)


JUDGES = (
    port_is_reserved,
    nat_leads_to_the_chain,
    dnat_points_at_the_sandbox,
    sandbox_is_as_promised,
    requests_pass,
    replies_pass,
    local_requests_pass,
    local_source_is_rewritten,
)
