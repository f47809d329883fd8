"""How far the clocks of two nodes are apart, told by the packets that went between them. Pure.

A packet leaves one node and comes to the other, an answer comes back: as NTP does it (RFC 5905),
half the difference of the two ways is the difference of the clocks. The nodes' chrony keeps them
together, but not right after a restore.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from lab.live.frames import read_segment
from lab.live.pcap import Captured
from lab.live.points import Hop, Point


@dataclass(frozen=True, slots=True)
class Clocks:
    """How many nanoseconds each node's clock is ahead of the first one's.

    ``unknown`` are the nodes that no packet told of: their own time is taken as it is.
    """

    first: str
    ahead_ns: Mapping[str, int]
    unknown: tuple[str, ...]

    def common(self, node: str, time_ns: int) -> int:
        """Return a node's time by the first node's clock."""
        return time_ns - self.ahead_ns.get(node, 0)


def compare(packets: Mapping[Point, tuple[Captured, ...]]) -> Clocks:
    """Return the nodes' clocks, from what was captured on the links between them."""
    nodes = list(dict.fromkeys(point.node for point in packets))
    links = {p.node: _seen(found) for p, found in packets.items() if p.hop is Hop.LINK}
    first = nodes[0] if nodes else ""
    ahead: dict[str, int] = {}
    unknown: list[str] = []
    for node in nodes[1:]:
        difference = _difference(links.get(first, {}), links.get(node, {}))
        if difference is None:
            unknown.append(node)
        else:
            ahead[node] = difference
    return Clocks(first, ahead, tuple(unknown))


_Seen = Mapping[str, tuple[int, bool]]


def _seen(packets: tuple[Captured, ...]) -> _Seen:
    """Return when each wrapped segment was seen, and whether it went to the lower address.

    What was sent twice tells nothing: the first one may have come, or not. The frames themselves
    cannot be compared, because a checksum may be filled in on the way.
    """
    seen: dict[str, tuple[int, bool]] = {}
    times: Counter[str] = Counter()
    for packet in packets:
        segment = read_segment(packet.data)
        if segment is None or segment.tunnel is None:
            continue
        key, outer = str(segment), segment.tunnel.ends
        times[key] += 1
        seen[key] = packet.time_ns, outer.destination < outer.source
    return {key: found for key, found in seen.items() if times[key] == 1}


def _difference(here: _Seen, there: _Seen) -> int | None:
    """Return how far the other clock is ahead: the mean of the quickest packet of each way.

    One way the delay adds to the difference, the other way it takes from it: of what is added the
    least is nearest to the truth, of what is taken the greatest.
    """
    ways: dict[bool, list[int]] = {True: [], False: []}
    for key, (time_ns, way) in here.items():
        if key in there:
            ways[way].append(there[key][0] - time_ns)
    if not ways[True] or not ways[False]:
        return None
    one, other = sorted(ways.values(), key=lambda found: sum(found) / len(found))
    return (max(one) + min(other)) // 2
