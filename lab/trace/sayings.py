"""What each station does, said from the facts, whatever they are."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from lab.facts.iptables import NatTarget, Rule
from lab.facts.ipvs import VirtualService
from lab.facts.model import OverlayFacts
from lab.hops import clients, flows
from lab.hops.host import INGRESS_CHAIN
from lab.hops.judge import slot_number
from lab.hops.situation import BRIDGE, Blocked, Situation
from lab.hops.surroundings import gateway, tunnel_peers
from lab.trace.model import HERE

OF_DNAT = "H3-dnat"
"""The check of the rule that rewrites; it is left out where its layout is not known."""


@dataclass(frozen=True, slots=True)
class Said:
    """One sentence, the same in a few words, and lines from the facts that show it."""

    does: str
    brief: str
    lines: tuple[str, ...] = ()


def port(situation: Situation, node: str) -> Said:
    """Say who holds the published port."""
    held = [
        s
        for s in situation.cluster.node(node).host.listeners
        if (s.protocol, s.port) == (situation.protocol, situation.port)
    ]
    unknown = situation.why_left_out("H1-reserved", node)
    if not held and unknown:
        return Said(unknown, str(flows.door(situation)))
    owners = ", ".join(sorted({p.name for s in held for p in s.processes})) or "nobody"
    return Said(
        f"{owners} listens on {flows.door(situation)} to keep others away; it never accepts",
        f"{flows.door(situation)}, held by {owners}",
        tuple(s.raw for s in held),
    )


def dnat_rules(situation: Situation, node: str) -> tuple[Rule, ...]:
    """Return the rules that rewrite the port's destination on a node."""
    chain = situation.cluster.node(node).host.rules.in_chain("nat", INGRESS_CHAIN)
    return tuple(r for r in chain if r.jump == "DNAT" and _is_for_the_port(situation, r))


def _is_for_the_port(situation: Situation, rule: Rule) -> bool:
    """Say whether a rule looks at the published port, of its own protocol."""
    wanted = (situation.protocol, situation.port)
    return (rule.protocol, rule.destination_port) == wanted


def dnat_target(situation: Situation, node: str) -> NatTarget | None:
    """Return where the port's destination is rewritten to, None when nobody does it.

    Where the layout of the rules is not known, that is the sandbox: it is what they are made for.
    """
    rules = dnat_rules(situation, node)
    sandbox = situation.cluster.node(node).sandbox_address
    if not rules and sandbox and situation.why_left_out(OF_DNAT, node):
        return NatTarget(sandbox, situation.port)
    return rules[0].to_destination if rules else None


def dnat(situation: Situation, node: str) -> Said:
    """Say where the host rewrites the port to."""
    rules = dnat_rules(situation, node)
    target = dnat_target(situation, node)
    if not rules and target is None:
        return Said(
            f"no rule rewrites {flows.door(situation)}: the packet stays on the host",
            f"no rule for {flows.door(situation)}",
        )
    to = f"{target.address}:{target.port}" if target else "a range of addresses"
    if not rules:
        return Said(
            f"{situation.why_left_out(OF_DNAT, node)}; taken for rewritten to {to}, the hidden "
            "sandbox",
            "a layout not known here",
        )
    return Said(
        f"{flows.door(situation)} to any address of the node becomes {to}, the hidden sandbox",
        f"{flows.door(situation)} becomes {to}",
        tuple(rule.raw for rule in rules),
    )


def filtered(situation: Situation, node: str) -> Said:
    """Say what the host's filter does with requests from outside."""
    try:
        passages = clients.passages(situation, node, flows.outside_request)
    except Blocked as blocked:
        return Said(blocked.found, "no sandbox to send to")
    lost = next((p for p in passages if not p.ok), None)
    lines = dict.fromkeys(line for p in passages for line in p.fate.lines)
    if lost is not None and all(
        p.ok or clients.is_owners_to_say(situation, node, p) for p in passages
    ):
        return Said(
            f"rules of the owner's choose the clients: {lost}",
            f"{clients.USER_CHAIN} chooses the clients",
            tuple(lines),
        )
    if lost is not None:
        return Said(f"requests are dropped: {lost}", "drops requests", tuple(lines))
    return Said(
        f"requests are let through to {BRIDGE}, and replies out again",
        "lets requests and replies pass",
        tuple(lines),
    )


