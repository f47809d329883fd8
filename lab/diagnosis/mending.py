"""What every repair is made of: commands for rules, taken from the very lines that are wrong."""

from collections.abc import Callable, Iterable, Iterator

from lab.diagnosis.model import Repair
from lab.facts.iptables import Rule, Ruleset
from lab.facts.ipvs import VirtualService
from lab.facts.model import SandboxFacts
from lab.hops.netfilter import DROPPING
from lab.hops.situation import Blocked, Situation
from lab.hops.verdict import Verdict

Mend = Callable[[Situation, Verdict], Iterator[Repair]]

RESTART = "systemctl restart docker"
ANEW = "dockerd makes its rules anew; marks start at 256 again, tasks here get new addresses"


def table_option(table: str) -> str:
    """Return what names a table on iptables' command line; filter needs no name."""
    return "" if table == "filter" else f"-t {table} "


def deletion(rule: Rule, enter: str = "") -> str:
    """Return the command that deletes a rule; ``enter`` goes before it.

    The line of iptables-save is what iptables takes, but for the letter.
    """
    specification = rule.raw.partition("] ")[2].removeprefix("-A ")
    return f"{enter}iptables {table_option(rule.table)}-D {specification}"


def named_in(rules: Ruleset, verdict: Verdict) -> tuple[Rule, ...]:
    """Return the rules a verdict shows as evidence."""
    return tuple(rule for rule in rules.rules if rule.raw in verdict.evidence)


def deletions(node: str, rules: Iterable[Rule], enter: str = "") -> Iterator[Repair]:
    """Yield the commands that delete rules."""
    for rule in rules:
        yield Repair(node, deletion(rule, enter))


def dropping(rules: Ruleset, verdict: Verdict) -> tuple[Rule, ...]:
    """Return the rules among a verdict's evidence that drop."""
    return tuple(r for r in named_in(rules, verdict) if (r.jump or r.goto) in DROPPING)


def sandbox_of(situation: Situation, verdict: Verdict) -> SandboxFacts | None:
    """Return the hidden sandbox of a verdict's node, None when there is none."""
    return situation.cluster.node(verdict.node).sandbox


def balancer_of(situation: Situation, verdict: Verdict) -> VirtualService | None:
    """Return the service's IPVS entry on a verdict's node, None when there is none."""
    try:
        return situation.balancer(verdict.node)
    except Blocked:
        return None


def mark_of(situation: Situation, verdict: Verdict) -> int | None:
    """Return the mark dockerd gave the service on a verdict's node, None when it gave none."""
    try:
        return situation.known_mark(verdict.node)
    except Blocked:
        return None
