"""The command that proves the checks: every fault is caught, nothing else is."""

import sys

from invoke.context import Context
from invoke.tasks import task

from lab.cli.guard import command
from lab.cli.options import OUTPUT, wants_json
from lab.settings import count

PRISTINE_RUNS = 20
NOT_PROVEN = 9
"""Exit code of a run that did not reach a bar: like a diagnosis that found something."""


@task(
    help={
        "only": "only these faults, with commas between them",
        "runs": f"how many pristine labs are looked at; {PRISTINE_RUNS}, with --only none",
        "lab": "a running lab to do it in, which is changed and reset; else one of its own",
        "resume": "leave out what is proven by this very commit already",
        "output": OUTPUT,
    },
)
@command
def matrix(
    c: Context,
    only: str = "",
    runs: str = "",
    lab: str = "",
    resume: bool = False,
    output: str = "",
) -> None:
    """Put every fault into a lab, and record which checks catch it: docs/detection.md."""
    from lab import report
    from lab.faults.catalogue import FAULTS, find
    from lab.matrix import record, run
    from lab.matrix.bars import bars, is_proven
    from lab.steps import Steps

    as_json = wants_json(c, output)
    faults = tuple(map(find, only.split(","))) if only else FAULTS
    if resume:
        faults = run.still_to_do(faults, record.read(), run.commit())
    default = 0 if only else PRISTINE_RUNS
    looks = count("--runs", runs, least=0) if runs else default
    found = run.run(run.Plan(faults, looks), lab, Steps(), run.keep_in_docs)
    if as_json:
        report.print_json(record.SCHEMA, record.content(found))
    else:
        print("\n".join(map(str, bars(found))))
    if not is_proven(found):
        sys.exit(NOT_PROVEN)
