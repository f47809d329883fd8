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
from lab.settings import choice

if TYPE_CHECKING:
    from lab.session import LabSession
    from lab.trace.build import Request
    from lab.trace.model import Trace

SOMETHING_IS_BROKEN = 9
"""Exit code of a diagnosis that found something."""


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
        "from_": "where the request is made: a node, or 'host' for this machine",
        "output": "text, json, mermaid, svg or html (LAB_OUTPUT)",
    }
)
@command
def trace(c: Context, name: str | None = None, from_: str = "", output: str = "") -> None:
    """Show the way of a request, hop by hop, as the kernels are programmed to send it."""
    from lab.diagnosis.examine import diagnose as examine
    from lab.evidence import Depth, look_at_what_answers
    from lab.session import open_lab, place_of
    from lab.trace.build import trace as follow

    form = choice("output", option_value(c, "output", output, TraceOutput.TEXT), TraceOutput)
    lab = open_lab(lab_name(c, name))
    request = _request(lab, from_)
    situation, silent = look_at_what_answers(place_of(lab), Depth.RULES)
    found = examine(situation, silent)
    made = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    _show_trace(follow(situation, found, request, lab=lab.name, made=made), form)


def _request(lab: "LabSession", origin: str) -> "Request":
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
