"""What every repair is made of: commands for rules, taken from the very lines that are wrong."""

from collections.abc import Callable, Iterable, Iterator

from lab.diagnosis.model import Repair
from lab.facts.docker_model import PublishedPort
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


def publishing(situation: Situation) -> tuple[tuple[str, ...], str]:
    """Return the options of ``docker service update`` that take the port away, and that add it.

    Taken away is what has its published or its target port, each with its protocol: without a word
    that is tcp. ``--publish-rm`` goes by the target alone, so what else is published from there is
    added again, but for a lab's service, which has one port.
    """
    wanted = situation.topology.service
    service = situation.cluster.service
    here = [p for p in (service.ports if service else ()) if p.protocol == wanted.protocol]
    wrong = [
        p for p in here if wanted.published_port == p.published or wanted.target_port == p.target
    ]
    kept = [
        p
        for p in here
        if p.published not in (None, wanted.published_port)
        and any((p.target, p.mode) == (other.target, other.mode) for other in wrong)
        and not situation.is_lab
    ]
    removed = dict.fromkeys(_without(p) for p in wrong)
    added = [_with(wanted.published_port, wanted.target_port, wanted.protocol, "ingress")]
    added += [_with(p.published or 0, p.target, p.protocol, p.mode) for p in kept]
    return tuple(removed), " ".join(added)


def _without(port: PublishedPort) -> str:
    if port.mode == "ingress":
        return f"--publish-rm {port.target}{_of(port.protocol)}"
    # The short form means mode ingress only.
    return f"--publish-rm target={port.target},protocol={port.protocol},mode={port.mode}"


def _with(published: int, target: int, protocol: str, mode: str) -> str:
    if mode == "ingress":
        return f"--publish-add {published}:{target}{_of(protocol)}"
    return f"--publish-add published={published},target={target},protocol={protocol},mode={mode}"


def _of(protocol: str) -> str:
    return "" if protocol == "tcp" else f"/{protocol}"


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
