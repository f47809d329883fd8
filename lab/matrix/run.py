"""Running the matrix: each fault in turn on one lab, then labs that are well, all written down.

What is done is kept at once: a run that is cut short loses the fault it was at, no other.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from lab.errors import LabError
from lab.faults.model import Fault
from lab.machine import describe
from lab.matrix import page, record
from lab.matrix.ground import ground
from lab.matrix.record import Made, Pristine, Record, Row, Versions, row_of
from lab.matrix.trial import Bench, what_is_wrong
from lab.process import run as run_program
from lab.steps import Steps
from lab.units import format_duration

ROOT = Path(__file__).parents[2]

Keep = Callable[[Record], None]
"""Writes the record down."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done: the faults to try, and how often a pristine lab is looked at."""

    faults: Sequence[Fault]
    runs: int


@dataclass(slots=True)
class Run:
    """A matrix run on one lab.

    Attributes:
        bench: The lab, which is changed and reset.
        steps: Shows progress.
        keep: Writes down what there is, after each fault and each look.
        record: What there is: rows of earlier runs stay until there are new ones.
        commit: Which commit this is, as it was when the run began.
    """

    bench: Bench
    steps: Steps
    keep: Keep
    record: Record
    commit: str
    _started: float = field(default_factory=time.monotonic)

    def try_faults(self, faults: Sequence[Fault]) -> None:
        """Try each fault; one that errors is written down, and the next is tried."""
        for number, fault in enumerate(faults, start=1):
            with self.steps.step(f"Fault {number} of {len(faults)}: {fault.id}{self._elapsed()}"):
                row = self._tried(fault)
            self.steps.note(told(row))
            self._keep(self.record.with_row(row))

    def look_at_pristine(self, runs: int) -> None:
        """Look at the lab as it was made, again and again, from a reset each time."""
        done: list[Pristine] = []
        for number in range(1, runs + 1):
            with self.steps.step(f"Pristine lab {number} of {runs}{self._elapsed()}"):
                done.append(self._looked_at())
            for trouble in filter(None, (*done[-1].red, done[-1].error)):
                self.steps.note(trouble)
            self._keep(self.record.with_pristine(done))

    def _keep(self, found: Record) -> None:
        self.record = found
        self.keep(found)

    def _tried(self, fault: Fault) -> Row:
        made = self._made()
        try:
            return row_of(self.bench.try_fault(fault), made)
        except LabError as error:
            return Row(fault=fault.id, made=made, error=_in_a_line(error))

    def _looked_at(self) -> Pristine:
        made, began = self._made(), time.monotonic()
        lab, self.bench.well = self.bench.lab, None
        try:
            lab.reset()
            reset_s = _since(began)
            began = time.monotonic()
            red = what_is_wrong(lab.see())
        except LabError as error:
            return Pristine(made=made, reset_s=0, checks_s=0, error=_in_a_line(error))
        return Pristine(made=made, reset_s=reset_s, checks_s=_since(began), red=red)

    def _made(self) -> Made:
        load = round(os.getloadavg()[0], 1)
        return Made(at=datetime.now(UTC).replace(microsecond=0), commit=self.commit, load=load)

    def _elapsed(self) -> str:
        return f" ({format_duration(time.monotonic() - self._started)} so far)"


def run(plan: Plan, lab: str, steps: Steps, keep: Keep) -> Record:
    """Carry out a plan on a lab; return the record, in which earlier rows of others are kept.

    Args:
        plan: What is to be done.
        lab: A running lab, which is changed and reset; empty for one that is made and removed.
        steps: Shows progress.
        keep: Writes the record down, after each fault and each look.

    Raises:
        LabError: The lab could not be made, or what was recorded earlier not be read.
    """
    earlier = record.read()
    with ground(lab, steps) as found:
        made = Run(
            Bench(found, pristine=True), steps, keep, begun(earlier, found.versions()), commit()
        )
        made.try_faults(plan.faults)
        made.look_at_pristine(plan.runs)
    return made.record


def begun(earlier: Record | None, versions: Versions) -> Record:
    """Return the record to go on with: the earlier one, if it is of the very same versions."""
    machine = describe()
    if earlier is not None and earlier.versions == versions:
        return earlier.model_copy(update={"machine": machine})
    return Record(versions=versions, machine=machine)


def still_to_do(faults: Sequence[Fault], earlier: Record | None, now: str) -> tuple[Fault, ...]:
    """Return the faults of which the record holds no good result of this very commit.

    With changes that nobody has committed, that is all of them.
    """
    rows = () if earlier is None or now.endswith("-dirty") else earlier.rows
    done = {row.fault for row in rows if row.is_right and row.made.commit == now}
    return tuple(fault for fault in faults if fault.id not in done)


def keep_in_docs(found: Record) -> None:
    """Write the record, and the document that tells it."""
    record.write(found)
    page.write(found)


def told(row: Row) -> str:
    """Return in a line what became of a fault."""
    if row.error:
        return f"{row.fault}: error: {row.error}"
    seconds = f"{row.seconds.verdict} s" if row.seconds else "?"
    first = row.first or "nothing"
    ends = "" if row.is_right else f"; NOT as expected: {'; '.join((*row.deviations, *row.left))}"
    return f"{row.fault} on {row.node}: {first} after {seconds}, {len(row.red)} red{ends}"


def commit() -> str:
    """Return which commit this is, "-dirty" if files were changed since; empty outside git.

    What a run itself writes does not count: else none could be resumed.
    """
    git = ("git", "-C", ROOT)
    others = (".", *(f":(exclude){file.relative_to(ROOT)}" for file in (record.FILE, page.FILE)))
    try:
        head = run_program((*git, "rev-parse", "--short=12", "HEAD"), timeout_s=30).stdout
        changed = run_program(
            (*git, "status", "--porcelain", "--untracked-files=no", "--", *others), timeout_s=30
        ).stdout
    except LabError:
        return ""
    return f"{head.strip()}-dirty" if changed.strip() else head.strip()


def _since(began: float) -> float:
    return round(time.monotonic() - began, 1)


def _in_a_line(error: LabError) -> str:
    return " ".join(f"{error.brief}: {error.details}".split()).rstrip(":")[:400]
