"""What shows that a request passed the sandbox, the overlay and the container. Pure."""

from collections.abc import Iterator

from lab.facts.model import INGRESS_NAMESPACE
from lab.live.frames import Ends
from lab.live.glimpses import Glimpse
from lab.live.ground import Ground, Proof, ends_of, packets_of, refused, seen_on, was_captured
from lab.live.model import Chosen
from lab.live.points import Hop
from lab.live.scripts import Kind
from lab.trace.model import Key


def proofs(ground: Ground) -> Iterator[Proof]:
    """Yield what the stations behind docker_gwbridge show, as far as the way is known."""
    yield _mark(ground)
    yield _ipvs(ground)
    yield _snat(ground)
    chosen = backend(ground)
    yield from _over(ground, chosen)
    if chosen is not None and chosen.slot:
        redirect = _redirect(ground, chosen)
        yield redirect
        yield _program(ground, chosen, redirect)


def backend(ground: Ground) -> Chosen | None:
    """Return which backend was chosen, None when nothing shows it."""
    after = _ipvs(ground).after
    if after is None:
        return None
    cluster = ground.situation.cluster
    for task in cluster.running_tasks:
        node = cluster.node_of(task)
        if task.ingress_address == after.destination and node is not None:
            return Chosen(after.destination, f"slot-{task.slot}", node.node)
    return Chosen(after.destination, "", "")


def _mark(ground: Ground) -> Proof:
    """Return what shows that it got the mark: only the rule's counter does."""
    glimpse = ground.glimpse(Hop.SANDBOX)
    rules = ground.counted(ground.entry, INGRESS_NAMESPACE, "MARK", "PREROUTING")
    marks = [rule.rule.set_mark for rule in rules if rule.packets > 0]
    passed, says = was_captured(glimpse), seen_on(glimpse, "in the sandbox")
    if passed and marks:
        says += f"; the rule that sets {marks[0]:#x} counted it"
    elif passed:
        trouble = ground.trouble(ground.entry, INGRESS_NAMESPACE, Kind.RULES)
        passed, says = (None if trouble else False), f"{says}; {trouble or 'no rule marked it'}"
    ends = ends_of(glimpse)
    return Proof(
        Key.MARK,
        ground.entry,
        "",
        passed,
        says + refused(glimpse),
        before=ends,
        after=ends,
        glimpse=glimpse,
        lines=(*packets_of(glimpse), *map(str, rules)),
        came=ends is not None,
    )


def _ipvs(ground: Ground) -> Proof:
    client, out = ends_of(ground.glimpse(Hop.SANDBOX)), ends_of(ground.glimpse(Hop.OVERLAY))
    found = ground.balanced(client)
    after = out if client is not None else None
    passed: bool | None = out is not None
    lines: tuple[str, ...] = ()
    if found is not None and client is not None:
        passed, lines = True, (found.raw,)
        after = Ends(client.source, client.source_port, found.backend, found.backend_port)
        says = f"its connection table: backend {found.backend}"
    elif after is not None:
        says = f"no entry in its connection table any more; it left to {after.destination}"
    elif trouble := ground.trouble(ground.entry, INGRESS_NAMESPACE, Kind.IPVS):
        passed, says = None, trouble
    else:
        says = "its connection table has no entry of this client"
    return Proof(Key.IPVS, ground.entry, "", passed, says, client, after, lines=lines)


def _snat(ground: Ground) -> Proof:
    glimpse = ground.glimpse(Hop.OVERLAY)
    before, after = ends_of(ground.glimpse(Hop.SANDBOX)), ends_of(glimpse)
    tracked = ground.tracked(ground.entry, INGRESS_NAMESPACE, lambda ends: ends == before)
    says = seen_on(glimpse, "leaving to the task")
    kept = before is not None and after is not None and after.source == before.source
    if kept:
        says += "; its source stayed, so the task will answer past this sandbox"
    elif after is not None:
        says += f"; its source became {after.source}"
    return Proof(
        Key.SNAT,
        ground.entry,
        "",
        was_captured(glimpse),
        says,
        before=before,
        after=after,
        glimpse=glimpse,
        lines=(*packets_of(glimpse), *((tracked.raw,) if tracked else ())),
        is_odd=kept,
    )


def _over(ground: Ground, chosen: Chosen | None) -> Iterator[Proof]:
    """Yield what shows its way over the overlay: by the tunnel, or within the node."""
    here = Key.OVERLAY, ground.entry, ""
    if chosen is None:
        yield Proof(*here, None, "it is not known to which backend it should go")
    elif not chosen.slot:
        says = f"no running task has the address {chosen.address}"
        yield Proof(*here, passed=False, says=says)
    elif chosen.node != ground.entry:
        yield _sent_off(ground)
        yield _arrived(ground, chosen.node)
    else:
        ends = ends_of(ground.glimpse(Hop.TASK, chosen.node, chosen.slot))
        says = "br0 hands it over within the node; no trace of its own"
        says += ", but it came out at the task" if ends else ""
        yield Proof(*here, True if ends else None, says, ends, ends)


