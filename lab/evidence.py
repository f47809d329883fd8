"""What a running lab shows: its facts, what its nodes reach, what becomes of requests.

Everything here only looks and asks. The checks do it through testinfra, the commands through
whatever shell is at hand; both get the same situation, and the same judges judge it.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from ipaddress import IPv4Address

from lab.errors import LabError
from lab.facts.gather import gather, gather_willing
from lab.facts.model import ClusterFacts
from lab.hops.observations import Reach, Traffic
from lab.hops.probing import parse_reach, probe_script
from lab.hops.situation import Situation
from lab.parallel import on_all
from lab.sending import send_everything
from lab.shell import Shell
from lab.topology_outline import Outline
from lab.wait import Deadlines

AT_ONCE = 8
"""How many nodes are asked at any moment at most."""
EMULATED = 3.0
"""From this pace on, nodes are emulated by this machine's processors, or as slow."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where evidence is looked for.

    Attributes:
        topology: What should be there, or what is known beforehand.
        shells: One shell per node, by name, in the topology's order.
        published: For each node the URL on this machine that enters the ingress through it.
        deadline: Scales a deadline to the machines' speed.
        strangers: The addresses of members of the swarm that are not looked at.
        left_out: Why checks are not asked there, by their ids.
    """

    topology: Outline
    shells: Mapping[str, Shell]
    published: Mapping[str, str]
    deadline: Deadlines
    strangers: tuple[IPv4Address, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)

    def situation(self, facts: ClusterFacts) -> Situation:
        """Return the situation as facts tell it, nothing tried."""
        return Situation(facts, self.topology, strangers=self.strangers, left_out=self.left_out)

    @property
    def at_once(self) -> int:
        """How many nodes are asked at any moment.

        Emulated ones share this machine's processors. With more of them busy than there are
        processors, the gossip of all comes too late, and swarm takes healthy nodes for lost: seen
        with eight nodes on two processors, whose IPVS lost backends while all were looked at.
        """
        slow = self.deadline.pace >= EMULATED
        return min(AT_ONCE, max(2, os.cpu_count() or 1)) if slow else AT_ONCE


def look(place: Place) -> ClusterFacts:
    """Return what all nodes say now; errors as ``lab.facts.gather``."""
    return gather(
        tuple(place.shells.values()),
        service=place.topology.service.name,
        parallel=place.at_once,
        timeout_s=max(30.0, place.deadline(8)),
    )


def try_ways(place: Place, situation: Situation) -> tuple[Reach, ...]:
    """Return what every node can reach now, given what is there to be reached."""
    patience_s = max(3.0, place.deadline(0.75))

    def probe(shell: Shell) -> Reach:
        script = probe_script(situation, shell.node, patience_s=patience_s)
        done = shell.run(script, timeout_s=6 * patience_s)
        return parse_reach(done.stdout, situation, shell.node)

    return on_all(tuple(place.shells.values()), probe, parallel=place.at_once)


def _try_one(place: Place, situation: Situation) -> tuple[Reach, ...]:
    """Return what one node can reach, nothing when its probes do not end in time."""
    try:
        return try_ways(place, situation)
    except LabError:
        return ()


def send(place: Place, situation: Situation) -> Traffic:
    """Send requests through every node's published port; return what became of them."""
    return send_everything(situation, place.shells, place.published, place.deadline)


def see_everything(place: Place) -> Situation:
    """Look, try and send now: everything there is to be judged.

    One after the other: what nodes fetch from the tasks moves counters that requests must move.

    Raises:
        LabError: A node could not be looked at; see ``lab.facts.gather``.
    """
    situation = place.situation(look(place))
    situation = replace(situation, reach=try_ways(place, situation))
    return replace(situation, traffic=send(place, situation))


class Depth(IntEnum):
    """How far to look: at rules, tables and settings; at what nodes reach; at real requests."""

    RULES = 1
    TRIED = 2
    SENT = 3


def look_at_what_answers(
    place: Place,
    depth: Depth = Depth.SENT,
    told: Callable[[Mapping[str, LabError]], None] = lambda _: None,
) -> tuple[Situation, dict[str, LabError]]:
    """Return the situation as far as it can be seen, and why each other node cannot be looked at.

    Probes between the nodes leave nothing behind; requests leave lines in the service's log.
    ``told`` gets the second as soon as it is known, before anything is tried.
    """
    facts, silent = gather_willing(
        tuple(place.shells.values()),
        service=place.topology.service.name,
        parallel=place.at_once,
        timeout_s=max(30.0, place.deadline(8)),
    )
    told(silent)
    answering = {node: shell for node, shell in place.shells.items() if node not in silent}
    return try_on(replace(place, shells=answering), facts, depth), silent


def try_on(willing: Place, facts: ClusterFacts, depth: Depth) -> Situation:
    """Return the situation that facts tell, and what is tried and sent on top, as far as asked."""
    answering = willing.shells
    situation = willing.situation(facts)
    if not answering or depth < Depth.TRIED:
        return situation
    tried = on_all(
        tuple(answering.values()),
        lambda shell: _try_one(replace(willing, shells={shell.node: shell}), situation),
        parallel=willing.at_once,
    )
    situation = replace(situation, reach=tuple(reach for found in tried for reach in found))
    if depth >= Depth.SENT and facts.service is not None:
        situation = replace(situation, traffic=send(willing, situation))
    return situation
