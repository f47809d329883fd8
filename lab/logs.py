"""The service's request log: both replicas, in the order the requests were answered."""

import heapq
import json
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from lab.docker_api import Engine, LogLine

WINDOW_S = 1.0
"""How long a followed line is held back for an earlier one from another node. The nodes' clocks
agree to a millisecond (chrony), but the manager hands lines out as they arrive."""


@dataclass(order=True, frozen=True, slots=True)
class _Held:
    time: str
    number: int
    arrived: float = field(compare=False)
    line: LogLine = field(compare=False)


def request_log(engine: Engine, service: str, *, follow: bool, tail: int | None) -> Iterator[str]:
    """Yield the log of all replicas as text lines, ordered by the time they were written.

    Args:
        engine: The manager's.
        service: Name of the service.
        follow: Go on with what comes; ends only with the connection.
        tail: Begin with the last so many lines of each replica; ``None`` for all.
    """
    if follow:
        lines = _ordered(engine.service_logs(service, follow=True, tail=tail))
    else:
        found = engine.service_logs(service, follow=False, tail=tail)
        lines = iter(sorted(found, key=lambda line: line.time))
    return map(render, lines)


def render(line: LogLine) -> str:
    """Return one log line for people: node-test's own JSON as columns, anything else as it is."""
    try:
        entry = json.loads(line.text)
        replica = f"{entry['service']}.{entry['slot']}"
        request = entry["request"].removesuffix(" HTTP/1.1")
        return (
            f"{entry['time'][11:26]}  {replica:<12} {entry['node']:<10} "
            f"{entry['ingress_address']:<10} <- {entry['client']:<10} "
            f"{request}  {entry['status']}  {entry['request_id']}"
        )
    except (ValueError, TypeError, KeyError):
        return f"{line.time[11:26]}  {line.text}"


def _ordered(lines: Iterator[LogLine]) -> Iterator[LogLine]:
    """Hold each line for a moment and yield what is then the earliest."""
    arrivals: queue.Queue[LogLine | None] = queue.Queue()

    def read() -> None:
        for line in lines:
            arrivals.put(line)
        arrivals.put(None)

    threading.Thread(target=read, daemon=True).start()
    held: list[_Held] = []
    number = 0
    ended = False
    while held or not ended:
        try:
            line = arrivals.get(timeout=WINDOW_S / 4)
            if line is None:
                ended = True
            else:
                number += 1
                heapq.heappush(held, _Held(line.time, number, time.monotonic(), line))
        except queue.Empty:
            pass
        while held and (ended or time.monotonic() - held[0].arrived >= WINDOW_S):
            yield heapq.heappop(held).line
