"""A trace as text for a terminal of 100 columns, complete without colour."""

import textwrap
from collections.abc import Iterator, Sequence

from lab.diagnosis.model import State
from lab.trace.kinds import SANDBOX
from lab.trace.model import HERE, Station, Step, Trace, Tuple

WIDTH = 100
RAIL = "  │ "
SHOWN_BRANCHES = 8
"""More backends than these are counted, not followed."""
MARKS = {
    State.OK: "✓",
    State.BROKEN: "✗",
    State.ODD: "!",
    State.BLOCKED: "○",
    State.UNSEEN: "?",
}


def render(trace: Trace) -> str:
    """Return the whole trace."""
    lines = [*_title(trace), "", f"  {_client(trace)}", f"  ├ {trace.client}"]
    shown: list[Station] = []
    lines += _walk(trace.trunk, 0, trace.client, shown)
    at = trace.trunk[-1].after
    lines += _choice(trace)
    for branch in trace.branches[:SHOWN_BRANCHES]:
        lines += ["", f"  ═ to {branch.target} ".ljust(WIDTH, "═")]
        lines += _walk(branch.steps, len(trace.trunk), at, shown)
    return "\n".join([*lines, "", *_foot(trace)])


def _walk(
    steps: Sequence[Step], number: int, at: Tuple | None, shown: list[Station]
) -> Iterator[str]:
    """Yield the lines of some steps; what a station shows, it shows once."""
    for step in steps:
        number += 1
        yield from _place(step.station, shown[-1] if shown else None)
        yield from _step(step, number, at, again=step.station in shown)
        shown.append(step.station)
        at = step.after


def _title(trace: Trace) -> Iterator[str]:
    door = f"{trace.protocol} {trace.port}"
    yield f"{trace.service}, {door}: the way of a request, as the kernels will send it"
    yield f"lab {trace.lab} · {_client(trace)} · enters at {trace.entry} · looked at {trace.made}"
    yield " · ".join(f"{name} {value}" for name, value in trace.environment)
    yield trace.headline


def _client(trace: Trace) -> str:
    if trace.origin == HERE:
        return "a client on this machine"
    return f"a client on {trace.origin}"


def _place(station: Station, before: Station | None) -> Iterator[str]:
    """Yield a heading where the packet comes to another network namespace."""
    if before is None or (station.node, station.place) != (before.node, before.place):
        hidden = ", a hidden namespace" if station.place == SANDBOX else ""
        yield f"  ▼ {station.node} · {station.place}{hidden} ".ljust(WIDTH, "─")


def _step(step: Step, number: int, before: Tuple | None, *, again: bool) -> Iterator[str]:
    station = step.station
    head = f"{number:>2} {MARKS[station.state]} {station.title}"
    does = step.does or station.does
    if station.state is not State.OK:
        does = f"{station.state}: {does}"
    yield from filled(f"{head:<23} ", does, RAIL)
    for verdict in station.failed:
        yield from filled("     ", f"{verdict.check}: {verdict.found}", RAIL)
        yield from filled("     ", f"expected: {verdict.expected}", RAIL)
    for line in step.lines or (() if again or step.does else station.lines):
        yield f"{RAIL}   {line}"
    if not again:
        yield from (f"{RAIL}   # {command}" for command in station.see[:1])
        yield f"{RAIL}   {station.read}"
    if step.after is None:
        yield f"{RAIL}   it goes no further"
    elif step.after != before or step.outer is not None:
        yield f"  ├ {step.after}{_around(step.outer)}"


def _around(outer: Tuple | None) -> str:
    return f"   inside UDP {outer}" if outer is not None else ""


def _choice(trace: Trace) -> Iterator[str]:
    count = len(trace.branches)
    if not count:
        return
    names = ", ".join(str(branch.backend) for branch in trace.branches[:SHOWN_BRANCHES])
    more = f" and {count - SHOWN_BRANCHES} more" if count > SHOWN_BRANCHES else ""
    yield f"  ├─ {count} ways from here, one for each backend: {names}{more}"


def _foot(trace: Trace) -> Iterator[str]:
    count = len({station.id for station in trace.stations})
    walked = len(trace.walked)
    yield from filled(
        "",
        f"{walked} of {count} stations are on this way. The swarm beneath them: {trace.swarm}. "
        + "Requests that were sent: "
        + ", ".join(f"through {node} {state}" for node, state in trace.requests)
        + ".",
        "",
    )
    other = next((side.node for side in trace.sides if side.node != trace.entry), "host")
    yield from filled(
        "",
        f"A line with # is typed as root on that node ({trace.enter}). Another way in: "
        f"--from {other}. A picture: -o svg, or with all evidence: -o html.",
        "",
    )


def filled(head: str, text: str, rail: str) -> list[str]:
    """Return a text in lines of ``WIDTH``: behind a head, and beside a rail at the left."""
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=f"{rail}{head}",
        subsequent_indent=f"{rail}{' ' * len(head)}",
        break_long_words=False,
        break_on_hyphens=False,
    )
