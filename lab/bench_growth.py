"""How a lab's costs grow with its nodes: the picture, and what each added node costs. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from lab.bench_chart import COLOURS, WIDTH_PX

DRAWN = {
    "cold start": "lab.up, cold (s)",
    "warm start": "lab.up, warm (s)",
    "pytest checks/": "pytest checks/, warm lab (s)",
}
"""What the picture shows, and the reading it is."""

COUNTED = (
    "lab.up, cold (s)",
    "lab.up, warm (s)",
    "pytest checks/, cold lab (s)",
    "pytest checks/, warm lab (s)",
)
PER_NODE = {
    "memory of the lab, cold (MiB)": "- cold: memory per node (MiB)",
    "memory of the lab, warm (MiB)": "- warm: memory per node (MiB)",
}
"""Sums over the nodes, and the mean of one node that was read."""

HEIGHT_PX = 260
TOP_PX, BOTTOM_PX, SIDE_PX = 40, 220, 50

Summary = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Point:
    """What was measured with so many nodes, in seconds."""

    nodes: int
    low: float
    median: float
    high: float


@dataclass(frozen=True, slots=True)
class Line:
    """One measure over the number of nodes."""

    title: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Added:
    """What each node costs that is added between two neighbouring numbers of nodes."""

    what: str
    span: tuple[int, int]
    each: float


def growth(scenarios: Sequence[Mapping[str, object]]) -> tuple[Line, ...]:
    """Return a line for every measure that was taken with two numbers of nodes or more.

    Args:
        scenarios: ``scenarios`` of a report of schema ``lab.bench/v2``; those titled "N nodes"
            count.
    """
    lines = (Line(title, tuple(_points(scenarios, reading))) for title, reading in DRAWN.items())
    return tuple(line for line in lines if len(line.points) > 1)


def added_nodes(scenarios: Sequence[Mapping[str, object]]) -> tuple[Added, ...]:
    """Return what each added node costs, from the medians of scenarios titled "N nodes"."""
    found = {what: [(p.nodes, p.median) for p in _points(scenarios, what)] for what in COUNTED}
    for what, reading in PER_NODE.items():
        found[what] = [(p.nodes, p.median * p.nodes) for p in _points(scenarios, reading)]
    return tuple(
        Added(what, (few, many), (then - now) / (many - few))
        for what, values in found.items()
        for (few, now), (many, then) in pairwise(values)
    )


def growth_svg(lines: Sequence[Line]) -> str:
    """Return the lines as a picture: one self-contained SVG, each line on a scale of its own.

    A warm start would be a flat line on the scale of a cold one.
    """
    width = WIDTH_PX / max(1, len(lines))
    panels = [
        _panel(line, i * width, width, COLOURS[i % len(COLOURS)]) for i, line in enumerate(lines)
    ]
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH_PX} {HEIGHT_PX}" '
            f'font-family="sans-serif" font-size="13" role="img">',
            "<title>Seconds over the number of nodes: median, from minimum to maximum</title>",
            f'<rect width="{WIDTH_PX}" height="{HEIGHT_PX}" fill="white"/>',
            *panels,
            "</svg>\n",
        )
    )


def _points(scenarios: Sequence[Mapping[str, object]], reading: str) -> Iterator[Point]:
    """Return what a reading was with each number of nodes, fewest first."""
    for nodes, found in sorted(_by_nodes(scenarios).items()):
        if value := found.get(reading):
            yield Point(nodes, float(value["min"]), float(value["median"]), float(value["max"]))


def _by_nodes(scenarios: Sequence[Mapping[str, object]]) -> dict[int, Summary]:
    found: dict[int, Summary] = {}
    for scenario in scenarios:
        summary = scenario["summary"]
        assert isinstance(summary, Mapping)  # noqa: S101 - our own schema
        if title := re.fullmatch(r"(\d+) nodes", str(scenario["title"])):
            found[int(title[1])] = summary
    return found


def _panel(line: Line, left: float, width: float, colour: str) -> str:
    """Draw one line, both axes from zero: one that is straight through it is proportional."""
    across = (width - 2 * SIDE_PX) / line.points[-1].nodes
    up = (BOTTOM_PX - TOP_PX) / (max(point.high for point in line.points) or 1.0)
    start, end = left + SIDE_PX, left + width - SIDE_PX
    places = [(p, start + p.nodes * across, BOTTOM_PX - p.median * up) for p in line.points]
    path = " ".join(f"{x:.1f},{y:.1f}" for _, x, y in places)
    return "\n".join(
        (
            f'<text x="{start:.1f}" y="18" font-weight="bold">{escape(line.title)}, s</text>',
            f'<path d="M{start:.1f} {TOP_PX}V{BOTTOM_PX}H{end:.1f}" fill="none" stroke="#888"/>',
            f'<text x="{start:.1f}" y="{BOTTOM_PX + 18}" text-anchor="end">nodes</text>',
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>',
            *(_dot(p, x, y, up, colour) for p, x, y in places),
        )
    )


def _dot(point: Point, x: float, y: float, up: float, colour: str) -> str:
    high, low = BOTTOM_PX - point.high * up, BOTTOM_PX - point.low * up
    told = f"{point.nodes} nodes: {point.median:.1f} s ({point.low:.1f} to {point.high:.1f})"
    return (
        f'<path d="M{x:.1f} {high:.1f}V{low:.1f}" stroke="black"/>'
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"><title>{told}</title></circle>'
        f'<text x="{x + 8:.1f}" y="{y + 16:.1f}">{point.median:.1f}</text>'
        f'<text x="{x:.1f}" y="{BOTTOM_PX + 18}" text-anchor="middle">{point.nodes}</text>'
    )
