"""What a diagnosis says."""

from dataclasses import dataclass
from enum import StrEnum

from lab.hops.verdict import Hop, Verdict

PROMISED = "-value"
"""How the ids of checks end that compare with what the topology promises."""


class Agreement(StrEnum):
    """What the two kinds of evidence, rules and packets, say of a broken hop together."""

    BOTH = "the rules are wrong, and packets are lost"
    RULES = "the rules are odd, but packets are fine"
    OTHER = "the rules are odd; packets are lost for another reason"
    PACKETS = "the rules are right, but packets are lost or go astray"
    UNSENT = "the rules are wrong; nothing was sent to feel it"


@dataclass(frozen=True, slots=True)
class Repair:
    """One command that mends: typed as root on ``node``.

    ``note`` says what else it does, or what to look at first; empty when there is nothing.
    """

    node: str
    command: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Thread:
    """A public thread where people met the same: ``moby/moby#26946``, and about what."""

    reference: str
    about: str

    @property
    def url(self) -> str:
        """Return its address."""
        repository, _, number = self.reference.partition("#")
        return f"https://github.com/{repository}/issues/{number}"


@dataclass(frozen=True, slots=True)
class BrokenHop:
    """A check that fails and that no other failed check explains.

    Attributes:
        verdict: What was expected and found, with the raw lines.
        agreement: What rules and packets say together.
        packets: What became of packets, one line each; empty when nothing was sent.
        causes: What is likely the matter, the likeliest first.
        repairs: What to type, in this order; empty when only looking further helps.
        look: What to type on ``verdict.node`` to look further.
        threads: Where others met the same.
        blocks: The failed checks that cannot hold before this one does, in path order.
        is_beside: Whether packets find their way although it fails.
    """

    verdict: Verdict
    agreement: Agreement
    packets: tuple[str, ...]
    causes: tuple[str, ...]
    repairs: tuple[Repair, ...]
    look: tuple[str, ...]
    threads: tuple[Thread, ...]
    blocks: tuple[Verdict, ...]
    is_beside: bool

    @property
    def name(self) -> str:
        """Say which hop it is, and where: ``B1-mark on worker``, ``T1-redirect of slot-1``."""
        return name_of(self.verdict)


@dataclass(frozen=True, slots=True)
class Unasked:
    """A check that nobody could, or wanted to, ask: why, and of whom."""

    check: str
    subject: str
    reason: str


class State(StrEnum):
    """How one hop of one way in fares."""

    OK = "ok"
    BROKEN = "BROKEN"
    ODD = "odd"
    BLOCKED = "blocked"
    UNSEEN = "not seen"


@dataclass(frozen=True, slots=True)
class Walk:
    """The hops of a request that enters at ``entry``, in path order."""

    entry: str
    hops: tuple[tuple[Hop, State], ...]


@dataclass(frozen=True, slots=True)
class Silent:
    """A node that could not be looked at, the error's own words and what to type."""

    node: str
    reason: str
    hint: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is the matter with a lab.

    Attributes:
        broken: Every hop that is broken by itself, the first one first; the hops that packets
            pass come before those beside the way.
        promises: Failed checks of the topology's promises that no broken hop explains.
        walks: How each hop fares, for every node a request may enter at.
        unasked: Checks without an answer.
        silent: Nodes that could not be looked at.
        verdicts: Every answer there is, in path order.
    """

    broken: tuple[BrokenHop, ...]
    promises: tuple[Verdict, ...]
    walks: tuple[Walk, ...]
    unasked: tuple[Unasked, ...]
    silent: tuple[Silent, ...]
    verdicts: tuple[Verdict, ...]

    @property
    def is_healthy(self) -> bool:
        """Whether no hop is broken and every node was looked at."""
        return not self.broken and not self.silent

    def blocker_of(self, verdict: Verdict) -> BrokenHop | None:
        """Return the broken hop that explains a failed check, None when it is one itself."""
        return next((hop for hop in self.broken if is_among(verdict, hop.blocks)), None)


def name_of(verdict: Verdict) -> str:
    """Say which check it is and where: of a node, or of a slot and the node it is on."""
    if verdict.subject == verdict.node:
        return f"{verdict.check} on {verdict.node}"
    return f"{verdict.check} of {verdict.subject} on {verdict.node}"


def is_among(verdict: Verdict, others: tuple[Verdict, ...]) -> bool:
    """Say whether a check about the same subject is among others."""
    return any((o.check, o.subject) == (verdict.check, verdict.subject) for o in others)
