"""Judges: pure functions from a situation to a verdict, with their question attached."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lab.facts.commands import NETNS_DIRECTORY
from lab.hops.situation import Blocked, Situation
from lab.hops.verdict import Check, Finding, Scope, Verdict

OVERLAY_UNKNOWN = f"nsenter --net={NETNS_DIRECTORY}/1-NETWORK"
Decide = Callable[[Situation, str], Finding]


@dataclass(frozen=True, slots=True)
class Judge:
    """A check and the function that decides it. Call it with a subject to get a verdict.

    The subject is a node's name, or "slot-N" for a check about tasks; a check about the whole
    swarm is asked with the manager's name, because that is where one would look.
    """

    check: Check
    decide: Decide

    def __call__(self, situation: Situation, subject: str) -> Verdict:
        """Return the verdict; something that is not there at all makes it a failed one.

        Raises:
            FactUnavailable: The evidence was not, or could not be, read.
        """
        see = self.check.see
        on_manager = self.check.see_on_manager
        waits_for = ""
        try:
            finding = self.decide(situation, subject)
        except Blocked as blocked:
            finding = Finding(
                ok=False, expected=self.check.title, found=blocked.found, cause=blocked.cause
            )
            waits_for = "" if blocked.owner == self.check.id else blocked.owner
            if blocked.see:
                see, on_manager = blocked.see, blocked.see_on_manager
        node = node_of(situation, self.check.scope, subject)
        return Verdict(
            check=self.check.id,
            hop=self.check.hop,
            node=node,
            subject=subject,
            ok=finding.ok,
            title=self.check.title,
            expected=finding.expected,
            found=finding.found,
            evidence=finding.evidence,
            cause=finding.cause or self.check.cause,
            see=fill(see, situation, self.check.scope, subject),
            see_on=situation.topology.manager.name if on_manager else node,
            waits_for=waits_for,
        )


def judge(check: Check) -> Callable[[Decide], Judge]:
    """Attach a check to the function below: ``@judge(Check(...))``."""

    def attach(decide: Decide) -> Judge:
        return Judge(check, decide)

    return attach


def slot_name(slot: int) -> str:
    """Return the subject of a slot: ``slot-1``."""
    return f"slot-{slot}"


def slot_number(subject: str) -> int:
    """Return the number in ``slot-1``."""
    return int(subject.removeprefix("slot-"))


def node_of(situation: Situation, scope: Scope, subject: str) -> str:
    """Return the node to look at for a subject: itself, or where the slot's task is placed.

    A slot that is placed nowhere is looked at on the manager.
    """
    if scope is not Scope.SLOT:
        return subject
    slot = slot_number(subject)
    for task in situation.cluster.running_tasks:
        node = situation.cluster.node_of(task) if task.slot == slot else None
        if node is not None:
            return node.node
    return situation.topology.manager.name


def fill(command: str, situation: Situation, scope: Scope, subject: str) -> str:
    """Put the lab's own values into a command to type; what is not known stays a word."""

    def value(found: re.Match[str]) -> str:
        if found[1] == "task":
            return _into_task(situation, slot_number(subject))
        return _VALUES[found[1]](situation, node_of(situation, scope, subject))

    filled = (_OF_A_SLOT if scope is Scope.SLOT else _PLACEHOLDER).sub(value, command)
    if situation.cluster.node(node_of(situation, scope, subject)).substitutes:
        filled = filled.replace("ipvsadm -Ln", "cat /proc/net/ip_vs")
    if situation.protocol == "udp":
        filled = filled.replace("ss -ltnp", "ss -lunp")
    return filled


def _sandbox(situation: Situation, node: str) -> str:
    return str(situation.cluster.node(node).sandbox_address or "SANDBOX")


def _overlay(situation: Situation, node: str) -> str:
    overlay = situation.cluster.node(node).overlay
    return (overlay.by_hand if overlay else OVERLAY_UNKNOWN).strip()


_VALUES: Mapping[str, Callable[[Situation, str], str]] = {
    "port": lambda situation, _: str(situation.topology.service.published_port),
    "target": lambda situation, _: str(situation.topology.service.target_port),
    "service": lambda situation, _: situation.topology.service.name,
    "image": lambda situation, _: situation.topology.service.image,
    "vip": lambda situation, _: str(situation.cluster.virtual_address or "VIP"),
    "sandbox": _sandbox,
    "manager": lambda situation, _: str(situation.topology.manager.address),
    "overlay": _overlay,
}
_PLACEHOLDER = re.compile(rf"\{{({'|'.join(_VALUES)})\}}")
_OF_A_SLOT = re.compile(rf"\{{({'|'.join((*_VALUES, 'task'))})\}}")


def _into_task(situation: Situation, slot: int) -> str:
    try:
        return situation.namespace(slot).by_hand.strip()
    except Blocked:
        return f"nsenter --net={NETNS_DIRECTORY}/TASK"
