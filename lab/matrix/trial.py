"""One fault, tried on a lab: put in, seen by every check, taken out again, seen to be gone."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from lab.diagnosis.examine import diagnose
from lab.diagnosis.model import Diagnosis
from lab.errors import NotReady
from lab.faults import acting, journal
from lab.faults.model import Fault
from lab.faults.place import Place
from lab.home import lab_home
from lab.hops.situation import Situation
from lab.hops.verdict import Verdict
from lab.matrix.expecting import deviations
from lab.steps import Steps
from lab.wait import wait_until

WELL_S = 40.0
"""How long a lab may take on real hardware to be well again: gossip seeks lost nodes at times."""

QUIET = Steps(quiet=True)

See = Callable[[], Situation]
"""Looks at everything there is in a lab now, tries all ways and sends through all entries."""


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
class Trial:
    """What became of one fault.

    Attributes:
        fault: The entry of the catalogue.
        place: Where it was put, and all that was seen of the lab with it.
        seen: How it was seen to bite, in words.
        found: What the checks and the diagnosis said.
        deviations: In what that differs from the catalogue, a sentence each.
        left: What was not well afterwards, a sentence each.
        seconds: How long it took.
    """

    fault: Fault
    place: Place
    seen: str
    found: Diagnosis
    deviations: tuple[str, ...]
    left: tuple[str, ...]
    seconds: Seconds

    @property
    def node(self) -> str:
        """The name of the node it was put into."""
        return self.place.node

    @property
    def failed(self) -> tuple[Verdict, ...]:
        """The failed verdicts, in path order."""
        return tuple(v for v in self.found.verdicts if not v.ok)


@dataclass(slots=True)
class _Clock:
    """Tells the seconds since it was asked last."""

    last: float = field(default_factory=time.monotonic)

    def lap(self) -> float:
        now = time.monotonic()
        self.last, before = now, self.last
        return round(now - before, 1)


def try_fault(lab: str, fault: Fault, see: See, timeout_s: float) -> Trial:
    """Put a fault into a lab that is well, ask every check, and take it out again.

    Args:
        lab: The lab's name.
        fault: What to break, on a node that fits.
        see: How everything about the lab is seen.
        timeout_s: How long all may take to be well again once the fault is out.

    Raises:
        LabError: It could not be put in or taken out, or the lab not be looked at. The lab is
            then to be reset.
    """
    clock = _Clock()
    injected = acting.inject(lab, fault, None, QUIET)
    inject = clock.lap()
    situation = see()
    place = Place(situation, injected.node)
    found = diagnose(situation)
    verdict = clock.lap()
    acting.heal(lab, fault, None, QUIET)
    heal = clock.lap()
    left = await_well(see, timeout_s)
    left += tuple(f"{entry} is in the journal" for entry in journal.read(lab_home(lab)))
    return Trial(
        fault=fault,
        place=place,
        seen=injected.seen or "it was there already",
        found=found,
        deviations=deviations(fault, place, found),
        left=left,
        seconds=Seconds(inject, verdict, heal, clock.lap()),
    )


def await_well(see: See, timeout_s: float) -> tuple[str, ...]:
    """Look until every check is green; return what is still wrong when the time is up.

    Nodes that missed each other's gossip need a while to find each other again.
    """
    try:
        return wait_until(
            lambda: what_is_wrong(see()),
            lambda wrong: not wrong,
            what="every check to be green",
            timeout_s=timeout_s,
        )
    except NotReady as error:
        return (f"{error.brief}: {error.details}",)


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
