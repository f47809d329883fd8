"""Commands that look at a running lab and change nothing."""

import sys

from invoke.context import Context
from invoke.tasks import task

from lab.cli.guard import command
from lab.cli.options import NAME, OUTPUT, lab_name, wants_json

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
    from lab.session import open_lab, place_of, typed_for

    as_json = wants_json(c, output)
    lab = open_lab(lab_name(c, name))
    situation, silent = look_at_what_answers(place_of(lab), requests=not rules)
    found = examine(situation, silent)
    if as_json:
        report.print_json(
            content.SCHEMA, {"lab": lab.name, **content.content(found, typed_for(lab))}
        )
    else:
        report.print_text(text.render(found, typed_for(lab)))
    if not found.is_healthy:
        sys.exit(SOMETHING_IS_BROKEN)
