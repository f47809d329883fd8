"""What there is to tell of one request: packets, connection tables, counters, the answer. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lab.facts.iptables import Rule
from lab.hops.observations import Answer, Errand
from lab.hops.situation import Situation
from lab.live.asked import Asked
from lab.live.frames import Ends
from lab.live.glimpses import Glimpse
from lab.live.memory import Counted, Memory
from lab.live.points import Hop, Point
from lab.live.scripts import Kind
from lab.live.tables import Balanced, Tracked
from lab.trace.model import Key


@dataclass(frozen=True, slots=True)
class Proof:
    """What one station shows, asked by itself.

    Attributes:
        key: Which station.
        node: The node it is on.
        slot: The slot whose container it is in, empty elsewhere.
        passed: Whether it shows that the request passed; None when it cannot show it.
        says: What was seen, in one sentence.
        before: Its addresses when it came.
        after: Its addresses when it left.
        outer: Those of the packet around it.
        glimpse: The capture whose times are told.
        lines: Raw lines.
        is_odd: Whether it passed otherwise than it should.
        came: Whether it surely came here, even if it did not pass.
    """

    key: Key
    node: str
    slot: str
    passed: bool | None
    says: str
    before: Ends | None = None
    after: Ends | None = None
    outer: Ends | None = None
    glimpse: Glimpse | None = None
    lines: tuple[str, ...] = ()
    is_odd: bool = False
    came: bool = False


@dataclass(frozen=True, slots=True)
class Ground:
    """Everything that was gathered about one request.

    Attributes:
        situation: What the nodes are.
        asked: The request, and what the program says of it.
        glimpses: What each place saw.
        memories: What each node's kernel remembers.
    """

    situation: Situation
    asked: Asked
    glimpses: Mapping[Point, Glimpse]
    memories: Mapping[str, Memory]

    @property
    def errand(self) -> Errand:
        """The request."""
        return self.asked.sent.errand

    @property
    def entry(self) -> str:
        """The node it entered at."""
        return self.errand.entry

    @property
    def is_local(self) -> bool:
        """Whether it was made on that node."""
        return self.errand.origin == self.entry

    @property
    def answer(self) -> Answer | None:
        """The program's answer, None when none came."""
        return next(iter(self.asked.sent.answers), None)

    def glimpse(self, hop: Hop, node: str = "", slot: str = "") -> Glimpse | None:
        """Return what a place saw, None when there is no such place."""
        wanted = hop, node or self.entry, slot
        found = self.glimpses.items()
        return next((g for p, g in found if (p.hop, p.node, p.slot) == wanted), None)

    def tracked(self, node: str, namespace: str, fits: Callable[[Ends], bool]) -> Tracked | None:
        """Return what conntrack says of a connection that began with fitting addresses."""
        memory = self.memories.get(node)
        return memory.tracked(namespace, fits) if memory else None

    def balanced(self, client: Ends | None) -> Balanced | None:
        """Return what IPVS of the entry remembers of a client."""
        memory = self.memories.get(self.entry)
        return memory.balanced(client) if memory and client else None

    def counted(
        self, node: str, namespace: str, jump: str, chain: str = ""
    ) -> tuple[Counted, ...]:
        """Return the rules for the published port with a target, and what they counted."""

        def fits(rule: Rule) -> bool:
            mine = rule.destination_port == self.situation.port
            return mine and rule.jump == jump and chain in ("", rule.chain)

        memory = self.memories.get(node)
        return memory.counted(namespace, fits) if memory else ()

    def trouble(self, node: str, namespace: str, kind: Kind) -> str:
        """Return why a table is not known, empty when it was read."""
        memory = self.memories.get(node)
        return memory.trouble(namespace, kind) if memory else f"{node} was not looked at"


def seen_on(glimpse: Glimpse | None, how: str) -> str:
    """Say whether a place saw the request."""
    if glimpse is None:
        return "there is no interface to capture on"
    if glimpse.forth:
        return f"captured on {glimpse.point}, {how}"
    if glimpse.trouble:
        return f"not observed on {glimpse.point}: {glimpse.trouble}"
    return f"not seen on {glimpse.point}"


def was_captured(glimpse: Glimpse | None) -> bool | None:
    """Say whether a place saw the request, None when it could not."""
    if glimpse is None:
        return None
    return True if glimpse.forth else None if glimpse.trouble else False


def ends_of(glimpse: Glimpse | None) -> Ends | None:
    """Return the request's addresses at a place."""
    return glimpse.ends if glimpse is not None else None


def packets_of(glimpse: Glimpse | None, *, count: int = 1) -> tuple[str, ...]:
    """Return the first packets there, as tcpdump would print them."""
    found = glimpse.forth[:count] if glimpse is not None else ()
    return tuple(f"{stamped.segment}" for stamped in found)


def refused(glimpse: Glimpse | None) -> str:
    """Say who refused the connection, as far as a place saw it."""
    reset = glimpse.refusal if glimpse is not None else None
    return f"; {reset.ends.source}:{reset.ends.source_port} refused it (RST)" if reset else ""
