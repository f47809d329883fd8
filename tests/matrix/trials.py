"""A mark that is lost on a healthy lab, as the checks and the diagnosis see it."""

from datetime import UTC, datetime

from lab.diagnosis.examine import diagnose
from lab.errors import CommandFailed
from lab.faults.catalogue import find
from lab.faults.model import Fault
from lab.faults.place import Place
from lab.hops.situation import Situation
from lab.matrix.expecting import deviations
from lab.matrix.record import Made, Record, Row, Versions, row_of
from lab.matrix.trial import Judged, Seconds, Trial
from lab.wait import Deadlines
from tests.hops import altering as a
from tests.hops import breaking as b
from tests.hops.breaking import NODE_B
from tests.hops.healthy import healthy

MARK_LOST = find("mark-lost")
UNANSWERED = a.rounds(NODE_B, b.nothing)
UNMARKED = a.both(a.sandbox_rules(NODE_B, a.without("--dport 5000", table="mangle")), UNANSWERED)
MADE = Made(at=datetime(2026, 11, 25, tzinfo=UTC), commit="0123456789ab", load=1.5)
VERSIONS = Versions(nodes=2, engine="26.1.5", kernel="6.12", iptables="nf_tables", qemu="7.2")
SECONDS = Seconds(inject=2.0, verdict=12.5, heal=1.0, proof=8.0)


def trial(
    fault: Fault = MARK_LOST, change: a.Change = UNMARKED, left: tuple[str, ...] = ()
) -> Trial:
    """Return what became of a fault, if the lab looked like this while it was in the worker."""
    place = Place(change(healthy()), NODE_B)
    found = diagnose(place.situation)
    return Trial(
        fault=fault,
        judged=Judged(place, found, deviations(fault, place, found)),
        seen="4 of 4 refused",
        left=left,
        after=healthy(),
        seconds=SECONDS,
    )


def row(fault: Fault = MARK_LOST, change: a.Change = UNMARKED) -> Row:
    return row_of(trial(fault, change), MADE)


def empty() -> Record:
    return Record(versions=VERSIONS, machine={"cpus": 2, "processor": "AMD EPYC"})


class Lab:
    """A lab without machines that looks as it is told to. Some faults fail, or leave something."""

    name = "nowhere"
    deadline = Deadlines(0.0)

    def __init__(self, fails: str = "", leaves: str = "", looks: a.Change | None = None) -> None:
        self.fails = fails
        self.leaves = leaves
        self.looks = looks or (lambda situation: situation)
        self.done: list[str] = []

    def reset(self) -> None:
        self.done.append("reset")

    def see(self) -> Situation:
        self.done.append("see")
        return self.looks(healthy())


def try_fault(lab: Lab, fault: Fault, before: Situation) -> Trial:
    """Stand in for ``lab.matrix.trial.try_fault``."""
    lab.done.append(fault.id)
    assert before == healthy()
    if fault.id == lab.fails:
        raise CommandFailed("It broke", details="exit code 1:\n  no such rule")
    return trial(fault, left=("B1-mark is red",) if fault.id == lab.leaves else ())
