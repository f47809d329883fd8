"""What a swarm promises when something changes. Changes the lab, and puts it back.

Not run by default: ``pytest checks/ --changes-lab`` runs these, and only these. Each starts from
the lab as it was made, and leaves it so.
"""

from collections.abc import Callable, Iterator

import pytest

from checks.changing import Changer
from checks.evidence import Evidence
from checks.lane import Lane
from checks.proving import Prove
from lab.facts.docker_model import SwarmTask
from lab.facts.model import ClusterFacts
from lab.hops import sandbox, service, task
from lab.hops.judge import slot_name
from lab.hops.verdict import Hop

pytestmark = pytest.mark.changes_lab

Record = Callable[[str, object], None]
"""Writes a property into the JUnit report."""


@pytest.fixture
def changer(evidence: Evidence, pristine: None) -> Changer:  # noqa: ARG001 - around it
    """Ways to change the lab, which is as it was made before and after."""
    return Changer(evidence)


@pytest.fixture
def cut_worker(changer: Changer, evidence: Evidence) -> str:
    """A worker that ran a task and has lost its link to the other nodes."""
    cluster = evidence.look_again()
    worker = next(w for w in evidence.lab.topology.workers if cluster.node(w.name).tasks)
    interface = cluster.node(worker.name).host.interface_with(worker.address)
    assert interface is not None, f"no interface of {worker.name} has {worker.address}"
    changer.on(worker.name, "ip", "link", "set", interface.name, "down")
    return worker.name


@pytest.fixture(scope="module")
def lane(evidence: Evidence, first_reset: None) -> Iterator[Lane]:  # noqa: ARG001 - before it
    """A user overlay with a service of two replicas and a client; the lab is reset afterwards."""
    lane = Lane(Changer(evidence))
    lane.open()
    yield lane
    evidence.reset()


@pytest.mark.hop("sandbox")
@pytest.mark.parametrize("replicas", [3, 1])
def test_scaling_changes_ipvs_on_every_node(
    changer: Changer, prove: Prove, manager: str, replicas: int
) -> None:
    changer.scale(replicas)
    scaled = changer.settle(replicas=replicas)
    prove(service.replicas_run, manager, scaled)
    for node in changer.nodes:
        prove(sandbox.backends_are_the_tasks, node, scaled)
    for slot in _slots(scaled.cluster):
        prove(task.address_is_a_backend, slot, scaled)


@pytest.mark.hop("service")
def test_a_killed_task_comes_back(changer: Changer, evidence: Evidence, prove: Prove) -> None:
    before = evidence.look_again()
    victim = _task_of(before, 1)
    node = before.node_of(victim)
    assert node is not None, f"slot 1 runs on no node of the lab: {victim.node_id}"
    changer.on(node.node, "docker", "kill", str(victim.container_id))
    after = changer.settle(unlike=before)
    assert after.task(1).id != victim.id
    assert after.task(1).ingress_address != victim.ingress_address
    prove(task.program_listens, slot_name(1), after)


@pytest.mark.hop("service")
def test_the_replica_of_a_lost_worker_moves(
    changer: Changer, cut_worker: str, prove: Prove
) -> None:
    left = tuple(node for node in changer.nodes if node != cut_worker)
    after = changer.settle(nodes=left)
    homes = {after.cluster.node_of(t) for t in after.cluster.running_tasks}
    assert {node.node for node in homes if node is not None} <= set(left)
    for node in left:
        prove(sandbox.backends_are_the_tasks, node, after)


@pytest.mark.hop("service")
def test_a_service_name_resolves_to_its_virtual_address(
    lane: Lane, manager: str, record_property: Record
) -> None:
    record_property("hop", str(Hop.SERVICE))
    record_property("node", manager)  # where the client runs
    assert lane.resolve() == lane.virtual_address()


@pytest.mark.hop("service")
def test_a_service_name_balances_on_a_user_overlay(
    lane: Lane, manager: str, record_property: Record
) -> None:
    record_property("hop", str(Hop.SERVICE))
    record_property("node", manager)
    answered = lane.ask(2 * Lane.REPLICAS)
    assert len(set(answered[: Lane.REPLICAS])) == Lane.REPLICAS, answered
    assert answered[: Lane.REPLICAS] == answered[Lane.REPLICAS :]


def _task_of(cluster: ClusterFacts, slot: int) -> SwarmTask:
    return next(task for task in cluster.running_tasks if task.slot == slot)


def _slots(cluster: ClusterFacts) -> list[str]:
    return sorted(slot_name(task.slot or 0) for task in cluster.running_tasks)
