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
from lab.matrix.trial import Bench

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
def bench(first_reset: None, evidence: Evidence) -> Iterator[Bench]:  # noqa: ARG001 - before it
    """Where faults are tried; the lab is reset only where it was not proven to be well again."""
    made = Bench(evidence)
    yield made
    if made.well is None:
        evidence.reset()


def test_a_fault_bites_is_named_and_is_healed(
    fault: Fault, bench: Bench, record_property: Callable[[str, object], None]
) -> None:
    record_property("hop", str(fault.hop))
    trial = bench.try_fault(fault)
    record_property("node", trial.node)
    assert trial.deviations == ()
    assert trial.left == ()
