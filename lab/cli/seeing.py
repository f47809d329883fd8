"""Commands that look at a running lab and change nothing."""

import sys
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.tasks import task

from lab.cli.guard import command
from lab.cli.options import NAME, OUTPUT, lab_name, option_value, wants_json
from lab.errors import UsageError
from lab.settings import choice, count

if TYPE_CHECKING:
    from lab.live.model import Live
    from lab.session import LabSession
    from lab.trace.build import Request
    from lab.trace.model import Trace

SOMETHING_IS_BROKEN = 9
"""Exit code of a diagnosis that found something, and of a live trace without an answer."""
FROM = "where the request is made: a node, or 'host' for this machine"


class TraceOutput(StrEnum):
    """What ``lab.trace -o`` takes."""

    TEXT = "text"
    JSON = "json"
    MERMAID = "mermaid"
    SVG = "svg"
    HTML = "html"


@task(
    help={
        "name": NAME,
        "rules": "look at rules, tables and settings only: send nothing",
        "output": OUTPUT,
    }
)
@command
def diagnose(c: Context, name: str | None = None, rules: bool = False, output: str = "") -> None:
    """Name the first broken hop, what follows from it, and what to type."""
    from lab import report
    from lab.diagnosis import content, text
    from lab.diagnosis.examine import diagnose as examine
    from lab.evidence import Depth, look_at_what_answers
    from lab.session import open_lab, place_of, typed_for

    as_json = wants_json(c, output)
    lab = open_lab(lab_name(c, name))
    depth = Depth.RULES if rules else Depth.SENT
    situation, silent = look_at_what_answers(place_of(lab), depth)
    found = examine(situation, silent)
    if as_json:
        report.print_json(
            content.SCHEMA, {"lab": lab.name, **content.content(found, typed_for(lab))}
        )
    else:
        report.print_text(text.render(found, typed_for(lab)))
    if not found.is_healthy:
        sys.exit(SOMETHING_IS_BROKEN)


@task(
    help={
        "name": NAME,
        "from_": FROM,
        "port": "the published port; the topology's when not given",
        "live": "send one marked request, and show where it was really seen",
        "output": "text, json, mermaid, svg or html (LAB_OUTPUT)",
    }
)
@command
def trace(
    c: Context,
    name: str | None = None,
    from_: str = "",
    port: str = "",
    live: bool = False,
    output: str = "",
) -> None:
    """Show the way of a request, hop by hop: as the kernels would send it, or one real one."""
    from lab.diagnosis.examine import diagnose as examine
    from lab.evidence import Depth, look_at_what_answers
    from lab.session import open_lab, place_of
    from lab.steps import Steps
    from lab.trace.build import trace as follow

    form = choice("output", option_value(c, "output", output, TraceOutput.TEXT), TraceOutput)
    lab = open_lab(lab_name(c, name))
    request = request_of(lab, from_)
    _expect_published(lab, port)
    steps = Steps(quiet=not live)
    with steps.step("Looking at all nodes"):
        situation, silent = look_at_what_answers(place_of(lab), Depth.RULES)
    found = examine(situation, silent)
    made = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    way = follow(situation, found, request, lab=lab.name, made=made)
    if not live:
        _show_trace(way, form)
        return
    from lab.live.taking import Scene, take

    seen = take(Scene(lab.name, place_of(lab), situation, tuple(silent)), request, steps)
    _show_live(seen, way, form)
    if not seen.answered:
        sys.exit(SOMETHING_IS_BROKEN)


def _expect_published(lab: "LabSession", port: str) -> None:
    service = lab.topology.service
    if port and count("--port", port, least=1) != service.published_port:
        raise UsageError(
            f"Nothing is published at tcp {port}",
            details=f"{service.name} is published at tcp {service.published_port}",
            hint="invoke lab.trace",
        )


def request_of(lab: "LabSession", origin: str) -> "Request":
    """Return the request ``--from`` means; the manager's own when it says nothing."""
    from lab.trace.build import Request
    from lab.trace.model import HERE

    nodes = [node.name for node in lab.topology.nodes]
    if origin not in ("", HERE, *nodes):
        raise UsageError(
            f"--from cannot be {origin!r}", details=f"expected {', '.join(nodes)} or {HERE}"
        )
    manager = lab.topology.manager.name
    return Request(origin or manager, origin if origin in nodes else manager)


def _show_trace(trace: "Trace", form: TraceOutput) -> None:
    from lab import report
    from lab.trace import content, html, mermaid, svg, text

    if form is TraceOutput.TEXT:
        report.print_text(text.render(trace))
    elif form is TraceOutput.JSON:
        report.print_json(content.SCHEMA, content.content(trace))
    else:
        drawing = {TraceOutput.MERMAID: mermaid, TraceOutput.SVG: svg, TraceOutput.HTML: html}
        print(drawing[form].render(trace))


def _show_live(seen: "Live", way: "Trace", form: TraceOutput) -> None:
    from lab import report
    from lab.live import content, picture, text

    if form is TraceOutput.TEXT:
        report.print_text(text.render(seen))
    elif form is TraceOutput.JSON:
        report.print_json(content.SCHEMA, content.content(seen))
    else:
        drawing = {
            TraceOutput.MERMAID: picture.as_mermaid,
            TraceOutput.SVG: picture.as_svg,
            TraceOutput.HTML: picture.as_html,
        }
        print(drawing[form](seen, way))
