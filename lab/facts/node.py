"""From one node's answers to its facts. Pure."""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address

from lab.errors import FactUnavailable
from lab.facts.answers import (
    lacks_ipvsadm,
    read_addresses,
    read_engine_api,
    read_forwarding,
    read_listeners,
    read_route_to_sandbox,
    read_rules,
    read_settings,
    read_timeouts,
    read_virtual_services,
)
from lab.facts.batch import Batch
from lab.facts.commands import HOST
from lab.facts.docker_json import (
    parse_containers,
    parse_images,
    parse_info,
    parse_network,
    parse_networks,
)
from lab.facts.docker_model import (
    Container,
    DockerNetwork,
    LocalSwarm,
    Service,
    SwarmMember,
    SwarmTask,
)
from lab.facts.engine_api import EngineApi
from lab.facts.model import (
    INGRESS_NAMESPACE,
    ContainerFacts,
    HostFacts,
    NodeCounters,
    NodeFacts,
    OverlayFacts,
    SandboxFacts,
    TaskFacts,
)
from lab.facts.swarm_json import parse_members, parse_services, parse_tasks

INSTEAD_OF_IPVSADM = (
    "ipvsadm is not installed: /proc/net/ip_vs was read instead, which counts no traffic "
    "(apt-get install ipvsadm, or dnf install ipvsadm)"
)
_OVERLAY = re.compile(r"\d[^-]*-.+")


@dataclass(frozen=True, slots=True)
class ClusterView:
    """The swarm as one manager sees it: every service and every task."""

    members: tuple[SwarmMember, ...]
    services: tuple[Service, ...]
    tasks: tuple[SwarmTask, ...]


@dataclass(frozen=True, slots=True)
class NodeReading:
    """One node's facts, and its view of the cluster when it is a manager."""

    facts: NodeFacts
    cluster: ClusterView | None


def read_node(batch: Batch, *, service: str) -> NodeReading:
    """Return what a batch says of its node; ``service`` decides which tasks are of interest.

    Raises:
        FactUnavailable: A command failed, or the engine did not answer.
        UnreadableOutput: A parser met something it does not know.
    """
    api = read_engine_api(batch)
    engine = api.read("/info", parse_info)
    networks = api.read("/networks", parse_networks)
    bridge = api.read_if("/networks/docker_gwbridge", parse_network)
    ingress = _read_ingress(api, networks)
    containers = api.read("/containers/json?all=true", parse_containers)
    namespaces = _namespaces_by_kind(batch)
    inside = tuple(_container_facts(batch, name) for name in namespaces.containers)
    sandboxes = {name: _sandbox_facts(batch, name) for name in namespaces.sandboxes}
    ingress_sandbox = sandboxes.pop(INGRESS_NAMESPACE, None)
    facts = NodeFacts(
        node=batch.node,
        hostname=engine.hostname,
        engine_version=engine.version,
        kernel=engine.kernel,
        operating_system=engine.operating_system,
        swarm=engine.swarm,
        host=_host_facts(batch, bridge),
        networks=networks,
        bridge=bridge,
        ingress=ingress,
        sandbox=ingress_sandbox,
        load_balancers=tuple(sandboxes.values()),
        overlays=tuple(_overlay_facts(batch, name) for name in namespaces.overlays),
        container_namespaces=inside,
        containers=containers,
        tasks=tuple(
            _task_facts(container, ingress, inside)
            for container in containers
            if container.service_name == service and container.state in {"running", "paused"}
        ),
        images=api.read("/images/json", parse_images),
        substitutes=(INSTEAD_OF_IPVSADM,)
        if any(lacks_ipvsadm(batch, name) for name in namespaces.sandboxes)
        else (),
    )
    return NodeReading(facts, _read_cluster(api, engine.swarm))


def read_counters(batch: Batch) -> NodeCounters:
    """Return only what traffic moves, from a batch of the plan COUNTERS.

    Raises:
        FactUnavailable: A command failed.
        UnreadableOutput: A parser met something it does not know.
    """
    namespaces = _namespaces_by_kind(batch)
    has_sandbox = INGRESS_NAMESPACE in namespaces.sandboxes
    return NodeCounters(
        node=batch.node,
        host=read_rules(batch, HOST),
        sandbox=read_rules(batch, INGRESS_NAMESPACE) if has_sandbox else None,
        virtual_services=(read_virtual_services(batch, INGRESS_NAMESPACE) if has_sandbox else ()),
        containers=tuple((name, read_rules(batch, name)) for name in namespaces.containers),
    )


