"""The whole story of one failed check: what it found, and what it is only a consequence of."""

from lab.diagnosis.examine import diagnose
from lab.diagnosis.model import BrokenHop
from lab.hops.catalogue import path_to
from lab.hops.situation import Situation
from lab.hops.verdict import Verdict, render


def blocker_of(situation: Situation, verdict: Verdict) -> BrokenHop | None:
    """Return the broken hop that explains a failed check, None when it is broken by itself."""
    return diagnose(situation).blocker_of(verdict)


def story(situation: Situation, verdict: Verdict, blocker: BrokenHop | None) -> str:
    """Return the failure message of a check."""
    return render(
        verdict, path_to(situation, verdict), blocker=blocker.verdict if blocker else None
    )
