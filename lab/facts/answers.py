"""Typed reading of a batch: one function per command. Pure.

Every function raises ``FactUnavailable`` when the command failed in that namespace, and
``UnreadableOutput`` when it printed something unknown; both name the node, the namespace and
the command to type.
"""

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address
from typing import TypeVar

from lab.errors import LabError, UnreadableOutput
from lab.facts import commands
from lab.facts.addresses import ForwardingEntry, RouteLookup
from lab.facts.batch import NOT_FOUND, Batch
from lab.facts.commands import HOST, Command, enter_by_hand
from lab.facts.engine_api import EngineApi, parse_engine_api
from lab.facts.ip_json import (
    AddressTables,
    parse_addresses,
    parse_forwarding,
    parse_route_lookup,
)
from lab.facts.iptables import Ruleset
from lab.facts.iptables_save import parse_iptables_save
from lab.facts.ipvs import (
    Timeouts,
    VirtualService,
    parse_ipvsadm,
    parse_proc_ip_vs,
    parse_timeouts,
)
from lab.facts.sockets import Listener, parse_listeners
from lab.facts.sysctls import Sysctls, parse_settings

T = TypeVar("T")


def read_rules(batch: Batch, namespace: str) -> Ruleset:
    """Return the packet filter rules of a namespace.

    What iptables-save complains of while it succeeds ("iptables-legacy tables present") goes
    to the warnings of the ruleset as well.
    """
    rules = _read(batch, namespace, commands.RULES, parse_iptables_save)
    section = batch.section(namespace, commands.RULES)
    complaints = section.stderr.splitlines() if section else []
    place = f"{batch.node}, {namespace}"
    return replace(rules, warnings=(*complaints, *rules.warnings), place=place)


def read_virtual_services(batch: Batch, namespace: str) -> tuple[VirtualService, ...]:
    """Return the IPVS table of a namespace, with its counters.

    Without ipvsadm it is the kernel's own list, which counts no traffic.
    """
    if lacks_ipvsadm(batch, namespace):
        return _read(batch, namespace, commands.IPVS_PROC, parse_proc_ip_vs)
    if batch.answer(namespace, commands.IPVS) == commands.NO_IPVS:
        return ()
    traffic = batch.answer(namespace, commands.IPVS_TRAFFIC)
    return _read(batch, namespace, commands.IPVS, lambda text: parse_ipvsadm(text, traffic))


def lacks_ipvsadm(batch: Batch, namespace: str) -> bool:
    """Say whether the node's table was read without ipvsadm, because it is not installed."""
    section = batch.section(namespace, commands.IPVS)
    return section is not None and section.exit_code == NOT_FOUND


def read_timeouts(batch: Batch, namespace: str) -> Timeouts | None:
    """Return IPVS's timeouts in a namespace; None where they could not be read.

    Only ipvsadm tells them, if the module is there; the plan of an old capture does not ask. They
    matter to one check beside the way: nothing that goes wrong here makes a node unreadable.
    """
    try:
        return _read(batch, namespace, commands.IPVS_TIMEOUTS, _timeouts)
    except LabError:
        return None


def _timeouts(text: str) -> Timeouts | None:
    return None if text == commands.NO_IPVS else parse_timeouts(text)


def read_addresses(batch: Batch, namespace: str) -> AddressTables:
    """Return interfaces, routes, policy rules and neighbours of a namespace."""
    return _read(batch, namespace, commands.ADDRESSES, parse_addresses)


def read_forwarding(batch: Batch, namespace: str) -> tuple[ForwardingEntry, ...]:
    """Return the bridge and VXLAN forwarding entries of a namespace."""
    return _read(batch, namespace, commands.FORWARDING, parse_forwarding)


def read_listeners(batch: Batch, namespace: str) -> tuple[Listener, ...]:
    """Return the listening sockets of a namespace."""
    return _read(batch, namespace, commands.LISTENERS, parse_listeners)


def read_settings(batch: Batch, namespace: str) -> Sysctls:
    """Return the kernel settings that were read in a namespace."""
    # Which settings were asked for differs by namespace; the section's name does not.
    values = _read(batch, namespace, commands.HOST_SETTINGS, parse_settings)
    return Sysctls(batch.node, namespace, enter_by_hand(namespace), values)


def read_route_to_sandbox(batch: Batch, sandbox: IPv4Address) -> RouteLookup:
    """Return how the host would send a packet to the hidden sandbox, a refusal included."""
    text = batch.answer(HOST, commands.ROUTE_TO_SANDBOX)
    section = batch.section(HOST, commands.ROUTE_TO_SANDBOX)
    return _read(
        batch,
        HOST,
        commands.ROUTE_TO_SANDBOX,
        lambda _: parse_route_lookup(
            text,
            destination=sandbox,
            exit_code=section.exit_code if section else 0,
            complaint=section.stderr if section else "",
        ),
    )


def read_engine_api(batch: Batch) -> EngineApi:
    """Return the answers of the node's Docker Engine."""
    return parse_engine_api(batch.answer(HOST, commands.DOCKER), node=batch.node)


def _read(batch: Batch, namespace: str, command: Command, parse: Callable[[str], T]) -> T:
    try:
        return parse(batch.answer(namespace, command))
    except UnreadableOutput as error:
        by_hand = f"on {batch.node}: {enter_by_hand(namespace)}{command.by_hand}"
        raise UnreadableOutput(
            f"{batch.node}, {namespace}: {error.brief}", details=error.details, hint=by_hand
        ) from error
