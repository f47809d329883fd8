"""Each fault of the catalogue bites, is named by its own check, and is healed again.

The checks behind the broken hop fail too, and say why they cannot pass. Like everything that
changes the lab this is run only by ``pytest checks/ --changes-lab``: some faults, one for each
way of failing, and with ``--all-faults`` all of them.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest

from checks.evidence import Evidence
from lab.diagnosis.examine import diagnose
from lab.faults import acting, journal
from lab.faults.catalogue import FAULTS
from lab.faults.model import Fault
from lab.faults.place import Place
from lab.hops.catalogue import BESIDE_THE_WAY, TRIED, judge_all, path_to
from lab.hops.situation import Situation
from lab.hops.verdict import Verdict
from lab.steps import Steps

SAMPLE = {
    "app-frozen",
    "app-on-loopback",
    "backend-drained",
    "backend-swapped",
    "dnat-lost",
    "forwarding-off",
    "gossip-blocked",
    "mark-lost",
    "port-dropped",
    "redirect-lost",
    "route-shadowed",
    "snat-lost",
    "tcp-lost-in-tunnel",
    "vxlan-blocked",
}
"""A fault of every hop, every kind of symptom, and one that only a reset heals."""
QUIET = Steps(quiet=True)

pytestmark = [pytest.mark.changes_lab, pytest.mark.usefixtures("pristine")]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    everything = metafunc.config.getoption("--all-faults")
    chosen = [fault for fault in FAULTS if everything or fault.id in SAMPLE]
    metafunc.parametrize("fault", chosen, ids=[fault.id for fault in chosen])


def test_a_fault_bites_is_named_and_is_healed(
    fault: Fault, evidence: Evidence, record_property: Callable[[str, object], None]
) -> None:
    lab = evidence.lab.name
    injected = acting.inject(lab, fault, None, QUIET)
    assert injected.seen
    record_property("node", injected.node)
    seen = everything_seen(evidence)
    place = Place(seen, injected.node)
    failed = [v for v in judge_all(seen) if not v.ok and not v.check.endswith("-value")]
    assert on_facts(failed) == on_facts_of(fault, place)
    assert set(fault.felt) <= {v.check for v in failed}, [str(v) for v in failed]
    assert not unexplained(fault, place, failed)
    if fault.first:
        first = diagnose(seen).broken[0].verdict
        assert name(first) in place.verdicts(fault.first), str(first)
    acting.heal(lab, fault, None, QUIET)
    evidence.open_connections()
    assert journal.read(evidence.lab.home) == ()
    healed = everything_seen(evidence)
    assert [str(v) for v in judge_all(healed) if not v.ok] == []


def everything_seen(evidence: Evidence) -> Situation:
    """Look, try and send now."""
    seen = Situation(evidence.look_again(), evidence.lab.topology)
    seen = replace(seen, reach=evidence.try_again(seen))
    return replace(seen, traffic=evidence.send(seen))


def on_facts(failed: list[Verdict]) -> set[str]:
    return {name(v) for v in failed if v.check not in TRIED}


def on_facts_of(fault: Fault, place: Place) -> set[str]:
    expected = place.verdicts((*fault.first, *fault.also))
    return {verdict for verdict in expected if verdict.partition("[")[0] not in TRIED}


def unexplained(fault: Fault, place: Place, failed: list[Verdict]) -> list[str]:
    """Return the failures that no earlier one explains, but for those that name the fault.

    Where no fact shows the fault, what is tried shows it, from every side.
    """
    named = place.verdicts((*fault.first, *fault.also))
    shows = set() if on_facts_of(fault, place) else set(fault.felt)
    return [
        str(v)
        for v in failed
        if name(v) not in named
        and v.check not in shows | BESIDE_THE_WAY
        and all(step.ok for step in path_to(place.situation, v))
    ]


def name(verdict: Verdict) -> str:
    return f"{verdict.check}[{verdict.subject}]"
