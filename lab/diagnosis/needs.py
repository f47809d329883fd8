"""Which check must hold for another one to be able to: the table of causes, and its use.

Rules are wrong or right by themselves: a missing mark does not make a missing SNAT rule its
consequence. What packets do depends on every hop they pass. So a check of rules has few needs
here, and a check that sends something has many.
"""

from collections.abc import Mapping, Sequence

from lab.hops.catalogue import JUDGES
from lab.hops.verdict import Scope, Verdict

# "A" is needed about the same node or slot, "A*" about every one. "A!" counts only as long as
# nothing explains A itself: a silent port may be one rule's doing, or a dead link's; and rules
# that nobody sees, C9-backend, are to blame only where no rule that is seen is.
_LINK = ("C11-link*", "C10-control-in*")
_GOSSIP = (*_LINK, "C1-member*", "C5-advertise*", "C7-reach*", "C8-gossip*")
_MANAGED = ("C2-leader!", "C3-roles!")
_PUBLISHED = ("S4-port",)
_TUNNEL = ("C11-link*", "C5-advertise*", "F1-vxlan*", "F2-tunnel-in*", "F4-neighbours*")
_TUNNEL_WORKS = (*_TUNNEL, "F5-fdb*", "C7-reach*!", "C9-backend*!")
_SANDBOX_SENDS = ("B10-own-address*", "B11-unique", "B14-filter", "B15-way-back")
_TASKS_ANSWER = ("S1-replicas", "S2-placed*", "T1-redirect*", "T2-listens*", "T4-filter*")
_ENTERS = (
    *("S4-port", "H2-jump", "H3-dnat", "H5-requests-pass", "H6-replies-pass"),
    *("H10-address", "H11-route", "H12-no-shadow", "H9-bridge", "H13-forwarding"),
)
_BALANCES = (
    *("B1-mark", "B4-ipvs", "B5-backends", "B7-masq", "B9-snat", "B12-forwarding", "B13-not-nat"),
    *_SANDBOX_SENDS,
)
_ARRIVES = (*_TUNNEL_WORKS, "F3-mtu*", "F6-ping", "F7-fetch", "F8-payload", *_TASKS_ANSWER)
_ANSWERED = ("R1-inside", "R2-outside")
_LED_HERE = ("H2-jump", "H3-dnat")
_BALANCED = (
    *("S1-replicas", *_LED_HERE, "B4-ipvs", "B5-backends", "B8-weight"),
    # IPVS may have forgotten a task since its table was read: gossip that is cut does that.
    *("C10-control-in*!", "C7-reach*!"),
    # What a sandbox sends with a wrong source comes back to another one, whose IPVS takes it for
    # a new connection and moves on by one.
    "B9-snat*!",
)
_SAME_WAY = (*_LED_HERE, "R9-dnat-counter!", "R10-mark-counter!")

NEEDS: Mapping[str, Sequence[str]] = {
    "C1-member": _LINK,
    "C2-leader": ("C1-member*",),
    "C3-roles": ("C1-member*",),
    "C5-advertise": ("C1-member",),
    # The kernel listens for tunnel packets as long as the tunnel's interface is up.
    "C6-listeners": ("C1-member", "F1-vxlan"),
    "C7-reach": (*_LINK, "C1-member*", "C6-listeners*", *_MANAGED, "C9-backend*!"),
    "C8-gossip": (*_LINK, "C1-member*", "C5-advertise*", "C6-listeners*", "C7-reach*"),
    "S1-replicas": (*_LINK, "C1-member*", "S3-image*"),
    "S2-placed": (*_LINK, "C1-member*", "S1-replicas"),
    # Addresses are given in the ingress network: none without it.
    "S5-vip": (*_PUBLISHED, "C8-gossip"),
    "S6-vip-value": ("S4-port", "S5-vip"),
    "S7-same-service": (*_GOSSIP, "S1-replicas", "S5-vip"),
    "H1-reserved": _PUBLISHED,
    "H2-jump": ("C4-engine",),
    "H3-dnat": ("C4-engine", "S4-port"),
    "H4-sandbox-value": ("H3-dnat", "H9-bridge"),
    "H5-requests-pass": ("C4-engine", "S4-port"),
    "H6-replies-pass": ("C4-engine", "S4-port"),
    "H7-local-pass": ("C4-engine",),
    "H10-address": ("H9-bridge",),
    "H11-route": ("H9-bridge", "H12-no-shadow"),
    "H12-no-shadow": ("H9-bridge",),
    "B1-mark": ("S4-port", "S7-same-service"),
    "B2-mark-value": ("B1-mark",),
    "B3-vip-mark": ("S4-port", "S5-vip"),
    "B4-ipvs": ("S4-port", "S7-same-service"),
    # Where there is no balancer at all, these wait for B4-ipvs by themselves.
    "B5-backends": (*_GOSSIP, "S1-replicas", "S7-same-service"),
    "B6-backends-value": (*_GOSSIP, "B5-backends", "S1-replicas", "S7-same-service"),
    "B8-weight": ("S1-replicas",),
    "B9-snat": ("B10-own-address",),
    "B10-own-address": ("S5-vip", "B11-unique"),
    "B11-unique": ("C3-roles", "S5-vip"),
    "B15-way-back": ("H9-bridge", "H10-address", "B10-own-address"),
    "F3-mtu": ("B10-own-address",),
    # The kernel forgets all neighbours of an interface that goes down.
    "F4-neighbours": (*_GOSSIP, "S7-same-service", "F1-vxlan"),
    "F5-fdb": (*_GOSSIP, "S7-same-service", "F4-neighbours"),
    "T1-redirect": ("S1-replicas", "S2-placed", "S4-port"),
    "T2-listens": ("S1-replicas", "S2-placed"),
    "T3-address": ("S1-replicas", "S2-placed", "S7-same-service*", "B4-ipvs*", "B5-backends*"),
    "T4-filter": ("S1-replicas", "S2-placed", "S4-port"),
    "F6-ping": (*_TUNNEL_WORKS, "F3-mtu*", "T3-address*", *_SANDBOX_SENDS),
    "F7-fetch": (*_TUNNEL_WORKS, "T3-address*", *_SANDBOX_SENDS, *_TASKS_ANSWER, "F6-ping"),
    "F8-payload": (*_TUNNEL_WORKS, "F3-mtu*", "T3-address*", "F6-ping", "F7-fetch"),
    "R1-inside": (*_ENTERS, "H7-local-pass", "H8-masquerade", *_BALANCES, *_ARRIVES),
    "R2-outside": (*_ENTERS, *_BALANCES, *_ARRIVES, "R1-inside!"),
    "R3-alternate": (*_ANSWERED, *_BALANCED),
    "R4-even": (*_ANSWERED, *_BALANCED, "R3-alternate"),
    "R5-log": (*_ANSWERED, *_LINK, "C1-member*", *_MANAGED, "R3-alternate"),
    "R6-source": (*_ANSWERED, "B9-snat", "B10-own-address", "B11-unique"),
    "R7-kept": (*_ANSWERED, "R3-alternate"),
    "R8-large": (*_ANSWERED, "F3-mtu*", "F8-payload"),
    "R9-dnat-counter": (*_ANSWERED, *_LED_HERE),
    "R10-mark-counter": (*_ANSWERED, *_LED_HERE, "B1-mark", "R9-dnat-counter!"),
    "R11-ipvs-counter": (*_ANSWERED, "B4-ipvs", "B5-backends", "R3-alternate", *_SAME_WAY),
    "R12-snat-counter": (*_ANSWERED, "B9-snat", *_SAME_WAY),
    "R13-redirect-counter": ("R1-inside*", "R2-outside*", "R4-even*", "T1-redirect", "S2-placed"),
}
"""Direct needs. A check that is not here, such as C4-engine, is nobody's consequence."""

