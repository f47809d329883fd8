"""From a situation to a diagnosis: ask every check, find causes, join them with their repairs."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lab.diagnosis.mending import Mend
from lab.diagnosis.mending_cluster import CLUSTER
from lab.diagnosis.mending_host import HOST
from lab.diagnosis.mending_sandbox import SANDBOX
from lab.diagnosis.mending_task import TASK
from lab.diagnosis.model import (
    PROMISED,
    Agreement,
    BrokenHop,
    Diagnosis,
    Repair,
    Silent,
    State,
    Unasked,
    Walk,
)
from lab.diagnosis.needs import NEEDS, SCOPES, causes_of, needed_by
from lab.diagnosis.packets import counted, told
from lab.diagnosis.threads import THREADS
from lab.errors import LabError
from lab.hops.catalogue import AT_THE_OTHER_END, BESIDE_THE_WAY, JUDGES, TRIED, subjects
from lab.hops.situation import Blocked, Situation
from lab.hops.surroundings import data_port
from lab.hops.verdict import Hop, Scope, Verdict

MENDS: Mapping[str, Mend] = {**CLUSTER, **HOST, **SANDBOX, **TASK}
SHOWN_PACKETS = ("C7-reach", "F6-ping", "F7-fetch", "F8-payload", "R1-inside", "R2-outside")
"""The checks whose words tell best what became of packets."""

WITHOUT_A_CAUSE = frozenset({"R1-inside", "R2-outside"})
"""Checks whose own cause is another broken hop: not so when they are the first one."""
NO_RULE = (
    "no rule we read: a filter of tc, rules made with nft itself, the offload of a network card, "
    "the network between the machines, or the program, which accepts and does not answer"
)
NOBODY: Mapping[str, LabError] = {}


@dataclass(frozen=True, slots=True)
class _Answers:
    """All verdicts in path order, and for each failed one what explains it."""

    verdicts: tuple[Verdict, ...]
    failed: tuple[Verdict, ...]
    causes: Mapping[int, tuple[int, ...]]

    def blocked_by(self, position: int) -> tuple[Verdict, ...]:
        """Return the failed verdicts that one of them explains first of all."""
        return tuple(v for n, v in enumerate(self.failed) if self.causes[n][:1] == (position,))

    def explained_by(self, position: int) -> tuple[Verdict, ...]:
        """Return the failed verdicts that one of them explains, perhaps among others."""
        return tuple(v for n, v in enumerate(self.failed) if position in self.causes[n])


def diagnose(situation: Situation, silent: Mapping[str, LabError] = NOBODY) -> Diagnosis:
    """Return what is broken first, what follows from it, and what to type.

    Args:
        situation: The facts, and what was tried and sent, if anything was.
        silent: Why nodes could not be looked at; the situation holds no facts of them.
    """
    verdicts, unasked = _ask(situation)
    failed = tuple(v for v in verdicts if not v.ok)
    answers = _Answers(verdicts, failed, causes_of(failed))
    roots = [n for n in range(len(failed)) if not answers.causes[n]]
    promised = [n for n in roots if failed[n].check.endswith(PROMISED)]
    broken = [_broken(situation, answers, n) for n in roots if n not in promised]
    return Diagnosis(
        # Stable: path order stays within both groups.
        broken=tuple(sorted(broken, key=lambda hop: hop.is_beside)),
        promises=tuple(failed[n] for n in promised),
        walks=tuple(_walk(answers, node.name) for node in situation.topology.nodes),
        unasked=unasked,
        silent=tuple(_silent(node, error) for node, error in silent.items()),
        verdicts=verdicts,
    )


def _silent(node: str, error: LabError) -> Silent:
    reason = f"{error.brief}: {error.details}" if error.details else error.brief
    return Silent(node, " ".join(reason.split()), error.hint)


def _ask(situation: Situation) -> tuple[tuple[Verdict, ...], tuple[Unasked, ...]]:
    verdicts: list[Verdict] = []
    unasked: list[Unasked] = []
    for judge in JUDGES:
        for subject in subjects(situation, judge.check.scope):
            left_out = situation.why_left_out(judge.check.id, subject)
            if left_out is not None:
                unasked.append(Unasked(judge.check.id, subject, left_out))
                continue
            try:
                verdicts.append(judge(situation, subject))
            except LabError as error:
                unasked.append(Unasked(judge.check.id, subject, error.brief))
    return tuple(verdicts), tuple(unasked)


def _broken(situation: Situation, answers: _Answers, position: int) -> BrokenHop:
    verdict = answers.failed[position]
    is_tried = verdict.check in TRIED
    felt = _felt(answers, position)
    blocks = answers.blocked_by(position)
    shown = [v for v in felt if not v.ok and v.check in SHOWN_PACKETS]
    lines = [told(v) for v in shown if v is not verdict]
    entries = dict.fromkeys(v.node for v in felt if not v.ok and v.hop is Hop.TRAFFIC)
    lines += [line for node in entries for line in counted(situation, node)]
    return BrokenHop(
        verdict=verdict,
        agreement=_agreement(verdict, felt, answers.explained_by(position)),
        packets=tuple(dict.fromkeys(lines)),
        repairs=() if is_tried else _repairs(situation, verdict),
        look=_look(situation, verdict),
        causes=(NO_RULE if verdict.check in WITHOUT_A_CAUSE else verdict.cause,),
        threads=THREADS.get(verdict.check, ()),
        blocks=blocks,
        is_beside=verdict.check in BESIDE_THE_WAY and not _hinders(blocks),
    )


def _hinders(blocks: Sequence[Verdict]) -> bool:
    """Say whether something on the packets' way is among what a hop blocks."""
    return any(v.check not in BESIDE_THE_WAY and not v.check.endswith(PROMISED) for v in blocks)


