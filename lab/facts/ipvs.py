"""The kernel's load balancer table as ``ipvsadm`` prints it."""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address


class Forwarding(StrEnum):
    """How IPVS hands a packet to a backend; the words of ``ipvsadm -Ln``."""

    MASQUERADE = "Masq"
    ROUTE = "Route"
    TUNNEL = "Tunnel"
    LOCAL = "Local"


@dataclass(frozen=True, slots=True)
class Traffic:
    """Counters since the entry was made; exact numbers, bytes not bits."""

    connections: int
    in_packets: int
    out_packets: int
    in_bytes: int
    out_bytes: int


@dataclass(frozen=True, slots=True)
class Backend:
    """One real server, a ``->`` line.

    ``port`` is 0 for the backends of a fwmark service: the packet keeps its port.
    ``weight`` 0 means draining: no new connection is sent there. ``traffic`` is None only when
    the entry appeared between the two readings (configuration first, counters second).
    """

    address: IPv4Address
    port: int
    forwarding: Forwarding
    weight: int
    active_connections: int
    inactive_connections: int
    traffic: Traffic | None
    raw: str


@dataclass(frozen=True, slots=True)
class VirtualService:
    """One balanced service: by ``fwmark``, or by ``protocol``, ``address`` and ``port``.

    ``fwmark`` is an int: ipvsadm prints decimal (258), iptables hexadecimal (0x102).
    ``flags`` are the words after the scheduler ("persistent", "300", "ops"), usually none.
    """

    fwmark: int | None
    protocol: str | None
    address: IPv4Address | None
    port: int | None
    scheduler: str
    flags: tuple[str, ...]
    backends: tuple[Backend, ...]
    traffic: Traffic | None
    raw: str
