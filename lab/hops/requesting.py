"""Requests to the published port: which to send, the curl that sends them, what came back.

Pure: the caller runs the command.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from ipaddress import IPv4Address

from lab.errors import UnreadableOutput
from lab.facts.docker_model import SwarmTask
from lab.hops.observations import (
    SOURCE_PORTS,
    THIS_MACHINE,
    Answer,
    Errand,
    Exchange,
    Manner,
    Round,
)
from lab.topology_outline import Outline

LARGE_BYTES = 8000
"""Several packets of any usual MTU."""
LOG_LINES = 2000
"""How much of each task's log is read: several times what we send."""
LARGEST_ERRAND = 1000
"""No errand needs more source ports, even in a lab of some hundred replicas."""

_MARK = "@@@"
_DONE = re.compile(rf"{_MARK} (\S+) (\d+) (\d+) ?(.*)")


def errands_inside(topology: Outline, token: str) -> tuple[tuple[Errand, ...], ...]:
    """Return the errands of the nodes in waves; no entry is used twice within a wave.

    Round robin shows only while nobody else uses the same entry. First each node asks itself,
    by 127.0.0.1; then each asks the next one over the link.
    """
    nodes = topology.nodes
    port = topology.service.published_port
    waves: list[list[Errand]] = [[], []]
    for position, node in enumerate(nodes):
        following = nodes[(position + 1) % len(nodes)]
        own = f"http://127.0.0.1:{port}/"
        names = (node.name, node.name)
        waves[0].append(_fresh(topology, token, *names, own))
        large = f"{own}?bytes={LARGE_BYTES}"
        waves[0].append(
            Errand(*names, large, Manner.LARGE, _ids(token, *names, "large", 1), LARGE_BYTES)
        )
        waves[0].append(Errand(*names, own, Manner.KEPT, _ids(token, *names, "kept", 2)))
        beyond = f"http://{following.address}:{port}/"
        waves[1].append(_fresh(topology, token, node.name, following.name, beyond))
    return tuple(map(tuple, waves))


def errands_outside(
    topology: Outline, token: str, urls: Iterable[tuple[str, str]]
) -> tuple[Errand, ...]:
    """Return the errands of this machine, given (node, URL of its forwarded port)."""
    return tuple(_fresh(topology, token, THIS_MACHINE, entry, url) for entry, url in urls)


def with_ports(errands: Iterable[Errand], now_s: float) -> tuple[Errand, ...]:
    """Give every request source ports that none from its origin had in the last minutes.

    IPVS remembers a client's address and port for two minutes and, with conn_reuse_mode 0, gives
    a new connection from there to the backend of the old one, without counting it. The kernel may
    pick a port again within that time; these advance with the clock, 10 a second.

    Args:
        errands: All errands of one run.
        now_s: The time in seconds, of any clock that does not go back.
    """
    start = int(now_s * 10)
    used: Counter[str] = Counter()
    placed = []
    for errand in errands:
        position = (start + used[errand.origin]) % (len(SOURCE_PORTS) - LARGEST_ERRAND)
        placed.append(replace(errand, first_port=SOURCE_PORTS[position]))
        used[errand.origin] += 2 * len(errand.request_ids)
    return tuple(placed)


def curl_script(errands: Sequence[Errand], *, max_time_s: float) -> str:
    """Return a shell command: one curl that runs the errands and stops at the first failure.

    Every request has its id in a header. ``Connection: close`` makes the next one a new
    connection; a request that is to be kept open leaves it out.
    """
    blocks = []
    for errand in errands:
        for number, request_id in enumerate(errand.request_ids):
            first, last = errand.ports(number)
            lines = [
                f'url = "{errand.url}"',
                f'local-port = "{first}-{last}"',
                f'header = "X-Request-Id: {request_id}"',
                f"max-time = {max_time_s:g}",
                f'write-out = "\\n{_MARK} {request_id} %{{http_code}} %{{size_download}} '
                '%{errormsg}\\n"',
            ]
            if errand.manner is not Manner.KEPT:
                lines.append('header = "Connection: close"')
            blocks.append("\n".join(lines))
    config = "\nnext\n".join(blocks)
    return f"curl -s --fail-early -K - <<'REQUESTS'\n{config}\nREQUESTS\n"


