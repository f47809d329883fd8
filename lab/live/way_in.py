"""What shows that a request passed the host it entered at, up to docker_gwbridge. Pure."""

from collections.abc import Iterator

from lab.facts.commands import HOST
from lab.hops.situation import BRIDGE
from lab.live.frames import Ends
from lab.live.ground import Ground, Proof, ends_of, packets_of, refused, seen_on, was_captured
from lab.live.memory import Counted
from lab.live.points import Hop
from lab.live.scripts import Kind
from lab.live.tables import Tracked
from lab.trace.model import Key


def proofs(ground: Ground) -> Iterator[Proof]:
    """Yield what the stations of the host show, in the order of the way."""
    yield _made_here(ground) if ground.is_local else _came_in(ground)
    yield _dnat(ground)
    yield _filter(ground)
    yield _bridge(ground)


def _came_in(ground: Ground) -> Proof:
    glimpse = ground.glimpse(Hop.ENTRY)
    ends = ends_of(glimpse)
    return Proof(
        Key.PORT,
        ground.entry,
        "",
        was_captured(glimpse),
        seen_on(glimpse, "as the client sent it") + refused(glimpse),
        before=ends,
        after=ends,
        glimpse=glimpse,
        lines=packets_of(glimpse),
    )


def _made_here(ground: Ground) -> Proof:
    loopback, tracked = ground.glimpse(Hop.LOCAL), _tracked(ground)
    ends = tracked.original if tracked else ends_of(loopback)
    lines = packets_of(loopback)
    glimpse = None
    passed: bool | None = True
    if loopback is not None and loopback.forth:
        glimpse = loopback
        says = "made here; captured on lo, where only what nothing rewrote stays"
        says += refused(loopback)
    elif tracked is not None:
        says = "made here, conntrack has it; it enters by OUTPUT, no wire carries it before DNAT"
    else:
        passed = None
        says = "made here: no wire carries it before DNAT, and conntrack has no entry of it"
    return Proof(
        Key.PORT,
        ground.entry,
        "",
        passed,
        says,
        before=ends,
        after=ends,
        glimpse=glimpse,
        lines=lines,
        is_odd=glimpse is not None,
    )


def _dnat(ground: Ground) -> Proof:
    tracked = _tracked(ground)
    came_out = ends_of(ground.glimpse(Hop.BRIDGE))
    rules = ground.counted(ground.entry, HOST, "DNAT")
    before = _made(ground)
    passed, says = _rewritten(ground, came_out, rules)
    return Proof(
        Key.DNAT,
        ground.entry,
        "",
        passed,
        says,
        before=before,
        after=(_redirected(ground) or came_out) if passed else before,
        lines=(*((tracked.raw,) if tracked else ()), *map(str, rules)),
        came=tracked is not None,
    )


def _rewritten(
    ground: Ground, came_out: Ends | None, rules: tuple[Counted, ...]
) -> tuple[bool | None, str]:
    tracked = _tracked(ground)
    if tracked is not None:
        new, old = tracked.rewritten, tracked.original
        if (new.destination, new.destination_port) != (old.destination, old.destination_port):
            became = f"{new.destination}:{new.destination_port}"
            return True, f"conntrack: its destination became {became}"
        return False, "conntrack: its destination stayed what it was"
    if came_out is not None:
        return True, "conntrack has no entry any more; it came out with a new destination"
    if any(rule.packets > 0 for rule in rules):
        return True, "the rule counted it; conntrack keeps nothing of what is dropped later"
    if trouble := ground.trouble(ground.entry, HOST, Kind.RULES):
        return None, trouble
    if not rules:
        return False, f"no rule rewrites tcp {ground.situation.port}"
    return False, "no rule counted it, and conntrack has no entry of it"


def _filter(ground: Ground) -> Proof:
    bridge = ground.glimpse(Hop.BRIDGE)
    if bridge is None or not bridge.forth:
        says = "what is dropped here leaves no trace of its own"
        return Proof(Key.FILTER, ground.entry, "", None, says)
    says = f"no trace of its own, but it came out on {BRIDGE}"
    ends = _redirected(ground) or bridge.ends
    return Proof(Key.FILTER, ground.entry, "", passed=True, says=says, before=ends, after=ends)


def _bridge(ground: Ground) -> Proof:
    glimpse = ground.glimpse(Hop.BRIDGE)
    made, after = _made(ground), ends_of(glimpse)
    says = seen_on(glimpse, "on its way to the sandbox")
    if made is not None and after is not None and after.source != made.source:
        says += f"; MASQUERADE made its source {after.source}"
    return Proof(
        Key.BRIDGE,
        ground.entry,
        "",
        was_captured(glimpse),
        says,
        before=_redirected(ground) or after,
        after=after,
        glimpse=glimpse,
        lines=packets_of(glimpse),
    )


def _redirected(ground: Ground) -> Ends | None:
    """Return its addresses after DNAT, by conntrack; its source may be rewritten still later."""
    tracked = _tracked(ground)
    if tracked is None:
        return None
    new, old = tracked.rewritten, tracked.original
    return Ends(old.source, old.source_port, new.destination, new.destination_port)


def _made(ground: Ground) -> Ends | None:
    """Return the request's addresses as it was made, None when nothing shows them."""
    tracked = _tracked(ground)
    if tracked is not None:
        return tracked.original
    return ends_of(ground.glimpse(Hop.LOCAL)) or ends_of(ground.glimpse(Hop.ENTRY))


def _tracked(ground: Ground) -> Tracked | None:
    """Return the host's conntrack entry of the request."""
    came_in = ends_of(ground.glimpse(Hop.ENTRY))
    ports = ground.errand.ports(0)

    def fits(ends: Ends) -> bool:
        if came_in is not None:
            return ends == came_in
        return ends.source_port in ports and ends.destination_port == ground.situation.port

    return ground.tracked(ground.entry, HOST, fits)
