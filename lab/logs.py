"""The service's request log: all replicas, in the order the requests were answered."""

import heapq
import itertools
import json
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from lab.docker_api import Engine
from lab.docker_log import LogLine
from lab.errors import FactUnavailable, LabError, NotReady

WINDOW_S = 1.0
"""How long a followed line is held back for an earlier one from another node. The nodes' clocks
agree to a millisecond (chrony), but the manager hands lines out as they arrive."""


@dataclass(order=True, frozen=True, slots=True)
class _Held:
    time: str
    number: int
    arrived: float = field(compare=False)
    line: LogLine = field(compare=False)


def written_log(
    engine: Engine, service: str, *, tail: int | None, timeout_s: float
) -> Iterator[str]:
    """Yield what all replicas have written so far as text lines, ordered by the time.

    Every task is asked for by itself: swarm ends the log of a whole service only when every node
    that ever ran a task of it has answered, which a lost one does not.

    Args:
        engine: The manager's.
        service: Name of the service.
        tail: Only the last so many lines of each replica; ``None`` for all.
        timeout_s: How long one node may be silent, in seconds.

    Raises:
        FactUnavailable: Some task's log could not be read; the details say which and why. All
            others were yielded before.
    """
    members = engine.members()
    names = {member.node_id: member.hostname for member in members}
    # Only the first task of a node that says nothing is waited for.
    silent = {m.node_id: f"the node is {m.state}" for m in members if m.state != "ready"}
    lines: list[LogLine] = []
    missing: list[str] = []
    for task in engine.tasks(service):
        if not task.container_id:  # it never ran
            continue
        why = silent.get(task.node_id)
        if why is None:
            try:
                lines += engine.task_log(task, tail=tail, timeout_s=timeout_s)
            except NotReady as error:
                why = silent[task.node_id] = error.details
            except FactUnavailable as error:
                why = error.details
        if why is not None:
            missing.append(f"{service}.{task.slot} on {names.get(task.node_id, '?')}: {why}")
    yield from map(render, sorted(lines, key=_when))
    if missing:
        raise FactUnavailable(
            "The log is not complete",
            details="\n".join(dict.fromkeys(missing)),  # a slot may have had several tasks there
            hint="invoke lab.status",
        )


def followed_log(
    engine: Engine, service: str, *, tail: int | None, window_s: float = WINDOW_S
) -> Iterator[str]:
    """Yield what all replicas write as text lines, ordered by the time they were written.

    Args:
        engine: The manager's.
        service: Name of the service.
        tail: Begin with the last so many lines of each replica; ``None`` for all.
        window_s: How long a line waits for an earlier one, in seconds.

    Raises:
        NotRunning: The connection ended; what had arrived was yielded before.
    """
    lines = engine.follow_logs(service, tail=tail)
    return map(render, _ordered(lines, window_s))


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