def parse_exchanges(text: str) -> tuple[Exchange, ...]:
    """Read what ``curl_script`` printed: after each body, a line with what became of it.

    ::

        {"hostname":"4fc0c085cbc1","ingress_address":"10.0.0.5","client":"10.0.0.3",...}

        @@@ a1b2-manager-worker-fresh-1 200 231

    A request that failed has status 0 and curl's sentence.
    """
    exchanges = []
    body: list[str] = []
    for line in text.splitlines():
        done = _DONE.fullmatch(line)
        if done is None:
            body.append(line)
            continue
        request_id, status, size, error = done.groups()
        answer, trouble = _read(body)
        body = []
        exchanges.append(Exchange(request_id, int(status), error or trouble, int(size), answer))
    return tuple(exchanges)


def rounds_of(errands: Iterable[Errand], exchanges: Iterable[Exchange]) -> tuple[Round, ...]:
    """Give each exchange to the errand it belongs to."""
    by_id = {exchange.request_id: exchange for exchange in exchanges}
    return tuple(
        Round(errand, tuple(by_id[i] for i in errand.request_ids if i in by_id))
        for errand in errands
    )


def parse_answer(text: str) -> Answer:
    """Read one JSON line of node-test, an answer or a log line.

    Raises:
        UnreadableOutput: It is no such line.
    """
    try:
        fields = json.loads(text)
        return Answer(
            request_id=str(fields["request_id"]),
            hostname=str(fields["hostname"]),
            ingress_address=IPv4Address(fields["ingress_address"]),
            client=IPv4Address(fields["client"]),
            connection=int(fields["connection"]),
        )
    except (ValueError, TypeError, KeyError) as error:
        raise UnreadableOutput(
            "This is not a line of node-test",
            details=f"{type(error).__name__} {error}: {text[:200]}",
            hint="look whether the service runs the image of the topology",
        ) from error


def log_script(tasks: Iterable[SwarmTask], token: str) -> str:
    """Return a shell command for the manager: the tasks' log lines that carry our token.

    Each task is asked for by itself, because the log of a whole service does not end while swarm
    waits for a task whose node was lost (measured on Debian trixie, docker.io 26.1.5).
    ``grep`` ends with 1 when there is no line yet, which is no failure.
    """
    query = f"logs?stdout=true&tail={LOG_LINES}"
    urls = " ".join(f"'http://localhost/tasks/{task.id}/{query}'" for task in tasks)
    return (
        f"curl -sS --max-time 10 --unix-socket /var/run/docker.sock {urls} | "
        f"grep -a -F '{token}' || [ $? = 1 ]"
    )


def parse_log(text: str) -> tuple[Answer, ...]:
    """Read the log lines; the API puts 8 bytes before each (Engine API, "Stream format").

    Raises:
        UnreadableOutput: A line holds no JSON of node-test.
    """
    return tuple(_log_line(line) for line in text.splitlines() if line.strip())


def _log_line(line: str) -> Answer:
    # The last of the 8 bytes is a length and may look like a brace too.
    starts = [match.start() for match in re.finditer("{", line[:10])]
    for start in starts[:-1]:
        try:
            return parse_answer(line[start:])
        except UnreadableOutput:
            continue
    return parse_answer(line[starts[-1] :] if starts else line)


def _read(body: list[str]) -> tuple[Answer | None, str]:
    text = "\n".join(body).strip()
    if not text:
        return None, ""
    try:
        return parse_answer(text), ""
    except UnreadableOutput as error:
        return None, f"{error.brief}: {text[:80]}"


def _fresh(topology: Outline, token: str, origin: str, entry: str, url: str) -> Errand:
    count = max(4, 2 * topology.service.replicas)
    return Errand(origin, entry, url, Manner.FRESH, _ids(token, origin, entry, "fresh", count))


def _ids(token: str, origin: str, entry: str, what: str, count: int) -> tuple[str, ...]:
    place = origin.replace(" ", "-")
    return tuple(f"{token}-{place}-{entry}-{what}-{number:02d}" for number in range(1, count + 1))
