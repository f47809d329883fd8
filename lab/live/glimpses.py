"""The packets of one connection at every place that captured. Pure.

The mark is the request's id in the payload. It leads to the connection's first sequence number,
which no NAT changes: by that the connection is found again wherever its addresses are others. A
connection that was never opened carries no payload; then its source port leads there, because it
was chosen for it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lab.hops.observations import Errand
from lab.live.catch import Catch
from lab.live.frames import Ends, Flags, Segment, read_segment
from lab.live.points import Hop, Point

BY_ID = "its id in the payload"
BY_PORT = "its source port: no packet came to carry its id"


@dataclass(frozen=True, slots=True)
class Stamped:
    """One segment, and when it was seen: nanoseconds since 1970 by the first node's clock."""

    time_ns: int
    segment: Segment


@dataclass(frozen=True, slots=True)
class Mark:
    """How one connection is told from all others.

    Attributes:
        sequence: The sequence number it began with.
        known_by: What led there, in words.
    """

    sequence: int
    known_by: str


@dataclass(frozen=True, slots=True)
class Glimpse:
    """What one place saw of the connection; ``trouble`` is why it could not see everything.

    ``forth`` are its packets on the way to the service, ``back`` those of the answer.
    """

    point: Point
    forth: tuple[Stamped, ...] = ()
    back: tuple[Stamped, ...] = ()
    trouble: str = ""

    @property
    def ends(self) -> Ends | None:
        """Its addresses here, None when it was not seen."""
        return self.forth[0].segment.ends if self.forth else None

    @property
    def refusal(self) -> Segment | None:
        """The packet that refused or broke the connection from the other side, if any."""
        resets = (s.segment for s in self.back if s.segment.flags & Flags.RST)
        return next(resets, None)

    @property
    def answer(self) -> Stamped | None:
        """The first packet back that carries anything."""
        return next((s for s in self.back if s.segment.payload), None)

    def carrying(self, request_id: str) -> Stamped | None:
        """Return the packet with the request."""
        return next((s for s in self.forth if _holds(s, request_id)), None)


Streams = Mapping[Point, Sequence[Stamped]]


def streams(catch: Catch) -> Streams:
    """Return all TCP segments that were captured, with times by one clock."""
    return {point: tuple(_segments(catch, point)) for point in catch.packets}


def _segments(catch: Catch, point: Point) -> Iterator[Stamped]:
    for packet in catch.packets[point]:
        segment = read_segment(packet.data)
        if segment is not None:
            yield Stamped(catch.clocks.common(point.node, packet.time_ns), segment)


def recognise(found: Streams, errand: Errand) -> Mark | None:
    """Return the mark of the errand's first connection; None when nothing of it was captured.

    Only the node it enters at is asked: elsewhere its addresses may be anybody's.
    """
    here = [(p, segments) for p, segments in found.items() if p.node == errand.entry]
    for point, segments in sorted(here, key=lambda item: list(Hop).index(item[0].hop)):
        mark = _by_id(segments, errand.request_ids[0]) or _by_port(point, segments, errand)
        if mark is not None:
            return mark
    return None


def _by_id(segments: Sequence[Stamped], request_id: str) -> Mark | None:
    ends = {s.segment.ends for s in segments if _holds(s, request_id)}
    openings = (s.segment for s in segments if s.segment.opens and s.segment.ends in ends)
    return next((Mark(opening.sequence, BY_ID) for opening in openings), None)


def _by_port(point: Point, segments: Sequence[Stamped], errand: Errand) -> Mark | None:
    if point.hop not in (Hop.LOCAL, Hop.ENTRY, Hop.BRIDGE):
        return None
    ports = errand.ports(0)
    opened = (s.segment for s in segments if s.segment.opens)
    mine = (s for s in opened if s.ends.source_port in ports)
    return next((Mark(opening.sequence, BY_PORT) for opening in mine), None)


def glimpses(catch: Catch, found: Streams, mark: Mark | None) -> dict[Point, Glimpse]:
    """Return what every place saw of a connection, also those that could hear nothing."""
    places = dict.fromkeys((*catch.packets, *catch.deaf))
    return {
        point: _glimpse(point, found.get(point, ()), mark, catch.deaf.get(point, ""))
        for point in places
    }


def _glimpse(
    point: Point, segments: Sequence[Stamped], mark: Mark | None, trouble: str
) -> Glimpse:
    if mark is None:
        return Glimpse(point, trouble=trouble)
    openings = [
        s.segment.ends for s in segments if s.segment.opens and s.segment.sequence == mark.sequence
    ]
    ends = openings[0] if openings else None
    turned = ends.turned if ends is not None else None
    # The answer of a connection that was seen elsewhere only: it went another way.
    turns = {turned, *(s.segment.ends for s in segments if s.segment.accepts(mark.sequence))}
    forth = tuple(s for s in segments if s.segment.ends == ends)
    back = tuple(s for s in segments if s.segment.ends in turns)
    return Glimpse(point, forth, back, trouble)


def _holds(stamped: Stamped, request_id: str) -> bool:
    return request_id.encode() in stamped.segment.payload
