"""A request as it was seen, as text for a terminal of 100 columns, complete without colour."""

import textwrap
from collections.abc import Iterator, Mapping

from lab.live.model import Live, Outcome, Sight
from lab.trace.kinds import KINDS, SANDBOX
from lab.trace.model import HERE, Tuple
from lab.trace.text import RAIL, WIDTH, filled

HEAD, SAYS, TIME = 23, 46, 9
"""Columns of a line: the station, what was seen, and three times."""
MARKS: Mapping[Outcome, str] = {
    Outcome.SEEN: "✓",
    Outcome.ODD: "!",
    Outcome.LOST: "✗",
    Outcome.STOPPED: "✗",
    Outcome.UNKNOWN: "?",
    Outcome.BEYOND: "○",
}


def render(live: Live) -> str:
    """Return the whole story."""
    lines = [*_title(live), "", *_columns()]
    at: Tuple | None = None
    before: Sight | None = None
    for number, sight in enumerate(live.sights, start=1):
        lines += _place(live, sight, before)
        if at is None and sight.before is not None:
            lines.append(f"  ├ {sight.before}")
            at = sight.before
        lines += _sight(number, sight)
        outer = sight.outer if sight.node == live.entry else None
        if sight.after is not None and (sight.after != at or outer is not None):
            lines.append(f"  ├ {sight.after}{_around(outer)}")
        at = sight.after or at
        before = sight
    return "\n".join([*lines, "", *_foot(live)])


def client(live: Live) -> str:
    """Return who made the request."""
    return "a client on this machine" if live.origin == HERE else f"a client on {live.origin}"


def milliseconds(time_ns: int | None) -> str:
    """Return a time as ``12.3``, a dot when nothing was seen."""
    return "·" if time_ns is None else f"{time_ns / 1e6:.1f}"


def times(sight: Sight) -> tuple[str, str, str]:
    """Return when a station saw opening, request and answer; empty where nobody captured."""
    if not sight.where:
        return "", "", ""
    moments = sight.moments
    opened, asked, answered = map(milliseconds, (moments.opened, moments.asked, moments.answered))
    return opened, asked, answered


def _title(live: Live) -> Iterator[str]:
    yield f"{live.service}, tcp {live.port}: one request, as it was seen"
    where = f"lab {live.lab} · {client(live)} · enters at {live.entry}"
    yield f"{where} · {live.request_id} · {live.made}"
    yield " · ".join(f"{name} {value}" for name, value in live.environment)
    yield from filled("", live.headline, "")
    if not live.answered:
        yield from filled("", f"the client: {live.outcome}", "")


def _columns() -> Iterator[str]:
    names = "".join(name.rjust(TIME) for name in ("opened", "request", "answer"))
    yield f"{'times in ms since it was first seen':>{WIDTH - 3 * TIME}}{names}"


def _place(live: Live, sight: Sight, before: Sight | None) -> Iterator[str]:
    place = place_of(live, sight)
    if before is not None and (sight.node, place) == (before.node, place_of(live, before)):
        return
    hidden = ", a hidden namespace" if place == SANDBOX else ""
    yield f"  ▼ {sight.node} · {place}{hidden} ".ljust(WIDTH, "─")


def place_of(live: Live, sight: Sight) -> str:
    """Return the network namespace of a station, as people call it."""
    if sight.slot:
        return f"{live.service}.{sight.slot.removeprefix('slot-')}"
    return KINDS[sight.key].place


def _sight(number: int, sight: Sight) -> Iterator[str]:
    head = f"{number:>2} {MARKS[sight.outcome]} {KINDS[sight.key].title}"
    says = sight.says
    if sight.outcome is not Outcome.SEEN:
        says = f"{sight.outcome}: {says}" if sight.outcome is not Outcome.BEYOND else says
    columns = "".join(time.rjust(TIME) for time in times(sight)).rstrip()
    room = SAYS if columns else SAYS + 3 * TIME
    first, *rest = textwrap.wrap(says, room, break_long_words=False, break_on_hyphens=False)
    yield f"{RAIL}{head:<{HEAD}}{first:<{SAYS}}{columns}".rstrip()
    yield from (f"{RAIL}{'':<{HEAD}}{line}" for line in rest)
    for line in sight.lines:
        yield from filled("   ", line, RAIL)


def _around(outer: Tuple | None) -> str:
    return f"   inside UDP {outer}" if outer is not None else ""


def _foot(live: Live) -> Iterator[str]:
    yield from filled("", f"The way back: {live.back}.", "")
    for note in live.notes:
        yield from filled("- ", note, "")
