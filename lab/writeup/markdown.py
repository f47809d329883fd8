"""A write-up as Markdown, to be pasted into an issue."""

from collections.abc import Iterator

from lab.diagnosis.text import render as diagnosis_text
from lab.diagnosis.words import Typed
from lab.trace.mermaid import render as flowchart
from lab.writeup.model import Outcome, Row, Writeup

SIGNS = {
    Outcome.PASSED: "✓ passed",
    Outcome.FAILED: "✗ **failed**",
    Outcome.BLOCKED: "○ blocked",
    Outcome.ERROR: "? **error**",
}


def render(writeup: Writeup, typed: Typed) -> str:
    """Return the whole write-up; ``typed`` says how commands are typed here."""
    return "\n".join(_lines(writeup, typed)) + "\n"


def _lines(writeup: Writeup, typed: Typed) -> Iterator[str]:
    yield f"# Checks of lab {writeup.lab}: {writeup.summary}"
    yield f"\n{writeup.made}, provider {writeup.provider} ({writeup.remark}), {writeup.version}."
    yield "\n| node | role | address | engine | kernel | iptables | system |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for node in writeup.nodes:
        cells = (
            *(node.node, node.role, node.address, node.engine, node.kernel),
            *(node.iptables, node.system),
        )
        yield f"| {' | '.join(map(_cell, cells))} |"
    if writeup.diagnosis is not None:
        yield "\n## Diagnosis\n"
        yield from _fenced(diagnosis_text(writeup.diagnosis, typed), "text")
    if writeup.trace is not None:
        yield "\n## The path\n"
        yield from _fenced(flowchart(writeup.trace), "mermaid")
    yield "\n## Checks\n"
    yield "| check | about | outcome | found |"
    yield "| --- | --- | --- | --- |"
    for row in writeup.rows:
        yield _row(row)
    for row in writeup.rows:
        if row.outcome is not Outcome.PASSED:
            yield f"\n### {row.check or row.test} ({row.subject or row.outcome})\n"
            yield from _fenced(row.message, "text")


def _row(row: Row) -> str:
    found = row.verdict.found if row.verdict is not None else row.message.partition("\n")[0]
    outcome = SIGNS[row.outcome] + (f" by {row.blocked_by}" if row.blocked_by else "")
    return f"| {row.check or row.test} | {_cell(row.subject)} | {outcome} | {_cell(found)} |"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _fenced(text: str, language: str) -> Iterator[str]:
    fence = "```"
    while fence in text:
        fence += "`"
    yield f"{fence}{language}\n{text}\n{fence}"
