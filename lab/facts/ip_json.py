"""Reading ``ip -json`` and ``bridge -json``, see ip(8) and bridge(8)."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, ip_address, ip_interface

from lab.errors import UnreadableOutput
from lab.facts.addresses import (
    ForwardingEntry,
    Interface,
    Neighbour,
    PolicyRule,
    Route,
    RouteLookup,
    Vxlan,
)
from lab.facts.records import Record, as_records, read_document, read_documents


@dataclass(frozen=True, slots=True)
class AddressTables:
    """The four tables that one ``ip -batch`` prints."""

    interfaces: tuple[Interface, ...]
    routes: tuple[Route, ...]
    policy_rules: tuple[PolicyRule, ...]
    neighbours: tuple[Neighbour, ...]


def parse_addresses(text: str) -> AddressTables:
    """Return what ``addr``, ``route``, ``rule`` and ``neigh show`` print, one line each.

    Reads four JSON lists, here cut short::

        [{"ifindex":23,"ifname":"eth0","flags":["UP"],"mtu":1450,"addr_info":[...]}]
        [{"type":"unicast","dst":"default","gateway":"172.19.0.1","dev":"eth1","flags":[]}]
        [{"priority":0,"src":"all","table":"local"}]
        [{"dst":"10.0.0.6","dev":"eth0","lladdr":"02:42:0a:00:00:06","state":["STALE"]}]

    Raises:
        UnreadableOutput: There are not four lists, or a key is not what it should be.
    """
    documents = read_documents(text, "ip -json")
    if len(documents) != 4:
        raise UnreadableOutput(
            f"ip printed {len(documents)} of the 4 tables asked for", details=text[-300:]
        )
    addr, route, rule, neigh = documents
    return AddressTables(
        interfaces=tuple(_interface(r) for r in as_records(addr, "ip addr")),
        routes=tuple(_route(r) for r in as_records(route, "ip route")),
        policy_rules=tuple(_policy_rule(r) for r in as_records(rule, "ip rule")),
        neighbours=tuple(_neighbour(r) for r in as_records(neigh, "ip neigh")),
    )


def parse_route_lookup(
    text: str, *, destination: IPv4Address, exit_code: int, complaint: str
) -> RouteLookup:
    """Return what ``ip -json route get`` decided, a refusal included.

    Reads, for example::

        [{"dst":"172.19.0.2","dev":"docker_gwbridge","prefsrc":"172.19.0.1","flags":[]}]

    Raises:
        UnreadableOutput: It succeeded without printing exactly one route.
    """
    if exit_code:
        error = complaint or f"ip ended with exit code {exit_code}"
        return RouteLookup(destination, None, None, None, error)
    records = as_records(read_document(text, "ip route get"), "ip route get")
    if len(records) != 1:
        raise UnreadableOutput("ip route get did not print one route", details=text[:300])
    return RouteLookup(
        destination,
        device=records[0].text("dev"),
        gateway=records[0].parsed("gateway", IPv4Address),
        source=records[0].parsed("prefsrc", IPv4Address),
        error=None,
    )


def parse_forwarding(text: str) -> tuple[ForwardingEntry, ...]:
    """Return the entries of ``bridge -json fdb show``, in order.

    Reads, for example::

        [{"mac":"02:42:0a:00:00:06","ifname":"vxlan0","dst":"192.168.56.10","linkNetNsId":0,
          "flags":["self"],"state":"permanent"}]

    Raises:
        UnreadableOutput: It is not such a list.
    """
    return tuple(
        ForwardingEntry(
            mac=record.text("mac").lower(),
            device=record.text("ifname"),
            destination=record.parsed("dst", ip_address),
            state=record.text("state", "") or None,
        )
        for record in as_records(read_document(text, "bridge fdb"), "bridge fdb")
    )


def _interface(record: Record) -> Interface:
    link = record.record("linkinfo")
    kind = link.text("info_kind", "") or None
    return Interface(
        index=record.number("ifindex"),
        name=record.text("ifname"),
        mtu=record.number("mtu"),
        flags=record.texts("flags"),
        mac=record.text("address", "").lower() or None,
        kind=kind,
        master=record.text("master", "") or None,
        addresses=tuple(
            ip_interface((address.required("local", ip_address), address.number("prefixlen")))
            for address in record.records("addr_info")
        ),
        vxlan=_vxlan(link.record("info_data")) if kind == "vxlan" else None,
    )


def _vxlan(record: Record) -> Vxlan:
    return Vxlan(
        vni=record.number("id"),
        port=record.number("port"),
        local=record.parsed("local", ip_address),
    )


def _route(record: Record) -> Route:
    return Route(
        destination=record.required("dst", _destination),
        kind=record.text("type", "unicast"),
        device=record.text("dev", "") or None,
        gateway=record.parsed("gateway", IPv4Address),
        source=record.parsed("prefsrc", IPv4Address),
        metric=record.number("metric", 0),
    )


def _destination(value: str) -> IPv4Network:
    return IPv4Network("0.0.0.0/0" if value == "default" else value)


def _policy_rule(record: Record) -> PolicyRule:
    selector = tuple(
        (key, str(value))
        for key, value in record.fields.items()
        if key not in {"priority", "table", "protocol"}
    )
    return PolicyRule(record.number("priority"), record.text("table", ""), selector)


def _neighbour(record: Record) -> Neighbour:
    return Neighbour(
        address=record.required("dst", ip_address),
        device=record.text("dev"),
        mac=record.text("lladdr", "").lower() or None,
        state=record.texts("state"),
    )
