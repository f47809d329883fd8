"""The lab in which faults are tried: one that runs already, or one of our own."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lab import lifecycle
from lab.evidence import look, see_everything
from lab.faults.lent import expect_own_machines
from lab.home import Stage
from lab.hops.situation import Situation
from lab.machine import describe
from lab.matrix.record import Versions
from lab.matrix.trial import QUIET
from lab.session import open_lab, place_of
from lab.steps import Steps
from lab.wait import Deadlines


@dataclass(frozen=True, slots=True)
class RunningLab:
    """A running lab, by its name; see ``lab.matrix.trial.Ground``."""

    name: str

    @property
    def deadline(self) -> Deadlines:
        """Scales a deadline to the machines' speed."""
        return open_lab(self.name).deadline

    def reset(self) -> None:
        """Put the lab back to how it was made."""
        lifecycle.reset(self.name, QUIET)

    def see(self) -> Situation:
        """Look at everything there is in the lab now, try all ways, send through all entries."""
        return see_everything(place_of(open_lab(self.name)))

    def versions(self) -> Versions:
        """Return what runs in the nodes, and what runs them.

        Raises:
            LabError: A node could not be looked at.
        """
        nodes = look(place_of(open_lab(self.name))).nodes
        return Versions(
            nodes=len(nodes),
            engine=_joined(node.engine_version for node in nodes),
            kernel=_joined(node.kernel for node in nodes),
            iptables=_joined(str(node.iptables_backend) for node in nodes),
            qemu=str(describe()["qemu"]),
        )


@contextmanager
def ground(name: str, steps: Steps) -> Iterator[RunningLab]:
    """Give the running lab of a name; for an empty one, a lab of our own for as long as it takes.

    A lab that was there before is reset in the end: what was tried last may still be in it.

    Raises:
        UsageError: The lab's hosts are lent.
        LabError: There is no such lab, it does not run, or ours did not come up.
    """
    if name:
        expect_own_machines(lifecycle.require_running(name).state)
        try:
            yield RunningLab(name)
        finally:
            lifecycle.reset(name, steps)
        return
    own = f"matrix-{os.getpid()}"
    try:
        wish = lifecycle.Wish(own, provider=None, topology=None, until=Stage.SERVICE)
        lifecycle.up(wish, steps)
        yield RunningLab(own)
    finally:
        lifecycle.down(own, steps)


def _joined(values: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(values))
