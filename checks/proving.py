"""From a verdict to a passed or failed check."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from lab.diagnosis.story import blocker_of, story
from lab.errors import LabError
from lab.hops.judge import Judge
from lab.hops.situation import Situation

BLOCKED = "blocked by"
"""The property of a report that names the broken hop whose consequence a failure is."""


@dataclass(frozen=True, slots=True)
class Prove:
    """Asserts that a judge's verdict is good, and records what it was about.

    Attributes:
        record: Writes a property into the JUnit report.
        situation: The facts, for a judge that needs nothing else.
    """

    record: Callable[[str, object], None]
    situation: Callable[[], Situation]

    def __call__(self, judge: Judge, subject: str, seen: Situation | None = None) -> None:
        """Fail with the whole story when the verdict is bad, or could not be reached."""
        self.record("check", judge.check.id)
        self.record("hop", str(judge.check.hop))
        self.record("subject", subject)
        looked_at = seen or self.situation()
        try:
            verdict = judge(looked_at, subject)
        except LabError as error:
            self.record("node", subject)
            pytest.fail(f"{judge.check.id} could not look: {error}", pytrace=False)
        self.record("node", verdict.node)
        if verdict.ok:
            return
        blocker = blocker_of(looked_at, verdict)
        if blocker is not None:
            self.record(BLOCKED, blocker.name)
        pytest.fail(story(looked_at, verdict, blocker), pytrace=False)
