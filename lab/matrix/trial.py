"""One fault, tried on a lab: put in, seen by every check, taken out again, seen to be gone."""

import time
from dataclasses import dataclass, field, replace
from typing import Protocol

from lab.diagnosis.examine import diagnose
from lab.diagnosis.model import Diagnosis
from lab.errors import NotReady
from lab.faults import acting, journal
from lab.faults.model import Fault
from lab.faults.place import Place, fitting
from lab.home import lab_home
from lab.hops.situation import Situation
from lab.hops.surroundings import COMING
from lab.hops.verdict import Verdict
from lab.matrix.expecting import deviations
from lab.steps import Steps
from lab.wait import Deadlines, wait_until

SHOWN_S = 40.0
"""How long swarm may take on real hardware to do what it does about a change of its own."""
WELL_S = 40.0
"""How long a lab may take on real hardware to be well again: gossip seeks lost nodes at times."""

QUIET = Steps(quiet=True)


class Ground(Protocol):
    """A running lab in which faults are tried. Everything raises ``LabError`` if it fails."""

    @property
    def name(self) -> str:
        """The lab's name."""

    @property
    def deadline(self) -> Deadlines:
        """Scales a deadline to the machines' speed."""

    def reset(self) -> None:
        """Put the lab back to how it was made."""

    def see(self) -> Situation:
        """Look at everything there is in the lab now, try all ways, send through all entries."""


@dataclass(frozen=True, slots=True)
class Seconds:
    """How long the parts took.

    Attributes:
        inject: To put the fault in and watch it bite.
        verdict: From then to the diagnosis: looking, trying, sending, judging.
        heal: To take it out; where no command does, to reset the lab.
        proof: To see that all is well again.
    """

    inject: float
    verdict: float
    heal: float
    proof: float


