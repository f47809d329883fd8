"""From what each station shows to how far the request was seen. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lab.errors import LabError
from lab.hops.observations import THIS_MACHINE
from lab.hops.situation import Situation
from lab.live import way_in, way_on
from lab.live.asked import Asked
from lab.live.catch import Catch
from lab.live.frames import Ends
from lab.live.glimpses import Glimpse, Mark, glimpses, recognise, streams
from lab.live.ground import Ground, Proof
from lab.live.memory import Memory
from lab.live.model import Live, Moments, Outcome, Sight
from lab.live.points import Hop
from lab.trace.kinds import KINDS
from lab.trace.model import HERE, Key, Tuple
from lab.units import format_duration


@dataclass(frozen=True, slots=True)
class Taken:
    """Where and when the request was made, and why nodes were not looked at, by name."""

    lab: str
    made: str
    silent: Mapping[str, LabError] = field(default_factory=dict)


def follow(situation: Situation, catch: Catch, asked: Asked, taken: Taken) -> Live:
    """Return what was seen of a request, station by station.

    Args:
        situation: What the nodes are.
        catch: What was captured and remembered while it was sent.
        asked: The request, and what the program says of it.
        taken: Where and when.
    """
    found = streams(catch)
    mark = recognise(found, asked.sent.errand)
    seen = glimpses(catch, found, mark)
    memories = {node: Memory(tables) for node, tables in catch.tables.items()}
    ground = Ground(situation, asked, seen, memories)
    proofs = (*way_in.proofs(ground), *way_on.proofs(ground))
    outcomes = judge(proofs)
    first = _first(ground)
    start = first.forth[0].time_ns if first is not None else 0
    sights = tuple(
        _sight(proof, outcome, start, asked.sent.errand.request_ids[0])
        for proof, outcome in zip(proofs, outcomes, strict=True)
    )
    exchange = next(iter(asked.sent.exchanges), None)
    entry = situation.cluster.node(ground.entry)
    origin = asked.sent.errand.origin
    return Live(
        lab=taken.lab,
        service=situation.topology.service.name,
        port=situation.port,
        origin=HERE if origin == THIS_MACHINE else origin,
        entry=ground.entry,
        request_id=asked.sent.errand.request_ids[0],
        known_by=mark.known_by if mark is not None else "",
        answered=ground.answer is not None,
        outcome=_outcome(exchange.status if exchange else 0, exchange.error if exchange else ""),
        took=_took(ground),
        backend=way_on.backend(ground),
        sights=sights,
        headline=_headline(ground, sights),
        back=way_back(ground),
        notes=tuple(_notes(catch, mark, taken, frozenset(p.node for p in proofs))),
        made=taken.made,
        environment=(("engine", entry.engine_version), ("kernel", entry.kernel)),
    )


def judge(proofs: Sequence[Proof]) -> tuple[Outcome, ...]:
    """Return what is known at each station, given what each shows by itself.

    Up to the last one that shows it, the request passed all; where one of them denies it, that is
    odd. The first behind that denies it is where it was lost; it did not reach what is behind.
    """
    last = max((n for n, proof in enumerate(proofs) if proof.passed), default=-1)
    denying = (n for n, proof in enumerate(proofs) if n > last and proof.passed is False)
    lost = next(denying, None)

    def outcome(number: int, proof: Proof) -> Outcome:
        if number == lost:
            return Outcome.STOPPED if proof.came else Outcome.LOST
        if number > last:
            return Outcome.UNKNOWN if lost is None or number < lost else Outcome.BEYOND
        if proof.passed is None:
            return Outcome.UNKNOWN
        return Outcome.SEEN if proof.passed and not proof.is_odd else Outcome.ODD

    return tuple(outcome(number, proof) for number, proof in enumerate(proofs))


def _sight(proof: Proof, outcome: Outcome, start_ns: int, request_id: str) -> Sight:
    glimpse = proof.glimpse
    return Sight(
        key=proof.key,
        node=proof.node,
        slot=proof.slot,
        where=str(glimpse.point) if glimpse is not None else "",
        outcome=outcome,
        says=proof.says,
        before=_tuple(proof.before),
        after=_tuple(proof.after),
        outer=_tuple(proof.outer),
        moments=_moments(glimpse, start_ns, request_id) if glimpse is not None else Moments(),
        lines=proof.lines,
    )


def _moments(glimpse: Glimpse, start_ns: int, request_id: str) -> Moments:
    request, answer = glimpse.carrying(request_id), glimpse.answer
    return Moments(
        opened=glimpse.forth[0].time_ns - start_ns if glimpse.forth else None,
        asked=request.time_ns - start_ns if request is not None else None,
        answered=answer.time_ns - start_ns if answer is not None else None,
        forth=len(glimpse.forth),
        back=len(glimpse.back),
    )


def _tuple(ends: Ends | None) -> Tuple | None:
    if ends is None:
        return None
    return Tuple(
        f"{ends.source}:{ends.source_port}", f"{ends.destination}:{ends.destination_port}"
    )


def _outcome(status: int, error: str) -> str:
    if status:
        return f"HTTP {status}" + (f", {error}" if error else "")
    return error or "the client did not say"


def _first(ground: Ground) -> Glimpse | None:
    """Return where the request was seen first: on the node it entered at, by that node's clock."""
    here = [g for point, g in ground.glimpses.items() if point.node == ground.entry and g.forth]
    return min(here, key=lambda g: g.forth[0].time_ns, default=None)


