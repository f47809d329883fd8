"""The kernel's load balancer table: ``ipvsadm``, see ipvsadm(8), or ``/proc/net/ip_vs``."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address

from lab.errors import UnreadableOutput

TRAFFIC_DELAY_S = 2.0
"""How far the counters may be behind.

The kernel adds them up in its estimator only, once per 2 s (net/netfilter/ipvs/ip_vs_est.c);
measured on kernel 6.12: right after 4 requests ``--stats`` showed 2, or none, of them.
"""


class Forwarding(StrEnum):
    """How IPVS hands a packet to a backend; the words of ``ipvsadm -Ln``."""

    MASQUERADE = "Masq"
    ROUTE = "Route"
    TUNNEL = "Tunnel"
    LOCAL = "Local"


@dataclass(frozen=True, slots=True)
class Traffic:
    """Counters since the entry was made; exact numbers, bytes not bits.

    They are behind by up to ``TRAFFIC_DELAY_S``; a backend's ``active_connections`` and
    ``inactive_connections`` are not.
    """

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
    the entry appeared between the two readings (configuration first, counters second), or when
    the table was read from /proc/net/ip_vs, which has no counters.
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


@dataclass(frozen=True, slots=True)
class Timeouts:
    """After how many idle seconds IPVS forgets a connection, in one network namespace.

    The kernel starts with 900, 120 and 300 (net/netfilter/ipvs/ip_vs_proto_tcp.c, _udp.c).
    """

    tcp_s: int
    tcp_fin_s: int
    udp_s: int
    raw: str


_TIMEOUTS = re.compile(r"Timeout \(tcp tcpfin udp\): (\d+) (\d+) (\d+)")
_SERVICE = re.compile(r"(FWM|TCP|UDP|SCTP) +([\d.]+(?::\d+)?) +([a-z]+)((?: \S+)*)")
_BACKEND = re.compile(r"  -> ([\d.]+):(\d+) +(\w+) +(\d+) +(\d+) +(\d+)")
_TRAFFIC = re.compile(r"(FWM|TCP|UDP|SCTP|  ->) +(\S+)" + r" +(\d+)" * 5)
PROC = "/proc/net/ip_vs"
_PROC_SERVICE = re.compile(
    r"(FWM|TCP|UDP|SCTP) +([\dA-F]{8})(?::([\dA-F]{4}))? +([a-z]+)((?: \S+)*)"
)
_PROC_BACKEND = re.compile(r"  -> ([\dA-F]{8}):([\dA-F]{4}) +(\w+) +(\d+) +(\d+) +(\d+)")
_FORWARDING = {word.value for word in Forwarding}


def parse_ipvsadm(configuration: str, traffic: str) -> tuple[VirtualService, ...]:
    """Return the balanced services with their backends, in the kernel's order.

    Args:
        configuration: ``ipvsadm -Ln``, as::

            IP Virtual Server version 1.2.1 (size=4096)
            Prot LocalAddress:Port Scheduler Flags
              -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
            FWM  258 rr
              -> 10.0.0.5:0                   Masq    1      0          0

        traffic: ``ipvsadm -Ln --stats --exact``, the same list with five counters per line.

    Raises:
        UnreadableOutput: A line of another form in either, or a missing heading.
    """
    counters = _read_traffic(traffic)
    found: list[tuple[re.Match[str], list[re.Match[str]]]] = []
    for number, line in _body(configuration, "ipvsadm -Ln"):
        if match := _SERVICE.fullmatch(line):
            found.append((match, []))
        elif found and (match := _BACKEND.fullmatch(line)) and match[3] in _FORWARDING:
            found[-1][1].append(match)
        else:
            raise _unknown(number, line, "ipvsadm -Ln")
    return tuple(_service(match, backends, counters) for match, backends in found)


def parse_proc_ip_vs(text: str) -> tuple[VirtualService, ...]:
    """Return the balanced services from /proc/net/ip_vs, where numbers are hexadecimal.

    Reads, for example (net/netfilter/ipvs/ip_vs_ctl.c, ``ip_vs_info_seq_show``)::

        IP Virtual Server version 1.2.1 (size=4096)
        Prot LocalAddress:Port Scheduler Flags
          -> RemoteAddress:Port Forward Weight ActiveConn InActConn
        FWM  00000102 rr
          -> 0A000005:0000      Masq    1      0          0

    Raises:
        UnreadableOutput: A line of another form, or a missing heading.
    """
    found: list[tuple[re.Match[str], list[re.Match[str]]]] = []
    for number, line in _body(text, PROC):
        if match := _PROC_SERVICE.fullmatch(line):
            found.append((match, []))
        elif found and (match := _PROC_BACKEND.fullmatch(line)) and match[3] in _FORWARDING:
            found[-1][1].append(match)
        else:
            raise _unknown(number, line, PROC)
    return tuple(_proc_service(match, backends) for match, backends in found)


def _proc_service(match: re.Match[str], backends: list[re.Match[str]]) -> VirtualService:
    by_mark = match[1] == "FWM"
    return VirtualService(
        fwmark=int(match[2], 16) if by_mark else None,
        protocol=None if by_mark else match[1].lower(),
        address=None if by_mark else IPv4Address(int(match[2], 16)),
        port=None if by_mark else int(match[3], 16),
        scheduler=match[4],
        flags=tuple(match[5].split()),
        backends=tuple(
            Backend(
                address=IPv4Address(int(b[1], 16)),
                port=int(b[2], 16),
                forwarding=Forwarding(b[3]),
                weight=int(b[4]),
                active_connections=int(b[5]),
                inactive_connections=int(b[6]),
                traffic=None,
                raw=b[0].strip(),
            )
            for b in backends
        ),
        traffic=None,
        raw=match[0].rstrip(),
    )


def parse_timeouts(text: str) -> Timeouts:
    """Read ``ipvsadm -l --timeout``: ``Timeout (tcp tcpfin udp): 900 120 300``.

    Raises:
        UnreadableOutput: It is no such line.
    """
    match = _TIMEOUTS.fullmatch(text.strip())
    if match is None:
        raise UnreadableOutput(
            "ipvsadm -l --timeout printed a line of an unknown form", details=text[:200]
        )
    return Timeouts(int(match[1]), int(match[2]), int(match[3]), raw=match[0])


_Counters = dict[tuple[str, str | None], Traffic]


def _read_traffic(text: str) -> _Counters:
    """Return the counters by (service, None) and (service, backend)."""
    counters: _Counters = {}
    service: str | None = None
    for number, line in _body(text, "ipvsadm -Ln --stats"):
        match = _TRAFFIC.fullmatch(line)
        if match is None or (match[1] == "  ->" and service is None):
            raise _unknown(number, line, "ipvsadm -Ln --stats")
        traffic = Traffic(*(int(match[group]) for group in range(3, 8)))
        if service is not None and match[1] == "  ->":
            counters[service, match[2]] = traffic
        else:
            service = f"{match[1]} {match[2]}"
            counters[service, None] = traffic
    return counters


def _service(
    match: re.Match[str], backends: list[re.Match[str]], counters: _Counters
) -> VirtualService:
    protocol, place = match[1], match[2]
    key = f"{protocol} {place}"
    by_mark = protocol == "FWM"
    address, _, port = place.rpartition(":")
    return VirtualService(
        fwmark=int(place) if by_mark else None,
        protocol=None if by_mark else protocol.lower(),
        address=None if by_mark else IPv4Address(address),
        port=None if by_mark else int(port),
        scheduler=match[3],
        flags=tuple(match[4].split()),
        backends=tuple(_backend(b, counters.get((key, f"{b[1]}:{b[2]}"))) for b in backends),
        traffic=counters.get((key, None)),
        raw=match[0].rstrip(),
    )


def _backend(match: re.Match[str], traffic: Traffic | None) -> Backend:
    return Backend(
        address=IPv4Address(match[1]),
        port=int(match[2]),
        forwarding=Forwarding(match[3]),
        weight=int(match[4]),
        active_connections=int(match[5]),
        inactive_connections=int(match[6]),
        traffic=traffic,
        raw=match[0].strip(),
    )


def _body(text: str, command: str) -> Iterator[tuple[int, str]]:
    """Yield the numbered lines below the three lines of heading."""
    lines = text.splitlines()
    if len(lines) < 3 or not lines[0].startswith("IP Virtual Server version "):
        raise UnreadableOutput(f"{command} did not print its heading", details=text[:200])
    for number, line in enumerate(lines[3:], start=4):
        yield number, line.rstrip()


def _unknown(number: int, line: str, command: str) -> UnreadableOutput:
    return UnreadableOutput(
        f"{command} printed a line of an unknown form", details=f"line {number}: {line}"
    )
