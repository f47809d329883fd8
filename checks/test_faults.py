"""Each broken hop is named by its own check, and the checks behind it say why they cannot pass.

Breaks one thing at a time on one node, and mends it. Like everything that changes the lab it is
run only by ``pytest checks/ --changes-lab``.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from checks.changing import Changer
from checks.evidence import Evidence
from checks.faults import FAULTS, Fault, Place, place_in
from lab.hops.catalogue import BESIDE_THE_WAY, judge_all, path_to
from lab.hops.situation import Situation
from lab.hops.verdict import Verdict

pytestmark = pytest.mark.changes_lab


@pytest.fixture(scope="module")
def place(evidence: Evidence) -> Place:
    """The node, task and values the faults are about; the service is as it should be."""
    return place_in(Changer(evidence).settle())


@pytest.fixture(params=FAULTS, ids=lambda fault: fault.name)
def fault(request: pytest.FixtureRequest, evidence: Evidence, place: Place) -> Iterator[Fault]:
    """A fault that is in the lab while the test runs."""
    found: Fault = request.param
    changer = Changer(evidence)
    changer.on(place.node, "sh", "-c", found.break_it(place))
    yield found
    changer.on(place.node, "sh", "-c", found.mend_it(place))
    changer.settle(looks=1)


def test_a_broken_hop_is_named(
    fault: Fault,
    place: Place,
    evidence: Evidence,
    record_property: Callable[[str, object], None],
) -> None:
    record_property("node", place.node)
    seen = Situation(evidence.look_again(), evidence.lab.topology)
    seen = replace(seen, reach=evidence.try_again(seen))
    seen = replace(seen, traffic=evidence.send(seen))
    failed = [v for v in judge_all(seen) if not v.ok and not v.check.endswith("-value")]
    on_facts = {_name(v) for v in failed if not _tries(v)}
    assert on_facts == fault.red(place)
    assert set(fault.felt) <= {v.check for v in failed}, [str(v) for v in failed]
    first = fault.red(place) or set(fault.felt)
    unexplained = [
        str(v)
        for v in failed
        if _name(v) not in first
        and v.check not in first | BESIDE_THE_WAY
        and all(step.ok for step in path_to(seen, v))
    ]
    assert not unexplained


def _name(verdict: Verdict) -> str:
    return f"{verdict.check}[{verdict.subject}]"


def _tries(verdict: Verdict) -> bool:
    return verdict.check[0] == "R" or verdict.check in {
        "C7-reach",
        "F6-ping",
        "F7-fetch",
        "F8-payload",
    }
