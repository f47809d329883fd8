"""One real request as it was seen: at which stations, with which addresses, and when."""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address

from lab.trace.model import Key, Tuple


class Outcome(StrEnum):
    """What is known of the request at a station."""

    SEEN = "seen"
    ODD = "odd"
    LOST = "not seen"
    STOPPED = "no further"
    UNKNOWN = "not observed"
    BEYOND = "not reached"


@dataclass(frozen=True, slots=True)
class Moments:
    """When packets were first seen, in nanoseconds since the request was first seen anywhere.

    None: no such packet was seen there. ``opened`` is the connection's first packet, ``asked`` the
    one that carries the request, ``answered`` the first one that carries the answer. ``forth`` and
    ``back`` count all packets of the connection.
    """

    opened: int | None = None
    asked: int | None = None
    answered: int | None = None
    forth: int = 0
    back: int = 0


@dataclass(frozen=True, slots=True)
class Sight:
    """The request at one station.

    Attributes:
        key: Which station.
        node: The node it is on.
        slot: The slot whose container it is in, empty elsewhere.
        where: The interface packets were captured on, empty when none was.
        outcome: What is known.
        says: What was seen, or why nothing was, in one sentence.
        before: Its addresses when it came, None when they were not seen.
        after: Its addresses when it left, None when they were not seen.
        outer: The addresses of the packet around it, between two nodes.
        moments: When it was seen.
        lines: The raw lines that show it: packets, connection tables, counters.
    """

    key: Key
    node: str
    slot: str
    where: str
    outcome: Outcome
    says: str
    before: Tuple | None = None
    after: Tuple | None = None
    outer: Tuple | None = None
    moments: Moments = Moments()
    lines: tuple[str, ...] = ()

    @property
    def station(self) -> str:
        """The id of the station in a trace."""
        return f"{self.slot or self.node}-{self.key}"


@dataclass(frozen=True, slots=True)
class Chosen:
    """The backend IPVS chose; slot and node are empty when it is no running task."""

    address: IPv4Address
    slot: str
    node: str

    def __str__(self) -> str:
        return f"{self.slot} on {self.node}" if self.slot else f"{self.address}, no running task"


@dataclass(frozen=True, slots=True)
class Live:
    """Everything that was seen of one request.

    Attributes:
        lab: Name of the lab.
        service: Name of the service.
        port: The published port.
        origin: The node the request was made on, or ``host``.
        entry: The node it entered at.
        request_id: The mark it carried.
        known_by: How its packets were recognised; empty when none was.
        answered: Whether the program's answer came back.
        outcome: What the client got, in a few words.
        took: Nanoseconds between its first packet and the first one of the answer, there.
        backend: Which backend was chosen, None when that was not seen.
        sights: The stations, in the order of the way.
        headline: The result in one line.
        back: What was seen of the way back.
        notes: What could not be observed, and what the times rest on.
        made: When it was sent, as text.
        environment: What the nodes run, by name.
    """

    lab: str
    service: str
    port: int
    origin: str
    entry: str
    request_id: str
    known_by: str
    answered: bool
    outcome: str
    took: int | None
    backend: Chosen | None
    sights: tuple[Sight, ...]
    headline: str
    back: str
    notes: tuple[str, ...]
    made: str
    environment: tuple[tuple[str, str], ...]
