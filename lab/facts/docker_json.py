"""Reading the Docker Engine API, version 1.45 (Docker 26.1); see docker_model for the types."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from lab.facts.docker_model import (
    Container,
    ContainerNetwork,
    DockerNetwork,
    GossipService,
    GossipTask,
    Image,
    LocalSwarm,
    NetworkEndpoint,
    NetworkPeer,
    SwarmState,
)
from lab.facts.records import Record, as_record, as_records, read_document

_LABEL = "com.docker.swarm."


@dataclass(frozen=True, slots=True)
class Engine:
    """What ``/info`` says of a node."""

    hostname: str
    version: str
    kernel: str
    operating_system: str
    swarm: LocalSwarm


def parse_info(text: str) -> Engine:
    """Return what the engine says of itself: ``GET /info``.

    Reads, for example::

        {"Name":"manager","ServerVersion":"26.1.5+dfsg1","Swarm":{"NodeID":"j0jh...",
         "NodeAddr":"192.168.56.10","LocalNodeState":"active","ControlAvailable":true}}

    Raises:
        UnreadableOutput: It is not such an object.
    """
    record = as_record(read_document(text, "/info"), "/info")
    swarm = record.record("Swarm")
    return Engine(
        hostname=record.text("Name"),
        version=record.text("ServerVersion"),
        kernel=record.text("KernelVersion"),
        operating_system=record.text("OperatingSystem"),
        swarm=LocalSwarm(
            state=swarm.required("LocalNodeState", SwarmState),
            node_id=swarm.text("NodeID", "") or None,
            address=swarm.parsed("NodeAddr", IPv4Address),
            is_manager=swarm.flag("ControlAvailable"),
            error=swarm.text("Error", ""),
            # 0 where the default is used (API reference, SwarmInfo).
            data_path_port=swarm.record("Cluster").number("DataPathPort", 0) or None,
        ),
    )


def parse_networks(text: str) -> tuple[DockerNetwork, ...]:
    """Return the plain list of networks: ``GET /networks``.

    Raises:
        UnreadableOutput: It is not a list of networks.
    """
    records = as_records(read_document(text, "/networks"), "/networks")
    return tuple(_network(record) for record in records)


def parse_network(text: str) -> DockerNetwork:
    """Return one inspected network: ``GET /networks/<name>?verbose=true``.

    Reads, for example::

        {"Name":"docker_gwbridge","Id":"2a53...","Driver":"bridge","Scope":"local",
         "Containers":{"ingress-sbox":{"Name":"gateway_ingress-sbox",
                                       "IPv4Address":"172.19.0.2/16"}}}

    Raises:
        UnreadableOutput: It is not a network.
    """
    return _network(as_record(read_document(text, "/networks/<name>"), "/networks/<name>"))


def parse_containers(text: str) -> tuple[Container, ...]:
    """Return every container of a node: ``GET /containers/json?all=true``.

    Raises:
        UnreadableOutput: It is not a list of containers.
    """
    records = as_records(read_document(text, "/containers/json"), "/containers/json")
    return tuple(_container(record) for record in records)


def parse_images(text: str) -> tuple[Image, ...]:
    """Return every image of a node: ``GET /images/json``.

    Raises:
        UnreadableOutput: It is not a list of images.
    """
    return tuple(
        Image(record.text("Id"), record.texts("RepoTags"), record.number("Size"))
        for record in as_records(read_document(text, "/images/json"), "/images/json")
    )


def _network(record: Record) -> DockerNetwork:
    # Swarm's ingress is IPv4 only (moby#24379): an IPv6 subnet has no part in its path.
    pools = [
        pool for pool in record.record("IPAM").records("Config") if ":" not in pool.text("Subnet")
    ]
    gateways = (pool.parsed("Gateway", IPv4Address) for pool in pools)
    return DockerNetwork(
        id=record.text("Id"),
        name=record.text("Name"),
        driver=record.text("Driver"),
        scope=record.text("Scope"),
        is_ingress=record.flag("Ingress"),
        subnets=tuple(pool.required("Subnet", IPv4Network) for pool in pools),
        gateways=tuple(gateway for gateway in gateways if gateway is not None),
        options=record.pairs("Options"),
        endpoints=tuple(_endpoint(*entry) for entry in record.entries("Containers")),
        peers=tuple(
            NetworkPeer(peer.text("Name"), peer.required("IP", IPv4Address))
            for peer in record.records("Peers")
        ),
        services=tuple(_gossip_service(*entry) for entry in record.entries("Services")),
    )


def _endpoint(container_id: str, record: Record) -> NetworkEndpoint:
    return NetworkEndpoint(
        container_id=container_id,
        name=record.text("Name"),
        mac=record.text("MacAddress", "").lower(),
        address=record.parsed("IPv4Address", IPv4Interface),
    )


def _gossip_service(name: str, record: Record) -> GossipService:
    return GossipService(
        name=name,
        # A nil address of Go is "<nil>" in 20.10 and "" in 26.1.
        virtual_address=None
        if record.text("VIP", "") == "<nil>"
        else record.parsed("VIP", IPv4Address),
        fwmark=record.number("LocalLBIndex"),
        tasks=tuple(
            GossipTask(
                name=task.text("Name"),
                address=task.required("EndpointIP", IPv4Address),
                host=task.record("Info").parsed("Host IP", IPv4Address),
            )
            for task in record.records("Tasks")
        ),
    )


def _container(record: Record) -> Container:
    labels = dict(record.pairs("Labels"))
    names = record.texts("Names")
    networks = record.record("NetworkSettings").entries("Networks")
    return Container(
        id=record.text("Id"),
        name=names[0].lstrip("/") if names else "",
        image=record.text("Image"),
        image_id=record.text("ImageID"),
        state=record.text("State"),
        service_name=labels.get(f"{_LABEL}service.name"),
        service_id=labels.get(f"{_LABEL}service.id"),
        task_id=labels.get(f"{_LABEL}task.id"),
        networks=tuple(
            ContainerNetwork(
                name=name,
                network_id=network.text("NetworkID", ""),
                address=network.parsed("IPAddress", IPv4Address),
            )
            for name, network in networks
        ),
    )
