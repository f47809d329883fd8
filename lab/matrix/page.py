"""The record as a page: docs/detection.md. Pure, but for the writing."""

import statistics
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from lab.faults.catalogue import FAULTS
from lab.hops.catalogue import JUDGES
from lab.hops.verdict import Hop
from lab.matrix.bars import bars, green_in_a_row, turned_red
from lab.matrix.expecting import check_of
from lab.matrix.record import Record, Row

FILE = Path(__file__).parents[2] / "docs" / "detection.md"
CHECKS = tuple(judge.check.id for judge in JUDGES)
SHOWN = 3
"""How many are told of many."""
HEAD = """\
# Detection

Which faults the checks catch, which hop the diagnosis names first, and how long that takes. Every
fault of the [catalogue](faults.md) was put into a pristine lab of real machines, every check was
asked, and the fault was taken out again until every check was green.

`invoke lab.matrix` writes this page, from the readings in [detection.json](detection.json); a
test compares the two. `invoke lab.matrix --only mark-lost,vxlan-blocked` measures some anew, and
a reading takes the place of the one before it, whatever that was. The checks of
`pytest checks/ --changes-lab`, which scale, kill a task and lose a node by themselves, are not
in it.
"""
BY_FAULT = """\
## By fault

`seconds` pass from the moment the fault was seen to bite to the diagnosis: looking, trying,
sending and judging, and where swarm acts upon the change, until it has. `healed` are those to take
it out and see every check green again. A check that fails as a consequence says so, and of what.
"""
BY_CHECK = """\
## By check

A check counts here when it found something wrong, not when there was nothing to look at because
nothing came so far.
"""
DOTS = """\
## All of it

A row for each fault, a column for each check: `#` is named first, `x` fails by itself, `o` fails
as a consequence, `-` had nothing to look at, because nothing came so far. Dots, in every other
hop, and blanks are green.
"""


def write(record: Record, file: Path = FILE) -> None:
    """Write the page."""
    file.write_text(render(record))


def render(record: Record) -> str:
    """Return the page in Markdown."""
    parts: tuple[Iterable[str], ...] = (
        (HEAD,),
        (*_made(record), ""),
        (*_bars(record), ""),
        (BY_FAULT, *_by_fault(record.rows), ""),
        (*_ties(record.rows), ""),
        (BY_CHECK, *_by_check(record.rows), ""),
        (DOTS, "```", *dots(record.rows), "```", ""),
        ("## Pristine labs", "", *_pristine(record)),
    )
    return "\n".join(line for part in parts for line in part) + "\n"


def dots(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the matrix, a character for each fault and check, below three lines of heading.

    The heading holds the checks' ids from top to bottom: ``H``, `` ``, ``3`` is H3.
    """
    width = max(len(fault.id) for fault in FAULTS)
    numbers = [check.partition("-")[0] for check in CHECKS]
    for part in zip(*((n[0], n[1:-1] or " ", n[-1]) for n in numbers), strict=True):
        yield f"{'':<{width}} {''.join(part)}".rstrip()
    for row in rows:
        yield f"{row.fault:<{width}} {_marks(row)}".rstrip()


def _marks(row: Row) -> str:
    marks: dict[str, str] = {}
    by_mark = {"-": row.waits, "o": row.follows, "x": row.itself, "#": (row.first,)}
    for mark, some in by_mark.items():
        marks |= {check_of(verdict): mark for verdict in some}
    green = {judge.check.id: _ground(judge.check.hop) for judge in JUDGES}
    return "".join(marks.get(check, green[check]) for check in CHECKS)


def _ground(hop: Hop) -> str:
    return " " if list(Hop).index(hop) % 2 else "."


def _made(record: Record) -> Iterator[str]:
    versions, machine = record.versions, record.machine
    made = [*(row.made for row in record.rows), *(run.made for run in record.pristine)]
    made.sort(key=lambda one: one.at)
    loads = [one.load for one in made]
    yield f"Measured {made[0].at:%Y-%m-%d %H:%M} to {made[-1].at:%Y-%m-%d %H:%M} UTC, commit"
    yield f"{', '.join(dict.fromkeys(one.commit for one in made))}: {versions.nodes} nodes with"
    yield f"Docker {versions.engine}, Linux {versions.kernel}, iptables {versions.iptables}, in"
    yield f"{versions.qemu}, on a machine with {machine['cpus']} CPUs ({machine['processor']})."
    yield f"It was busy with other things as well: its load was {statistics.median(loads):.1f} in"
    yield f"the median and {max(loads):.1f} at most."


def _bars(record: Record) -> Iterator[str]:
    yield from ("| bar | reached | of |", "| --- | ---: | ---: |")
    for bar in bars(record):
        short = f" (not: {_listed(bar.missing, SHOWN)})" if bar.missing else ""
        yield f"| {bar.what}{short} | {bar.reached} | {bar.needed} |"


def _by_fault(rows: Sequence[Row]) -> Iterator[str]:
    yield "| fault | on | named first | fails by itself too | consequences | seconds | healed |"
    yield "| --- | --- | --- | --- | ---: | ---: | ---: |"
    for row in rows:
        cells = (
            f"`{row.fault}`",
            row.node or "-",
            row.first or row.error or "nothing",
            ", ".join(row.itself) or "-",
            str(len(row.follows) + len(row.waits)),
            f"{row.seconds.verdict:.0f}" if row.seconds else "-",
            f"{row.seconds.heal + row.seconds.proof:.0f}" if row.seconds else "-",
        )
        yield f"| {' | '.join(cells)} |"


def _ties(rows: Sequence[Row]) -> Iterator[str]:
    ties = {fault.id: fault.tie for fault in FAULTS if fault.tie}
    yield "Ties, where any of several may be named first:"
    yield ""
    for row in rows:
        if row.fault in ties:
            yield f"- `{row.fault}`: {' or '.join(row.right)}, because {ties[row.fault]}."


def _by_check(rows: Sequence[Row]) -> Iterator[str]:
    yield "| check | is named first for | fails by itself for | fails as a consequence of |"
    yield "| --- | --- | --- | --- |"
    turned = turned_red(rows)
    for check in CHECKS:
        some = turned.get(check, ())
        first = [r.fault for r in some if check_of(r.first) == check]
        itself = [r.fault for r in some if check in map(check_of, r.itself)]
        itself = [fault for fault in itself if fault not in first]
        rest = [r.fault for r in some if r.fault not in (*first, *itself)]
        cells = (_listed(first), _listed(itself, SHOWN), _listed(rest, SHOWN))
        yield f"| {check} | {' | '.join(cells)} |"


def _listed(names: Sequence[str], most: int | None = None) -> str:
    shown = [f"`{name}`" for name in names[:most]]
    more = len(names) - len(shown)
    return ", ".join([*shown, *([f"and {more} more"] if more else [])]) or "-"


def _pristine(record: Record) -> Iterator[str]:
    green = green_in_a_row(record.pristine)
    if not green:
        yield "No pristine lab was green, or none was looked at."
        return
    yield f"{len(green)} in a row had every check green. Each time the lab was put back to how it"
    yield "was made, everything was looked at, all ways were tried, and requests were sent through"
    yield "all entries."
    yield from ("", "| seconds | min | median | max |", "| --- | ---: | ---: | ---: |")
    yield _series("to put the lab back", [run.reset_s for run in green])
    yield _series("to ask every check", [run.checks_s for run in green])


def _series(what: str, values: Sequence[float]) -> str:
    return f"| {what} | {min(values):.1f} | {statistics.median(values):.1f} | {max(values):.1f} |"