@dataclass(frozen=True, slots=True)
class Judged:
    """What was said of a lab with a fault in it.

    Attributes:
        place: Where the fault is, and all that was seen of the lab.
        found: What the checks and the diagnosis said.
        deviations: In what that differs from the catalogue, a sentence each.
        looks: How often it was looked at.
    """

    place: Place
    found: Diagnosis
    deviations: tuple[str, ...]
    looks: int = 1


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of one fault.

    Attributes:
        fault: The entry of the catalogue.
        judged: What was said of the lab with it.
        seen: How it was seen to bite, in words.
        left: What was not well afterwards, a sentence each.
        after: The lab as it was seen last.
        seconds: How long it took.
    """

    fault: Fault
    judged: Judged
    seen: str
    left: tuple[str, ...]
    after: Situation
    seconds: Seconds

    @property
    def node(self) -> str:
        """The name of the node it was put into."""
        return self.judged.place.node

    @property
    def deviations(self) -> tuple[str, ...]:
        """In what the verdicts differ from the catalogue, a sentence each."""
        return self.judged.deviations

    @property
    def failed(self) -> tuple[Verdict, ...]:
        """The failed verdicts, in path order."""
        return tuple(v for v in self.judged.found.verdicts if not v.ok)


@dataclass(slots=True)
class _Clock:
    """Tells the seconds since it was asked last."""

    last: float = field(default_factory=time.monotonic)

    def lap(self) -> float:
        now = time.monotonic()
        self.last, before = now, self.last
        return round(now - before, 1)


@dataclass(slots=True)
class Bench:
    """Tries faults one after the other, each in a lab that was seen to be well.

    What one trial has proven at its end the next one builds on. Where it was not proven the lab
    is reset, and looked at again; and, if each fault is to have a ``pristine`` lab, wherever it
    was not a reset that took the fault before out of it.
    """

    lab: Ground
    well: Situation | None = None
    """The lab as it was last seen, if every check was green then."""
    pristine: bool = False

    def try_fault(self, fault: Fault) -> Trial:
        """Put a fault into the lab, ask every check, and take it out again.

        Raises:
            LabError: It could not be put in or taken out, or the lab not be looked at.
        """
        before = self.well or self.made_well()
        self.well = None
        trial = try_fault(self.lab, fault, before)
        touched = self.pristine and fault.change.is_exact
        self.well = None if trial.left or touched else trial.after
        return trial

    def made_well(self) -> Situation:
        """Reset the lab, and see that every check is green.

        Raises:
            NotReady: One is not.
        """
        self.lab.reset()
        seen = self.lab.see()
        expect_well(seen)
        self.well = seen
        return seen


def try_fault(lab: Ground, fault: Fault, before: Situation) -> Trial:
    """Put a fault into a lab that is well, ask every check, and take it out again.

    Args:
        lab: The lab.
        fault: What to break, on a node that fits.
        before: The lab as it was seen just now.

    Raises:
        LabError: It could not be put in or taken out, or the lab not be looked at.
    """
    clock = _Clock()
    where = Place(before, next(iter(fitting(fault, before)), ""))
    injected = acting.inject(lab.name, fault, where, QUIET)
    inject = clock.lap()
    judged = _judged(lab, fault, injected.node)
    verdict = clock.lap()
    acting.heal(lab.name, fault, None, QUIET)
    heal = clock.lap()
    after, left = _await_well(lab)
    left += tuple(f"{entry} is in the journal" for entry in journal.read(lab_home(lab.name)))
    return Trial(
        fault=fault,
        judged=judged,
        seen=injected.seen or "it was there already",
        left=left,
        after=after,
        seconds=Seconds(inject, verdict, heal, clock.lap()),
    )


def _judged(lab: Ground, fault: Fault, node: str) -> Judged:
    """Look until what is seen has settled, and judge that.

    A fault that commands take back does what it does at once: it is looked at once. What swarm
    makes of a change of its own takes a while: it stops tasks, and starts others elsewhere. Only
    the last look counts, so that none on the way there can happen to fit.
    """
    looks: list[Judged] = []

    def look() -> Judged:
        place = Place(lab.see(), node)
        found = diagnose(place.situation)
        looks.append(Judged(place, found, deviations(fault, place, found), len(looks) + 1))
        return looks[-1]

    if fault.change.is_exact:
        return look()
    try:
        return wait_until(
            look,
            lambda judged: len(looks) > 1 and _has_settled(looks[-2], judged),
            what=f"{fault.id} to show",
            timeout_s=lab.deadline(SHOWN_S),
        )
    except NotReady:
        if not looks:
            raise
        unsettled = f"what is seen did not settle in {len(looks)} looks"
        return replace(looks[-1], deviations=(*looks[-1].deviations, unsettled))


def _has_settled(before: Judged, now: Judged) -> bool:
    """Say whether two looks in a row show the same, and no task is on its way any more."""
    tasks = now.place.situation.cluster.tasks
    coming = [t for t in tasks if t.desired_state in COMING and not t.is_running]
    return not coming and _red(before) == _red(now)


def _red(judged: Judged) -> frozenset[tuple[str, str]]:
    return frozenset((v.check, v.subject) for v in judged.found.verdicts if not v.ok)


def _await_well(lab: Ground) -> tuple[Situation, tuple[str, ...]]:
    """Look until every check is green; return what was seen last, and what is wrong then.

    Nodes that missed each other's gossip need a while to find each other again.
    """
    seen: list[Situation] = []

    def look() -> tuple[str, ...]:
        seen.append(lab.see())
        return what_is_wrong(seen[-1])

    try:
        wait_until(
            look,
            lambda wrong: not wrong,
            what="every check to be green",
            timeout_s=lab.deadline(WELL_S),
        )
    except NotReady as error:
        if not seen:
            raise
        return seen[-1], (f"{error.brief}: {error.details}",)
    return seen[-1], ()


def expect_well(situation: Situation) -> None:
    """Make sure that every check is green.

    Raises:
        NotReady: One is not, or could not be asked.
    """
    wrong = what_is_wrong(situation)
    if wrong:
        raise NotReady(
            "The lab is not well before anything is put in",
            details="\n".join(wrong),
            hint="invoke lab.diagnose",
        )


def what_is_wrong(situation: Situation) -> tuple[str, ...]:
    """Return every verdict that is not good, and every question without an answer."""
    found = diagnose(situation)
    return (
        *(str(v) for v in found.verdicts if not v.ok),
        *(f"{u.check}[{u.subject}] could not be asked: {u.reason}" for u in found.unasked),
    )