def _took(ground: Ground) -> int | None:
    """Return how long the answer took where the request was seen first."""
    first = _first(ground)
    if first is None or first.answer is None:
        return None
    return first.answer.time_ns - first.forth[0].time_ns


def named(sight: Sight) -> str:
    """Return how a station is called in a sentence."""
    return f"{KINDS[sight.key].title} of {sight.slot or sight.node}"


def _headline(ground: Ground, sights: Sequence[Sight]) -> str:
    seen = [s for s in sights if s.outcome in (Outcome.SEEN, Outcome.ODD)]
    took = _took(ground)
    if ground.answer is not None:
        backend = way_on.backend(ground)
        who = f"{backend}" if backend is not None else ground.answer.hostname
        within = f" within {format_duration(took / 1e9)}" if took is not None else ""
        at = f"seen at {len(seen)} of {len(sights)} stations"
        return f"ANSWERED: {who}{within}; {at}{_oddities(sights)}"
    if any(sight.outcome is Outcome.STOPPED for sight in sights):
        return f"NOT ANSWERED: {_end(ground, sights)}"
    return f"NOT ANSWERED: {_end(ground, sights)}{_oddities(sights)}"


def _oddities(sights: Sequence[Sight]) -> str:
    odd = [named(sight) for sight in sights if sight.outcome is Outcome.ODD]
    return f"; odd: {', '.join(odd)}" if odd else ""


def _end(ground: Ground, sights: Sequence[Sight]) -> str:
    """Say how far a request came that was not answered."""
    seen = [n for n, s in enumerate(sights) if s.outcome in (Outcome.SEEN, Outcome.ODD)]
    ended = (n for n, s in enumerate(sights) if s.outcome in (Outcome.LOST, Outcome.STOPPED))
    lost = next(ended, None)
    upto = f"seen up to {named(sights[seen[-1]])}" if seen else "seen nowhere"
    if lost is None:
        back = way_back(ground)
        return f"{upto}; {back}" if seen else f"{upto}; nothing could be observed"
    if sights[lost].outcome is Outcome.STOPPED:
        return f"it came to {named(sights[lost])} and no further: {sights[lost].says}"
    if sights[lost].key is Key.PROGRAM:
        return f"{upto}; {way_back(ground)}"
    between = [named(s) for s in sights[seen[-1] + 1 if seen else 0 : lost]]
    hidden = f" (between them, not observable: {', '.join(between)})" if between else ""
    return f"{upto}, not at {named(sights[lost])}{hidden}"


def way_back(ground: Ground) -> str:
    """Say how far packets of the answer were seen on their way back to the client."""
    passed = [g for g in reversed(_in_order(ground)) if g.forth and (g.back or not g.trouble)]
    astray = [
        f"{_at(g)} ({g.back[0].segment.ends})"
        for g in ground.glimpses.values()
        if g.back and not g.forth
    ]
    by_another = f"; by another way: {', '.join(astray)}" if astray else ""
    if not any(g.back for g in passed):
        return f"no packet came back on the way of the request{by_another}"
    missing = next((n for n, g in enumerate(passed) if not g.back), None)
    if missing is None:
        places = "the one place" if len(passed) == 1 else f"all {len(passed)} places"
        return f"packets came back at {places} that saw the request{by_another}"
    if missing == 0:
        return f"packets came back, but none was seen at {_at(passed[0])}{by_another}"
    return (
        f"packets back were seen up to {_at(passed[missing - 1])}, not at "
        f"{_at(passed[missing])}{by_another}"
    )


def _in_order(ground: Ground) -> list[Glimpse]:
    """Return what the places on the way saw, from the client to the task."""
    chosen = way_on.backend(ground)
    found = [
        ground.glimpse(hop) for hop in (Hop.LOCAL, Hop.ENTRY, Hop.BRIDGE, Hop.SANDBOX, Hop.OVERLAY)
    ]
    if chosen is not None and chosen.slot:
        if chosen.node != ground.entry:
            found += [ground.glimpse(Hop.TUNNEL), ground.glimpse(Hop.LINK)]
            found += [ground.glimpse(hop, chosen.node) for hop in (Hop.LINK, Hop.TUNNEL)]
        found.append(ground.glimpse(Hop.TASK, chosen.node, chosen.slot))
    return [glimpse for glimpse in found if glimpse is not None]


def _at(glimpse: Glimpse) -> str:
    return f"{glimpse.point.node}'s {glimpse.point}"


def _notes(catch: Catch, mark: Mark | None, taken: Taken, nodes: frozenset[str]) -> Iterator[str]:
    if mark is None:
        yield "no packet of the request was recognised where it should have entered"
    else:
        yield f"recognised by {mark.known_by}; followed by its first sequence number"
    for point, why in catch.deaf.items():
        yield f"not observed: {point.node}: {point}: {why}"
    for node, error in taken.silent.items():
        seen = " ".join(error.details.split())
        yield f"not observed: anything on {node}: {error.brief}: {seen}. Try: {error.hint}"
    clocks = catch.clocks
    if len(nodes) < 2:
        return  # all times are of one clock
    for node, ahead in clocks.ahead_ns.items():
        yield (
            f"the clock of {node} is {abs(ahead) / 1e6:.1f} ms "
            f"{'ahead of' if ahead > 0 else 'behind'} that of {clocks.first}, told from packets "
            "that went both ways; the times are corrected by that"
        )
    for node in clocks.unknown:
        yield (
            f"how far the clock of {node} is from that of {clocks.first} is not known, because no "
            "packets went both ways; times there are by its own clock"
        )
