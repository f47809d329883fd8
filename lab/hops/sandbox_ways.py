"""Hop "sandbox", second half: how a packet leaves ingress_sbox for a task and comes back."""

from dataclasses import replace
from ipaddress import IPv4Address

from lab.errors import FactUnavailable
from lab.facts.addresses import Interface, Route
from lab.facts.iptables import Ruleset
from lab.hops.flows import CLIENT_PORT, Stage, pass_all
from lab.hops.judge import judge
from lab.hops.netfilter import Packet
from lab.hops.situation import IN_SANDBOX, Situation
from lab.hops.surroundings import gateway
from lab.hops.verdict import Check, Finding, Hop, Scope

IDLE_S = 900
"""After how long the kernel's IPVS forgets an idle connection of TCP, if nobody says otherwise."""


@judge(
    Check(
        "B9-snat",
        Hop.SANDBOX,
        Scope.NODE,
        "what IPVS sends to a task gets the node's own ingress address as its source",
        cause="the rule was flushed: the task then answers the client past the sandbox, and the "
        "client does not know that answer",
        see="nsenter --net=/var/run/docker/netns/ingress_sbox iptables -t nat -nvL POSTROUTING",
    )
)
def source_is_the_node(situation: Situation, name: str) -> Finding:
    """Follow a balanced packet to each task through nat POSTROUTING."""
    situation.served(name)
    rules = situation.sandbox(name).rules
    own = situation.ingress_address(name)
    interface = _overlay(situation, name)
    sent = Packet(
        source=gateway(situation, name),
        destination=own,
        protocol=situation.protocol,
        out_interface=interface.name if interface else None,
        source_port=CLIENT_PORT,
        destination_port=situation.port,
        ipvs=True,
    )
    sources = {
        task: _snat(rules, replace(sent, destination=task))
        for task in sorted(situation.cluster.backend_addresses)
    }
    wrong = [f"{task}: SNAT to {s or 'nothing'}" for task, (s, _) in sources.items() if s != own]
    lines = (line for _, found in sources.values() for line in found)
    return Finding(
        ok=bool(sources) and not wrong,
        expected=f"SNAT to {own} for every task",
        found=", ".join(wrong) or (f"SNAT to {own}" if sources else "no task to send to"),
        evidence=tuple(dict.fromkeys(lines)),
    )


@judge(
    Check(
        "B10-own-address",
        Hop.SANDBOX,
        Scope.NODE,
        "the node's own ingress address and the virtual address are on the sandbox's overlay link",
        cause="the alias was never set or was removed (known to fail when a service is updated "
        "while it starts, before Docker 29.7)",
        see="nsenter --net=/var/run/docker/netns/ingress_sbox ip addr",
    )
)
def vip_is_an_alias(situation: Situation, name: str) -> Finding:
    """Look for both addresses on one interface, which is up."""
    vip = situation.vip()
    situation.served(name)
    own = situation.ingress_address(name)
    interface = situation.sandbox(name).interface_with(own)
    held = [str(a) for a in interface.addresses] if interface else []
    up = interface is not None and interface.is_up
    return Finding(
        ok=up and f"{vip}/32" in held,
        expected=f"{own} and {vip}/32 on one interface, up",
        found=f"{', '.join(held)} on {interface.name}, {'up' if up else 'down'}"
        if interface
        else f"no interface has {own}",
    )


@judge(
    Check(
        "B11-unique",
        Hop.SANDBOX,
        Scope.SWARM,
        "every node's sandbox, every task and the virtual address have an ingress address of "
        "their own",
        cause="two managers handed out addresses, or stale state survived on a node",
        see="docker network inspect ingress",
    )
)
def ingress_addresses_are_unique(situation: Situation, _: str) -> Finding:
    """Collect all addresses of the ingress network and look for one that is held twice.

    Docker knows whom it gave an address; the kernels know who has it. A virtual address is an
    alias in every sandbox.
    """
    vip = situation.vip()
    holders: dict[IPv4Address, list[str]] = {vip: ["the virtual address"]}
    for spec in situation.topology.nodes:
        own = situation.ingress_address(spec.name)
        holders.setdefault(own, []).append(f"the sandbox of {spec.name}")
    for task in situation.cluster.running_tasks:
        if task.ingress_address is not None:
            holders.setdefault(task.ingress_address, []).append(f"slot {task.slot}")
    for spec in situation.topology.nodes:
        for address in _held_beside_its_own(situation, spec.name):
            if address in holders and address != vip:
                holders[address].append(f"the sandbox of {spec.name}")
    twice = [f"{a}: {' and '.join(who)}" for a, who in sorted(holders.items()) if len(who) > 1]
    return Finding(
        ok=not twice,
        expected="no address twice",
        found="; ".join(twice) or f"{len(holders)} addresses, all different",
    )