@dataclass(frozen=True, slots=True)
class _Namespaces:
    sandboxes: tuple[str, ...]
    overlays: tuple[str, ...]
    containers: tuple[str, ...]


def _namespaces_by_kind(batch: Batch) -> _Namespaces:
    """Sort the names as the script does: dockerd names each kind in its own way."""
    sandboxes: list[str] = []
    overlays: list[str] = []
    containers: list[str] = []
    for name in batch.namespaces:
        if name == INGRESS_NAMESPACE or name.startswith("lb_"):
            sandboxes.append(name)
        elif _OVERLAY.fullmatch(name):
            overlays.append(name)
        else:
            containers.append(name)
    return _Namespaces(tuple(sandboxes), tuple(overlays), tuple(containers))


def _host_facts(batch: Batch, bridge: DockerNetwork | None) -> HostFacts:
    tables = read_addresses(batch, HOST)
    sandbox = bridge.sandbox if bridge else None
    return HostFacts(
        node=batch.node,
        name=HOST,
        interfaces=tables.interfaces,
        routes=tables.routes,
        neighbours=tables.neighbours,
        rules=read_rules(batch, HOST),
        policy_rules=tables.policy_rules,
        listeners=read_listeners(batch, HOST),
        sysctls=read_settings(batch, HOST),
        route_to_sandbox=(
            read_route_to_sandbox(batch, sandbox.address.ip)
            if sandbox and sandbox.address
            else None
        ),
    )


def _sandbox_facts(batch: Batch, name: str) -> SandboxFacts:
    tables = read_addresses(batch, name)
    return SandboxFacts(
        node=batch.node,
        name=name,
        interfaces=tables.interfaces,
        routes=tables.routes,
        neighbours=tables.neighbours,
        rules=read_rules(batch, name),
        virtual_services=read_virtual_services(batch, name),
        timeouts=read_timeouts(batch, name),
        sysctls=read_settings(batch, name),
    )


def _overlay_facts(batch: Batch, name: str) -> OverlayFacts:
    tables = read_addresses(batch, name)
    return OverlayFacts(
        node=batch.node,
        name=name,
        interfaces=tables.interfaces,
        routes=tables.routes,
        neighbours=tables.neighbours,
        forwarding=read_forwarding(batch, name),
    )


def _container_facts(batch: Batch, name: str) -> ContainerFacts:
    tables = read_addresses(batch, name)
    return ContainerFacts(
        node=batch.node,
        name=name,
        interfaces=tables.interfaces,
        routes=tables.routes,
        neighbours=tables.neighbours,
        rules=read_rules(batch, name),
        listeners=read_listeners(batch, name),
        sysctls=read_settings(batch, name),
    )


def _task_facts(
    container: Container, ingress: DockerNetwork | None, inside: tuple[ContainerFacts, ...]
) -> TaskFacts:
    """Join a container with the namespace that holds its address, the ingress one first."""
    ingress_id = ingress.id if ingress else None
    addresses: list[IPv4Address] = []
    ingress_address: IPv4Address | None = None
    for network in container.networks:
        if network.address is not None and network.network_id == ingress_id:
            ingress_address = network.address
            addresses.insert(0, network.address)
        elif network.address is not None:
            addresses.append(network.address)
    held = (n for a in addresses for n in inside if n.interface_with(a) is not None)
    return TaskFacts(container, ingress_address, next(held, None))


def _read_ingress(api: EngineApi, networks: tuple[DockerNetwork, ...]) -> DockerNetwork | None:
    """Return the inspected ingress network, None before there is one.

    It is asked for by its usual name; another name is said, not taken for absence.
    """
    named = next((network.name for network in networks if network.is_ingress), "ingress")
    if named != "ingress":
        raise FactUnavailable(
            f"{api.node}: the ingress network is called {named!r} here",
            details="only an ingress network called 'ingress' can be read",
            hint=f"on {api.node}: docker network inspect --verbose {named}",
        )
    return api.read_if("/networks/ingress?verbose=true", parse_network)


def _read_cluster(api: EngineApi, swarm: LocalSwarm) -> ClusterView | None:
    if not swarm.is_manager:
        return None
    return ClusterView(
        members=api.read("/nodes", parse_members),
        services=api.read("/services", parse_services),
        tasks=api.read("/tasks", parse_tasks),
    )
