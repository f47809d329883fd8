"""What the kernel of one node remembers of a connection, and which rules counted it. Pure."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from lab.facts.iptables import Rule
from lab.facts.iptables_save import parse_iptables_save
from lab.facts.model import INGRESS_NAMESPACE
from lab.live.catch import NodeTables
from lab.live.frames import Ends
from lab.live.scripts import Kind, Table
from lab.live.tables import Balanced, Tracked, parse_balanced, parse_conntrack

_COUNTERS = re.compile(r"^\[\d+:\d+\] ")


@dataclass(frozen=True, slots=True)
class Counted:
    """A rule, and how many packets it counted while the request was under way."""

    rule: Rule
    packets: int

    def __str__(self) -> str:
        return f"{self.rule.raw} (counted {self.packets} more)"


@dataclass(frozen=True, slots=True)
class Memory:
    """The tables of one node, as they were read right after the request."""

    tables: NodeTables

    def tracked(self, namespace: str, fits: Callable[[Ends], bool]) -> Tracked | None:
        """Return the connection that began with fitting addresses, None when there is none."""
        text = self._text(namespace, Kind.CONNTRACK)
        return next((t for t in parse_conntrack(text) if fits(t.original)), None)

    def balanced(self, client: Ends) -> Balanced | None:
        """Return what IPVS remembers of a client's connection, None when it knows none."""
        wanted = client.source, client.source_port
        found = parse_balanced(self._text(INGRESS_NAMESPACE, Kind.IPVS))
        return next((b for b in found if (b.client, b.client_port) == wanted), None)

    def counted(self, namespace: str, fits: Callable[[Rule], bool]) -> tuple[Counted, ...]:
        """Return fitting rules with what they counted between before and after."""
        before = {
            _plain(rule): rule.packets
            for rule in _rules(self.tables.before.get((namespace, Kind.RULES)))
        }
        return tuple(
            Counted(rule, rule.packets - before.get(_plain(rule), 0))
            for rule in _rules(self.tables.after.get((namespace, Kind.RULES)))
            if fits(rule)
        )

    def trouble(self, namespace: str, kind: Kind) -> str:
        """Return why a table is not known, empty when it was read."""
        found = self.tables.after.get((namespace, kind))
        return f"{kind} of {namespace} was not read" if found is None else found.trouble

    def _text(self, namespace: str, kind: Kind) -> str:
        found = self.tables.after.get((namespace, kind))
        return found.text if found is not None else ""


def _rules(table: Table | None) -> tuple[Rule, ...]:
    return parse_iptables_save(table.text).rules if table is not None else ()


def _plain(rule: Rule) -> tuple[str, str]:
    return rule.table, _COUNTERS.sub("", rule.raw)
