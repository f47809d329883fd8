"""Faults in words: the list, the table of docs/faults.md, and what `lab.break` says. Pure."""

import textwrap
from collections.abc import Collection, Mapping, Sequence
from itertools import groupby

from lab.faults.journal import Entry, Progress
from lab.faults.model import Fault, Injected, Leftover

WIDTH = 100
LEVELS: Mapping[int, str] = {
    1: "shows at once to one command",
    2: "takes a look at the right place",
    3: "subtle",
}


def listed(faults: Sequence[Fault], entries: Sequence[Entry]) -> str:
    """Return all faults by hop: level, title, symptom and thread; the injected ones are marked."""
    marks = {entry.fault for entry in entries}
    lines = [f"level {level}: {meaning}" for level, meaning in LEVELS.items()]
    for hop, some in groupby(faults, key=lambda fault: fault.hop):
        lines += ["", f"hop {hop}"]
        for fault in some:
            lines += _rows(fault, is_there=fault.id in marks)
    return "\n".join([*lines, "", *injected_lines(entries)])


def injected_lines(entries: Sequence[Entry]) -> list[str]:
    """Return what is in the lab, a line each; one line if nothing is."""
    if not entries:
        return ["Nothing is injected. Break something with: invoke lab.break FAULT"]
    lines = [f"injected: {entry}{_since(entry)}" for entry in entries]
    return [*lines, "Put it back with: invoke lab.heal"]


def leftover_lines(found: Sequence[Leftover]) -> list[str]:
    """Return what was found in the nodes that the journal does not know."""
    strange = [one for one in found if not one.journaled]
    if not strange:
        return ["No trace of any other fault was found in the nodes."]
    lines = [f"found, but not injected by lab.break: {one.fault} on {one.node}" for one in strange]
    return [*lines, "Put it back with: invoke lab.heal FAULT"]


def broken(injected: Injected) -> str:
    """Return what was done, what was seen, and what to type next; not which check names it."""
    fault = injected.fault
    if not injected.seen:
        return (
            f"{fault.id} is in {injected.node} already: nothing to do.\n"
            f"  heal it  invoke lab.heal {fault.id}"
        )
    remark = "" if fault.change.is_exact else "   (puts the whole lab back to how it was made)"
    rows = (
        ("seen", injected.seen),
        ("symptom", fault.symptom),
        ("find it", "invoke lab.diagnose, pytest checks/"),
        ("heal it", f"invoke lab.heal {fault.id}{remark}"),
    )
    lines = [f"Injected {fault.id} into {injected.node}: {fault.title}"]
    for label, text in rows:
        lines += textwrap.wrap(
            text, WIDTH, initial_indent=f"  {label:<9}", subsequent_indent=" " * 11
        )
    return "\n".join(lines)


def contents(
    faults: Sequence[Fault], entries: Sequence[Entry], found: Collection[Leftover] | None
) -> dict[str, object]:
    """Return the list as JSON-able data (schema ``lab.faults/v1``).

    ``leftovers`` is null unless the nodes were looked into.
    """
    return {
        "faults": [_content(fault, entries) for fault in faults],
        "injected": entries_content(entries),
        "leftovers": None
        if found is None
        else [{"fault": one.fault, "node": one.node} for one in found if not one.journaled],
    }


def entries_content(entries: Sequence[Entry]) -> list[dict[str, object]]:
    """Return what is in a lab as JSON-able data."""
    return [
        {
            "fault": entry.fault,
            "node": entry.node,
            "since": entry.since.isoformat(),
            "progress": str(entry.progress),
        }
        for entry in entries
    ]


def table(faults: Sequence[Fault]) -> str:
    """Return the faults as the table of docs/faults.md."""
    lines = [
        "| fault | level | what is the matter | what a user sees | named by | healed by | from |",
        "| --- | ---: | --- | --- | --- | --- | --- |",
    ]
    for fault in faults:
        heal = "commands" if fault.change.is_exact else "reset"
        thread = _cited(fault)
        cells = (
            f"`{fault.id}`",
            fault.level,
            fault.title,
            fault.symptom,
            fault.check,
            heal,
            thread,
        )
        lines.append(f"| {' | '.join(str(cell).replace('|', '&#124;') for cell in cells)} |")
    return "\n".join(lines)


def _rows(fault: Fault, *, is_there: bool) -> list[str]:
    head = f"{'*' if is_there else ' '} {fault.id:<23} {fault.level}  "
    first = textwrap.wrap(fault.title, WIDTH, initial_indent=head, subsequent_indent=" " * 28)
    text = fault.symptom if fault.source.startswith("measured") else _told(fault)
    return first + textwrap.wrap(
        text,
        WIDTH,
        initial_indent=" " * 28,
        subsequent_indent=" " * 28,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _told(fault: Fault) -> str:
    return f"{fault.symptom} ({fault.source})"


def _since(entry: Entry) -> str:
    if entry.progress is Progress.INJECTED:
        return f", since {entry.since:%Y-%m-%d %H:%M} UTC"
    return ", cut short: what was done of it is not known"


def _cited(fault: Fault) -> str:
    if not fault.source.startswith("https://"):
        return fault.source.partition(" (")[0]
    owner, name, _, number = fault.source.removeprefix("https://github.com/").split("/")
    short = name if owner in ("moby", "firewalld") else f"{owner}/{name}"
    return f"[{short}#{number}]({fault.source})"


def _content(fault: Fault, entries: Sequence[Entry]) -> dict[str, object]:
    return {
        "id": fault.id,
        "title": fault.title,
        "symptom": fault.symptom,
        "level": fault.level,
        "hop": str(fault.hop),
        "named_by": [fault.check],
        "where": str(fault.role),
        "heal": "commands" if fault.change.is_exact else "reset",
        "source": fault.source,
        "injected": [entry.node for entry in entries if entry.fault == fault.id],
    }