SCOPES = {judge.check.id: judge.check.scope for judge in JUDGES}


def causes_of(failed: Sequence[Verdict]) -> dict[int, tuple[int, ...]]:
    """Return for each failed verdict, by position, the positions of those it is explained by.

    The explaining ones are broken by themselves: nothing explains them, so they have no causes
    of their own. Positions are in path order, and so are the causes.
    """
    direct = {n: _direct(failed, n) for n in range(len(failed))}
    roots = {n for n, needed in direct.items() if not needed}
    for n in sorted(roots):
        late = _reserved(failed, n)
        # Only what is broken by itself explains in reserve, and only something else.
        direct[n] = {cause for cause in late if cause in roots and cause != n}
    return {n: tuple(sorted(_first_causes(direct, n))) for n in range(len(failed))}


def needed_by(check: str, needed: str) -> bool:
    """Say whether a check has another one among its needs, however far back."""
    seen: set[str] = set()
    waiting = [check]
    while waiting:
        for name in NEEDS.get(waiting.pop(), ()):
            plain = name.rstrip("*!")
            if plain == needed:
                return True
            if plain not in seen:
                seen.add(plain)
                waiting.append(plain)
    return False


def _direct(failed: Sequence[Verdict], position: int) -> set[int]:
    verdict = failed[position]
    names = [name for name in NEEDS.get(verdict.check, ()) if not name.endswith("!")]
    if verdict.waits_for:
        names.append(f"{verdict.waits_for}*")
    found = {n for name in names for n in _matching(failed, verdict, name)}
    return found - {position}


def _reserved(failed: Sequence[Verdict], position: int) -> set[int]:
    verdict = failed[position]
    names = (name for name in NEEDS.get(verdict.check, ()) if name.endswith("!"))
    return {n for name in names for n in _matching(failed, verdict, name[:-1])}


def _matching(failed: Sequence[Verdict], verdict: Verdict, name: str) -> list[int]:
    everywhere = name.endswith("*")
    check = name.rstrip("*")
    # What waits for this very check cannot be its reason.
    same = [
        n
        for n, other in enumerate(failed)
        if other.check == check and other.waits_for != verdict.check
    ]
    near = [n for n in same if _is_near(verdict, failed[n])]
    if everywhere:
        # What is missing here is this node's own question first.
        return near if near and verdict.waits_for == check else same
    return near


def _is_near(verdict: Verdict, other: Verdict) -> bool:
    mine, theirs = SCOPES[verdict.check], SCOPES[other.check]
    if Scope.SWARM in (mine, theirs):
        return True
    if mine is Scope.SLOT and theirs is Scope.SLOT:
        return verdict.subject == other.subject
    return verdict.node == other.node


def _first_causes(direct: Mapping[int, set[int]], start: int) -> set[int]:
    seen: set[int] = set()
    waiting = [start]
    while waiting:
        here = waiting.pop()
        if here in seen:
            continue
        seen.add(here)
        waiting += direct[here]
    return {n for n in seen if not direct[n] and n != start}
