"""The words in which broken things are told: a mutation, and ways to break a healthy lab."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import IPv4Interface
from typing import Any

from lab.facts.addresses import Route
from lab.facts.docker_model import Attachment, PublishedPort
from lab.hops.observations import Round
from lab.hops.situation import Situation
from lab.topology import Topology
from tests.hops import altering as a


@dataclass(frozen=True, slots=True)
class Mutation:
    """``red`` holds "CHECK[subject]"; nothing else may be red."""

    name: str
    change: a.Change
    red: frozenset[str]


def mutation(name: str, change: a.Change, *red: str) -> Mutation:
    return Mutation(name, change, frozenset(red))


def drop(things: tuple[Any, ...], keep: Callable[[Any], bool]) -> tuple[Any, ...]:
    kept = tuple(t for t in things if keep(t))
    assert len(kept) < len(things)
    return kept


def first_only(r: Round) -> Round:
    """Only the first request was answered; curl then gave up."""
    lost = replace(r.exchanges[-1], status=0, error="timed out", body_bytes=0, answer=None)
    return replace(r, exchanges=(r.exchanges[0], lost) if len(r.exchanges) > 1 else (lost,))


def nothing(r: Round) -> Round:
    lost = replace(r.exchanges[0], status=0, error="refused", body_bytes=0, answer=None)
    return replace(r, exchanges=(lost,))


def service(**values: Any) -> a.Change:
    def change(s: Situation) -> Situation:
        assert s.cluster.service is not None
        return replace(s, cluster=replace(s.cluster, service=replace(s.cluster.service, **values)))

    return change


def promise(**values: Any) -> a.Change:
    def change(s: Situation) -> Situation:
        assert isinstance(s.topology, Topology)
        expected = s.topology.expected.model_copy(update=values)
        return replace(s, topology=s.topology.model_copy(update={"expected": expected}))

    return change


def publish(mode: str) -> a.Change:
    return service(ports=(PublishedPort("tcp", 5000, 3000, mode),))


def vip(address: str) -> a.Change:
    def change(s: Situation) -> Situation:
        assert s.cluster.service is not None
        vips = s.cluster.service.virtual_addresses
        moved = tuple(replace(v, address=IPv4Interface(f"{address}/24")) for v in vips)
        return service(virtual_addresses=moved)(s)

    return change


def move_task(slot: int, address: str) -> a.Change:
    def change(s: Situation) -> Situation:
        found = s.task(slot).attachments
        moved: tuple[Attachment, ...] = tuple(
            replace(n, addresses=(IPv4Interface(f"{address}/24"),)) for n in found
        )
        return a.task(slot, attachments=moved)(s)

    return change


def gossip(name: str, **values: Any) -> a.Change:
    def change(s: Situation) -> Situation:
        services = tuple(replace(g, **values) for g in s.ingress(name).services)
        return a.part(name, "ingress", services=services)(s)

    return change


def listeners(name: str, keep: Callable[[Any], bool]) -> a.Change:
    return a.inside(name, "host", listeners=lambda found: drop(found, keep))


def route(name: str, *added: Route) -> a.Change:
    return a.inside(name, "host", routes=lambda found: (*found, *added))


def interfaces(name: str, what: str, change: Callable[[Any], Any]) -> a.Change:
    return a.inside(name, what, interfaces=lambda found: tuple(map(change, found)))


def without_address(address: str) -> Callable[[Any], Any]:
    return lambda i: replace(
        i, addresses=tuple(held for held in i.addresses if str(held.ip) != address)
    )


def down(name: str) -> Callable[[Any], Any]:
    return lambda i: replace(i, flags=("BROADCAST",)) if i.name == name else i


def with_sandbox_at(address: str) -> Callable[[Any], Any]:
    def moved(endpoint: Any) -> Any:
        if endpoint.container_id != "ingress-sbox":
            return endpoint
        return replace(endpoint, address=IPv4Interface(f"{address}/24"))

    return lambda found: tuple(map(moved, found))


NODE_A, NODE_B = "manager", "worker"