@judge(
    Check(
        "B12-forwarding",
        Hop.SANDBOX,
        Scope.NODE,
        "the sandbox forwards packets, and IPVS tells conntrack of its connections",
        cause="forwarding was off on the node when the sandbox was made: replies, which are "
        "forwarded, are lost. Without vs.conntrack the SNAT rule sees nothing",
        see="nsenter --net=/var/run/docker/netns/ingress_sbox sysctl net.ipv4.ip_forward "
        "net.ipv4.vs.conntrack",
    )
)
def sandbox_forwards(situation: Situation, name: str) -> Finding:
    """Read both switches inside the namespace."""
    settings = situation.sandbox(name).sysctls
    situation.service()
    found = {
        key: settings.integer(key) for key in ("net.ipv4.ip_forward", "net.ipv4.vs.conntrack")
    }
    return Finding(
        ok=all(value == 1 for value in found.values()),
        expected=", ".join(f"{key} 1" for key in found),
        found=", ".join(f"{key} {value}" for key, value in found.items()),
    )


@judge(
    Check(
        "B13-not-nat",
        Hop.SANDBOX,
        Scope.NODE,
        "the sandbox's nat table is not what chooses a task: it has no DNAT for the port",
        cause="somebody added a DNAT: it takes the packet before IPVS sees it",
        see="nsenter --net=/var/run/docker/netns/ingress_sbox iptables -t nat -nvL",
    )
)
def nat_does_not_balance(situation: Situation, name: str) -> Finding:
    """Look for rewriting rules that lead to a task or away from the published port."""
    situation.published(name)
    tasks = situation.cluster.backend_addresses
    rules = [
        r
        for r in situation.sandbox(name).rules.rules
        if r.table == "nat"
        and r.jump in ("DNAT", "REDIRECT")
        and (
            r.destination_port in (situation.port, situation.target)
            or (r.to_destination is not None and r.to_destination.address in tasks)
        )
    ]
    return Finding(
        ok=not rules,
        expected="no DNAT or REDIRECT for the service in the sandbox's nat table",
        found=f"{len(rules)} such rules" if rules else "none",
        evidence=tuple(r.raw for r in rules),
    )


@judge(
    Check(
        "B14-filter",
        Hop.SANDBOX,
        Scope.NODE,
        "no rule in the sandbox drops requests to the tasks or their replies",
        cause="somebody filtered inside the sandbox; docker leaves its filter table empty",
        see="nsenter --net=/var/run/docker/netns/ingress_sbox iptables -nvL",
    )
)
def sandbox_drops_nothing(situation: Situation, name: str) -> Finding:
    """Follow a request in to IPVS, on to each task, and the reply back through FORWARD."""
    situation.published(name)
    rules = situation.sandbox(name).rules
    ways = _ways(situation, name)
    passages = [pass_all(rules, stages) for stages in ways]
    lost = [p for p in passages if not p.ok]
    return Finding(
        ok=bool(passages) and not lost,
        expected="accepted in INPUT, OUTPUT and FORWARD",
        found="; ".join(map(str, lost)) or "accepted",
        evidence=tuple(line for p in lost for line in p.fate.lines),
    )


@judge(
    Check(
        "B15-way-back",
        Hop.SANDBOX,
        Scope.NODE,
        "the sandbox sends replies back over docker_gwbridge, and reaches tasks over the overlay",
        cause="the sandbox lost its gateway, or a route was added in it",
        see="nsenter --net=/var/run/docker/netns/ingress_sbox ip route",
    )
)
def sandbox_knows_the_ways(situation: Situation, name: str) -> Finding:
    """Read the sandbox's routes: the default one, and that of the ingress subnet."""
    sandbox = situation.sandbox(name)
    inner = sandbox.interface_with(situation.sandbox_address(name))
    overlay = _overlay(situation, name)
    bridge = gateway(situation, name)
    subnets = situation.ingress(name).subnets
    default = next((r for r in sandbox.routes if r.destination.prefixlen == 0), None)
    tasks = next((r for r in sandbox.routes if r.destination in subnets), None)
    back = default is not None and inner is not None and default.device == inner.name
    return Finding(
        ok=back
        and default is not None
        and default.gateway == bridge
        and tasks is not None
        and overlay is not None
        and tasks.device == overlay.name
        and tasks.kind == "unicast",
        expected=f"default via {bridge} on the bridge's link, "
        f"{', '.join(map(str, subnets))} on the overlay's",
        found=", ".join(_way(route) for route in (default, tasks)),
        evidence=tuple(map(_way, sandbox.routes)),
    )


