"""Which labs may be broken on purpose: those whose machines a reset makes anew."""

from lab.errors import UsageError
from lab.home import LabState
from lab.providers import EXISTING


def expect_own_machines(state: LabState) -> None:
    """Make sure that a lab's machines go when the lab does.

    A host that is lent stays, and so would whatever was broken on it: not every fault has a
    command that takes it back, and the journal of those that have goes with the lab.

    Raises:
        UsageError: The lab consists of somebody's hosts.
    """
    if state.provider == EXISTING:
        raise UsageError(
            f"The hosts of lab {state.name} are lent: nothing is broken on them",
            details="a fault could stay behind on a host that is somebody's",
            hint="invoke lab.up --name mine, and break that lab",
        )
