"""Each fault of the catalogue bites, is named by its own check, and is healed again.

The checks behind the broken hop fail too, and say why they cannot pass. Like everything that
changes the lab this is run only by ``pytest checks/ --changes-lab``: some faults, one for each
way of failing, and with ``--all-faults`` all of them. ``invoke lab.matrix`` does the same and
writes down what it sees.
"""

from collections.abc import Callable, Iterator

import pytest

from checks.evidence import Evidence
from lab.faults.catalogue import FAULTS
from lab.faults.model import Fault
from lab.matrix.trial import WELL_S, Trial, expect_well, try_fault

SAMPLE = {
    "app-frozen",
    "backend-drained",
    "large-answers-lost",
    "local-requests-dropped",
    "log-lost",
    "mark-lost",
    "node-paused",
    "port-dropped",
    "redirect-lost",
    "snat-lost",
    "vxlan-blocked",
}
"""A fault of every hop, every kind of symptom, and one that only a reset heals."""

pytestmark = pytest.mark.changes_lab


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    everything = metafunc.config.getoption("--all-faults")
    chosen = [fault for fault in FAULTS if everything or fault.id in SAMPLE]
    metafunc.parametrize("fault", chosen, ids=[fault.id for fault in chosen])


@pytest.fixture(scope="module")
def well(first_reset: None, evidence: Evidence) -> None:  # noqa: ARG001 - before it
    """The lab as it was made, and every check green, before the first fault is put in."""
    expect_well(evidence.everything())


@pytest.fixture
def trials(well: None, evidence: Evidence) -> Iterator[list[Trial]]:  # noqa: ARG001 - before it
    """Where a test leaves its trial: one that ended with all checks green needs no reset."""
    found: list[Trial] = []
    yield found
    if not found or found[-1].left:
        evidence.reset()


def test_a_fault_bites_is_named_and_is_healed(
    fault: Fault,
    evidence: Evidence,
    trials: list[Trial],
    record_property: Callable[[str, object], None],
) -> None:
    lab = evidence.lab
    trial = try_fault(lab.name, fault, evidence.everything, lab.deadline(WELL_S))
    trials.append(trial)
    record_property("node", trial.node)
    assert trial.deviations == ()
    assert trial.left == ()
