"""A trace as a picture: one SVG file without anything from elsewhere.

A column for each node, from its published port down to its tasks; the traced request as a thick
line; every station coloured by its verdicts, with a sign for those who do not see colours.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from lab.diagnosis.model import State
from lab.trace.model import HERE, Side, Station, Step, Task, Trace, Tuple
from lab.trace.text import MARKS

MARGIN, GUTTER = 24, 230
COLUMN, PADDING = 392, 16
STATION, GAP, HEADING = 50, 24, 30
TOP, LANE = 172, 6
"""Sizes in pixels: between columns there is room for the addresses of a tunnel packet."""
COLOURS: Mapping[State, tuple[str, str]] = {
    State.OK: ("#16a34a", "#f0fdf4"),
    State.BROKEN: ("#dc2626", "#fee2e2"),
    State.ODD: ("#d97706", "#fef3c7"),
    State.BLOCKED: ("#6b7280", "#f3f4f6"),
    State.UNSEEN: ("#9ca3af", "#ffffff"),
}
"""Of each state: the strip, and the background."""
WAY, QUIET = "#1d4ed8", "#cbd5e1"
LONGEST = 46
STYLE = """
text { font-family: system-ui, "Segoe UI", "DejaVu Sans", sans-serif; fill: #111827; }
.mono { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
a:hover rect, a:focus rect { stroke-width: 3; } a { outline: none; }
"""


@dataclass(frozen=True, slots=True)
class Box:
    """Where a station is drawn."""

    station: Station
    x: int
    y: int

    @property
    def right(self) -> int:
        """Its right edge."""
        return self.x + COLUMN - 2 * PADDING

    @property
    def middle(self) -> int:
        """The line its vertical arrows are on."""
        return self.x + 300


@dataclass(frozen=True, slots=True)
class Group:
    """A frame around the stations of one network namespace."""

    title: str
    x: int
    y: int
    height: int


WORDS: Mapping[State, str] = {state: str(state) for state in State}
"""What the colours mean, unless a picture says otherwise."""


def render(trace: Trace, *, link: bool = False, words: Mapping[State, str] = WORDS) -> str:
    """Return the picture.

    Args:
        trace: What to draw.
        link: Whether each station is a link to ``#its-id``, for a page that holds the evidence.
        words: What the colours mean.
    """
    boxes: dict[str, Box] = {}
    groups: list[Group] = []
    bottom = 0
    for number, side in enumerate(trace.sides):
        x = MARGIN + number * (COLUMN + GUTTER)
        here = [task for task in trace.tasks if task.node == side.node]
        bottom = max(bottom, _place(side, here, x, boxes, groups))
    count = len(trace.sides)
    width = 2 * MARGIN + count * COLUMN + (count - 1) * GUTTER
    height = bottom + 96
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" aria-labelledby="trace-title">',
        f'<title id="trace-title">{escape(_summary(trace))}</title>',
        f"<style>{STYLE}</style>",
        _arrowheads(),
        f'<rect width="{width}" height="{height}" rx="12" fill="#ffffff"/>',
        *_heading(trace, width),
        *(_column(side, number, bottom) for number, side in enumerate(trace.sides)),
        *(_frame(group) for group in groups),
        *_quiet_lines(trace, boxes),
        *_way(trace, boxes),
        *(_station(box, words, link=link) for box in boxes.values()),
        *_legend(trace, height, words),
        "</svg>",
    ]
    return "\n".join(parts)


def _place(
    side: Side, tasks: Sequence[Task], x: int, boxes: dict[str, Box], groups: list[Group]
) -> int:
    """Give every station of a column its place; return where the column ends."""
    y = TOP + 56
    stations = [*side.stations, *(s for task in tasks for s in task.stations)]
    for place in dict.fromkeys(station.place for station in stations):
        inside = [station for station in stations if station.place == place]
        height = HEADING + len(inside) * (STATION + GAP) - GAP + PADDING
        groups.append(Group(_title_of(place, inside[0]), x + PADDING // 2, y, height))
        for number, station in enumerate(inside):
            top = y + HEADING + number * (STATION + GAP)
            boxes[station.id] = Box(station, x + PADDING, top)
        y += height + GAP
    return y - GAP + PADDING


def _title_of(place: str, station: Station) -> str:
    if station.slot:
        return f"{place}, a container"
    return f"{place}, a hidden namespace" if place == "ingress_sbox" else place


def _summary(trace: Trace) -> str:
    return (
        f"{trace.service}, {trace.protocol} {trace.port}, a request that enters at {trace.entry}"
    )


def _heading(trace: Trace, width: int) -> Iterator[str]:
    broken = not trace.headline.startswith(("WHOLE", "ANSWERED"))
    colour = COLOURS[State.BROKEN if broken else State.OK][0]
    yield _text(MARGIN, 40, _summary(trace), size=22, weight=700)
    yield _text(MARGIN, 66, _cut(trace.headline, width // 9), size=14, fill=colour, weight=600)
    who = "this machine" if trace.origin == HERE else trace.origin
    x = _column_x(trace, trace.entry) + PADDING
    y = 92
    yield (
        f'<rect x="{x}" y="{y}" width="{COLUMN - 2 * PADDING}" height="44" rx="22" '
        f'fill="#eff6ff" stroke="{WAY}" stroke-width="2"/>'
    )
    yield _text(x + 24, y + 19, f"a client on {who}", size=14, weight=600)
    yield _text(x + 24, y + 36, str(trace.client), size=12, mono=True)


def _column_x(trace: Trace, node: str) -> int:
    number = next(n for n, side in enumerate(trace.sides) if side.node == node)
    return MARGIN + number * (COLUMN + GUTTER)


def _column(side: Side, number: int, bottom: int) -> str:
    x = MARGIN + number * (COLUMN + GUTTER)
    return (
        f'<rect x="{x}" y="{TOP}" width="{COLUMN}" height="{bottom - TOP}" rx="10" '
        'fill="#f8fafc" stroke="#94a3b8"/>'
        + _text(x + PADDING, TOP + 27, side.node, size=18, weight=700)
        + _text(x + PADDING, TOP + 45, f"{side.role}, {side.address}", size=12, fill="#475569")
    )


def _frame(group: Group) -> str:
    return (
        f'<rect x="{group.x}" y="{group.y}" width="{COLUMN - PADDING}" height="{group.height}" '
        'rx="8" fill="#ffffff" stroke="#cbd5e1"/>'
        + _text(group.x + 10, group.y + 20, group.title, size=12, fill="#475569", mono=True)
    )


def _station(box: Box, words: Mapping[State, str], *, link: bool) -> str:
    station = box.station
    strip, ground = COLOURS[station.state]
    dashed = ' stroke-dasharray="5 3"' if station.state in (State.BLOCKED, State.UNSEEN) else ""
    broad = 3 if station.state is State.BROKEN else 1
    wide = COLUMN - 2 * PADDING
    drawn = (
        f"<title>{escape(f'{station.title} on {station.node}: {station.does}')}</title>"
        f'<rect x="{box.x}" y="{box.y}" width="{wide}" height="{STATION}" rx="6" '
        f'fill="{ground}" stroke="{strip}" stroke-width="{broad}"{dashed}/>'
        f'<rect x="{box.x}" y="{box.y}" width="8" height="{STATION}" rx="4" fill="{strip}"/>'
        + _text(box.x + 18, box.y + 21, MARKS[station.state], size=15, fill=strip, weight=700)
        + _text(box.x + 36, box.y + 21, _named(station, words), size=14, weight=600)
        + _text(box.x + 18, box.y + 40, _cut(station.brief, LONGEST), size=12, mono=True)
    )
    if link:
        label = escape(f"{_named(station, words)} on {station.node}")
        return f'<a href="#{escape(station.id)}" aria-label="{label}">{drawn}</a>'
    return f"<g>{drawn}</g>"


def _named(station: Station, words: Mapping[State, str]) -> str:
    if station.state is State.OK:
        return station.title  # the sign and the colour say it
    failed = station.failed[0].check if station.failed else ""
    return f"{station.title}: {words[station.state]} {failed}".rstrip()


def _quiet_lines(trace: Trace, boxes: Mapping[str, Box]) -> Iterator[str]:
    """Yield thin lines between the stations a request would come by elsewhere."""
    for side in trace.sides:
        chain = [boxes[station.id] for station in side.stations]
        for one, other in pairwise(chain):
            yield _line(one.middle, one.y + STATION, other.middle, other.y, QUIET, 2)


def _way(trace: Trace, boxes: Mapping[str, Box]) -> Iterator[str]:
    """Yield the thick lines of the traced request, and its addresses where they change."""
    first = boxes[trace.trunk[0].station.id]
    yield _line(first.middle, 136, first.middle, first.y - 2, WAY, 3, head=True)
    yield from _leg(trace.trunk, boxes, trace.client)
    last = trace.trunk[-1]
    seen: set[tuple[str, str]] = set()
    for branch in trace.branches:
        yield from _leg((last, *branch.steps), boxes, last.after, seen)


def _leg(
    steps: Sequence[Step],
    boxes: Mapping[str, Box],
    at: Tuple | None,
    seen: set[tuple[str, str]] | None = None,
) -> Iterator[str]:
    for one, other in pairwise(steps):
        here, there = boxes[one.station.id], boxes[other.station.id]
        if one.after is None:
            return
        drawn = (one.station.id, other.station.id)
        if seen is None or drawn not in seen:
            yield from _arrow(here, there, one)
            if one.after != at and here.x == there.x and not one.station.slot:
                many = seen is not None and one.station.key == "snat"
                words = f"{one.after.source} → the task" if many else str(one.after)
                yield _text(
                    here.middle - 12, here.y + STATION + 16, words, size=11, mono=True, end=True
                )
        if seen is not None:
            seen.add(drawn)
        at = one.after


def _arrow(here: Box, there: Box, step: Step) -> Iterator[str]:
    if here.x == there.x:
        x = here.middle
        below = there.y > here.y + STATION + 3 * GAP + HEADING
        if not below:
            yield _line(x, here.y + STATION, x, there.y - 2, WAY, 3, head=True)
            return
        # Another task is in between: around it, along the edge of the column.
        edge, y = here.x - 11, there.y + STATION // 2
        path = f"M {here.x} {here.y + STATION - 12} H {edge} V {y} H {there.x - 4}"
        yield _path(path)
        return
    yield _path(_across(here, there))
    if step.outer is not None:
        # In front of the column it leads to: each of several has a place of its own.
        y = there.y + STATION // 2
        gutter = there.x - PADDING - GUTTER if here.x < there.x else there.right + PADDING
        left = gutter + 24
        yield _text(left, y - 24, "VXLAN, inside UDP", size=11, fill=WAY, weight=600)
        yield _text(left, y - 9, step.outer.source, size=11, mono=True)
        yield _text(left, y + 19, f"→ {step.outer.destination}", size=11, mono=True)


def _across(here: Box, there: Box) -> str:
    """Return the path to another column: past those in between, below their stations."""
    rightwards = here.x < there.x
    start, end = (here.right, there.x) if rightwards else (here.x, there.right)
    one = 1 if rightwards else -1
    y, to_y = here.y + STATION // 2, there.y + STATION // 2
    columns = abs(there.x - here.x) // (COLUMN + GUTTER)
    if columns == 1:
        middle = (start + end) // 2
        return f"M {start} {y} C {middle} {y} {middle} {to_y} {end - 4 * one} {to_y}"
    lane = here.y + STATION + PADDING + LANE * (columns - 1)
    out, into = start + one * (PADDING + LANE), end - one * (PADDING + 14)
    return f"M {start} {y} H {out} V {lane} H {into} V {to_y} H {end - 4 * one}"


def _legend(trace: Trace, height: int, words: Mapping[State, str]) -> Iterator[str]:
    x = MARGIN
    for state in State:
        strip = COLOURS[state][0]
        yield _text(
            x, height - 50, f"{MARKS[state]} {words[state]}", size=13, fill=strip, weight=600
        )
        x += 120
    runs = " · ".join(f"{name} {value}" for name, value in trace.environment)
    yield _text(
        MARGIN, height - 24, f"lab {trace.lab}, looked at {trace.made} · {runs}", size=12,
        fill="#475569",
    )  # fmt: skip


def _arrowheads() -> str:
    return (
        '<defs><marker id="head" viewBox="0 0 10 10" refX="8" refY="5" markerWidth="5" '
        f'markerHeight="5" orient="auto"><path d="M 0 0 L 10 5 L 0 10 z" fill="{WAY}"/>'
        "</marker></defs>"
    )


def _line(
    x: int, y: int, to_x: int, to_y: int, colour: str, wide: int, *, head: bool = False
) -> str:
    marker = ' marker-end="url(#head)"' if head else ""
    return (
        f'<line x1="{x}" y1="{y}" x2="{to_x}" y2="{to_y}" stroke="{colour}" '
        f'stroke-width="{wide}"{marker}/>'
    )


def _path(path: str) -> str:
    return (
        f'<path d="{path}" fill="none" stroke="{WAY}" stroke-width="3" marker-end="url(#head)"/>'
    )


def _text(
    x: int,
    y: int,
    words: str,
    *,
    size: int,
    fill: str = "",
    weight: int = 400,
    mono: bool = False,
    end: bool = False,
) -> str:
    colour = f' style="fill:{fill}"' if fill else ""
    family = ' class="mono"' if mono else ""
    anchor = ' text-anchor="end"' if end else ""
    return (
        f'<text x="{x}" y="{y}" font-size="{size}" font-weight="{weight}"{family}{anchor}{colour}>'
        f"{escape(words)}</text>"
    )


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
