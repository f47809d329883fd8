"""Hop "host", second half: docker_gwbridge, who has which address on it, and the route there."""

from lab.facts.addresses import PolicyRule, Route
from lab.hops.judge import judge
from lab.hops.situation import BRIDGE, Situation
from lab.hops.surroundings import bridge_subnet, gateway
from lab.hops.verdict import Check, Finding, Hop, Scope

KERNEL_TABLES = frozenset({"local", "main", "default", "255", "254", "253"})
"""The tables every Linux asks: ip-rule(8), "table ids 255, 254, 253"."""


@judge(
    Check(
        "H9-bridge",
        Hop.HOST,
        Scope.NODE,
        "docker_gwbridge has the topology's subnet, and the node is its gateway",
        cause="it was not made before swarm init or join, so Docker chose a subnet itself",
        see="docker network inspect docker_gwbridge; ifconfig docker_gwbridge",
    )
)
def bridge_is_in_place(situation: Situation, name: str) -> Finding:
    """Compare Docker's word and the interface with the topology."""
    bridge = situation.bridge(name)
    host = situation.cluster.node(name).host
    own = gateway(situation, name)
    wanted = bridge_subnet(situation, name)
    interface = host.interface(BRIDGE)
    held = [str(a) for a in interface.addresses if a.version == 4] if interface else []
    up = interface is not None and "UP" in interface.flags
    return Finding(
        ok=bridge.subnets == (wanted,) and up and held == [f"{own}/{wanted.prefixlen}"],
        expected=f"subnet {wanted}, {own}/{wanted.prefixlen} on the interface, up",
        found=f"subnet {', '.join(map(str, bridge.subnets))}, {', '.join(held) or 'no address'}"
        f" on the interface{'' if interface else ', which does not exist'}"
        f"{', up' if up else ', down'}",
    )


@judge(
    Check(
        "H10-address",
        Hop.HOST,
        Scope.NODE,
        "the address on docker_gwbridge belongs to the hidden ingress-sbox",
        cause="the sandbox lost its interface, or Docker's records and the kernel disagree",
        see="docker network inspect docker_gwbridge",
    )
)
def address_is_the_sandbox(situation: Situation, name: str) -> Finding:
    """Find Docker's address of ingress-sbox on an interface inside the namespace."""
    address = situation.sandbox_address(name)
    sandbox = situation.sandbox(name)
    interface = sandbox.interface_with(address)
    held = ", ".join(str(a.ip) for i in sandbox.interfaces for a in i.addresses if a.version == 4)
    up = interface is not None and interface.is_up
    return Finding(
        ok=up,
        expected=f"{address} on an interface of the namespace ingress_sbox, up",
        found=f"{address} on {interface.name}, {'up' if up else 'down'}"
        if interface
        else f"the namespace holds {held}",
    )


@judge(
    Check(
        "H11-route",
        Hop.HOST,
        Scope.NODE,
        "the node reaches the sandbox directly over docker_gwbridge",
        cause="another interface, a VPN or a more specific route claims this address",
        see="ip route get {sandbox}",
    )
)
def route_goes_over_the_bridge(situation: Situation, name: str) -> Finding:
    """Believe the kernel's own lookup."""
    address = situation.sandbox_address(name)
    lookup = situation.cluster.node(name).host.route_to_sandbox
    expected = f"{address} is on the link of {BRIDGE}"
    if lookup is None or lookup.error is not None:
        error = lookup.error if lookup else "no lookup was made"
        return Finding(ok=False, expected=expected, found=f"the kernel refuses: {error}")
    gateway = f" via {lookup.gateway}" if lookup.gateway else ""
    return Finding(
        ok=lookup.device == BRIDGE and lookup.gateway is None and lookup.destination == address,
        expected=expected,
        found=f"{lookup.destination} goes{gateway} to {lookup.device}",
    )


@judge(
    Check(
        "H12-no-shadow",
        Hop.HOST,
        Scope.NODE,
        "no other route and no policy rule may take packets for the sandbox elsewhere",
        cause="somebody added a blackhole, a host route or a policy routing rule",
        see="ip route show; ip rule show",
    )
)
def nothing_shadows_the_route(situation: Situation, name: str) -> Finding:
    """Look for routes as specific as the bridge's own, and for rules that ask other tables.

    A lookup alone does not tell: forwarded packets may match other policy rules than it did.
    """
    address = situation.sandbox_address(name)
    host = situation.cluster.node(name).host
    covering = [r for r in host.routes if address in r.destination]
    own = [r for r in covering if r.device == BRIDGE and r.kind == "unicast"]
    longest = max((r.destination.prefixlen for r in own), default=33)
    # A lab has none. Hosts of somebody's own may, for a reason, and H11-route asks the kernel.
    ruling = host.policy_rules if situation.is_lab else ()
    strangers = [
        *(_route(r) for r in covering if r not in own and r.destination.prefixlen >= longest),
        *(_rule(r) for r in ruling if r.table not in KERNEL_TABLES),
    ]
    return Finding(
        ok=bool(own) and not strangers,
        expected=f"only the route of {BRIDGE} covers {address}",
        found=", ".join(strangers) or ("nothing else" if own else "the bridge has no route"),
        evidence=tuple(strangers),
    )


@judge(
    Check(
        "H13-forwarding",
        Hop.HOST,
        Scope.NODE,
        "the node forwards packets between its interfaces",
        cause="net.ipv4.ip_forward was set to 0 after docker started (a sysctl file, a hardening "
        "script): requests from other machines then vanish, local ones still work",
        see="sysctl net.ipv4.ip_forward net.ipv4.conf.docker_gwbridge.forwarding",
    )
)
def host_forwards(situation: Situation, name: str) -> Finding:
    """Read the switch of the node and that of each interface on the way."""
    situation.bridge(name)
    host = situation.cluster.node(name).host
    link = host.interface_with(situation.spec(name).address)
    names = ["net.ipv4.ip_forward", f"net.ipv4.conf.{BRIDGE}.forwarding"]
    if link is not None:
        names.append(f"net.ipv4.conf.{link.name}.forwarding")
    found = {key: host.sysctls.integer(key) for key in names}
    return Finding(
        ok=all(value == 1 for value in found.values()),
        expected=", ".join(f"{key} 1" for key in found),
        found=", ".join(f"{key} {value}" for key, value in found.items()),
    )


def _route(route: Route) -> str:
    via = f" via {route.gateway}" if route.gateway else ""
    device = f" dev {route.device}" if route.device else ""
    return f"{route.kind} {route.destination}{via}{device}"


def _rule(rule: PolicyRule) -> str:
    selector = " ".join(f"{key} {value}" for key, value in rule.selector)
    return f"{rule.priority}: {selector} lookup {rule.table}"


JUDGES = (
    bridge_is_in_place,
    address_is_the_sandbox,
    route_goes_over_the_bridge,
    nothing_shadows_the_route,
    host_forwards,
)
