"""Whom the owner of a host lets in: a list of allowed clients is no fault of the path.

DOCKER-USER is the chain Docker leaves to the administrator. In a lab nobody means a rule there
that drops requests. On somebody's own hosts it keeps strangers out, and nobody told us who the
clients are: that it drops the senders we think of tells nothing, and to delete it would open the
port to everyone.
"""

from collections.abc import Callable, Iterator, Mapping
from ipaddress import IPv4Address

from lab.errors import FactUnavailable
from lab.facts.iptables import Rule, Ruleset
from lab.hops import flows
from lab.hops.situation import Blocked, Situation

USER_CHAIN = "DOCKER-USER"
Way = Callable[[flows.Entrance, IPv4Address, flows.Door], tuple[flows.Stage, ...]]
WAYS: Mapping[str, Way] = {
    "H5-requests-pass": flows.outside_request,
    "H6-replies-pass": flows.outside_reply,
}
"""The checks that follow packets of clients through the host's filter, and which."""


def passages(situation: Situation, name: str, way: Way) -> tuple[flows.Passage, ...]:
    """Return how packets between the sandbox and each side fare in a node's rules.

    Raises:
        Blocked: The node has no sandbox to send to.
    """
    sandbox = situation.sandbox_address(name)
    rules = situation.cluster.node(name).host.rules
    return tuple(
        flows.pass_all(rules, way(entrance, sandbox, flows.door(situation)))
        for entrance in flows.entrances(situation, name)
    )


def owners_rules(rules: Ruleset) -> tuple[Rule, ...]:
    """Return the rules of DOCKER-USER, and of the chains it leads to."""
    chains = [USER_CHAIN]
    found: list[Rule] = []
    for chain in chains:  # grows while it is walked
        for rule in rules.in_chain("filter", chain):
            found.append(rule)
            target = rule.jump or rule.goto
            known = target is None or target in chains
            if not known and rules.chain("filter", target or "") is not None:
                chains.append(target or "")
    return tuple(found)


def is_owners_to_say(situation: Situation, name: str, passage: flows.Passage) -> bool:
    """Say whether a packet is lost to rules that the host's owner may mean."""
    if situation.is_lab or passage.ok:
        return False
    own = owners_rules(situation.cluster.node(name).host.rules)
    deciding = passage.fate.doubts or (passage.fate.rule,)
    return all(rule in own for rule in deciding)


def of_the_owner(situation: Situation) -> dict[str, str]:
    """Return the checks that only the owners' rules let fail, and why they are not asked.

    Returns:
        The reason by ``CHECK@NODE``; none of a lab, where nobody means such a rule.
    """
    left_out = {}
    for node in situation.cluster.nodes:
        for check, way in WAYS.items():
            lines = tuple(dict.fromkeys(_only_owners(situation, node.node, way)))
            if lines:
                left_out[f"{check}@{node.node}"] = (
                    f"rules of {USER_CHAIN} drop packets of clients ({'; '.join(lines)}): their "
                    "owner may mean it, and who may come is not known here"
                )
    return left_out


def _only_owners(situation: Situation, name: str, way: Way) -> Iterator[str]:
    """Yield the rules to which all lost packets are lost, as far as they are the owner's."""
    try:
        lost = [p for p in passages(situation, name, way) if not p.ok]
    except (Blocked, FactUnavailable):
        return
    if all(is_owners_to_say(situation, name, passage) for passage in lost):
        for passage in lost:
            yield from (line.partition("] ")[2] for line in passage.fate.lines)