def bridge(situation: Situation, node: str) -> Said:
    """Say how the host reaches the sandbox."""
    try:
        sandbox = situation.sandbox_address(node)
    except Blocked as blocked:
        return Said(blocked.found, "no ingress-sbox")
    lookup = situation.cluster.node(node).host.route_to_sandbox
    rules = situation.cluster.node(node).host.rules
    found = situation.cluster.node(node).sandbox
    inner = found.interface_with(sandbox) if found else None
    masquerading = flows.masquerading(sandbox, flows.door(situation))
    way = "no route" if lookup is None else lookup.error or f"dev {lookup.device}"
    there = f"{inner.name} of ingress_sbox" if inner else "nobody"
    return Said(
        f"{sandbox} is {there}, plugged into {BRIDGE}; the node asks from "
        f"{gateway(situation, node)}",
        f"{gateway(situation, node)} to {sandbox}",
        (
            f"{sandbox} {way}",
            *masquerading.fate(rules).lines,
        ),
    )


def marking(situation: Situation, node: str) -> tuple[Rule, ...]:
    """Return the rules that set a mark for the port in a node's sandbox."""
    found = situation.cluster.node(node).sandbox
    chain = found.rules.in_chain("mangle", "PREROUTING") if found else ()
    return tuple(
        r
        for r in chain
        if r.jump == "MARK"
        and r.protocol in (situation.protocol, None)
        and r.destination_port in (situation.port, None)
    )


def mark(situation: Situation, node: str) -> Said:
    """Say which mark the packet gets."""
    rules = marking(situation, node)
    found = rules[-1].set_mark if rules else None
    if found is None:
        return Said(
            f"{flows.door(situation)} gets no mark: IPVS does not care for it", "no mark is set"
        )
    return Said(
        f"{flows.door(situation)} gets the mark {found:#x}, which is {found} in decimal",
        f"mark {found:#x} = {found}",
        tuple(rule.raw for rule in rules),
    )


def balancer(situation: Situation, node: str) -> VirtualService | None:
    """Return the IPVS service the marked packet comes to, None when there is none."""
    found = situation.cluster.node(node).sandbox
    rules = marking(situation, node)
    if found is None or not rules or rules[-1].set_mark is None:
        return None
    return found.virtual_service(rules[-1].set_mark)


def ipvs(situation: Situation, node: str) -> Said:
    """Say between which backends the kernel chooses."""
    service = balancer(situation, node)
    unmarked = service is None
    if service is None:
        try:
            service = situation.balancer(node)
        except Blocked as blocked:
            return Said(blocked.found, "no service for the mark")
    but = "; but this packet does not have that mark" if unmarked else ""
    names = [str(b.address) if b.weight else f"{b.address} (drained)" for b in service.backends]
    how = "each in turn" if service.scheduler == "rr" else f"scheduler {service.scheduler}"
    return Said(
        f"FWM {service.fwmark} {service.scheduler}: one of {', '.join(names) or 'no backend'}, "
        f"{how}{but}",
        f"FWM {service.fwmark} {service.scheduler}: "
        + (", ".join(names) if len(names) < 3 else f"{len(names)} backends"),
        (service.raw, *(backend.raw for backend in service.backends)),
    )


def snat_source(situation: Situation, node: str) -> IPv4Address | None:
    """Return the source a balanced packet gets, None when it keeps its own."""
    rule = next(iter(_snat_rules(situation, node)), None)
    return rule.to_source.address if rule is not None and rule.to_source else None


def _snat_rules(situation: Situation, node: str) -> tuple[Rule, ...]:
    found = situation.cluster.node(node).sandbox
    chain = found.rules.in_chain("nat", "POSTROUTING") if found else ()
    return tuple(r for r in chain if r.jump == "SNAT" and r.ipvs)


def snat(situation: Situation, node: str) -> Said:
    """Say who sends the packet on."""
    source = snat_source(situation, node)
    if source is None:
        return Said(
            "the packet keeps its source: the task's answer takes another way",
            "keeps the source",
        )
    return Said(
        f"the sender becomes {source}, this sandbox, so that the answer comes back here",
        f"from {source}",
        tuple(rule.raw for rule in _snat_rules(situation, node)),
    )


def overlay(situation: Situation, node: str) -> Said:
    """Say which tunnel carries the packet, and what it knows of the tasks elsewhere."""
    found = situation.cluster.node(node).overlay
    tunnel = found.vxlan if found else None
    if found is None or tunnel is None:
        return Said("there is no tunnel on this node", "no tunnel")
    tasks = [t.ingress_address for t in situation.cluster.running_tasks if t.ingress_address]
    known = (line for task in sorted(tasks) for line in tunnel_lines(found, task))
    return Said(
        f"bridge br0 to tasks here; VXLAN id {tunnel.vni}, UDP {tunnel.port}, to tasks elsewhere",
        f"br0, VXLAN id {tunnel.vni}",
        (*device_lines(found), *known),
    )


