"""What becomes of one packet in the chains of a ruleset, without sending it.

A rule may look at something that is not known of the packet (a rate limit, an address set). Then
nothing is taken for granted: such a rule never counts as accepting, and when it drops it is a
doubt, which the caller shows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from lab.facts.iptables import Rule, Ruleset

DROPPING = frozenset({"DROP", "REJECT", "TARPIT", "STOLEN"})
_PASSING = frozenset(
    {
        "MARK", "CONNMARK", "SECMARK", "CONNSECMARK", "LOG", "NFLOG", "ULOG", "TRACE", "NOTRACK",
        "CT", "SET", "TCPMSS", "TCPOPTSTRIP", "DSCP", "TOS", "TTL", "CHECKSUM", "CLASSIFY",
        "RATEEST", "AUDIT", "ACCOUNT", "IDLETIMER", "LED", "TEE",
    }
)  # fmt: skip
"""Targets that change or note a packet and let it go on to the next rule
(iptables-extensions(8), "TARGET EXTENSIONS")."""

_TARGET_FLAGS = frozenset({"--reject-with", "--random", "--random-fully", "--persistent"})
"""Flags that say how a deciding target does its work, not which packets it gets."""


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet as one hook sees it.

    None means "not there" for an interface (a local packet has no in-interface) and "not known"
    for a port. ``state`` is what conntrack calls it: "NEW" or "ESTABLISHED"; ``is_dnat`` whether
    its connection's destination was rewritten before this hook, None where that is not known.
    """

    source: IPv4Address
    destination: IPv4Address
    protocol: str = "tcp"
    in_interface: str | None = None
    out_interface: str | None = None
    source_port: int | None = None
    destination_port: int | None = None
    state: str = "NEW"
    local_source: bool = False
    local_destination: bool = False
    ipvs: bool = False
    is_dnat: bool | None = None


@dataclass(frozen=True, slots=True)
class Fate:
    """How a packet left a built-in chain.

    ``target`` is the last word ("ACCEPT", "DROP", "DNAT", ...); ``rule`` said it, or is None
    when it was the chain's policy. ``trail`` holds every rule that surely matched on the way,
    ``doubts`` the dropping rules that perhaps match.
    """

    target: str
    rule: Rule | None
    trail: tuple[Rule, ...]
    doubts: tuple[Rule, ...]

    @property
    def passes(self) -> bool:
        """Whether the packet surely is not dropped."""
        return self.target not in DROPPING and not self.doubts

    @property
    def lines(self) -> tuple[str, ...]:
        """The rules that decided, as iptables-save printed them."""
        deciding = self.doubts or self.trail[-1:]
        return tuple(rule.raw for rule in deciding)


def follow(rules: Ruleset, table: str, chain: str, packet: Packet) -> Fate:
    """Return what becomes of a packet in a built-in chain.

    A table or chain that does not exist lets everything pass, as in the kernel.
    """
    trail: list[Rule] = []
    doubts: list[Rule] = []
    end = _walk(rules, table, chain, packet, _Notes(trail, doubts), certain=True)
    if end is not None:
        return Fate(end.jump or end.goto or "", end, tuple(trail), tuple(doubts))
    built_in = rules.chain(table, chain)
    policy = (built_in.policy if built_in else None) or "ACCEPT"
    return Fate(policy, None, tuple(trail), tuple(doubts))


@dataclass(frozen=True, slots=True)
class _Notes:
    trail: list[Rule]
    doubts: list[Rule]


def _walk(
    rules: Ruleset, table: str, chain: str, packet: Packet, notes: _Notes, *, certain: bool
) -> Rule | None:
    for rule in rules.in_chain(table, chain):
        target = rule.jump or rule.goto
        match = matches(rule, packet)
        if match is False or target is None:
            continue
        sure = certain and match is True
        if sure:
            notes.trail.append(rule)
        if target == "RETURN":
            if sure:
                return None
        elif rules.chain(table, target) is not None:
            end = _walk(rules, table, target, packet, notes, certain=sure)
            if sure and (end is not None or rule.goto is not None):
                return end
        elif target not in _PASSING:
            if sure:
                return rule
            if target in DROPPING:
                notes.doubts.append(rule)
    return None


def matches(rule: Rule, packet: Packet) -> bool | None:
    """Say whether a rule looks at this packet; None when that cannot be known."""
    answers = [
        (answer is not (name in rule.negated)) if answer is not None else None
        for name, answer in _questions(rule, packet)
    ]
    if False in answers:
        return False
    return None if None in answers or _has_unknown_conditions(rule) else True


def _has_unknown_conditions(rule: Rule) -> bool:
    flags = [word for word in rule.other if word.startswith("-")]
    return any(flag not in _TARGET_FLAGS for flag in flags)


def _questions(rule: Rule, packet: Packet) -> Iterator[tuple[str, bool | None]]:
    if rule.protocol is not None:
        yield "protocol", rule.protocol == packet.protocol
    if rule.source is not None:
        yield "source", packet.source in rule.source
    if rule.destination is not None:
        yield "destination", packet.destination in rule.destination
    if rule.in_interface is not None:
        yield "in_interface", _same_interface(rule.in_interface, packet.in_interface)
    if rule.out_interface is not None:
        yield "out_interface", _same_interface(rule.out_interface, packet.out_interface)
    if rule.source_port is not None:
        yield "source_port", _same_port(rule.source_port, packet.source_port)
    if rule.destination_port is not None:
        yield "destination_port", _same_port(rule.destination_port, packet.destination_port)
    if rule.source_ports:
        yield "source_ports", _in_ranges(rule.source_ports, packet.source_port)
    if rule.destination_ports:
        yield "destination_ports", _in_ranges(rule.destination_ports, packet.destination_port)
    if rule.source_type is not None:
        yield "source_type", packet.local_source if rule.source_type == "LOCAL" else None
    if rule.destination_type is not None:
        local = packet.local_destination if rule.destination_type == "LOCAL" else None
        yield "destination_type", local
    if rule.connection_states:
        yield "connection_states", _has_state(rule.connection_states, packet)
    if rule.ipvs:
        yield "ipvs", packet.ipvs


def _has_state(wanted: tuple[str, ...], packet: Packet) -> bool | None:
    """Say whether one of the states holds: DNAT and SNAT do beside NEW or ESTABLISHED.

    iptables-extensions(8), "conntrack": virtual states, of a connection that was rewritten.
    """
    answers: list[bool | None] = [packet.state in wanted]
    if "DNAT" in wanted:
        answers.append(packet.is_dnat)
    if "SNAT" in wanted:
        answers.append(None)
    return True if True in answers else None if None in answers else False


def _same_interface(wanted: str, found: str | None) -> bool:
    if found is None:
        return False
    return found.startswith(wanted[:-1]) if wanted.endswith("+") else found == wanted


def _in_ranges(wanted: tuple[tuple[int, int], ...], found: int | None) -> bool | None:
    return None if found is None else any(first <= found <= last for first, last in wanted)


def _same_port(wanted: int, found: int | None) -> bool | None:
    return None if found is None else wanted == found