@judge(
    Check(
        "B16-idle",
        Hop.SANDBOX,
        Scope.NODE,
        "IPVS keeps connections that are idle for at least as long as it does by itself",
        cause="somebody ran ipvsadm --set: a connection that is idle for longer is dead, and "
        "neither end is told",
        see="nsenter --net=/var/run/docker/netns/ingress_sbox ipvsadm -l --timeout",
    )
)
def idle_connections_are_kept(situation: Situation, name: str) -> Finding:
    """Compare the timeout of TCP with the one the kernel starts with."""
    timeouts = situation.sandbox(name).timeouts
    if timeouts is None:
        situation.balancer(name)  # without the module there is nobody to ask
        raise FactUnavailable(
            f"{name}: the timeouts of IPVS in the sandbox were not read",
            hint=f"on {name}: {IN_SANDBOX} ipvsadm -l --timeout",
        )
    return Finding(
        ok=timeouts.tcp_s >= IDLE_S,
        expected=f"{IDLE_S} s or more",
        found=f"{timeouts.tcp_s} s",
        evidence=(timeouts.raw,),
    )


def _held_beside_its_own(situation: Situation, name: str) -> tuple[IPv4Address, ...]:
    """Return the addresses on the sandbox's link to the overlay, but for the node's own."""
    overlay, own = _overlay(situation, name), situation.ingress_address(name)
    held = (a.ip for a in overlay.addresses) if overlay else ()
    return tuple(ip for ip in held if isinstance(ip, IPv4Address) and ip != own)


def _overlay(situation: Situation, name: str) -> Interface | None:
    return situation.sandbox(name).interface_with(situation.ingress_address(name))


def _way(route: Route | None) -> str:
    if route is None:
        return "no route"
    via = f" via {route.gateway}" if route.gateway else ""
    return f"{route.kind} {route.destination}{via} dev {route.device}"


def _snat(rules: Ruleset, packet: Packet) -> tuple[IPv4Address | None, tuple[str, ...]]:
    fate = Stage("nat", "POSTROUTING", packet).fate(rules)
    target = fate.rule.to_source if fate.rule is not None else None
    return (target.address if target else None), fate.lines


def _ways(situation: Situation, name: str) -> tuple[tuple[Stage, ...], ...]:
    """Return the stages in the sandbox: to IPVS, from IPVS to each task, and back."""
    sandbox = situation.sandbox(name)
    address = situation.sandbox_address(name)
    client = gateway(situation, name)
    inner = sandbox.interface_with(address)
    overlay = _overlay(situation, name)
    inside = inner.name if inner else None
    outside = overlay.name if overlay else None
    port = situation.port
    protocol = situation.protocol
    request = Packet(
        client,
        address,
        protocol,
        in_interface=inside,
        source_port=CLIENT_PORT,
        destination_port=port,
        local_destination=True,
    )
    ways = [(Stage("mangle", "INPUT", request), Stage("filter", "INPUT", request))]
    for task in sorted(situation.cluster.backend_addresses):
        sent = Packet(
            client,
            task,
            protocol,
            out_interface=outside,
            source_port=CLIENT_PORT,
            destination_port=port,
            ipvs=True,
        )
        back = Packet(
            task,
            client,
            protocol,
            in_interface=outside,
            out_interface=inside,
            source_port=port,
            destination_port=CLIENT_PORT,
            state="ESTABLISHED",
            ipvs=True,
        )
        ways.append((Stage("mangle", "OUTPUT", sent), Stage("filter", "OUTPUT", sent)))
        ways.append((Stage("mangle", "FORWARD", back), Stage("filter", "FORWARD", back)))
    return tuple(ways)


JUDGES = (
    source_is_the_node,
    vip_is_an_alias,
    ingress_addresses_are_unique,
    sandbox_forwards,
    nat_does_not_balance,
    sandbox_drops_nothing,
    sandbox_knows_the_ways,
    idle_connections_are_kept,
)
