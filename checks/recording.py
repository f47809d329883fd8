"""From the reports of a run to its write-up: ``pytest checks/ --lab-report FILE``."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from checks.looking import Looking
from checks.proving import BLOCKED
from lab.diagnosis.model import Diagnosis
from lab.errors import LabError
from lab.hops.catalogue import JUDGES
from lab.hops.situation import Situation
from lab.hops.verdict import Verdict
from lab.trace.build import Request, trace
from lab.trace.model import Trace
from lab.version import our_version
from lab.writeup.forms import form_of
from lab.writeup.model import NodeRuns, Outcome, Row, Writeup

Reports = Mapping[str, Sequence[object]]
ORDER = {judge.check.id: place for place, judge in enumerate(JUDGES)}


def write(file: Path, reports: Reports, evidence: Looking) -> None:
    """Write the report of a run that has ended.

    Raises:
        UsageError: The file's name says no form we know.
        OSError: It cannot be written.
    """
    form = form_of(file)
    made = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    kept = evidence.kept()
    situation, diagnosis = kept if kept is not None else (None, None)
    writeup = Writeup(
        lab=evidence.name,
        provider=evidence.provider,
        remark=evidence.remark,
        made=made,
        version=f"swarm-ingress-lab {our_version()}",
        nodes=tuple(_nodes(situation)) if situation else (),
        rows=tuple(sorted(_rows(reports, diagnosis.verdicts if diagnosis else ()), key=_place)),
        diagnosis=diagnosis,
        trace=_trace(situation, diagnosis, evidence.name, made),
    )
    file.write_text(form(writeup, evidence.typed), encoding="utf-8")


def _nodes(situation: Situation) -> Iterator[NodeRuns]:
    for node in situation.cluster.nodes:
        spec = situation.spec(node.node)
        yield NodeRuns(
            node=node.node,
            role=str(spec.role),
            address=str(spec.address),
            engine=node.engine_version,
            kernel=node.kernel,
            system=node.operating_system,
            iptables=node.iptables_backend or "no rules",
        )


def _trace(
    situation: Situation | None, diagnosis: Diagnosis | None, lab: str, made: str
) -> Trace | None:
    if situation is None or diagnosis is None:
        return None
    manager = situation.topology.manager.name
    try:
        return trace(situation, diagnosis, Request(manager, manager), lab=lab, made=made)
    except LabError:  # nothing is known of the manager: there is no picture without it
        return None


def _rows(reports: Reports, verdicts: Sequence[Verdict]) -> Iterator[Row]:
    """Yield a row for each check that was run."""
    known = {(v.check, v.subject): v for v in verdicts}
    for category, outcome in (
        ("passed", Outcome.PASSED),
        ("failed", Outcome.FAILED),
        ("blocked", Outcome.BLOCKED),
        ("error", Outcome.ERROR),
    ):
        for report in reports.get(category, ()):
            if isinstance(report, pytest.TestReport) and (
                report.when == "call" or outcome is Outcome.ERROR
            ):
                yield _row(report, outcome, known)


def _place(row: Row) -> int:
    """Return where a check comes in path order; what is none of ours comes last."""
    return ORDER.get(row.check, len(ORDER))


def _row(
    report: pytest.TestReport, outcome: Outcome, known: Mapping[tuple[str, str], Verdict]
) -> Row:
    told = {name: str(value) for name, value in report.user_properties}
    check, subject = told.get("check", ""), told.get("subject", "")
    return Row(
        test=report.nodeid,
        check=check,
        subject=subject,
        outcome=outcome,
        seconds=report.duration,
        blocked_by=told.get(BLOCKED, ""),
        message="" if outcome is Outcome.PASSED else report.longreprtext,
        verdict=known.get((check, subject)),
    )
