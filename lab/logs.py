"""The service's request log: both replicas, in the order the requests were answered."""

import heapq
import itertools
import json
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from lab.docker_api import Engine, LogLine
from lab.errors import LabError

WINDOW_S = 1.0
"""How long a followed line is held back for an earlier one from another node. The nodes' clocks
agree to a millisecond (chrony), but the manager hands lines out as they arrive."""


@dataclass(order=True, frozen=True, slots=True)
class _Held:
    time: str
    number: int
    arrived: float = field(compare=False)
    line: LogLine = field(compare=False)


def request_log(
    engine: Engine,
    service: str,
    *,
    follow: bool,
    tail: int | None,
    window_s: float = WINDOW_S,
) -> Iterator[str]:
    """Yield the log of all replicas as text lines, ordered by the time they were written.

    Args:
        engine: The manager's.
        service: Name of the service.
        follow: Go on with what comes; ends only with the connection.
        tail: Begin with the last so many lines of each replica; ``None`` for all.
        window_s: How long a followed line waits for an earlier one, in seconds.

    Raises:
        NotRunning: The connection ended; what had arrived was yielded before.
    """
    if follow:
        lines = _ordered(engine.service_logs(service, follow=True, tail=tail), window_s)
    else:
        found = engine.service_logs(service, follow=False, tail=tail)
        lines = iter(sorted(found, key=_when))
    return map(render, lines)


def render(line: LogLine) -> str:
    """Return one log line for people: node-test's own JSON as columns, anything else as it is."""
    try:
        entry = json.loads(line.text)
        # A service made by hand without --env does not know its name and slot.
        known = entry["slot"] != "?"
        replica = f"{entry['service']}.{entry['slot']}" if known else entry["hostname"]
        request = entry["request"].removesuffix(" HTTP/1.1")
        return (
            f"{entry['time'][11:26]}  {replica:<12} {entry['node']:<10} "
            f"{entry['ingress_address']:<10} <- {entry['client']:<10} "
            f"{request}  {entry['status']}  {entry['request_id']}"
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return f"{line.time[11:26]}  {line.text}"


def _when(line: LogLine) -> str:
    """Return when a line was written: by node-test's own stamp, which no busy dockerd delays."""
    try:
        return str(json.loads(line.text)["time"]).removesuffix("Z")
    except (ValueError, TypeError, KeyError):
        return line.time.removesuffix("Z")


def _ordered(lines: Iterator[LogLine], window_s: float) -> Iterator[LogLine]:
    """Hold each line for a moment and yield what is then the earliest."""
    arrivals: queue.Queue[LogLine | LabError | None] = queue.Queue()

    def read() -> None:
        end = None
        try:
            for line in lines:
                arrivals.put(line)
        except LabError as error:
            end = error
        arrivals.put(end)

    threading.Thread(target=read, daemon=True).start()
    held: list[_Held] = []
    numbers = itertools.count()
    while True:
        try:
            arrival = arrivals.get(timeout=window_s / 4)
            if not isinstance(arrival, LogLine):
                break
            heapq.heappush(held, _Held(_when(arrival), next(numbers), time.monotonic(), arrival))
        except queue.Empty:
            pass
        while held and time.monotonic() - held[0].arrived >= window_s:
            yield heapq.heappop(held).line
    yield from (late.line for late in sorted(held))
    if arrival is not None:
        raise arrival