def device_lines(overlay: OverlayFacts) -> tuple[str, ...]:
    """Return the line of a node's tunnel, as ``ip -d link`` would say it in short."""
    return tuple(
        f"{i.name}: vxlan id {i.vxlan.vni} dstport {i.vxlan.port} mtu {i.mtu} "
        f"{'up' if i.is_up else 'DOWN'}"
        for i in overlay.interfaces
        if i.vxlan is not None
    )


def tunnel_lines(overlay: OverlayFacts, task: IPv4Address) -> tuple[str, ...]:
    """Return what a node's tunnel knows of a task: its neighbour and its forwarding entry."""
    near = [n for n in overlay.neighbours if n.address == task]
    macs = {n.mac for n in near}
    far = [e for e in overlay.forwarding if e.mac in macs and e.destination is not None]
    lines = [f"{n.address} dev {n.device} lladdr {n.mac} {' '.join(n.state)}" for n in near]
    lines += [f"{e.mac} dev {e.device} dst {e.destination} self {e.state or ''}" for e in far]
    return tuple(line.rstrip() for line in lines)


def tunnel_end(overlay: OverlayFacts, task: IPv4Address) -> IPv4Address | IPv6Address | None:
    """Return where a node's tunnel sends frames for a task, None when it does not know."""
    mac = next((n.mac for n in overlay.neighbours if n.address == task), None)
    # br0 has an entry for the same address, which names no other node.
    ends = (e.destination for e in overlay.forwarding if e.mac == mac and e.destination)
    return next(ends, None)


def redirect(situation: Situation, slot: str) -> Said:
    """Say which port the container turns the published one into."""
    try:
        mine = _redirections(situation, slot)
    except Blocked as blocked:
        return Said(blocked.found, "no namespace")
    if not mine:
        return Said(
            f"{flows.door(situation)} stays what it is, and nobody listens there",
            f"no rule for {flows.door(situation)}",
        )
    to = mine[0].redirect_port
    return Said(
        f"{flows.door(situation)} becomes {to}, the program's own port",
        f"{flows.door(situation)} becomes {to}",
        tuple(rule.raw for rule in mine),
    )


def redirected_port(situation: Situation, slot: str) -> int | None:
    """Return the port a packet has inside the container, None when nothing redirects it."""
    try:
        mine = _redirections(situation, slot)
    except Blocked:
        return None
    return mine[0].redirect_port if mine else None


def _redirections(situation: Situation, slot: str) -> tuple[Rule, ...]:
    chain = situation.namespace(slot_number(slot)).rules.in_chain("nat", "PREROUTING")
    return tuple(r for r in chain if r.jump == "REDIRECT" and _is_for_the_port(situation, r))


def program(situation: Situation, slot: str) -> Said:
    """Say who listens in the container."""
    try:
        listeners = situation.namespace(slot_number(slot)).listeners
    except Blocked as blocked:
        return Said(blocked.found, "no namespace")
    held = [s for s in listeners if s.protocol == situation.protocol]
    mine = [s for s in held if s.port == situation.target] or held
    owners = ", ".join(sorted({p.name for s in mine for p in s.processes})) or "the program"
    places = ", ".join(f"{s.address or '*'}:{s.port}" for s in mine)
    unknown = situation.why_left_out("T2-listens", slot)
    if not mine and unknown:
        return Said(unknown, f"{situation.protocol} {situation.target}")
    if not mine:
        return Said("nothing listens in this container", "nothing listens")
    return Said(
        f"{owners} listens on {places}", f"listens on {places}", tuple(s.raw for s in mine)
    )


def client(situation: Situation, origin: str, entry: str) -> tuple[str, str]:
    """Return source and destination of the request as it is made."""
    port = situation.port
    if origin != HERE:
        return str(flows.LOOPBACK), f"{flows.LOOPBACK}:{port}"
    outer = outer_entrance(situation, entry)
    if outer is None:
        return "this machine", f"{situation.spec(entry).address}:{port}"
    return str(outer.source), f"{outer.address}:{port}"


def outer_entrance(situation: Situation, node: str) -> flows.Entrance | None:
    """Return the way into a node that is none from another node, None when there is none."""
    inside = set(tunnel_peers(situation, node))
    ways = flows.entrances(situation, node)
    return next((way for way in ways if way.source not in inside), None)
