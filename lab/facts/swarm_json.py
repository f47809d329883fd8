"""Reading what the managers say of the cluster: nodes, services and tasks (Engine API 1.45)."""

from ipaddress import IPv4Address, IPv4Interface

from lab.errors import UnreadableOutput
from lab.facts.docker_model import (
    Attachment,
    MemberRole,
    PublishedPort,
    Service,
    SwarmMember,
    SwarmTask,
    VirtualAddress,
)
from lab.facts.records import Record, as_records, read_document

_UNSPECIFIED = IPv4Address("0.0.0.0")  # noqa: S104  # what swarm prints for "not known yet"
_MODES = {
    "Replicated": "replicated",
    "Global": "global",
    "ReplicatedJob": "replicated-job",
    "GlobalJob": "global-job",
}


def parse_members(text: str) -> tuple[SwarmMember, ...]:
    """Return the nodes of the swarm: ``GET /nodes`` of a manager.

    Reads, for example::

        [{"ID":"j0jh...","Spec":{"Role":"manager","Availability":"active"},
          "Description":{"Hostname":"manager","Engine":{"EngineVersion":"26.1.5+dfsg1"}},
          "Status":{"State":"ready","Addr":"192.168.56.10"},
          "ManagerStatus":{"Leader":true,"Reachability":"reachable"}}]

    Raises:
        UnreadableOutput: It is not a list of nodes.
    """
    return tuple(_member(record) for record in as_records(read_document(text, "/nodes"), "/nodes"))


def parse_services(text: str) -> tuple[Service, ...]:
    """Return the services of the swarm: ``GET /services`` of a manager.

    Raises:
        UnreadableOutput: It is not a list of services.
    """
    records = as_records(read_document(text, "/services"), "/services")
    return tuple(_service(record) for record in records)


def parse_tasks(text: str) -> tuple[SwarmTask, ...]:
    """Return the tasks of the swarm, the finished ones too: ``GET /tasks`` of a manager.

    Raises:
        UnreadableOutput: It is not a list of tasks.
    """
    return tuple(_task(record) for record in as_records(read_document(text, "/tasks"), "/tasks"))


def _member(record: Record) -> SwarmMember:
    spec = record.record("Spec")
    description = record.record("Description")
    manager = record.record("ManagerStatus")
    address = record.record("Status").parsed("Addr", IPv4Address)
    return SwarmMember(
        id=record.text("ID"),
        hostname=description.text("Hostname", ""),
        role=spec.required("Role", MemberRole),
        availability=spec.text("Availability"),
        state=record.record("Status").text("State"),
        address=None if address == _UNSPECIFIED else address,
        engine_version=description.record("Engine").text("EngineVersion", ""),
        is_leader=manager.flag("Leader"),
        reachability=manager.text("Reachability", "") or None,
        manager_address=manager.text("Addr", "") or None,
    )


def _service(record: Record) -> Service:
    spec = record.record("Spec")
    mode = spec.record("Mode")
    name = next(iter(mode.fields), "")
    if name not in _MODES:
        raise UnreadableOutput(f"{record.place}: an unknown service mode", details=name)
    endpoint = record.record("Endpoint")
    asked = spec.record("EndpointSpec")
    # Endpoint.Ports holds the ports swarm chose itself too; it is empty until it has.
    ports = endpoint.records("Ports") or asked.records("Ports")
    return Service(
        id=record.text("ID"),
        name=spec.text("Name"),
        image=spec.record("TaskTemplate").record("ContainerSpec").text("Image", ""),
        mode=_MODES[name],
        replicas=mode.record(name).number("Replicas", 0) if name == "Replicated" else None,
        endpoint_mode=asked.text("Mode", "vip"),
        ports=tuple(_port(port) for port in ports),
        virtual_addresses=tuple(
            VirtualAddress(vip.text("NetworkID"), vip.parsed("Addr", IPv4Interface))
            for vip in endpoint.records("VirtualIPs")
        ),
    )


def _port(record: Record) -> PublishedPort:
    return PublishedPort(
        protocol=record.text("Protocol", "tcp"),
        published=record.number("PublishedPort", 0) or None,
        target=record.number("TargetPort"),
        mode=record.text("PublishMode", "ingress"),
    )


def _task(record: Record) -> SwarmTask:
    status = record.record("Status")
    return SwarmTask(
        id=record.text("ID"),
        service_id=record.text("ServiceID", ""),
        slot=record.number("Slot", 0) or None,
        node_id=record.text("NodeID", "") or None,
        state=status.text("State"),
        desired_state=record.text("DesiredState"),
        container_id=status.record("ContainerStatus").text("ContainerID", "") or None,
        image=record.record("Spec").record("ContainerSpec").text("Image", ""),
        attachments=tuple(_attachment(a) for a in record.records("NetworksAttachments")),
        message=status.text("Message", ""),
        error=status.text("Err", ""),
    )


def _attachment(record: Record) -> Attachment:
    network = record.record("Network")
    return Attachment(
        network_id=network.text("ID"),
        network_name=network.record("Spec").text("Name"),
        is_ingress=network.record("Spec").flag("Ingress"),
        addresses=record.parsed_list("Addresses", IPv4Interface),
    )
