"""The kernel's memory of a connection, as conntrack(8) and ``ipvsadm -Lnc`` print it. Pure."""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address

from lab.live.frames import Ends

_TRACKED = re.compile(r"src=([\d.]+) dst=([\d.]+) sport=(\d+) dport=(\d+)")
_BALANCED = re.compile(
    r"(?:TCP|FWM) +\d+:\d+ +(\S+) +([\d.]+):(\d+) +([\d.]+):(\d+) +([\d.]+):(\d+)"
)


@dataclass(frozen=True, slots=True)
class Tracked:
    """One connection: the packet as it came, and the answer that is expected.

    Where the two do not mirror each other, something was rewritten in this namespace.
    """

    original: Ends
    reply: Ends
    raw: str

    @property
    def rewritten(self) -> Ends:
        """Return the packet's ends as it left this namespace: the expected answer's, turned."""
        return self.reply.turned


@dataclass(frozen=True, slots=True)
class Balanced:
    """One connection IPVS has chosen a backend for."""

    client: IPv4Address
    client_port: int
    backend: IPv4Address
    backend_port: int
    raw: str


def parse_conntrack(text: str) -> tuple[Tracked, ...]:
    """Return the TCP connections of a namespace.

    Reads, for example::

        tcp      6 114 TIME_WAIT src=127.0.0.1 dst=127.0.0.1 sport=39558 dport=5000
            src=172.19.0.2 dst=172.19.0.1 sport=5000 dport=39558 [ASSURED] mark=0 use=1

    on one line each. Other lines are no connections of ours and are left out.
    """
    found = []
    for line in text.splitlines():
        halves = _TRACKED.findall(line)
        if len(halves) == 2:
            original, reply = (_ends(half) for half in halves)
            found.append(Tracked(original, reply, " ".join(line.split())))
    return tuple(found)


def parse_balanced(text: str) -> tuple[Balanced, ...]:
    """Return the connections IPVS knows.

    Reads, for example::

        IPVS connection entries
        pro expire state       source             virtual            destination
        TCP 01:52  TIME_WAIT   172.19.0.1:39558   172.19.0.2:5000    10.0.0.6:5000
    """
    found = []
    for line in text.splitlines():
        if match := _BALANCED.search(line):
            found.append(
                Balanced(
                    IPv4Address(match[2]),
                    int(match[3]),
                    IPv4Address(match[6]),
                    int(match[7]),
                    " ".join(line.split()),
                )
            )
    return tuple(found)


def _ends(half: tuple[str, str, str, str]) -> Ends:
    source, destination, source_port, destination_port = half
    return Ends(
        IPv4Address(source), int(source_port), IPv4Address(destination), int(destination_port)
    )
