"""What the catalogue promises of a fault, against what the checks and the diagnosis said. Pure."""

from collections.abc import Sequence

from lab.diagnosis.model import PROMISED, Diagnosis
from lab.faults.model import Fault
from lab.faults.place import Place
from lab.hops.catalogue import JUDGES, TRIED
from lab.hops.verdict import Verdict

ORDER = {judge.check.id: number for number, judge in enumerate(JUDGES)}


def name(verdict: Verdict) -> str:
    """Return how a verdict is written down: ``B1-mark[worker]``."""
    return f"{verdict.check}[{verdict.subject}]"


def check_of(named: str) -> str:
    """Return the check's id in ``B1-mark[worker]``."""
    return named.partition("[")[0]


def right_first(fault: Fault, place: Place) -> tuple[str, ...]:
    """Return the verdicts that may be named first, in path order: one, unless there is a tie."""
    subjects = [*(n.name for n in place.situation.topology.nodes)]
    named = sorted(
        place.verdicts((fault.first,)),
        key=lambda n: (ORDER[check_of(n)], _position(subjects, n), n),
    )
    return tuple(named if fault.tie else named[:1])


def deviations(fault: Fault, place: Place, found: Diagnosis) -> tuple[str, ...]:
    """Return in what the checks and the diagnosis differ from the catalogue, a sentence each.

    Args:
        fault: The entry of the catalogue.
        place: Where it was put, and all that was seen of the lab with it.
        found: What the diagnosis made of that.
    """
    failed = [v for v in found.verdicts if not v.ok and not v.check.endswith(PROMISED)]
    told = [f"{u.check}[{u.subject}] could not be asked: {u.reason}" for u in found.unasked]
    told += _wrong_facts(fault, failed, _expected_facts(fault, place))
    missing = set(fault.felt) - {v.check for v in failed}
    told += [f"{check} is green" for check in sorted(missing, key=ORDER.__getitem__)]
    told += [f"nothing explains {v}" for v in _unexplained(fault, place, found)]
    return (*told, *_wrong_first(fault, place, found))


def _position(subjects: Sequence[str], named: str) -> int:
    subject = named.partition("[")[2].rstrip("]")
    return subjects.index(subject) if subject in subjects else 0


def _expected_facts(fault: Fault, place: Place) -> set[str]:
    expected = place.verdicts((fault.first, *fault.also))
    return {verdict for verdict in expected if check_of(verdict) not in TRIED}


def _wrong_facts(fault: Fault, failed: Sequence[Verdict], expected: set[str]) -> list[str]:
    """Compare what is wrong on facts: rules, tables and settings.

    The catalogue does not tell what is not there to be looked at, such as the rules of a task
    that does not run: that it follows from something is asked in ``_unexplained``.
    """
    facts = [v for v in failed if v.check not in TRIED]
    wrong = [name(v) for v in facts if not v.waits_for and v.check not in fault.later]
    missing = expected - {name(v) for v in facts}
    return [
        *(f"{v} is red, which the catalogue does not say" for v in wrong if v not in expected),
        *(f"{v} is green" for v in sorted(missing)),
    ]


def _unexplained(fault: Fault, place: Place, found: Diagnosis) -> list[Verdict]:
    """Return the failures that no other one explains, but for those that name the fault.

    Where no fact shows the fault, what is tried shows it, from every side.
    """
    named = place.verdicts((fault.first, *fault.also))
    shows = set() if _expected_facts(fault, place) else set(fault.felt)
    roots = [hop.verdict for hop in found.broken]
    return [v for v in roots if name(v) not in named and v.check not in shows]


def _wrong_first(fault: Fault, place: Place, found: Diagnosis) -> list[str]:
    right = right_first(fault, place)
    if not found.broken:
        return [f"no hop is named first; expected {' or '.join(right)}"]
    first = name(found.broken[0].verdict)
    return [] if first in right else [f"{first} is named first; expected {' or '.join(right)}"]
