"""A trace: stations on every node, and the way of one request through them."""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address

from lab.diagnosis.model import State
from lab.hops.verdict import Verdict

HERE = "host"
"""The origin of a request that comes from this machine through a forwarded port."""


class Key(StrEnum):
    """The stations, in the order a request comes by."""

    PORT = "port"
    DNAT = "dnat"
    FILTER = "filter"
    BRIDGE = "bridge"
    MARK = "mark"
    IPVS = "ipvs"
    SNAT = "snat"
    OVERLAY = "overlay"
    REDIRECT = "redirect"
    PROGRAM = "program"


@dataclass(frozen=True, slots=True)
class Tuple:
    """The addresses of a packet, as text: ``127.0.0.1`` to ``172.19.0.2:5000``."""

    source: str
    destination: str

    def __str__(self) -> str:
        return f"{self.source} → {self.destination}"


@dataclass(frozen=True, slots=True)
class Station:
    """One place a packet comes by.

    Attributes:
        key: Which one.
        node: The node it is on.
        slot: The slot whose container it is in, empty elsewhere.
        place: The network namespace: ``host``, ``ingress_sbox``, ``overlay``, ``hello-a.1``.
        title: What it is.
        does: What it does with the packet, in one sentence.
        brief: The same in a few words, for a picture.
        lines: The raw lines that make it do so.
        evidence: These and all other lines the checks about it show.
        see: Commands that show it, as root on the node; the first one tells most.
        read: The part of docs/walkthrough.md that explains it.
        state: How it fares.
        verdicts: The checks that are about it.
    """

    key: Key
    node: str
    slot: str
    place: str
    title: str
    does: str
    brief: str
    lines: tuple[str, ...]
    evidence: tuple[str, ...]
    see: tuple[str, ...]
    read: str
    state: State
    verdicts: tuple[Verdict, ...]

    @property
    def id(self) -> str:
        """A name that is its own in the whole trace: ``worker-mark``, ``slot-1-redirect``."""
        return f"{self.slot or self.node}-{self.key}"

    @property
    def failed(self) -> tuple[Verdict, ...]:
        """The checks about it that fail."""
        return tuple(verdict for verdict in self.verdicts if not verdict.ok)


@dataclass(frozen=True, slots=True)
class Task:
    """A running task: where it is, and its two stations."""

    slot: str
    node: str
    address: IPv4Address
    stations: tuple[Station, ...]


@dataclass(frozen=True, slots=True)
class Side:
    """One node: its own stations, by which any request that enters there comes."""

    node: str
    role: str
    address: IPv4Address
    stations: tuple[Station, ...]

    def station(self, key: Key) -> Station:
        """Return one of its stations."""
        return next(station for station in self.stations if station.key is key)


@dataclass(frozen=True, slots=True)
class Step:
    """The traced request at one station.

    Attributes:
        station: Where it is.
        after: Its addresses when it leaves, None when it stops there.
        does: What happens to this very request; empty when the station's own words say it.
        lines: The raw lines that do it.
        outer: The addresses of the packet around it, on the link between two nodes.
    """

    station: Station
    after: Tuple | None
    does: str = ""
    lines: tuple[str, ...] = ()
    outer: Tuple | None = None


@dataclass(frozen=True, slots=True)
class Branch:
    """What becomes of the request when IPVS chooses one backend.

    ``task`` is None for a backend that is no running task: the packet goes nowhere. So it is for
    one whose task runs on a member that was not looked at, which ``unseen`` says: its way can be
    told as far as the link.
    """

    backend: IPv4Address
    task: Task | None
    steps: tuple[Step, ...]
    unseen: bool = False

    @property
    def target(self) -> str:
        """Who has the backend's address: ``10.0.0.5, slot-1 on worker``."""
        if self.task is not None:
            return f"{self.backend}, {self.task.slot} on {self.task.node}"
        if self.unseen:
            return f"{self.backend}, whose task runs on a member that was not looked at"
        return f"{self.backend}, which is no running task"


@dataclass(frozen=True, slots=True)
class Trace:
    """Everything there is to show of one request's way.

    Attributes:
        lab: Name of the lab.
        service: Name of the service.
        protocol: What the published port speaks.
        port: The published port.
        origin: The node the request is made on, or ``host``.
        entry: The node it enters at.
        client: Its addresses when it is made.
        trunk: Its steps up to the choice, the same for every backend.
        branches: What follows, for each backend of the entry's IPVS.
        sides: All nodes.
        tasks: All running tasks.
        swarm: How swarm and service fare, on which everything stands.
        requests: For each entry, how requests that were sent fared; not seen when none were.
        headline: The first line of the diagnosis.
        made: When it was looked at, as text.
        enter: What to type to get to a node.
        environment: What the nodes run, by name.
    """

    lab: str
    service: str
    protocol: str
    port: int
    origin: str
    entry: str
    client: Tuple
    trunk: tuple[Step, ...]
    branches: tuple[Branch, ...]
    sides: tuple[Side, ...]
    tasks: tuple[Task, ...]
    swarm: State
    requests: tuple[tuple[str, State], ...]
    headline: str
    made: str
    enter: str
    environment: tuple[tuple[str, str], ...]

    @property
    def stations(self) -> tuple[Station, ...]:
        """All stations: those of the nodes, then those of the tasks."""
        own = [station for side in self.sides for station in side.stations]
        return (*own, *(station for task in self.tasks for station in task.stations))

    @property
    def walked(self) -> frozenset[str]:
        """The ids of the stations the traced request may come by."""
        steps = [*self.trunk, *(step for branch in self.branches for step in branch.steps)]
        return frozenset(step.station.id for step in steps)
