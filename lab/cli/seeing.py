"""Commands that look at a running lab and change nothing."""

import sys
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.tasks import task

from lab.cli.guard import command
from lab.cli.options import NAME, OUTPUT, lab_name, wants_json

if TYPE_CHECKING:
    from lab.diagnosis.words import Typed
    from lab.session import LabSession

SOMETHING_IS_BROKEN = 9
"""Exit code of a diagnosis that found something."""


@task(
    help={
        "name": NAME,
        "rules": "look at rules, tables and settings only: send no request",
        "output": OUTPUT,
    }
)
@command
def diagnose(c: Context, name: str | None = None, rules: bool = False, output: str = "") -> None:
    """Name the first broken hop, what follows from it, and what to type."""
    from lab import report
    from lab.diagnosis import content, text
    from lab.diagnosis.examine import diagnose as examine
    from lab.evidence import look_at_what_answers
    from lab.session import open_lab, place_of

    as_json = wants_json(c, output)
    lab = open_lab(lab_name(c, name))
    situation, silent = look_at_what_answers(place_of(lab), requests=not rules)
    found = examine(situation, silent)
    if as_json:
        report.print_json(content.SCHEMA, {"lab": lab.name, **content.content(found, _typed(lab))})
    else:
        report.print_text(text.render(found, _typed(lab)))
    if not found.is_healthy:
        sys.exit(SOMETHING_IS_BROKEN)


def _typed(lab: "LabSession") -> "Typed":
    """Return how commands for the nodes of a lab are typed in the current directory."""
    from lab.advice import typed_here
    from lab.diagnosis.words import through_invoke
    from lab.home import DEFAULT_NAME

    manager = lab.topology.manager.name
    option = "" if lab.name == DEFAULT_NAME else f" --name {lab.name}"
    return lambda node, line: typed_here(
        through_invoke(node, line, manager=manager, option=option)
    )
