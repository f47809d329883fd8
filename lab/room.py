"""The room on the disk that saved machines take."""

from pathlib import Path

from lab.errors import PreflightFailed
from lab.paths import free_mib, private_dir
from lab.topology import Topology

DISK_MIB = 300
"""Room for a node's disk and device state beside its memory."""


def room_mib(topology: Topology) -> float:
    """Return how many MiB saving all machines of a topology may take."""
    return sum(node.memory_mib + DISK_MIB for node in topology.nodes)


def expect_room(root: Path, needed_mib: float) -> None:
    """Make sure that a snapshot fits on the disk.

    Raises:
        PreflightFailed: There is not that much room.
    """
    free = free_mib(private_dir(root))
    if free < needed_mib:
        raise PreflightFailed(
            "There is not enough room for a snapshot",
            details=f"{root}: {free:.0f} MiB free, up to {needed_mib:.0f} MiB needed",
            hint="invoke lab.snapshot --remove old",
        )
