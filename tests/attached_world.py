"""Hosts that are somebody's own, as a captured swarm of two nodes shows them.

It was formed by hand; one of its nodes has no ipvsadm.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from lab.attached import (
    Attached,
    Wish,
    _attach,
)
from lab.diagnosis.examine import diagnose
from lab.facts.gather import join_readings
from lab.facts.model import ClusterFacts
from lab.facts.node import read_node
from lab.host_shell import shell_to
from lab.inventory import HostSpec, Inventory
from lab.trace.build import Request, trace
from lab.trace.model import Trace
from tests.facts.captures import batch

HOSTS = ("manager", "worker1")
FILE = Path("prod.yaml")
NOBODY = IPv4Address("10.0.0.99")
Change = Callable[[ClusterFacts], ClusterFacts]


@cache
def facts_of(service: str) -> ClusterFacts:
    readings = [read_node(batch(f"{node}-attached"), service=service) for node in HOSTS]
    return join_readings(readings, service=service)


def inventory(*hosts: HostSpec) -> Inventory:
    named = hosts or tuple(HostSpec(name=name) for name in HOSTS)
    return Inventory(apiVersion="swarm-ingress-lab/v1", hosts=named)


def look(service: str, port: str = "", change: Change = lambda facts: facts) -> Attached:
    hosts = inventory()
    shells = tuple(shell_to(host, hosts, Path("/x")) for host in hosts.hosts)
    facts = change(facts_of(service))
    return _attach(Wish(FILE, service, port), hosts, shells, facts, {})


def published(**values: Any) -> Change:
    def change(facts: ClusterFacts) -> ClusterFacts:
        assert facts.service is not None
        ports = tuple(replace(port, **values) for port in facts.service.ports)
        return replace(facts, service=replace(facts.service, ports=ports))

    return change


def way(hosts: Attached) -> Trace:
    situation = hosts.place.situation(hosts.facts)
    request = Request("manager", "manager")
    return trace(situation, diagnose(situation), request, lab="prod.yaml", made="now")
