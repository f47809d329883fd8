"""What the record must show for the checks to be proven: the bars, and who reaches them. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from lab.faults.catalogue import FAULTS
from lab.hops.catalogue import JUDGES
from lab.matrix.expecting import check_of
from lab.matrix.record import Pristine, Record, Row

PRISTINE_RUNS = 20


@dataclass(frozen=True, slots=True)
class Bar:
    """One thing that must hold.

    Attributes:
        what: In words.
        reached: For how many it holds.
        needed: For how many it must.
        missing: Those for which it does not, by name.
    """

    what: str
    reached: int
    needed: int
    missing: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether it is reached."""
        return self.reached >= self.needed

    def __str__(self) -> str:
        short = f"; not: {', '.join(self.missing)}" if self.missing else ""
        return f"{self.what}: {self.reached} of {self.needed}{short}"


def bars(record: Record) -> tuple[Bar, ...]:
    """Return every bar, as far as the record reaches it."""
    rows = {row.fault: row for row in record.rows}
    turned = turned_red(record.rows)
    checks = [judge.check.id for judge in JUDGES]
    green = len(green_in_a_row(record.pristine))
    return (
        _of_faults("faults that were caught", [f for f, r in rows.items() if r.red]),
        _of_faults("faults whose hop was named first", [f for f, r in rows.items() if named(r)]),
        _of_faults("faults that all went as expected", [f for f, r in rows.items() if r.is_right]),
        Bar(
            "checks that find something wrong with some fault",
            sum(check in turned for check in checks),
            len(checks),
            tuple(check for check in checks if check not in turned),
        ),
        Bar("pristine labs in a row with all checks green", green, PRISTINE_RUNS),
    )


def named(row: Row) -> bool:
    """Say whether the right hop was named first."""
    return bool(row.first) and row.first in row.right


def is_proven(record: Record) -> bool:
    """Say whether every bar is reached."""
    return all(bar.holds for bar in bars(record))


def turned_red(rows: Sequence[Row]) -> dict[str, tuple[Row, ...]]:
    """Return for each check the faults of which it found something, not only nothing."""
    found: dict[str, dict[str, Row]] = {}
    for row in rows:
        for verdict in row.told_red:
            found.setdefault(check_of(verdict), {})[row.fault] = row
    return {check: tuple(some.values()) for check, some in found.items()}


def green_in_a_row(runs: Sequence[Pristine]) -> tuple[Pristine, ...]:
    """Return the last runs up to now between which none was red."""
    return tuple(takewhile(lambda run: run.is_green, reversed(runs)))[::-1]


def _of_faults(what: str, reached: Sequence[str]) -> Bar:
    missing = tuple(fault.id for fault in FAULTS if fault.id not in reached)
    return Bar(what, len(FAULTS) - len(missing), len(FAULTS), missing)
