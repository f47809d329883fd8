"""The packets of one request, at each hook of a node they pass: what the host's rules must let by.

A request comes from another node over the link, or from outside through the interface of a
default route, or from a program on the node itself. Its reply goes back the same way.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address

from lab.facts.iptables import Ruleset
from lab.facts.model import HostFacts, NodeFacts
from lab.hops.netfilter import Fate, Packet, follow
from lab.hops.situation import BRIDGE, Situation
from lab.hops.surroundings import tunnel_peers

LOOPBACK = IPv4Address("127.0.0.1")
CLIENT_PORT = 50000
"""Any port a client may have: inside ``net.ipv4.ip_local_port_range``'s default."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One chain on a packet's way, and the packet as it looks there."""

    table: str
    chain: str
    packet: Packet

    def fate(self, rules: Ruleset) -> Fate:
        """Return what becomes of the packet in this chain."""
        return follow(rules, self.table, self.chain, self.packet)


@dataclass(frozen=True, slots=True)
class Door:
    """The published port: ``tcp 5000``."""

    protocol: str
    port: int

    def __str__(self) -> str:
        return f"{self.protocol} {self.port}"


def door(situation: Situation) -> Door:
    """Return the published port that is looked at."""
    return Door(situation.protocol, situation.port)


@dataclass(frozen=True, slots=True)
class Entrance:
    """A way into a node: from ``source`` by ``interface`` to the node's ``address``."""

    interface: str
    address: IPv4Address
    source: IPv4Address


@dataclass(frozen=True, slots=True)
class Passage:
    """How a packet fared on one of its stages."""

    stage: Stage
    fate: Fate

    @property
    def ok(self) -> bool:
        """Whether it surely passes here."""
        return self.fate.passes

    def __str__(self) -> str:
        packet = self.stage.packet
        chain = f"{self.stage.table} {self.stage.chain}"
        if self.fate.doubts:
            word = "may be dropped"
        else:
            word = self.fate.target + (" by policy" if self.fate.rule is None else "")
        if packet.in_interface is None:
            way = f"to {packet.out_interface}"
        else:
            way = f"from {packet.in_interface}"
        return f"{chain}: {word} ({packet.source} {way}, {packet.state})"


def pass_all(rules: Ruleset, stages: tuple[Stage, ...]) -> Passage:
    """Return where a packet is lost; when nowhere, how the filter table let it pass."""
    passages = [Passage(stage, stage.fate(rules)) for stage in stages]
    lost = (p for p in passages if not p.ok)
    filtered = (p for p in passages if p.stage.table == "filter")
    return next(lost, None) or next(filtered)


def entrances(situation: Situation, name: str) -> tuple[Entrance, ...]:
    """Return the ways into a node: from each other node, and from each default gateway."""
    host = situation.cluster.node(name).host
    address = situation.spec(name).address
    link = host.interface_with(address)
    ways = []
    if link is not None:
        others = tunnel_peers(situation, name)
        ways += [Entrance(link.name, address, other) for other in others]
    return (*ways, *_outer_ways(host))


def _outer_ways(host: HostFacts) -> tuple[Entrance, ...]:
    ways = []
    for route in host.routes:
        if route.destination.prefixlen or route.gateway is None or route.device is None:
            continue
        interface = host.interface(route.device)
        held = interface.addresses if interface is not None else ()
        address = next((a.ip for a in held if isinstance(a.ip, IPv4Address)), None)
        if address is not None:
            ways.append(Entrance(route.device, address, route.gateway))
    return tuple(ways)


def arriving(entrance: Entrance, door: Door) -> Packet:
    """Return a request as it comes in, before any address is rewritten."""
    return Packet(
        source=entrance.source,
        destination=entrance.address,
        protocol=door.protocol,
        in_interface=entrance.interface,
        source_port=CLIENT_PORT,
        destination_port=door.port,
        local_destination=True,
    )


def leaving_locally(door: Door) -> Packet:
    """Return a request of a program on the node to 127.0.0.1."""
    return Packet(
        source=LOOPBACK,
        destination=LOOPBACK,
        protocol=door.protocol,
        out_interface="lo",
        source_port=CLIENT_PORT,
        destination_port=door.port,
        local_source=True,
        local_destination=True,
    )


