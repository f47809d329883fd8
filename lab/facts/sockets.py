"""Listening sockets as ``ss -Hltunp`` prints them, see ss(8)."""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from lab.errors import UnreadableOutput


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


# A socket bound to one interface shows as 127.0.0.53%lo or [fe80::1]%eth0.
_HOST = r"(\*|[\d.]+|\[[\da-f:.]+\])"
_LINE = re.compile(
    rf"(tcp|udp) +(?:LISTEN|UNCONN) +\d+ +\d+ +{_HOST}(?:%[^:]+)?:(\d+) +\S+ *(users:.*)?"
)
_PROCESS = re.compile(r'\("([^"]*)",pid=(\d+),fd=\d+\)')


def parse_listeners(text: str) -> tuple[Listener, ...]:
    """Return the TCP listeners and the unconnected UDP sockets, in the order of ss.

    Reads, for example::

        udp UNCONN 0      0        0.0.0.0:4789 0.0.0.0:*
        tcp LISTEN 0      4096           *:5000       *:* users:(("dockerd",pid=194,fd=48))

    Raises:
        UnreadableOutput: A line of another form.
    """
    listeners: list[Listener] = []
    for number, line in enumerate(text.splitlines(), start=1):
        match = _LINE.fullmatch(line.rstrip())
        if match is None:
            raise UnreadableOutput(
                "ss printed a line of an unknown form", details=f"line {number}: {line}"
            )
        # dict.fromkeys: a process may hold the same socket under several descriptors.
        owners = dict.fromkeys(_PROCESS.findall(match[4] or ""))
        listeners.append(
            Listener(
                protocol=match[1],
                address=None if match[2] == "*" else ip_address(match[2].strip("[]")),
                port=int(match[3]),
                processes=tuple(Process(name, int(pid)) for name, pid in owners),
                raw=line.rstrip(),
            )
        )
    return tuple(listeners)
