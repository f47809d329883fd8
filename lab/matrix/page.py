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
SHOWN = 3
"""How many faults are told of those that turn a check red as a consequence."""
DATE = "%Y-%m-%d %H:%M"
HEAD = """\
# Detection

Which faults the checks catch, which hop the diagnosis names first, and how long that takes: every
fault of the [catalogue](faults.md) was put into a pristine lab of real machines, every check was
asked, and the fault was taken out again until every check was green.

This page is written by `invoke lab.matrix`, from the readings in [detection.json](detection.json);
a test compares the two. `invoke lab.matrix --only mark-lost,vxlan-blocked` measures some anew.
"""
LEGEND = """\
## All of it

A row for each fault, a column for each check: `#` is named first, `x` fails by itself, `o` fails as
a consequence, `-` found nothing to look at, because nothing came so far. Every other hop is drawn on dots.
"""


def write(record: Record, file: Path = FILE) -> None:
    """Write the page."""
    file.write_text(render(record))


def render(record: Record) -> str:
    """Return the page in Markdown."""
    parts = (
        HEAD,
        "\n".join(_made(record)) + "\n",
        "\n".join(_bars(record)) + "\n",
        "## By fault\n\n" + "\n".join(_by_fault(record.rows)) + "\n",
        "\n".join(_ties(record.rows)) + "\n",
        "## By check\n\n" + "\n".join(_by_check(record.rows)) + "\n",
        LEGEND + "\n```\n" + "\n".join(dots(record.rows)) + "\n```\n",
        "## Pristine labs\n\n" + "\n".join(_pristine(record)) + "\n",
    )
    return "\n".join(parts)


def dots(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the matrix, a character for each fault and check, below three lines of heading."""
    width = max(len(fault.id) for fault in FAULTS)
    checks = [judge.check.id for judge in JUDGES]
    numbers = [check.partition("-")[0] for check in checks]
    for line in (
        "".join(number[0] for number in numbers),
        "".join(number[1:].rjust(2)[0] for number in numbers),
        "".join(number[-1] for number in numbers),
    ):
        yield f"{'':<{width}} {line}".rstrip()
    ground = [_ground(judge.check.hop) for judge in JUDGES]
    for row in rows:
        marks = (
            {check_of(v): "-" for v in row.waits}
            | {check_of(v): "o" for v in row.follows}
            | {check_of(v): "x" for v in row.itself}
        )
        marks |= {check_of(row.first): "#"}
        line = "".join(marks.get(c, empty) for c, empty in zip(checks, ground, strict=True))
        yield f"{row.fault:<{width}} {line}".rstrip()


def _ground(hop: Hop) -> str:
    return " " if list(Hop).index(hop) % 2 else "."


def _made(record: Record) -> Iterator[str]:
    versions, machine = record.versions, record.machine
    made = [line.made for line in (*record.rows, *record.pristine)]
    commits = dict.fromkeys(one.commit for one in sorted(made, key=lambda one: one.at))
    yield (
        f"Measured {min(one.at for one in made):{DATE}} to {max(one.at for one in made):{DATE}} UTC, "
        f"commit {', '.join(commits)}: {versions.nodes} nodes with Docker {versions.engine}, "
        f"Linux {versions.kernel}, iptables ({versions.iptables}), in {versions.qemu}."
    )
    yield (
        f"The machine has {machine['cpus']} CPUs ({machine['processor']}) and "
        f"{machine['memory_mib']} MiB, its load was {statistics.median(one.load for one in made):.1f} "
        f"(median), {max(one.load for one in made):.1f} at most; seconds are those of a machine "
        "that is this busy."
    )


def _bars(record: Record) -> Iterator[str]:
    yield from ("| bar | reached | of |", "| --- | ---: | ---: |")
    for bar in bars(record):
        short = f" (not: {', '.join(bar.missing)})" if bar.missing else ""
        yield f"| {bar.what}{short} | {bar.reached} | {bar.needed} |"


def _by_fault(rows: Sequence[Row]) -> Iterator[str]:
    yield (
        'Seconds: from the moment the fault was seen to bite to the diagnosis, "there" to put it '
        'in, "away" to take it out and see every check green. A check that failed as a consequence '
        "says so, and of what."
    )
    yield from ("", "| fault | on | named first | failed as well | as a consequence | seconds |")
    yield "| --- | --- | --- | --- | ---: | ---: | ---: | ---: |".replace(
        "| ---: | ---: |", "|", 1
    )
    for row in rows:
        first = row.first or row.error or "nothing"
        itself = ", ".join(row.itself) or "-"
        seconds = f"{row.seconds.verdict}" if row.seconds else "-"
        yield (
            f"| `{row.fault}` | {row.node} | {first} | {itself} | {len(row.follows)} | {seconds} |"
        )


def _ties(rows: Sequence[Row]) -> Iterator[str]:
    ties = {fault.id: fault.tie for fault in FAULTS if fault.tie}
    yield "Ties: of these, any of several verdicts is right when it is named first."
    yield ""
    for row in rows:
        if row.fault in ties:
            yield f"- `{row.fault}`: {' or '.join(row.right)}, because {ties[row.fault]}"


def _by_check(rows: Sequence[Row]) -> Iterator[str]:
    yield "| check | is named first for | fails by itself for | fails as a consequence of |"
    yield "| --- | --- | --- | --- |"
    turned = turned_red(rows)
    for judge in JUDGES:
        check = judge.check.id
        some = turned.get(check, ())
        first = [r.fault for r in some if check_of(r.first) == check]
        itself = [r.fault for r in some if check in map(check_of, r.itself)]
        itself = [fault for fault in itself if fault not in first]
        rest = [r.fault for r in some if r.fault not in (*first, *itself)]
        cells = (_listed(first), _listed(itself), _listed(rest, SHOWN))
        yield f"| {check} | {' | '.join(cells)} |"


def _listed(faults: Sequence[str], most: int | None = None) -> str:
    shown = [f"`{fault}`" for fault in faults[:most]]
    more = len(faults) - len(shown)
    return ", ".join([*shown, *([f"and {more} more"] if more else [])]) or "-"


def _pristine(record: Record) -> Iterator[str]:
    green = green_in_a_row(record.pristine)
    if not green:
        yield "None was looked at."
        return
    yield (
        f"{len(green)} in a row had every check green, tried and sent: the lab was put back to how "
        "it was made, and all of it was looked at."
    )
    yield from ("", "| seconds | min | median | max |", "| --- | ---: | ---: | ---: |")
    yield _series("to reset the lab", (run.reset_s for run in green))
    yield _series("to ask every check", (run.checks_s for run in green))


def _series(what: str, values: Iterable[float]) -> str:
    found = sorted(values)
    return f"| {what} | {found[0]:.1f} | {statistics.median(found):.1f} | {found[-1]:.1f} |"