def outside_request(entrance: Entrance, sandbox: IPv4Address, door: Door) -> tuple[Stage, ...]:
    """Return the stages of a request from outside on its way to the sandbox."""
    first = arriving(entrance, door)
    routed = Packet(
        source=entrance.source,
        destination=sandbox,
        protocol=door.protocol,
        in_interface=entrance.interface,
        out_interface=BRIDGE,
        source_port=CLIENT_PORT,
        destination_port=door.port,
        is_dnat=True,
    )
    return (
        Stage("raw", "PREROUTING", first),
        Stage("mangle", "PREROUTING", first),
        Stage("mangle", "FORWARD", routed),
        Stage("filter", "FORWARD", routed),
        Stage("mangle", "POSTROUTING", routed),
    )


def outside_reply(entrance: Entrance, sandbox: IPv4Address, door: Door) -> tuple[Stage, ...]:
    """Return the stages of a reply from the sandbox on its way out."""
    first = Packet(
        source=sandbox,
        destination=entrance.source,
        protocol=door.protocol,
        in_interface=BRIDGE,
        source_port=door.port,
        destination_port=CLIENT_PORT,
        state="ESTABLISHED",
    )
    routed = Packet(
        source=sandbox,
        destination=entrance.source,
        protocol=door.protocol,
        in_interface=BRIDGE,
        out_interface=entrance.interface,
        source_port=door.port,
        destination_port=CLIENT_PORT,
        state="ESTABLISHED",
        is_dnat=True,
    )
    return (
        Stage("raw", "PREROUTING", first),
        Stage("mangle", "PREROUTING", first),
        Stage("mangle", "FORWARD", routed),
        Stage("filter", "FORWARD", routed),
        Stage("mangle", "POSTROUTING", routed),
    )


def local_request(sandbox: IPv4Address, door: Door) -> tuple[Stage, ...]:
    """Return the stages of a request made on the node: nat rewrites it before filter looks."""
    first = leaving_locally(door)
    rewritten = Packet(
        source=LOOPBACK,
        destination=sandbox,
        protocol=door.protocol,
        out_interface=BRIDGE,
        source_port=CLIENT_PORT,
        destination_port=door.port,
        local_source=True,
        is_dnat=True,
    )
    return (
        Stage("raw", "OUTPUT", first),
        Stage("mangle", "OUTPUT", first),
        Stage("filter", "OUTPUT", rewritten),
        Stage("mangle", "POSTROUTING", rewritten),
    )


def local_reply(sandbox: IPv4Address, door: Door) -> tuple[Stage, ...]:
    """Return the stages of the sandbox's reply to a program on the node."""
    back = Packet(
        source=sandbox,
        destination=LOOPBACK,
        protocol=door.protocol,
        in_interface=BRIDGE,
        source_port=door.port,
        destination_port=CLIENT_PORT,
        state="ESTABLISHED",
        local_destination=True,
        is_dnat=True,
    )
    return (
        Stage("raw", "PREROUTING", back),
        Stage("mangle", "PREROUTING", back),
        Stage("mangle", "INPUT", back),
        Stage("filter", "INPUT", back),
    )


def masquerading(sandbox: IPv4Address, door: Door) -> Stage:
    """Return the stage where a request made on the node gets a source the sandbox can answer."""
    return Stage(
        "nat",
        "POSTROUTING",
        Packet(
            source=LOOPBACK,
            destination=sandbox,
            protocol=door.protocol,
            out_interface=BRIDGE,
            source_port=CLIENT_PORT,
            destination_port=door.port,
            local_source=True,
        ),
    )


def between_nodes(
    node: NodeFacts, address: IPv4Address, peer: IPv4Address, door: Door
) -> tuple[tuple[Stage, ...], tuple[Stage, ...]]:
    """Return the stages of a peer's packet to a port of the node, and of the node's to the peer's.

    Both end, or begin, on the node itself, at its ``address``. Empty when no interface has it.
    """
    link = node.host.interface_with(address)
    if link is None:
        return (), ()
    coming = Packet(
        protocol=door.protocol,
        source=peer,
        destination=address,
        in_interface=link.name,
        source_port=CLIENT_PORT,
        destination_port=door.port,
        local_destination=True,
    )
    going = Packet(
        protocol=door.protocol,
        source=address,
        destination=peer,
        out_interface=link.name,
        source_port=CLIENT_PORT,
        destination_port=door.port,
        local_source=True,
    )
    return (
        (
            Stage("raw", "PREROUTING", coming),
            Stage("mangle", "PREROUTING", coming),
            Stage("mangle", "INPUT", coming),
            Stage("filter", "INPUT", coming),
        ),
        (
            Stage("raw", "OUTPUT", going),
            Stage("mangle", "OUTPUT", going),
            Stage("filter", "OUTPUT", going),
            Stage("mangle", "POSTROUTING", going),
        ),
    )
