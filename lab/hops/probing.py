"""Probes a node makes of the others: the shell script that tries, and what it found.

Pure: the caller runs the script. It changes nothing.
"""

import re
from ipaddress import IPv4Address

from lab.errors import FactUnavailable, UnreadableOutput
from lab.hops.cluster import CONTROL_PORT, GOSSIP_PORT
from lab.hops.observations import Connect, FetchProbe, PingProbe, Reach, TcpProbe
from lab.hops.requesting import LARGE_BYTES
from lab.hops.situation import IN_SANDBOX, Situation
from lab.hops.surroundings import advertised, gossip_peers

PING_HEADERS = 28
"""IPv4 and ICMP headers: what ``ping -s`` does not count (ping(8))."""

FETCHED = "F7-fetch"
"""The check that needs a request to every task's program."""
NOT_FOUND = 127
"""The exit code of a shell that found no such program (POSIX, "Exit Status for Commands")."""

NO_BASH = "no-bash"
_TCP = re.compile(r"tcp (\S+) (\d+) (open|closed)")
_PING = re.compile(r"ping (\S+) (\d+) (\d+) ?(.*)")
_FETCH = re.compile(r"fetch (\S+) (\d+) (\d+) (\d+) ?(.*)")


def targets_of(situation: Situation, name: str) -> tuple[tuple[IPv4Address, int], ...]:
    """Return what a node must reach by TCP: gossip everywhere, the control port of managers."""
    manager = situation.topology.manager.name
    gossip = [(address, GOSSIP_PORT) for address in gossip_peers(situation, name)]
    control = [(advertised(situation, manager), CONTROL_PORT)] if name != manager else []
    return (*gossip, *control)


def probe_script(situation: Situation, name: str, *, patience_s: float) -> str:
    """Return the script of one node: TCP to the others, then ping and HTTP from its sandbox.

    Everything is tried at the same time; what has not answered after ``patience_s`` is silent.
    """
    parts = [_tcp_part(targets_of(situation, name), patience_s)]
    node = situation.cluster.node(name)
    tasks = sorted(situation.cluster.backend_addresses)
    own = node.ingress_address
    if node.sandbox is not None and own is not None and tasks:
        interface = node.sandbox.interface_with(own)
        mtu = interface.mtu if interface is not None else 0
        inside = _ping_part(tasks, mtu, patience_s)
        if FETCHED not in situation.left_out:
            inside += _fetch_part(tasks, situation.port, patience_s)
        inside += "wait\n"
        parts.append(f"{IN_SANDBOX} sh <<'PROBES' &\n{inside}PROBES\n")
    return "".join([*parts, "wait\n"])


def parse_reach(text: str, situation: Situation, name: str) -> Reach:
    """Read what the script printed; a target without a line did not answer in time.

    ::

        tcp 192.168.56.11 7946 open
        ping 10.0.0.5 1450 0 2 packets transmitted, 2 received, 0% packet loss, time 201ms
        fetch 10.0.0.5 8000 200 8000

    Raises:
        UnreadableOutput: A line of another form.
    """
    connects: dict[tuple[IPv4Address, int], Connect] = {}
    pings = []
    fetches = []
    for number, line in enumerate(text.splitlines(), start=1):
        if tcp := _TCP.fullmatch(line):
            outcome = Connect.OPEN if tcp[3] == "open" else Connect.REFUSED
            connects[IPv4Address(tcp[1]), int(tcp[2])] = outcome
        elif line == NO_BASH:
            raise _missing(name, "bash", "bash")
        elif (ping := _PING.fullmatch(line)) and int(ping[3]) == NOT_FOUND:
            raise _missing(name, "ping", "iputils-ping (Fedora: iputils)")
        elif ping:
            pings.append(PingProbe(IPv4Address(ping[1]), int(ping[2]), ping[3] == "0", ping[4]))
        elif fetch := _FETCH.fullmatch(line):
            asked, status, got = int(fetch[2]), int(fetch[3]), int(fetch[4])
            fetches.append(FetchProbe(IPv4Address(fetch[1]), asked, got, status, fetch[5]))
        elif line.strip():
            raise UnreadableOutput(
                f"{name}: a probe printed a line of an unknown form",
                details=f"line {number}: {line}",
            )
    tcp_probes = tuple(
        TcpProbe(address, port, connects.get((address, port), Connect.SILENT))
        for address, port in targets_of(situation, name)
    )
    return Reach(name, tcp_probes, tuple(pings), tuple(fetches))


def _missing(name: str, program: str, package: str) -> FactUnavailable:
    return FactUnavailable(
        f"{name}: {program} is not installed, so nothing was probed from there",
        hint=f"on {name}: install {package}",
    )


def _tcp_part(targets: tuple[tuple[IPv4Address, int], ...], patience_s: float) -> str:
    # bash opens the connection; a subshell each, because a refused one ends it.
    pairs = " ".join(f"{address}/{port}" for address, port in targets)
    attempt = (
        "( : </dev/tcp/$t ) 2>/dev/null && echo tcp ${t%/*} ${t#*/} open "
        "|| echo tcp ${t%/*} ${t#*/} closed"
    )
    return (
        f"command -v bash >/dev/null || echo {NO_BASH}\n"
        f"timeout {patience_s:g} bash -c 'for t in {pairs}; do {{ {attempt}; }} & done; wait' &\n"
    )


def _ping_part(tasks: list[IPv4Address], mtu: int, patience_s: float) -> str:
    size = max(0, mtu - PING_HEADERS)
    addresses = " ".join(map(str, tasks))
    return (
        f"for t in {addresses}; do\n"
        f"    {{ said=$(ping -n -q -c 2 -i 0.2 -W {patience_s:g} -M do -s {size} $t 2>&1)\n"
        f'    echo ping $t {mtu} $? $(echo "$said" | grep -e transmitted -e rror); }} &\n'
        "done\n"
    )


def _fetch_part(tasks: list[IPv4Address], port: int, patience_s: float) -> str:
    lines = []
    for task in tasks:
        for size in (0, LARGE_BYTES):
            query = f"?bytes={size}" if size else ""
            form = f"fetch {task} {size} %{{http_code}} %{{size_download}} %{{errormsg}}\\n"
            lines.append(
                f'url = "http://{task}:{port}/{query}"\noutput = "/dev/null"\n'
                f'max-time = {patience_s:g}\nwrite-out = "{form}"\n'
            )
    return "curl -s -Z -K - <<'FETCHES' &\n" + "next\n".join(lines) + "FETCHES\n"
