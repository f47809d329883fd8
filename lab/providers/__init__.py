"""Providers bring up the machines of a topology. They know nothing of Docker.

A provider is any class with the members of ``Provider``; ``PROVIDERS`` is the list of those we
have. See docs/how-to/add-a-provider.md.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lab.access import Access
from lab.errors import UsageError
from lab.home import LabHome, LabState
from lab.shell import Shell
from lab.steps import Steps
from lab.topology import Topology

DEFAULT_PROVIDER = "qemu"
EXISTING = "existing"
"""The provider of hosts that an inventory names."""

CONTAINERLAB = "containerlab"
"""The provider of containers on one host, which may be another machine."""


@dataclass(frozen=True, slots=True)
class Machines:
    """What a provider hands over: how to reach every node, and how fast they are.

    ``pace`` multiplies deadlines: 1 with hardware acceleration. ``remark`` is one line for the
    user about how the machines run.
    """

    access: Mapping[str, Access]
    pace: float
    remark: str


@dataclass(frozen=True, slots=True)
class MachineState:
    """One machine as it is now: whether it runs, its memory on this host and its disk, in MiB."""

    running: bool
    resident_mib: float
    disk_mib: float


class Snapshots(Protocol):
    """Saves running machines, and makes copies of them that start where those were."""

    def circumstances(self, topology: Topology) -> Mapping[str, str] | None:
        """Return what a saved state depends on, by name; it fits as long as nothing differs.

        ``None`` means that nothing could be restored now, because there is no image for example.
        """

    def save(self, home: LabHome, topology: Topology, directory: Path) -> None:
        """Save all machines at the same moment into an empty private directory.

        They pause meanwhile, a second or two, and go on, whatever happens.

        Raises:
            LabError: It did not succeed; the directory is worth nothing.
        """

    def restore(
        self,
        home: LabHome,
        topology: Topology,
        directory: Path,
        earlier: Mapping[str, Access],
        steps: Steps,
    ) -> Machines:
        """Start copies of saved machines, all at the same moment, where those were saved.

        Their clocks are set and their network cards get the addresses of the new lab.

        Args:
            home: The new lab.
            topology: Its topology, which is that of the saved machines.
            directory: What ``save`` filled. It must not change while the copies live.
            earlier: How the lab was reached before, if it shall be reached so again; or empty.
            steps: Tells what it waits for.

        Raises:
            Conflict: Somebody else has a port at which the lab was reached before.
            LabError: It did not succeed; ``destroy`` clears away.
        """

    def shell(self, home: LabHome, node: str) -> AbstractContextManager[Shell]:
        """Open a shell on a machine at once, where ssh would take its time."""

    def multiply(self, home: LabHome, topology: Topology, machine: Path, steps: Steps) -> Machines:
        """Start every node as a copy of one saved machine, under the node's own name.

        Args:
            home: The new lab.
            topology: Its topology; all its nodes have as much memory as the saved machine.
            machine: A node's directory in what ``save`` filled.
            steps: Tells what it waits for.

        Raises:
            LabError: It did not succeed; ``destroy`` clears away.
        """

    def wake(self, home: LabHome, topology: Topology) -> None:
        """Let machines go on that a killed ``save`` left paused."""


class Provider(Protocol):
    """Brings up, describes and removes the machines of one topology."""

    @property
    def name(self) -> str:
        """The word after ``--provider``."""

    @property
    def snapshots(self) -> Snapshots | None:
        """How its machines are saved and copied, if they can be."""

    def preflight(self, topology: Topology, lab: LabState | None = None) -> None:
        """Raise PreflightFailed if this machine cannot carry the topology.

        Args:
            topology: What the lab should be.
            lab: The lab that is to be made, anew perhaps: what is there of it is not in its way.
                ``None`` for one nobody has named.
        """

    def prepare(self, steps: Steps) -> None:
        """Make what all machines need and what takes its time, such as the image; if missing."""

    def create(self, home: LabHome, topology: Topology, steps: Steps) -> Machines:
        """Start all machines; those that run already are left alone.

        Raises:
            ProviderFailed: A machine did not start.
        """

    def destroy(self, home: LabHome) -> None:
        """Remove all machines and whatever a killed ``create`` left. Safe to call twice."""

    def states(self, home: LabHome, topology: Topology) -> Mapping[str, MachineState]:
        """Return the present state of every node of the topology."""

    def console(self, home: LabHome, node: str) -> Path | None:
        """Return the file with the node's console output, if the provider keeps one."""


def _qemu() -> Provider:
    from lab.providers.qemu import QemuProvider

    return QemuProvider()


def _existing() -> Provider:
    from lab.providers.existing import ExistingProvider

    return ExistingProvider()


def _vagrant() -> Provider:
    from lab.providers.vagrant import VagrantProvider

    return VagrantProvider()


def _containerlab() -> Provider:
    from lab.providers.containerlab import ContainerlabProvider

    return ContainerlabProvider()


PROVIDERS: Mapping[str, Callable[[], Provider]] = {
    "qemu": _qemu,
    "vagrant": _vagrant,
    CONTAINERLAB: _containerlab,
    EXISTING: _existing,
}


def provider_names() -> tuple[str, ...]:
    """Return the names of all providers."""
    return tuple(PROVIDERS)


def provider_named(name: str) -> Provider:
    """Return a provider by its name.

    Raises:
        UsageError: There is none of that name.
    """
    try:
        return PROVIDERS[name]()
    except KeyError as error:
        raise UsageError(
            f"There is no provider named {name}", details=f"known: {', '.join(provider_names())}"
        ) from error
