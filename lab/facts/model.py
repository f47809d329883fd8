"""Everything the checks know of a lab at one moment: per node and as a cluster.

Absence is explicit: a field that is None, or an empty tuple, means that it was looked for and
is not there (no swarm yet, no sandbox yet). What could not be read raises ``FactUnavailable``
while gathering, and never becomes one of these.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address

from lab.errors import FactUnavailable
from lab.facts.addresses import (
    ForwardingEntry,
    Interface,
    Neighbour,
    PolicyRule,
    Route,
    RouteLookup,
    Vxlan,
)
from lab.facts.commands import enter_by_hand
from lab.facts.docker_model import (
    Container,
    DockerNetwork,
    Image,
    LocalSwarm,
    Service,
    SwarmMember,
    SwarmTask,
)
from lab.facts.iptables import Ruleset
from lab.facts.ipvs import Timeouts, VirtualService
from lab.facts.sockets import Listener
from lab.facts.sysctls import Sysctls

INGRESS_NAMESPACE = "ingress_sbox"


@dataclass(frozen=True, slots=True)
class NamespaceFacts:
    """What is read in every network namespace of a node.

    ``name`` is the file below /var/run/docker/netns, or "host".
    """

    node: str
    name: str
    interfaces: tuple[Interface, ...]
    routes: tuple[Route, ...]
    neighbours: tuple[Neighbour, ...]

    @property
    def by_hand(self) -> str:
        """What to type before a command, as root on the node, to run it in here."""
        return enter_by_hand(self.name)

    def interface(self, name: str) -> Interface | None:
        """Return the interface of that name, or None."""
        return next((i for i in self.interfaces if i.name == name), None)

    def interface_with(self, address: IPv4Address) -> Interface | None:
        """Return the interface that holds the address, or None."""
        for interface in self.interfaces:
            if any(held.ip == address for held in interface.addresses):
                return interface
        return None


@dataclass(frozen=True, slots=True)
class HostFacts(NamespaceFacts):
    """The node's own network namespace.

    ``route_to_sandbox`` is None as long as docker_gwbridge has no ingress-sbox endpoint.
    """

    rules: Ruleset
    policy_rules: tuple[PolicyRule, ...]
    listeners: tuple[Listener, ...]
    sysctls: Sysctls
    route_to_sandbox: RouteLookup | None


@dataclass(frozen=True, slots=True)
class SandboxFacts(NamespaceFacts):
    """A namespace that balances: ingress_sbox, or ``lb_<network>`` of a user overlay.

    ``timeouts`` are None where they could not be read.
    """

    rules: Ruleset
    virtual_services: tuple[VirtualService, ...]
    timeouts: Timeouts | None
    sysctls: Sysctls

    def virtual_service(self, fwmark: int) -> VirtualService | None:
        """Return the IPVS service of a mark, or None."""
        return next((s for s in self.virtual_services if s.fwmark == fwmark), None)


@dataclass(frozen=True, slots=True)
class OverlayFacts(NamespaceFacts):
    """The namespace of an overlay network: ``<n>-<first 10 characters of the network id>``.

    It holds the bridge br0 and the VXLAN link.
    """

    forwarding: tuple[ForwardingEntry, ...]

    @property
    def network_id_prefix(self) -> str:
        """The start of the id of the network this namespace carries."""
        return self.name.partition("-")[2]

    @property
    def vxlan(self) -> Vxlan | None:
        """The tunnel of the first VXLAN link, None when there is no such link."""
        return next((i.vxlan for i in self.interfaces if i.vxlan is not None), None)


@dataclass(frozen=True, slots=True)
class ContainerFacts(NamespaceFacts):
    """The network namespace of one container."""

    rules: Ruleset
    listeners: tuple[Listener, ...]
    sysctls: Sysctls


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """One running container of the service on this node.

    ``ingress_address`` is None when it is not on the ingress network (mode host, or no port).
    ``namespace`` is the one that holds that address, None when none does.
    """

    container: Container
    ingress_address: IPv4Address | None
    namespace: ContainerFacts | None


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """One node at one moment.

    ``bridge`` (docker_gwbridge) and ``ingress`` are inspected and None until they exist;
    ``networks`` is the plain list. ``sandbox`` is None until ``docker swarm init`` or ``join``
    has made the ingress network here. ``tasks`` are the service's running containers here.
    ``substitutes`` says what was read another way than usual, one line for each.
    """

    node: str
    hostname: str
    engine_version: str
    kernel: str
    operating_system: str
    swarm: LocalSwarm
    host: HostFacts
    networks: tuple[DockerNetwork, ...]
    bridge: DockerNetwork | None
    ingress: DockerNetwork | None
    sandbox: SandboxFacts | None
    load_balancers: tuple[SandboxFacts, ...]
    overlays: tuple[OverlayFacts, ...]
    container_namespaces: tuple[ContainerFacts, ...]
    containers: tuple[Container, ...]
    tasks: tuple[TaskFacts, ...]
    images: tuple[Image, ...]
    substitutes: tuple[str, ...] = ()

    @property
    def iptables_backend(self) -> str | None:
        """Return "nf_tables" or "legacy"; None when the node has no rules at all."""
        return self.host.rules.backend

    @property
    def sandbox_address(self) -> IPv4Address | None:
        """The hidden sandbox's address on docker_gwbridge, None until it exists."""
        endpoint = self.bridge.sandbox if self.bridge else None
        return endpoint.address.ip if endpoint and endpoint.address else None

    @property
    def ingress_address(self) -> IPv4Address | None:
        """The node's own address on the ingress network, None until it has one."""
        endpoint = self.ingress.sandbox if self.ingress else None
        return endpoint.address.ip if endpoint and endpoint.address else None

    @property
    def overlay(self) -> OverlayFacts | None:
        """The ingress network's overlay namespace, None until it exists here."""
        if self.ingress is None:
            return None
        return self.overlay_of(self.ingress.id)

    def overlay_of(self, network_id: str) -> OverlayFacts | None:
        """Return the namespace of an overlay network, None when this node has no part in it."""
        for overlay in self.overlays:
            if overlay.network_id_prefix and network_id.startswith(overlay.network_id_prefix):
                return overlay
        return None

    def image_id(self, reference: str) -> str | None:
        """Return the id of an image by name, ``:latest`` understood, or None."""
        last = reference.rpartition("/")[2]
        wanted = reference if ":" in last or "@" in last else f"{reference}:latest"
        return next((image.id for image in self.images if wanted in image.tags), None)


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """All nodes of a lab, and the swarm as its managers see it.

    ``members`` is empty when no node is a manager that answers (no swarm yet: see
    ``NodeFacts.swarm``); ``service`` is None and ``tasks`` empty until the service is created.
    ``tasks`` holds the service's tasks, the finished ones too. ``services`` names all there are.
    """

    service_name: str
    nodes: tuple[NodeFacts, ...]
    members: tuple[SwarmMember, ...]
    service: Service | None
    tasks: tuple[SwarmTask, ...]
    services: tuple[str, ...] = ()

    @property
    def running_tasks(self) -> tuple[SwarmTask, ...]:
        """The service's tasks that run and are meant to."""
        return tuple(task for task in self.tasks if task.is_running)

    @property
    def backend_addresses(self) -> frozenset[IPv4Address]:
        """The ingress addresses of the running tasks: what every IPVS table must hold."""
        addresses = (task.ingress_address for task in self.running_tasks)
        return frozenset(address for address in addresses if address is not None)

    @property
    def virtual_address(self) -> IPv4Address | None:
        """The service's VIP on the ingress network, None when it has none."""
        ingress = next((node.ingress for node in self.nodes if node.ingress), None)
        if ingress is None or self.service is None:
            return None
        return self.service.virtual_address(ingress.id)

    def node(self, name: str) -> NodeFacts:
        """Return one node's facts.

        Raises:
            FactUnavailable: No such node was asked.
        """
        for node in self.nodes:
            if node.node == name:
                return node
        names = ", ".join(node.node for node in self.nodes)
        raise FactUnavailable(f"no facts of a node named {name}", details=f"asked: {names}")

    def member(self, node: NodeFacts) -> SwarmMember | None:
        """Return what the managers say of a node, None when they do not know it."""
        return next((m for m in self.members if m.id == node.swarm.node_id), None)

    def node_of(self, task: SwarmTask) -> NodeFacts | None:
        """Return the node a task is placed on, None when it is not one of the lab's."""
        if task.node_id is None:
            return None
        return next((n for n in self.nodes if n.swarm.node_id == task.node_id), None)


@dataclass(frozen=True, slots=True)
class NodeCounters:
    """Only what traffic moves on one node, to compare before and after.

    The counters of ``virtual_services`` are late, by ``ipvs.TRAFFIC_DELAY_S``; those of the
    rules are not.

    ``sandbox`` is None until the ingress network exists there. ``containers`` holds each
    container's rules by the name of its namespace.
    """

    node: str
    host: Ruleset
    sandbox: Ruleset | None
    virtual_services: tuple[VirtualService, ...]
    containers: tuple[tuple[str, Ruleset], ...]
