"""What a write-up holds."""

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

from lab.diagnosis.model import Diagnosis
from lab.hops.verdict import Verdict
from lab.trace.model import Trace


class Outcome(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    BLOCKED = "blocked"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Row:
    """One check that was run.

    Attributes:
        test: Its name in pytest.
        check: The id of the check, empty when it is about none, as a promise is.
        subject: Whom it was about.
        outcome: How it ended.
        seconds: How long it took.
        blocked_by: The broken hop whose consequence it is; empty otherwise.
        message: What it said when it did not pass.
        verdict: What was expected and found; None when nothing could be judged.
    """

    test: str
    check: str
    subject: str
    outcome: Outcome
    seconds: float
    blocked_by: str
    message: str
    verdict: Verdict | None


@dataclass(frozen=True, slots=True)
class NodeRuns:
    """What one node runs."""

    node: str
    role: str
    address: str
    engine: str
    kernel: str
    system: str
    iptables: str


@dataclass(frozen=True, slots=True)
class Writeup:
    """Everything there is to tell of a run.

    ``diagnosis`` and ``trace`` are None when no facts could be read.
    """

    lab: str
    provider: str
    remark: str
    made: str
    version: str
    nodes: tuple[NodeRuns, ...]
    rows: tuple[Row, ...]
    diagnosis: Diagnosis | None
    trace: Trace | None

    @property
    def counts(self) -> dict[Outcome, int]:
        """How many checks ended how."""
        found = Counter(row.outcome for row in self.rows)
        return {outcome: found[outcome] for outcome in Outcome}

    @property
    def is_green(self) -> bool:
        """Whether something was run, and all of it passed."""
        return bool(self.rows) and self.counts[Outcome.PASSED] == len(self.rows)

    @property
    def summary(self) -> str:
        """Say in a few words how the run ended."""
        words = [f"{count} {outcome}" for outcome, count in self.counts.items() if count]
        return ", ".join(words) or "no check was run"
