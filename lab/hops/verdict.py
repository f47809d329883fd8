"""What one check has to say: whether it holds, what was seen, and where to look next."""

from dataclasses import dataclass
from enum import StrEnum


class Hop(StrEnum):
    """The stations of the ingress path, in the order a packet depends on them."""

    CLUSTER = "cluster"
    SERVICE = "service"
    HOST = "host"
    SANDBOX = "sandbox"
    FABRIC = "fabric"
    TASK = "task"
    TRAFFIC = "traffic"


class Scope(StrEnum):
    """What a check is asked about: the whole swarm (once), each node, or each task slot."""

    SWARM = "swarm"
    NODE = "node"
    SLOT = "slot"


@dataclass(frozen=True, slots=True)
class Check:
    """A question that is asked of every lab.

    Attributes:
        id: Stable name, as ``H3-dnat``; docs/checks.md has a section for each.
        hop: The station it looks at.
        scope: What it is asked about.
        title: What holds when all is well, one line.
        cause: What usually is the matter when it does not.
        see: The command to type, as root; ``{port}``, ``{target}``, ``{service}``, ``{image}``,
            ``{vip}``, ``{sandbox}``, ``{manager}`` (its address), ``{overlay}`` and ``{task}``
            (how to enter that namespace) stand for the lab's values.
        see_on_manager: Whether only the manager answers ``see``; otherwise it is for the node.
    """

    id: str
    hop: Hop
    scope: Scope
    title: str
    cause: str
    see: str
    see_on_manager: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """What a judge found. ``cause`` is set when this very finding tells more than the check's.

    ``evidence`` holds raw lines, as the tool on the node printed them.
    """

    ok: bool
    expected: str
    found: str
    evidence: tuple[str, ...] = ()
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One check's answer about one node.

    ``subject`` is the node's name, or the slot ("slot-1") where the check is about a task;
    ``see`` is to be typed as root on ``see_on``: the node itself, or the manager.
    ``waits_for`` is the check that asks for what was not there to be looked at, if so.
    """

    check: str
    hop: Hop
    node: str
    subject: str
    ok: bool
    title: str
    expected: str
    found: str
    evidence: tuple[str, ...]
    cause: str
    see: str
    see_on: str
    waits_for: str = ""

    def __str__(self) -> str:
        return f"{self.check} on {self.node}: {'ok' if self.ok else 'FAILED'}, {self.found}"


def render(
    verdict: Verdict, path: tuple[Verdict, ...] = (), *, blocker: Verdict | None = None
) -> str:
    """Return the failure message of a verdict: the path so far, then what is the matter.

    Args:
        verdict: The one that failed.
        path: The verdicts a packet depends on before it comes to this one, in path order.
        blocker: The broken one that this one is only a consequence of.
    """
    about = "" if verdict.subject == verdict.node else f" ({verdict.subject})"
    lines = [f"{verdict.check} on {verdict.node}{about}: {verdict.title}", ""]
    if blocker is not None and blocker.found == verdict.found:
        path, blocker = (), None  # the same step is missing: the way to it tells nothing more
    if path:
        lines += ["path so far", *(_step(step) for step in _without_echoes(path)), ""]
    lines += _labelled("expected", verdict.expected)
    lines += _labelled("found", verdict.found)
    lines += _labelled("evidence", "\n".join(verdict.evidence))
    if blocker is not None:
        lines += _labelled(
            "could not pass", f"{blocker.check} on {blocker.node} fails before: {blocker.found}"
        )
    lines += _labelled("likely cause", verdict.cause)
    lines += _labelled("see it", f"on {verdict.see_on}: {verdict.see}")
    return "\n".join(lines)


def _without_echoes(path: tuple[Verdict, ...]) -> tuple[Verdict, ...]:
    """Leave out failed steps that found what a failed one before them found."""
    kept: list[Verdict] = []
    for step in path:
        if step.ok or all(step.found != other.found for other in kept if not other.ok):
            kept.append(step)
    return tuple(kept)


def _step(step: Verdict) -> str:
    about = step.node if step.subject == step.node else f"{step.subject} on {step.node}"
    return f"  {'ok    ' if step.ok else 'FAILED'}  {step.check} [{about}] {step.found}"


def _labelled(label: str, text: str) -> list[str]:
    if not text:
        return []
    first, *rest = text.splitlines()
    return [f"{label:<15} {first}", *(f"{'':<15} {line}" for line in rest)]
