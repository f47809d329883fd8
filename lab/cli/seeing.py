"""Commands that look at a running lab and change nothing."""

import sys
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.tasks import task

from lab.cli.guard import command
from lab.cli.options import (
    INVENTORY,
    NAME,
    OUTPUT,
    PORT,
    SERVICE,
    attach_wish,
    lab_name,
    option_value,
    wants_json,
)
from lab.errors import UsageError
from lab.settings import choice, count

if TYPE_CHECKING:
    from lab.cli.subject import Subject
    from lab.live.model import Live
    from lab.topology_outline import Outline
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
        "inventory": INVENTORY,
        "service": SERVICE,
        "port": PORT,
        "rules": "look at rules, tables and settings only: send nothing",
        "output": OUTPUT,
    }
)
@command
def diagnose(
    c: Context,
    name: str | None = None,
    inventory: str = "",
    service: str = "",
    port: str = "",
    rules: bool = False,
    output: str = "",
) -> None:
    """Name the first broken hop, what follows from it, and what to type."""
    from lab import report
    from lab.cli.subject import subject
    from lab.diagnosis import content, text
    from lab.diagnosis.examine import diagnose as examine
    from lab.evidence import Depth

    as_json = wants_json(c, output)
    wish = attach_wish(inventory, service, port, name)
    with subject(lab_name(c, name), wish) as looked_at:
        if looked_at.statement:
            _state(content.SCHEMA, looked_at, as_json=as_json)
            return
        found = examine(*looked_at.look(Depth.RULES if rules else Depth.SENT))
    if as_json:
        report.print_json(
            content.SCHEMA, {"lab": looked_at.name, **content.content(found, looked_at.typed)}
        )
    else:
        report.print_text(text.render(found, looked_at.typed))
    if not found.is_healthy:
        sys.exit(SOMETHING_IS_BROKEN)


@task(
    help={
        "name": NAME,
        "inventory": INVENTORY,
        "service": SERVICE,
        "port": "the published port, with --inventory such as 443 or 53/udp",
        "from_": FROM,
        "live": "send one marked request, and show where it was really seen",
        "output": "text, json, mermaid, svg or html (LAB_OUTPUT)",
    }
)
@command
def trace(
    c: Context,
    name: str | None = None,
    inventory: str = "",
    service: str = "",
    port: str = "",
    from_: str = "",
    live: bool = False,
    output: str = "",
) -> None:
    """Show the way of a request, hop by hop: as the kernels would send it, or one real one."""
    from lab.cli.subject import subject
    from lab.diagnosis.examine import diagnose as examine
    from lab.evidence import Depth
    from lab.steps import Steps
    from lab.trace.build import trace as follow
    from lab.trace.content import SCHEMA

    form = choice("output", option_value(c, "output", output, TraceOutput.TEXT), TraceOutput)
    wish = attach_wish(inventory, service, port if inventory else "", name)
    if wish is not None and live:
        raise UsageError(
            "--live and --inventory contradict each other",
            details="no request is sent to a service of somebody's own",
        )
    with subject(lab_name(c, name), wish) as looked_at:
        if looked_at.statement:
            _state(SCHEMA, looked_at, as_json=form is TraceOutput.JSON)
            return
        request = request_of(looked_at.topology, from_)
        if wish is None:
            _expect_published(looked_at.topology, port)
        situation, silent = looked_at.look(Depth.RULES)
    found = examine(situation, silent)
    made = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    way = follow(situation, found, request, lab=looked_at.name, made=made)
    if not live:
        _show_trace(way, form)
        return
    from lab.live.taking import Scene, take
    from lab.session import open_lab, place_of

    place = place_of(open_lab(looked_at.name))
    seen = take(Scene(looked_at.name, place, situation, silent), request, Steps())
    _show_live(seen, way, form)
    if not seen.answered:
        sys.exit(SOMETHING_IS_BROKEN)


def _state(schema: str, looked_at: "Subject", *, as_json: bool) -> None:
    """Say why there is nothing to judge."""
    from lab import report

    if as_json:
        report.print_json(schema, {"lab": looked_at.name, "statement": looked_at.statement})
    else:
        report.print_text(looked_at.statement)


def _expect_published(topology: "Outline", port: str) -> None:
    service = topology.service
    if port and count("--port", port, least=1) != service.published_port:
        raise UsageError(
            f"Nothing is published at tcp {port}",
            details=f"{service.name} is published at tcp {service.published_port}",
            hint="invoke lab.trace",
        )


def request_of(topology: "Outline", origin: str) -> "Request":
    """Return the request ``--from`` means; the manager's own when it says nothing."""
    from lab.trace.build import Request
    from lab.trace.model import HERE

    nodes = [node.name for node in topology.nodes]
    if origin not in ("", HERE, *nodes):
        raise UsageError(
            f"--from cannot be {origin!r}", details=f"expected {', '.join(nodes)} or {HERE}"
        )
    manager = topology.manager.name
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
