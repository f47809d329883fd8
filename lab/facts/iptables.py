"""Packet filter rules as ``iptables-save -c`` prints them."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from lab.errors import FactUnavailable

FULL_MARK_MASK = 0xFFFFFFFF
"""The mask of a mark that replaces the whole mark, as docker's does."""


@dataclass(frozen=True, slots=True)
class NatTarget:
    """Where DNAT or SNAT sends a packet: ``172.19.0.2:5000``, ``10.0.0.2`` or ``:53``.

    ``address`` is None when only the port is rewritten, ``port`` when only the address is.
    """

    address: IPv4Address | None
    port: int | None


@dataclass(frozen=True, slots=True)
class Rule:
    """One ``-A`` line. None means: the rule does not look at, or set, that thing.

    ``negated`` holds the names of the fields below that carry a ``!`` ("out_interface", ...):
    a caller that compares a field must look there too.
    ``destination_port``, ``source_port``, ``to_destination``, ``to_source`` and
    ``redirect_port`` are set for single values; other ranges stay verbatim in ``other``.
    ``destination_ports`` and ``source_ports`` are ranges, first and last port: of
    ``--dport 8000:8080`` and ``-m multiport --dports 80,443,8000:8080``.
    ``set_mark`` and ``set_mark_mask`` come from ``--set-xmark 0x102/0xffffffff``.
    ``destination_type`` and ``source_type`` come from ``-m addrtype`` ("LOCAL"),
    ``connection_states`` from ``-m conntrack --ctstate`` or ``-m state --state``, in the
    order of the line. ``other`` holds every flag not known here, verbatim and in order.
    """

    table: str
    chain: str
    packets: int
    bytes: int
    raw: str
    protocol: str | None = None
    source: IPv4Network | None = None
    destination: IPv4Network | None = None
    in_interface: str | None = None
    out_interface: str | None = None
    source_port: int | None = None
    destination_port: int | None = None
    source_ports: tuple[tuple[int, int], ...] = ()
    destination_ports: tuple[tuple[int, int], ...] = ()
    source_type: str | None = None
    destination_type: str | None = None
    connection_states: tuple[str, ...] = ()
    ipvs: bool = False
    jump: str | None = None
    goto: str | None = None
    to_destination: NatTarget | None = None
    to_source: NatTarget | None = None
    redirect_port: int | None = None
    set_mark: int | None = None
    set_mark_mask: int | None = None
    comment: str | None = None
    negated: tuple[str, ...] = ()
    other: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Chain:
    """One ``:NAME POLICY [packets:bytes]`` line; ``policy`` is None for a user-made chain."""

    table: str
    name: str
    policy: str | None
    packets: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Ruleset:
    """Every table of one network namespace, in the order iptables-save printed it.

    ``backend`` is "nf_tables" or "legacy", None when there is no table at all (then nothing is
    printed). ``warnings`` are what iptables-save complained of, such as "# Warning:
    iptables-legacy tables present": rules then exist that this ruleset does not show. ``unread``
    are tables of which it shows nothing at all, and ``place`` says whose rules these are.
    """

    backend: str | None
    chains: tuple[Chain, ...]
    rules: tuple[Rule, ...]
    warnings: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    place: str = "here"

    def in_chain(self, table: str, chain: str) -> tuple[Rule, ...]:
        """Return the rules of one chain in order; empty when it has none or does not exist.

        Raises:
            FactUnavailable: The table could not be read.
        """
        self._expect(table)
        return tuple(r for r in self.rules if r.table == table and r.chain == chain)

    def chain(self, table: str, name: str) -> Chain | None:
        """Return the chain, or None when it does not exist; errors as ``in_chain``."""
        self._expect(table)
        return next((c for c in self.chains if c.table == table and c.name == name), None)

    def _expect(self, table: str) -> None:
        if table in self.unread:
            raise FactUnavailable(
                f"{self.place}: iptables-save does not show the table {table}, in which nft made "
                "rules",
                details="\n".join(self.warnings),
                hint=f"nft list table ip {table}",
            )
