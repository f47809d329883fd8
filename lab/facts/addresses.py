"""Interfaces, routes, neighbours and forwarding entries as ``ip -json`` prints them."""

from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
)


@dataclass(frozen=True, slots=True)
class Vxlan:
    """What makes a link a VXLAN tunnel. ``port`` is the UDP destination port.

    ``local`` is None when the link is not bound to one address: docker 26.1 leaves it open.
    """

    vni: int
    port: int
    local: IPv4Address | IPv6Address | None


@dataclass(frozen=True, slots=True)
class Interface:
    """One link with its addresses. ``mtu`` in bytes, ``mac`` in lower case.

    ``kind`` is the driver ("veth", "bridge", "vxlan"), None for a physical or loopback link;
    ``master`` the bridge it is plugged into. ``flags`` are the kernel's ("UP", "LOWER_UP").
    """

    index: int
    name: str
    mtu: int
    flags: tuple[str, ...]
    mac: str | None
    kind: str | None
    master: str | None
    addresses: tuple[IPv4Interface | IPv6Interface, ...]
    vxlan: Vxlan | None = None

    @property
    def is_up(self) -> bool:
        """Whether the link is set up and has a carrier."""
        return "UP" in self.flags and "LOWER_UP" in self.flags


@dataclass(frozen=True, slots=True)
class Route:
    """One IPv4 route of the main table. ``default`` is 0.0.0.0/0.

    ``kind`` is "unicast" unless the kernel says otherwise ("blackhole", "unreachable", ...).
    """

    destination: IPv4Network
    kind: str
    device: str | None
    gateway: IPv4Address | None
    source: IPv4Address | None
    metric: int


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """One routing policy rule: which ``table`` is asked, lowest ``priority`` first.

    ``selector`` holds the remaining keys verbatim, as ("src", "all").
    """

    priority: int
    table: str
    selector: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class RouteLookup:
    """What ``ip route get`` decided for one destination.

    ``error`` is the kernel's refusal ("RTNETLINK answers: Invalid argument" for a blackhole,
    "Network is unreachable"); then ``device`` is None. A refusal is a finding, not missing
    evidence.
    """

    destination: IPv4Address
    device: str | None
    gateway: IPv4Address | None
    source: IPv4Address | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Neighbour:
    """One neighbour table entry; ``state`` as the kernel names it ("PERMANENT", "STALE")."""

    address: IPv4Address | IPv6Address
    device: str
    mac: str | None
    state: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ForwardingEntry:
    """One bridge or VXLAN forwarding entry.

    ``destination`` is the tunnel end the frame is sent to, None for a local port.
    """

    mac: str
    device: str
    destination: IPv4Address | IPv6Address | None
    state: str | None
