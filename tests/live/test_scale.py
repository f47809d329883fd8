"""`lab.scale` changes the number of replicas and nothing else: those that run go on running."""

from collections.abc import Iterator

import pytest

from lab.lifecycle import require_running
from lab.look import manager_engine
from lab.scaling import scale
from lab.session import LabSession
from lab.steps import Steps

pytestmark = pytest.mark.live


def running(name: str) -> set[str]:
    """Return the ids of the service's running tasks."""
    status = require_running(name)
    with manager_engine(status.home, status.state) as engine:
        tasks = engine.tasks(status.state.topology.service.name)
    return {task.task_id for task in tasks if task.state == task.desired == "running"}


@pytest.fixture
def scaled_back(lab: LabSession) -> Iterator[None]:
    """The service has its own number of replicas before and after, whoever changed it."""
    replicas = lab.topology.service.replicas
    scale(require_running(lab.name), replicas, Steps())
    yield
    scale(require_running(lab.name), replicas, Steps())
    assert len(running(lab.name)) == replicas


@pytest.mark.usefixtures("scaled_back")
def test_scaling_up_keeps_the_replicas_that_run(lab: LabSession) -> None:
    before = running(lab.name)
    scale(require_running(lab.name), lab.topology.service.replicas + 1, Steps())
    assert before < running(lab.name)
