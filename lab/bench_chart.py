"""The picture of a benchmark: how long each way of coming up takes, phase by phase. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

WAYS = (
    "cold",
    "default provider, all booted",
    "every machine booted",
    "from the golden machine",
    "warm",
)
"""The ways of coming up, as ``lab.bench`` names them in its readings."""

VERIFIED = "until verified, snapshot not yet saved"
"""A reading beside the phases: all of them but the last one."""

BAR_PX = 22
GAP_PX = 10
LABEL_PX = 250
WIDTH_PX = 900
COLOURS = ("#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#3ca951", "#ff8ab7", "#a463f2", "#97bbf5")


@dataclass(frozen=True, slots=True)
class Bar:
    """One way of coming up: its title, its total and the medians of its phases, in seconds."""

    title: str
    total_s: float
    phases: tuple[tuple[str, float], ...]


def bars(scenarios: Sequence[Mapping[str, object]]) -> tuple[Bar, ...]:
    """Return a bar for every way in which every scenario came up.

    Args:
        scenarios: ``scenarios`` of a report of schema ``lab.bench/v2``.
    """
    return tuple(_bars(scenarios))


def svg(found: Sequence[Bar]) -> str:
    """Return the bars as a picture: one self-contained SVG, readable in black and white."""
    longest = max((bar.total_s for bar in found), default=1.0)
    scale = (WIDTH_PX - LABEL_PX - 80) / longest
    names = list(dict.fromkeys(name for bar in found for name, _ in bar.phases))
    colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names)}
    rows = [
        _row(bar, GAP_PX + i * (BAR_PX + GAP_PX), scale, colours) for i, bar in enumerate(found)
    ]
    top = GAP_PX + len(found) * (BAR_PX + GAP_PX)
    legend = [
        _legend(name, top + 18 * i, colour) for i, (name, colour) in enumerate(colours.items())
    ]
    height = top + 18 * len(names) + GAP_PX
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH_PX} {height}" '
            f'font-family="sans-serif" font-size="13" role="img">',
            "<title>Seconds from typing invoke lab.up to a verified lab</title>",
            f'<rect width="{WIDTH_PX}" height="{height}" fill="white"/>',
            *rows,
            *legend,
            "</svg>\n",
        )
    )


def _bars(scenarios: Sequence[Mapping[str, object]]) -> Iterator[Bar]:
    for scenario in scenarios:
        summary = scenario["summary"]
        assert isinstance(summary, Mapping)  # noqa: S101 - our own schema
        for way in WAYS:
            total = summary.get(f"lab.up, {way} (s)")
            if total is None:
                continue
            start = f"- {way}: "
            phases = tuple(
                (what.removeprefix(start).removesuffix(" (s)"), float(value["median"]))
                for what, value in summary.items()
                if what.startswith(start) and what.endswith(" (s)") and VERIFIED not in what
            )
            yield Bar(f"{scenario['title']}, {way}", float(total["median"]), phases)


def _row(bar: Bar, y: int, scale: float, colours: Mapping[str, str]) -> str:
    parts = [f'<text x="{LABEL_PX - 8}" y="{y + 15}" text-anchor="end">{escape(bar.title)}</text>']
    x = float(LABEL_PX)
    # What no phase accounts for is the start of the interpreter and its libraries.
    for name, seconds in (*bar.phases, ("", bar.total_s - sum(s for _, s in bar.phases))):
        width = max(0.0, seconds) * scale
        parts.append(
            f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{BAR_PX}" '
            f'fill="{colours.get(name, "#bbb")}" stroke="white">'
            f"<title>{escape(name or 'everything else')}: {seconds:.1f} s</title></rect>"
        )
        x += width
    parts.append(f'<text x="{x + 6:.1f}" y="{y + 15}">{bar.total_s:.1f} s</text>')
    return "\n".join(parts)


def _legend(name: str, y: int, colour: str) -> str:
    return (
        f'<rect x="{LABEL_PX}" y="{y}" width="12" height="12" fill="{colour}"/>'
        f'<text x="{LABEL_PX + 18}" y="{y + 11}">{escape(name)}</text>'
    )
