"""A request as it was seen, put into the picture of the path: SVG, Mermaid, and a page."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from lab.diagnosis.model import State
from lab.live.model import Live, Outcome, Sight
from lab.live.text import milliseconds, place_of, times
from lab.pages import drawn, page
from lab.trace import mermaid, svg
from lab.trace.kinds import KINDS
from lab.trace.model import Branch, Key, Station, Step, Trace, Tuple
from lab.trace.text import MARKS

STATES: Mapping[Outcome, State] = {
    Outcome.SEEN: State.OK,
    Outcome.ODD: State.ODD,
    Outcome.LOST: State.BROKEN,
    Outcome.STOPPED: State.BROKEN,
    Outcome.UNKNOWN: State.UNSEEN,
    Outcome.BEYOND: State.BLOCKED,
}
WORDS: Mapping[State, str] = {state: str(outcome) for outcome, state in STATES.items()} | {
    State.ODD: "seen, but odd",
    State.BROKEN: "ends here",
}
"""What the colours of a trace mean here."""


def as_svg(live: Live, trace: Trace) -> str:
    """Return the picture; ``trace`` is the way the kernels are programmed for."""
    return svg.render(_seen(live, trace), words=WORDS)


def as_mermaid(live: Live, trace: Trace) -> str:
    """Return the flowchart."""
    return mermaid.render(_seen(live, trace))


def as_html(live: Live, trace: Trace) -> str:
    """Return a page that needs nothing from elsewhere: picture, evidence on click, tables."""
    seen = _seen(live, trace)
    picture = drawn(svg.render(seen, link=True, words=WORDS))
    rows = [
        {
            "sight": sight,
            "title": KINDS[sight.key].title,
            "place": place_of(live, sight),
            "state": STATES[sight.outcome],
            "times": times(sight),
        }
        for sight in live.sights
    ]
    return page(
        "live.html", live=live, rows=rows, trace=seen, picture=picture, marks=MARKS, words=WORDS
    )


def _seen(live: Live, trace: Trace) -> Trace:
    """Return a trace of what was seen: its stations, and the one way the request took."""
    by_station = {sight.station: sight for sight in live.sights}

    def seen(station: Station) -> Station:
        return _station(station, by_station.get(station.id))

    sides = tuple(replace(s, stations=tuple(map(seen, s.stations))) for s in trace.sides)
    tasks = tuple(replace(t, stations=tuple(map(seen, t.stations))) for t in trace.tasks)
    held = (*(s.stations for s in sides), *(t.stations for t in tasks))
    stations = {station.id: station for some in held for station in some}
    client = live.sights[0].before or trace.client
    steps = _steps([s for s in live.sights if s.station in stations], stations, client)
    count = 1 + next(n for n, sight in enumerate(live.sights) if sight.key is Key.IPVS)
    branches: tuple[Branch, ...] = ()
    if live.backend is not None:
        task = next((t for t in tasks if t.slot == live.backend.slot), None)
        branches = (Branch(live.backend.address, task, steps[count:]),)
    return replace(
        trace,
        headline=live.headline,
        made=live.made,
        environment=live.environment,
        client=client,
        trunk=steps[:count],
        branches=branches,
        sides=sides,
        tasks=tasks,
    )


def _station(station: Station, sight: Sight | None) -> Station:
    if sight is None:
        says = "the request was not seen here; this is not on the way it took"
        return replace(
            station, state=State.BLOCKED, does=says, brief="", lines=(), evidence=(), verdicts=()
        )
    brief = str(sight.after or sight.before or sight.says)
    if sight.outcome is Outcome.BEYOND:
        brief = ""
    if sight.moments.opened is not None:
        brief += f"  +{milliseconds(sight.moments.opened)} ms"
    return replace(
        station,
        state=STATES[sight.outcome],
        does=sight.says,
        brief=brief,
        lines=sight.lines,
        evidence=sight.lines,
        verdicts=(),
    )


def _steps(
    sights: Sequence[Sight], stations: Mapping[str, Station], client: Tuple
) -> tuple[Step, ...]:
    """Return the steps; where addresses were not seen, those before stay in force."""
    steps = []
    at = client
    for sight in sights:
        lost = sight.outcome in (Outcome.LOST, Outcome.STOPPED, Outcome.BEYOND)
        at = sight.after or at
        steps.append(
            Step(
                stations[sight.station], None if lost else at, sight.says, sight.lines, sight.outer
            )
        )
    return tuple(steps)
