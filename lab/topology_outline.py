"""What is known of a swarm beforehand: everything of a lab, little of somebody's own hosts.

A lab's ``Topology`` is an ``Outline`` whose values are all there. ``AttachedSwarm`` is the one of
hosts we were only pointed at: it promises no exact value, and what it cannot know is None.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Protocol

from lab.topology import Expected, NetworkSpec, PoolSpec
from lab.topology_values import Role


class NodeOutline(Protocol):
    """One node: its name, and the address that carries the swarm's tunnels."""

    @property
    def name(self) -> str:
        """What it is called here; ``-k``, ``--from`` and reports use it."""

    @property
    def role(self) -> Role:
        """Its place in the swarm."""

    @property
    def address(self) -> IPv4Address:
        """Its address on the network between the nodes."""


class ServiceOutline(Protocol):
    """The one published port that is looked at, and its service."""

    @property
    def name(self) -> str:
        """Name of the swarm service."""

    @property
    def image(self) -> str:
        """What it was created from."""

    @property
    def mode(self) -> str:
        """``replicated`` or ``global``."""

    @property
    def replicas(self) -> int:
        """How many tasks shall run."""

    @property
    def protocol(self) -> str:
        """``tcp``, ``udp`` or ``sctp``."""

    @property
    def published_port(self) -> int:
        """Port on every node."""

    @property
    def target_port(self) -> int:
        """Port the program listens on."""


class Outline(Protocol):
    """What judges are told of a swarm before they look."""

    @property
    def nodes(self) -> Sequence[NodeOutline]:
        """The nodes that are looked at."""

    @property
    def manager(self) -> NodeOutline:
        """The manager whose word counts."""

    @property
    def service(self) -> ServiceOutline:
        """What is looked at."""

    @property
    def expected(self) -> Expected:
        """Exact values that were promised; none of them for somebody's own hosts."""

    @property
    def link(self) -> NetworkSpec | None:
        """The network between the nodes; None when nobody said."""

    @property
    def bridge(self) -> NetworkSpec | None:
        """docker_gwbridge on every node; None when each node has what Docker chose."""

    @property
    def overlay_pool(self) -> PoolSpec | None:
        """Where overlay networks come from; None when nobody said."""


@dataclass(frozen=True, slots=True)
class AttachedNode:
    """A host of somebody's swarm; see ``NodeOutline``."""

    name: str
    role: Role
    address: IPv4Address


@dataclass(frozen=True, slots=True)
class AttachedService:
    """One port of somebody's service, as the swarm itself describes it; see ``ServiceOutline``."""

    name: str
    image: str
    mode: str
    replicas: int
    protocol: str
    published_port: int
    target_port: int


@dataclass(frozen=True, slots=True)
class AttachedSwarm:
    """Somebody's swarm and the port that is looked at; see ``Outline``."""

    nodes: tuple[AttachedNode, ...]
    manager: AttachedNode
    service: AttachedService

    @property
    def expected(self) -> Expected:
        """Nothing is promised."""
        return Expected()

    @property
    def link(self) -> NetworkSpec | None:
        """Nobody said."""
        return None

    @property
    def bridge(self) -> NetworkSpec | None:
        """Each node has its own."""
        return None

    @property
    def overlay_pool(self) -> PoolSpec | None:
        """Nobody said."""
        return None