def _felt(answers: _Answers, position: int) -> tuple[Verdict, ...]:
    """Return the verdicts on packets that pass a broken hop, good ones too.

    Those that wait for a step to be taken are none: nothing could be sent.
    """
    return tuple(v for v in _touched(answers, position) if not v.waits_for or v.waits_for in TRIED)


def _touched(answers: _Answers, position: int) -> tuple[Verdict, ...]:
    verdict = answers.failed[position]
    if verdict.check in TRIED:
        return (verdict, *(v for v in answers.explained_by(position) if v.check in TRIED))
    touching = [v for v in answers.verdicts if v.check in TRIED and _passes(v, verdict)]
    if not touching:  # beside the way: any request through the node
        touching = [
            v
            for v in answers.verdicts
            if v.check in ("R1-inside", "R2-outside") and v.node == verdict.node
        ]
    return tuple(touching)


def _passes(tried: Verdict, broken: Verdict) -> bool:
    if not needed_by(tried.check, broken.check):
        return False
    elsewhere = any(f"{broken.check}*" in needs for needs in NEEDS.values())
    near = tried.node == broken.node or SCOPES[broken.check] is not Scope.NODE
    return near or elsewhere


def _agreement(
    verdict: Verdict, felt: Sequence[Verdict], explained: Sequence[Verdict]
) -> Agreement:
    if verdict.check in TRIED:
        return Agreement.PACKETS
    if not felt:
        return Agreement.UNSENT
    if any(v.check in TRIED and not v.ok for v in felt if v in explained):
        return Agreement.BOTH
    return Agreement.RULES if all(v.ok for v in felt) else Agreement.OTHER


def _repairs(situation: Situation, verdict: Verdict) -> tuple[Repair, ...]:
    mend = MENDS.get(verdict.check)
    if mend is None:
        return ()
    try:
        return tuple(mend(situation, verdict))
    except (LabError, Blocked):  # a value the command needs is not there to be read
        return ()


def _look(situation: Situation, verdict: Verdict) -> tuple[str, ...]:
    """Return what to type to look further: with the address of the task that was not reached."""
    missed = re.search(r"\d+\.\d+\.\d+\.\d+", verdict.found)
    see = verdict.see.replace("TASK", missed[0]) if missed else verdict.see
    return (see, *_unseen_by_us(situation, verdict)) if verdict.check in TRIED else (see,)


def _unseen_by_us(situation: Situation, verdict: Verdict) -> tuple[str, ...]:
    """Return what shows that packets are lost while every rule we read is right."""
    link = situation.cluster.node(verdict.node).host.interface_with(
        situation.spec(verdict.node).address
    )
    if link is None:
        return ()
    return (
        f"tcpdump -c 20 -ni {link.name} udp port {data_port(situation)}",
        f"tc filter show dev {link.name} ingress",
        "nft list ruleset",
        f"ethtool -k {link.name}",
    )


def _walk(answers: _Answers, entry: str) -> Walk:
    mine = [v for v in answers.verdicts if _is_on_the_way(v, entry)]
    return Walk(entry, tuple((hop, _state(answers, mine, hop)) for hop in Hop))


def _is_on_the_way(verdict: Verdict, entry: str) -> bool:
    scope = SCOPES[verdict.check]
    anywhere = scope is not Scope.NODE or verdict.check in AT_THE_OTHER_END
    return anywhere or verdict.node == entry


def _state(answers: _Answers, mine: Sequence[Verdict], hop: Hop) -> State:
    here = [v for v in mine if v.hop is hop and not v.check.endswith(PROMISED)]
    if not here:
        return State.UNSEEN
    bad = [n for n, v in enumerate(answers.failed) if v in here]
    if not bad:
        return State.OK
    roots = [n for n in bad if not answers.causes[n]]
    if not roots:
        return State.BLOCKED
    beside = all(answers.failed[n].check in BESIDE_THE_WAY for n in roots)
    return State.ODD if beside else State.BROKEN