def _sent_off(ground: Ground) -> Proof:
    tunnel, link = ground.glimpse(Hop.TUNNEL), ground.glimpse(Hop.LINK)
    says = seen_on(link, f"wrapped into VXLAN id {_vni(link)}")
    if ends_of(link) is None:
        says += f"; {seen_on(tunnel, 'before it is wrapped')}"
    ends = ends_of(link) or ends_of(tunnel)
    return Proof(
        Key.OVERLAY,
        ground.entry,
        "",
        was_captured(link),
        says,
        before=ends,
        after=ends_of(link),
        outer=_outer(link),
        glimpse=link,
        lines=(*packets_of(tunnel), *packets_of(link)),
    )


def _arrived(ground: Ground, node: str) -> Proof:
    tunnel, link = ground.glimpse(Hop.TUNNEL, node), ground.glimpse(Hop.LINK, node)
    says = seen_on(link, "still wrapped")
    if ends_of(link) is not None or ends_of(tunnel) is not None:
        says += f"; {seen_on(tunnel, 'unwrapped')}"
    passed = was_captured(tunnel)
    return Proof(
        Key.OVERLAY,
        node,
        "",
        passed,
        says,
        before=ends_of(link),
        after=ends_of(tunnel),
        outer=_outer(link),
        glimpse=tunnel if passed else link,
        lines=(*packets_of(link), *packets_of(tunnel)),
        came=ends_of(link) is not None,
    )


def _outer(link: Glimpse | None) -> Ends | None:
    tunnel = link.forth[0].segment.tunnel if link is not None and link.forth else None
    return tunnel.ends if tunnel is not None else None


def _vni(link: Glimpse | None) -> int:
    tunnel = link.forth[0].segment.tunnel if link is not None and link.forth else None
    return tunnel.vni if tunnel is not None else 0


def _redirect(ground: Ground, chosen: Chosen) -> Proof:
    glimpse = ground.glimpse(Hop.TASK, chosen.node, chosen.slot)
    space = glimpse.point.namespace if glimpse is not None else ""
    before = ends_of(glimpse)
    tracked = ground.tracked(chosen.node, space, lambda ends: ends == before)
    rules = ground.counted(chosen.node, space, "REDIRECT")
    after = tracked.rewritten if tracked is not None else None
    passed, says = was_captured(glimpse), seen_on(glimpse, "in the container")
    if passed and after is not None:
        passed = after.destination_port == ground.situation.target
        became = "became" if passed else "stayed"
        says += f"; conntrack: its port {became} {after.destination_port}"
    elif passed and any(rule.packets > 0 for rule in rules):
        says += "; the rule counted it, conntrack has no entry any more"
    elif passed:
        trouble = ground.trouble(chosen.node, space, Kind.RULES)
        passed = None if trouble else False
        says += f"; {trouble or 'no rule counted it, and conntrack has no entry of it'}"
    return Proof(
        Key.REDIRECT,
        chosen.node,
        chosen.slot,
        passed,
        says + refused(glimpse),
        before=before,
        after=after,
        glimpse=glimpse,
        lines=(*packets_of(glimpse), *((tracked.raw,) if tracked else ()), *map(str, rules)),
        came=before is not None,
    )


def _program(ground: Ground, chosen: Chosen, redirect: Proof) -> Proof:
    """Return what the program says of the request: its answer, or else its log."""
    here = Key.PROGRAM, chosen.node, chosen.slot
    answer = ground.answer
    said = answer or next(iter(ground.asked.logged), None)
    ends = redirect.after
    if said is not None:
        what = "answered" if answer else "logged it, but no answer came back to the client"
        says = f"{what}; it is {said.hostname} and saw the client {said.client}"
        is_odd = answer is None or said.ingress_address != chosen.address
        return Proof(*here, passed=True, says=says, before=ends, after=ends, is_odd=is_odd)
    if ground.asked.log_trouble:
        return Proof(*here, None, f"no answer; its log: {ground.asked.log_trouble}", ends)
    glimpse = redirect.glimpse
    if glimpse is None or not redirect.passed:
        return Proof(*here, passed=False, says="it neither answered nor logged the request")
    taken = glimpse.carrying(ground.errand.request_ids[0]) is not None
    if not taken:
        opened = "the container accepted the connection, but " if glimpse.back else ""
        says = f"{opened}the packet with the request never came, so the program has no part in it"
    else:
        says = "the packet with the request came, but the program neither answered nor logged it"
    return Proof(*here, passed=False, says=says, before=ends, came=taken)
