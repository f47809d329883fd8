"""Sending requests through every node's published port, and reading what they left behind."""

import http.client
import secrets
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar
from urllib.parse import urlsplit

from lab.errors import NotReady, UnreadableOutput
from lab.facts.gather import gather_counters
from lab.facts.ipvs import TRAFFIC_DELAY_S
from lab.facts.model import NodeCounters
from lab.hops.observations import Answer, Errand, Exchange, Round, Traffic
from lab.hops.requesting import (
    curl_script,
    errands_inside,
    errands_outside,
    log_script,
    parse_answer,
    parse_exchanges,
    parse_log,
    rounds_of,
    with_ports,
)
from lab.hops.situation import Situation
from lab.parallel import on_all
from lab.shell import Shell, succeed
from lab.wait import Deadlines, wait_until

T = TypeVar("T")


def send_everything(
    situation: Situation,
    shells: Mapping[str, Shell],
    urls: Mapping[str, str],
    deadline: Deadlines,
) -> Traffic:
    """Send all errands, wave by wave, between two looks at the counters; then read the log.

    Within a wave every entry has one sender, so that its turns can be seen. Nodes without a shell
    send nothing.
    """
    topology = situation.topology
    token = f"check-{secrets.token_hex(4)}"
    everyone = tuple(shells.values())
    before = gather_counters(everyone)
    rounds: list[Round] = []
    for wave in errands_inside(topology, token):
        rounds += _from_nodes(with_ports(wave, time.monotonic()), shells, deadline)
    outside = with_ports(errands_outside(topology, token, urls.items()), time.monotonic())
    rounds += on_all(
        outside, lambda errand: send_from_here(errand, max_time_s=_patience(deadline))
    )
    sent = sum(len(r.connections) for r in rounds)
    after = _counters_after(everyone, _balanced(before) + sent, deadline)
    expected = {answer.request_id for r in rounds for answer in r.answers}
    script = log_script(situation.cluster.running_tasks, token)
    manager = shells.get(topology.manager.name)
    log = _read_log(manager, script, expected, deadline) if manager else ()
    return Traffic(tuple(rounds), log, before, after)


def _from_nodes(
    wave: Sequence[Errand], shells: Mapping[str, Shell], deadline: Deadlines
) -> tuple[Round, ...]:
    origins = tuple(dict.fromkeys(e.origin for e in wave if e.origin in shells))

    def send(origin: str) -> tuple[Round, ...]:
        own = [errand for errand in wave if errand.origin == origin]
        script = curl_script(own, max_time_s=_patience(deadline))
        done = shells[origin].run(script, timeout_s=deadline(15))
        return rounds_of(own, parse_exchanges(done.stdout))

    return tuple(r for rounds in on_all(origins, send) for r in rounds)


def send_from_here(errand: Errand, *, max_time_s: float) -> Round:
    """Send an errand from this machine; it ends at the first request without an answer."""
    exchanges = []
    for number, request_id in enumerate(errand.request_ids):
        port = next(filter(_is_free, errand.ports(number)), 0)
        exchanges.append(_ask(errand.url, request_id, port, max_time_s))
        if not exchanges[-1].status:
            break
    return Round(errand, tuple(exchanges))


def _is_free(port: int) -> bool:
    with socket.socket() as candidate:
        try:
            candidate.bind(("", port))
        except OSError:
            return False
    return True


def _ask(url: str, request_id: str, source_port: int, max_time_s: float) -> Exchange:
    """Send one request on a connection of its own; what goes wrong is part of the answer."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(
        place.hostname or "",
        place.port or 80,
        timeout=max_time_s,
        source_address=("", source_port),
    )
    headers = {"X-Request-Id": request_id, "Connection": "close"}
    try:
        connection.request("GET", place.path or "/", headers=headers)
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as error:
        trouble = str(error) or type(error).__name__
        return Exchange(request_id, 0, trouble, 0)
    finally:
        connection.close()
    text = body.decode(errors="replace")
    try:
        return Exchange(request_id, answer.status, "", len(body), parse_answer(text))
    except UnreadableOutput as error:
        return Exchange(request_id, answer.status, f"{error.brief}: {text[:80]}", len(body))


def _read_log(
    manager: Shell, script: str, expected: Iterable[str], deadline: Deadlines
) -> tuple[Answer, ...]:
    """Return our lines of the tasks' logs; those of other nodes may take a moment to come."""
    wanted = frozenset(expected)
    return _best_of(
        lambda: parse_log(succeed(manager, script, timeout_s=deadline(5))),
        lambda found: wanted <= {line.request_id for line in found},
        timeout_s=deadline(2),
    )


def _counters_after(
    shells: Sequence[Shell], balanced: int, deadline: Deadlines
) -> tuple[NodeCounters, ...]:
    """Return the counters once IPVS has counted what was sent: it is late, unlike the rules."""
    return _best_of(
        lambda: gather_counters(shells),
        lambda found: _balanced(found) >= balanced,
        timeout_s=2 * TRAFFIC_DELAY_S + deadline(0.5),
    )


def _balanced(counters: Iterable[NodeCounters]) -> int:
    """Return how many connections the nodes' IPVS counted."""
    services = (service for node in counters for service in node.virtual_services)
    return sum(service.traffic.connections for service in services if service.traffic)


def _best_of(look: Callable[[], T], enough: Callable[[T], bool], *, timeout_s: float) -> T:
    """Return the first reading that is enough, or else the last: what is missing, a judge says."""
    last = look()

    def again() -> T:
        nonlocal last
        last = look()
        return last

    if enough(last):
        return last
    try:
        return wait_until(again, enough, what="all traces of the requests", timeout_s=timeout_s)
    except NotReady:
        return last


def _patience(deadline: Deadlines) -> float:
    return max(3.0, deadline(0.75))
