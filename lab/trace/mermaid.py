"""A trace as a Mermaid flowchart, which GitHub and many editors draw."""

from collections.abc import Iterator
from itertools import pairwise

from lab.diagnosis.model import State
from lab.trace.model import Side, Station, Step, Task, Trace
from lab.trace.text import MARKS

CLASSES = {
    State.OK: ("good", "fill:#dcfce7,stroke:#16a34a"),
    State.BROKEN: ("bad", "fill:#fee2e2,stroke:#dc2626,stroke-width:3px"),
    State.ODD: ("odd", "fill:#fef3c7,stroke:#d97706"),
    State.BLOCKED: ("blocked", "fill:#f3f4f6,stroke:#9ca3af,stroke-dasharray:4"),
    State.UNSEEN: ("unseen", "fill:#ffffff,stroke:#9ca3af,stroke-dasharray:1"),
}


def render(trace: Trace) -> str:
    """Return the flowchart: every station of every node, and the way of the request."""
    lines = ["flowchart TB", f'  client(["{_text(f"client: {trace.client}")}"])']
    for side in trace.sides:
        here = [task for task in trace.tasks if task.node == side.node]
        lines += _side(side, here)
    lines += dict.fromkeys(_ways(trace))
    lines += [f"  classDef {name} {style},color:#111827" for name, style in CLASSES.values()]
    for station in trace.stations:
        lines.append(f"  class {_name(station)} {CLASSES[station.state][0]}")
    return "\n".join(lines)


def _side(side: Side, tasks: list[Task]) -> Iterator[str]:
    yield f'  subgraph {_id(side.node)}["{_text(f"{side.node} {side.address}")}"]'
    stations = [*side.stations, *(s for task in tasks for s in task.stations)]
    for place in dict.fromkeys(station.place for station in stations):
        yield f'    subgraph {_id(f"{side.node}-{place}")}["{_text(place)}"]'
        for station in stations:
            if station.place == place:
                words = f"{MARKS[station.state]} {station.title}<br/>{_text(station.brief)}"
                yield f'      {_name(station)}["{words}"]'
        yield "    end"
    yield "  end"


def _ways(trace: Trace) -> Iterator[str]:
    first = trace.trunk[0].station
    yield f"  client ==> {_name(first)}"
    yield from _links(trace.trunk)
    for branch in trace.branches:
        yield from _links((trace.trunk[-1], *branch.steps))


def _links(steps: tuple[Step, ...]) -> Iterator[str]:
    for one, other in pairwise(steps):
        if one.after is None:
            return
        around = f"UDP {one.outer}" if one.outer else ""
        label = f'|"{_text(around)}"|' if around else ""
        yield f"  {_name(one.station)} ==>{label} {_name(other.station)}"


def _name(station: Station) -> str:
    return _id(station.id)


def _id(text: str) -> str:
    # "end" and the like are words of Mermaid's own: no id of ours begins like one.
    return "n_" + "".join(c if c.isalnum() else "_" for c in text)


def _text(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
