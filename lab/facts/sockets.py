"""Listening sockets as ``ss -Hltunp`` prints them."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address


@dataclass(frozen=True, slots=True)
class Process:
    """The owner of a socket."""

    name: str
    pid: int


@dataclass(frozen=True, slots=True)
class Listener:
    """One bound socket. ``address`` is None for ``*``: every IPv6 and IPv4 address.

    ``processes`` is empty for a socket of the kernel (VXLAN's UDP 4789) or when ss may not
    look; dockerd owns the published ports only to reserve them and never accepts.
    """

    protocol: str
    address: IPv4Address | IPv6Address | None
    port: int
    processes: tuple[Process, ...]
    raw: str

    @property
    def any_ipv4(self) -> bool:
        """Whether it takes connections to every IPv4 address of the namespace."""
        return self.address is None or self.address == IPv4Address(0)
