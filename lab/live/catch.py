"""What was captured on all nodes at once, and what their kernels remember. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lab.live.clocks import Clocks, compare
from lab.live.pcap import Captured, Recording, read_pcap
from lab.live.points import TITLES, Point
from lab.live.scripts import MOST_PACKETS, Collected, Kind, Started, Table


@dataclass(frozen=True, slots=True)
class NodeTables:
    """What the kernel of one node says of connections, and its rules before and after.

    By namespace; a table that could not be read says why.
    """

    before: Mapping[tuple[str, Kind], Table]
    after: Mapping[tuple[str, Kind], Table]


@dataclass(frozen=True, slots=True)
class Catch:
    """What was captured at all places, and what the kernels remember of it.

    Attributes:
        packets: The packets seen at each place that could be heard, in order, with the time of
            the place's node.
        deaf: Places where nothing could be captured, or not all, and why.
        tables: The tables of each node.
        clocks: How far the nodes' clocks are apart, told from the packets themselves.
    """

    packets: Mapping[Point, tuple[Captured, ...]]
    deaf: Mapping[Point, str]
    tables: Mapping[str, NodeTables]
    clocks: Clocks

    def recordings(self) -> tuple[Recording, ...]:
        """Return what all places saw, by one clock, for a file."""
        return tuple(
            Recording(
                point.name,
                f"{point.node}: {point}: {TITLES[point.hop]}",
                tuple(
                    Captured(self.clocks.common(point.node, p.time_ns), p.data, p.length)
                    for p in found
                ),
            )
            for point, found in self.packets.items()
        )


def put_together(
    by_node: Mapping[str, Sequence[Point]],
    started: Mapping[str, Started],
    collected: Mapping[str, Collected],
) -> Catch:
    """Return what all nodes captured, given the places of each node and what its scripts said.

    Raises:
        UnreadableOutput: A file is no capture.
    """
    packets: dict[Point, tuple[Captured, ...]] = {}
    deaf: dict[Point, str] = {}
    for node, came in collected.items():
        for point in by_node[node]:
            if point.name in started[node].deaf:
                said = started[node].deaf[point.name]
                deaf[point] = said or "tcpdump did not begin in time"
                continue
            packets[point] = read_pcap(came.captures[point.name])
            if lost := came.dropped.get(point.name):
                deaf[point] = f"tcpdump lost {lost} packets"
            elif len(packets[point]) >= MOST_PACKETS:
                deaf[point] = f"tcpdump stopped at {MOST_PACKETS} packets"
    tables = {n: NodeTables(started[n].tables, came.tables) for n, came in collected.items()}
    return Catch(packets, deaf, tables, compare(packets))
