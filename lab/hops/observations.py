"""What was seen by trying: probes between the nodes, and requests with their answers.

These are facts too, but they exist only because somebody sent something; ``lab.hops.probing``
and ``lab.hops.requests`` make the commands and read their output.
"""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address

from lab.facts.model import NodeCounters


class Connect(StrEnum):
    """How an attempt to open a TCP connection ended."""

    OPEN = "open"
    REFUSED = "refused"
    SILENT = "no answer"


@dataclass(frozen=True, slots=True)
class TcpProbe:
    """One TCP connection tried from a node's own namespace."""

    address: IPv4Address
    port: int
    outcome: Connect


@dataclass(frozen=True, slots=True)
class PingProbe:
    """One full-sized ping, not to be fragmented, from a node's sandbox to a task.

    ``size_bytes`` is the size of the whole IP packet, so of the overlay's MTU.
    """

    address: IPv4Address
    size_bytes: int
    answered: bool
    raw: str


@dataclass(frozen=True, slots=True)
class FetchProbe:
    """One HTTP answer fetched by a node's sandbox straight from a task, without IPVS.

    ``status`` is 0 when there was no answer; ``error`` is then curl's sentence.
    """

    address: IPv4Address
    asked_bytes: int
    got_bytes: int
    status: int
    error: str


@dataclass(frozen=True, slots=True)
class Reach:
    """What one node can reach."""

    node: str
    tcp: tuple[TcpProbe, ...]
    pings: tuple[PingProbe, ...]
    fetches: tuple[FetchProbe, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What node-test says in an answer and in its log line.

    ``ingress_address`` tells the replicas apart, also those that do not know their own slot.
    ``client`` is the address it saw, ``connection`` how many requests this connection has seen.
    """

    request_id: str
    hostname: str
    ingress_address: IPv4Address
    client: IPv4Address
    connection: int


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and what came back.

    ``status`` is 0 and ``answer`` None when nothing came back; ``error`` then says why.
    ``body_bytes`` is the length of the body.
    """

    request_id: str
    status: int
    error: str
    body_bytes: int
    answer: Answer | None = None

    @property
    def answered(self) -> bool:
        """Whether the application itself answered this very request."""
        return self.answer is not None and self.answer.request_id == self.request_id


class Manner(StrEnum):
    """How the requests of one round were sent, one after the other."""

    FRESH = "fresh connections"
    KEPT = "one connection kept open"
    LARGE = "an answer larger than one packet"


SOURCE_PORTS = range(20000, 32000)
"""Below those a kernel hands out by itself (``net.ipv4.ip_local_port_range``)."""

THIS_MACHINE = "this machine"
"""The origin of a round that was sent through a node's forwarded port."""


@dataclass(frozen=True, slots=True)
class Errand:
    """Requests to be sent one after the other, from one place through one published port.

    ``origin`` is a node or ``THIS_MACHINE``; ``entry`` the node whose published port it is.
    ``asked_bytes`` is the size wanted of each answer, 0 for the ordinary line. ``first_port`` is
    the first of two source ports for each request; see ``lab.hops.requesting.with_ports``.
    """

    origin: str
    entry: str
    url: str
    manner: Manner
    request_ids: tuple[str, ...]
    asked_bytes: int = 0
    first_port: int = SOURCE_PORTS.start

    def ports(self, number: int) -> tuple[int, int]:
        """Return the two source ports for one request, counted from 0; the second in reserve.

        Requests on one connection have the same ones.
        """
        first = self.first_port + (0 if self.manner is Manner.KEPT else 2 * number)
        return first, first + 1


@dataclass(frozen=True, slots=True)
class Round:
    """An errand and what came of it: it ends early at the first request without an answer."""

    errand: Errand
    exchanges: tuple[Exchange, ...]

    @property
    def answers(self) -> tuple[Answer, ...]:
        """The answers, in the order the requests were sent."""
        return tuple(e.answer for e in self.exchanges if e.answer is not None and e.answered)

    @property
    def is_complete(self) -> bool:
        """Whether every request was answered."""
        return len(self.answers) == len(self.errand.request_ids)

    @property
    def connections(self) -> tuple[Answer, ...]:
        """The first answer of each connection: as many as IPVS had to choose a backend for."""
        if self.errand.manner is Manner.KEPT:
            return self.answers[:1]
        return self.answers


@dataclass(frozen=True, slots=True)
class Traffic:
    """Everything that was sent, what the service logged of it, and the counters around it.

    ``log`` holds our requests only, in the order the manager gave the service's log.
    """

    rounds: tuple[Round, ...]
    log: tuple[Answer, ...]
    before: tuple[NodeCounters, ...]
    after: tuple[NodeCounters, ...]

    def through(self, entry: str, *manners: Manner) -> tuple[Round, ...]:
        """Return the rounds that entered through one node, of the manners given or of all."""
        wanted = manners or tuple(Manner)
        return tuple(
            r for r in self.rounds if r.errand.entry == entry and r.errand.manner in wanted
        )
