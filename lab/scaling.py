"""Changing how many replicas a running lab has."""

from lab.consoles import with_consoles
from lab.errors import UsageError
from lab.lifecycle import LabStatus
from lab.node import Connect, connected
from lab.service import Entry, await_entries, await_running
from lab.steps import Steps
from lab.topology import Topology
from lab.topology_rules import violations
from lab.wait import Deadlines


def scale(
    found: LabStatus, replicas: int, steps: Steps, *, connect: Connect = connected
) -> tuple[Entry, ...]:
    """Change the number of replicas and wait until every way in reaches all of them.

    Returns:
        Every way in, and who answered there.

    Raises:
        UsageError: The lab's networks have no addresses for so many.
    """
    state = found.state
    service = state.topology.service.model_copy(update={"replicas": replicas})
    _expect_room(state.topology.model_copy(update={"service": service}))
    deadline = Deadlines(state.pace)
    with (
        found.home.lock(),
        with_consoles(found.home, state),
        connect(found.home, state) as nodes,
    ):
        manager = next(node for node in nodes if node.spec == state.topology.manager)
        with steps.step(f"Scaling {service.name} to {replicas}"):
            manager.engine.scale(service.name, replicas)
            await_running(manager.engine, service.name, replicas, deadline)
        with steps.step("Verifying: every replica answers through every node"):
            return await_entries(nodes, service, deadline)


def _expect_room(topology: Topology) -> None:
    for broken in violations(topology):
        if broken.path == ("service", "replicas"):
            raise UsageError(
                f"{topology.service.name} cannot have {topology.service.replicas} replicas",
                details=f"expected {broken.expected}",
                hint="a smaller number",
            )
