"""Running the matrix: each fault in turn on one lab, then labs that are well, all written down.

What is done is kept at once: a run that is cut short loses the fault it was at, no other.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from lab import lifecycle
from lab.errors import LabError
from lab.evidence import look, see_everything
from lab.faults.model import Fault
from lab.home import Stage
from lab.hops.situation import Situation
from lab.machine import describe
from lab.matrix import page, record
from lab.matrix.record import Made, Pristine, Record, Row, Versions, row_of
from lab.matrix.trial import QUIET, WELL_S, expect_well, try_fault, what_is_wrong
from lab.process import run as run_program
from lab.session import open_lab, place_of
from lab.steps import Steps
from lab.units import format_duration

ROOT = Path(__file__).parents[2]

Keep = Callable[[Record], None]
"""Writes the record down: after every fault."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done: the faults to try, and how often a pristine lab is looked at."""

    faults: Sequence[Fault]
    runs: int


@dataclass(slots=True)
class Run:
    """A matrix run on one lab.

    Attributes:
        lab: The name of the running lab; it is changed and reset.
        steps: Shows progress.
        keep: Writes down what there is.
    """

    lab: str
    steps: Steps
    keep: Keep
    record: Record
    started: float = field(default_factory=time.monotonic)
    is_well: bool = False
    """Whether the lab was proven to be well by what was done last."""

    def faults(self, faults: Sequence[Fault]) -> None:
        """Try each fault; one that errors is written down, and the next is tried."""
        for number, fault in enumerate(faults, start=1):
            with self.steps.step(f"Fault {number} of {len(faults)}: {fault.id}{self._elapsed()}"):
                row = self._tried(fault)
            self.is_well = not (row.error or row.left)
            self.steps.note(told(row))
            self.record = self.record.with_row(row)
            self.keep(self.record)

    def pristine(self, runs: int) -> None:
        """Look at the lab as it was made, again and again, from a reset each time."""
        done: list[Pristine] = []
        for number in range(1, runs + 1):
            with self.steps.step(f"Pristine lab {number} of {runs}{self._elapsed()}"):
                done.append(self._looked_at())
            for trouble in filter(None, (*done[-1].red, done[-1].error)):
                self.steps.note(trouble)
            self.record = self.record.with_pristine(done)
            self.keep(self.record)

    def _tried(self, fault: Fault) -> Row:
        made = made_now()
        try:
            if not self.is_well:
                self._make_well()
            trial = try_fault(self.lab, fault, self._see, self._deadline(WELL_S))
        except LabError as error:
            return Row(fault=fault.id, made=made, error=_in_a_line(error))
        return row_of(trial, made)

    def _looked_at(self) -> Pristine:
        made, began = made_now(), time.monotonic()
        reset_s = checks_s = 0.0
        try:
            lifecycle.reset(self.lab, QUIET)
            reset_s = _since(began)
            red = what_is_wrong(self._see())
            checks_s = _since(began) - reset_s
        except LabError as error:
            return Pristine(made=made, reset_s=reset_s, checks_s=0, error=_in_a_line(error))
        return Pristine(made=made, reset_s=reset_s, checks_s=round(checks_s, 1), red=red)

    def _make_well(self) -> None:
        """Reset the lab, and see that every check is green before anything is put in.

        Raises:
            NotReady: One is not.
        """
        lifecycle.reset(self.lab, QUIET)
        expect_well(self._see())

    def _deadline(self, seconds: float) -> float:
        return open_lab(self.lab).deadline(seconds)

    def _see(self) -> Situation:
        return see_everything(place_of(open_lab(self.lab)))

    def _elapsed(self) -> str:
        return f", {format_duration(time.monotonic() - self.started)} after the start"


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
    with _lab(lab, steps) as name:
        made = Run(name, steps, keep, _begun(name))
        made.faults(plan.faults)
        if plan.runs:
            made.pristine(plan.runs)
    return made.record


def still_to_do(faults: Sequence[Fault], earlier: Record | None) -> tuple[Fault, ...]:
    """Return the faults of which the record holds no good result of this very commit."""
    now = commit()
    done = (
        {r.fault for r in earlier.rows if r.is_right and r.made.commit == now}
        if earlier
        else set()
    )
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
    ends = "" if row.is_right else f"; NOT as expected: {'; '.join((*row.deviations, *row.left))}"
    first = row.first or "nothing"
    return f"{row.fault} on {row.node}: {first} after {seconds}, {len(row.red)} red{ends}"


def made_now() -> Made:
    """Return the time, the commit and the load of this moment."""
    return Made(
        at=datetime.now(UTC).replace(microsecond=0),
        commit=commit(),
        load=round(os.getloadavg()[0], 1),
    )


def commit() -> str:
    """Return which commit this is, "-dirty" if files were changed since; empty outside git."""
    try:
        done = run_program(
            ("git", "-C", ROOT, "describe", "--always", "--abbrev=12", "--dirty"), timeout_s=30
        )
    except LabError:
        return ""
    return done.stdout.strip()


def _begun(lab: str) -> Record:
    """Return the record to go on with: the earlier one if it is of the very same versions."""
    nodes = look(place_of(open_lab(lab))).nodes
    machine = describe()
    versions = Versions(
        nodes=len(nodes),
        engine=_joined(node.engine_version for node in nodes),
        kernel=_joined(node.kernel for node in nodes),
        iptables=_joined(str(node.iptables_backend) for node in nodes),
        qemu=str(machine["qemu"]),
    )
    earlier = record.read()
    if earlier is not None and earlier.versions == versions:
        return earlier.model_copy(update={"machine": machine})
    return Record(versions=versions, machine=machine)


def _joined(values: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(values))


@contextmanager
def _lab(name: str, steps: Steps) -> Iterator[str]:
    """Give the name of a running lab: the one that is meant, or one of our own for as long."""
    if name:
        lifecycle.require_running(name)
        yield name
        return
    own = f"matrix-{os.getpid()}"
    try:
        wish = lifecycle.Wish(own, provider=None, topology=None, until=Stage.SERVICE)
        lifecycle.up(wish, steps)
        yield own
    finally:
        lifecycle.down(own, steps)


def _since(began: float) -> float:
    return round(time.monotonic() - began, 1)


def _in_a_line(error: LabError) -> str:
    return " ".join(f"{error.brief}: {error.details}".split()).rstrip(":")[:400]
