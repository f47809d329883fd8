"""All faults, in the order a packet would meet them, and how one is found by what a user typed."""

from difflib import get_close_matches

from lab.errors import UsageError
from lab.faults import cluster, fabric, host, sandbox, sandbox_ways, service, task
from lab.faults.model import Fault
from lab.hops.verdict import Hop

FAULTS: tuple[Fault, ...] = tuple(
    sorted(
        (
            *cluster.FAULTS,
            *service.FAULTS,
            *host.FAULTS,
            *sandbox.FAULTS,
            *sandbox_ways.FAULTS,
            *fabric.FAULTS,
            *task.FAULTS,
        ),
        key=lambda fault: list(Hop).index(fault.hop),
    )
)


def find(name: str) -> Fault:
    """Return the fault of that id.

    Raises:
        UsageError: There is none; the details name those that are spelt alike.
    """
    known = {fault.id: fault for fault in FAULTS}
    if name in known:
        return known[name]
    near = get_close_matches(name, known, n=3, cutoff=0.5)
    near += [other for other in known if name and name in other and other not in near]
    raise UsageError(
        f"There is no fault {name!r}",
        details=f"perhaps: {', '.join(near[:5])}" if near else "",
        hint="invoke lab.faults",
    )
