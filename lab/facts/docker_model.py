"""What the Docker Engine API says, typed.

Field meanings are those of the Engine API reference, version 1.45 (Docker 26.1).
"""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

INGRESS_SANDBOX = "ingress-sbox"
"""The "container id" of the hidden sandbox in ``docker network inspect``."""


class SwarmState(StrEnum):
    """``LocalNodeState`` of one engine."""

    INACTIVE = "inactive"
    PENDING = "pending"
    ACTIVE = "active"
    ERROR = "error"
    LOCKED = "locked"


class MemberRole(StrEnum):
    """What a swarm member is set to be."""

    MANAGER = "manager"
    WORKER = "worker"


@dataclass(frozen=True, slots=True)
class LocalSwarm:
    """What one engine says of its own membership.

    ``node_id`` and ``address`` are None until it is in a swarm; ``is_manager`` says whether it
    answers questions on the cluster; ``error`` is the engine's sentence, empty when well.
    ``data_path_port`` is the UDP port of the swarm's tunnels, None where only managers tell it.
    """

    state: SwarmState
    node_id: str | None
    address: IPv4Address | None
    is_manager: bool
    error: str
    data_path_port: int | None = None


@dataclass(frozen=True, slots=True)
class SwarmMember:
    """One node as the managers see it.

    ``state`` is "ready", "down", "unknown" or "disconnected"; ``availability`` "active",
    "pause" or "drain"; ``address`` None while the managers have not seen it (0.0.0.0);
    ``manager_address`` ("192.168.56.10:2377") and ``reachability`` None for a worker.
    """

    id: str
    hostname: str
    role: MemberRole
    availability: str
    state: str
    address: IPv4Address | None
    engine_version: str
    is_leader: bool
    reachability: str | None
    manager_address: str | None


@dataclass(frozen=True, slots=True)
class PublishedPort:
    """One published port; ``mode`` is "ingress" or "host", ``protocol`` "tcp", "udp", "sctp".

    ``published`` is None when swarm has not chosen one yet.
    """

    protocol: str
    published: int | None
    target: int
    mode: str


@dataclass(frozen=True, slots=True)
class VirtualAddress:
    """A service's VIP on one network; ``address`` None with endpoint mode dnsrr."""

    network_id: str
    address: IPv4Interface | None


@dataclass(frozen=True, slots=True)
class Service:
    """One swarm service. ``replicas`` is None in mode "global".

    ``image`` is what was asked for ("node-test"); ``endpoint_mode`` "vip" or "dnsrr".
    """

    id: str
    name: str
    image: str
    mode: str
    replicas: int | None
    endpoint_mode: str
    ports: tuple[PublishedPort, ...]
    virtual_addresses: tuple[VirtualAddress, ...]

    def virtual_address(self, network_id: str) -> IPv4Address | None:
        """Return the VIP on one network, or None when it has none there."""
        for vip in self.virtual_addresses:
            if vip.network_id == network_id and vip.address is not None:
                return vip.address.ip
        return None


@dataclass(frozen=True, slots=True)
class Attachment:
    """A task's place on one network; ``is_ingress`` tells the routing mesh's own."""

    network_id: str
    network_name: str
    is_ingress: bool
    addresses: tuple[IPv4Interface, ...]


@dataclass(frozen=True, slots=True)
class SwarmTask:
    """One task, of the present or of the history swarm keeps (5 per slot by default).

    ``state`` and ``desired_state`` are swarm's words ("running", "shutdown", "rejected", ...).
    ``slot`` is None for a global service; ``node_id`` and ``container_id`` None before the task
    is placed and started; ``error`` is empty when all is well.
    """

    id: str
    service_id: str
    slot: int | None
    node_id: str | None
    state: str
    desired_state: str
    container_id: str | None
    image: str
    attachments: tuple[Attachment, ...]
    message: str
    error: str

    @property
    def is_running(self) -> bool:
        """Whether it runs and is meant to."""
        return self.state == "running" and self.desired_state == "running"

    @property
    def ingress_address(self) -> IPv4Address | None:
        """Its address on the ingress network, None when it is not attached (yet)."""
        for attachment in self.attachments:
            if attachment.is_ingress and attachment.addresses:
                return attachment.addresses[0].ip
        return None


@dataclass(frozen=True, slots=True)
class NetworkEndpoint:
    """One entry of ``Containers``; the hidden sandbox has the id ``ingress-sbox``.

    On docker_gwbridge ``name`` is ``gateway_<namespace>``, on an overlay the container's name.
    """

    container_id: str
    name: str
    mac: str
    address: IPv4Interface | None


@dataclass(frozen=True, slots=True)
class NetworkPeer:
    """A node that takes part in an overlay, as this node's gossip knows it."""

    name: str
    address: IPv4Address


@dataclass(frozen=True, slots=True)
class GossipTask:
    """A backend as this node learned it; ``host`` is the node to tunnel to."""

    name: str
    address: IPv4Address
    host: IPv4Address | None


@dataclass(frozen=True, slots=True)
class GossipService:
    """A service as this node learned it (``docker network inspect --verbose``).

    ``fwmark`` (``LocalLBIndex``) is this node's own mark for it: marks differ between nodes.
    """

    name: str
    virtual_address: IPv4Address | None
    fwmark: int
    tasks: tuple[GossipTask, ...]


@dataclass(frozen=True, slots=True)
class DockerNetwork:
    """One network as ``docker network inspect`` on one node shows it.

    ``endpoints``, ``peers`` and ``services`` are those this node knows; a plain list of
    networks does not carry them, so they are only filled where a class says "inspected".
    """

    id: str
    name: str
    driver: str
    scope: str
    is_ingress: bool
    subnets: tuple[IPv4Network, ...]
    gateways: tuple[IPv4Address, ...]
    options: tuple[tuple[str, str], ...]
    endpoints: tuple[NetworkEndpoint, ...] = ()
    peers: tuple[NetworkPeer, ...] = ()
    services: tuple[GossipService, ...] = ()

    def option(self, name: str) -> str | None:
        """Return the value of a driver option, or None when it is not set."""
        return dict(self.options).get(name)

    @property
    def sandbox(self) -> NetworkEndpoint | None:
        """The hidden sandbox's endpoint here, None before the ingress network exists."""
        return next((e for e in self.endpoints if e.container_id == INGRESS_SANDBOX), None)


@dataclass(frozen=True, slots=True)
class Image:
    """One image of one node's store; ``tags`` like "node-test:latest"."""

    id: str
    tags: tuple[str, ...]
    size_bytes: int


@dataclass(frozen=True, slots=True)
class ContainerNetwork:
    """One network of a container; ``address`` None while it has none."""

    name: str
    network_id: str
    address: IPv4Address | None


@dataclass(frozen=True, slots=True)
class Container:
    """One container of one node, running or not.

    ``service_name``, ``service_id`` and ``task_id`` come from swarm's labels and are None for a
    container started by hand. ``state`` is "running", "exited", "paused", ...
    """

    id: str
    name: str
    image: str
    image_id: str
    state: str
    service_name: str | None
    service_id: str | None
    task_id: str | None
    networks: tuple[ContainerNetwork, ...]
