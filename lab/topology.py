"""What a lab should be: its nodes, networks and service, and the values it is expected to show.

A topology is immutable and complete: every value was written in a file, none is computed, so a
Vagrantfile that reads the same YAML sees the same lab. ``lab.topology_file`` reads the files.
"""

import hashlib
import json
from ipaddress import IPv4Address, IPv4Network
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from lab.topology_rules import MAX_WORKERS, RULES_BROKEN, first_network, violations
from lab.topology_values import (
    FIRST_FWMARK,
    Address,
    ApiVersion,
    Fwmark,
    Image,
    MemoryMib,
    Name,
    PrefixLength,
    PublishedPort,
    Replicas,
    Role,
    Subnet,
    TargetPort,
)


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NetworkSpec(_Section):
    """A network whose addresses are known beforehand."""

    subnet: Subnet = Field(description="The network, such as 192.168.56.0/24.")


class PoolSpec(_Section):
    """The pool from which swarm takes its overlay networks; the first one is ``ingress``."""

    subnet: Subnet = Field(description="The whole pool (swarm init --default-addr-pool).")
    prefix_length: PrefixLength = Field(
        description="The size of each overlay (--default-addr-pool-mask-length)."
    )


class NodeSpec(_Section):
    """One machine of the lab."""

    name: Name = Field(description="Host name and swarm node name.")
    role: Role = Field(description="Place in the swarm: manager or worker.")
    address: Address = Field(description="Address on the link; swarm advertises it.")
    memory_mib: MemoryMib = Field(description="Memory in MiB, 512 or more.")


class ServiceSpec(_Section):
    """The one service the lab publishes."""

    name: Name = Field(description="Name of the swarm service.")
    image: Image = Field(description="Image that every node holds; nothing is pulled.")
    replicas: Replicas = Field(description="How many tasks run.")
    published_port: PublishedPort = Field(description="Port on every node (ingress mode).")
    target_port: TargetPort = Field(description="Port the application listens on.")

    @property
    def mode(self) -> str:
        """A lab's service has a number of replicas."""
        return "replicated"

    @property
    def protocol(self) -> str:
        """A lab's service speaks HTTP."""
        return "tcp"


class Expected(_Section):
    """The exact values this topology promises. What is left out is not asserted."""

    sandbox: Address | None = Field(
        default=None, description="Address of ingress-sbox on docker_gwbridge, on every node."
    )
    fwmark: Fwmark | None = Field(
        default=None, description="Firewall mark of the published port, on every node."
    )
    vip: Address | None = Field(
        default=None, description="Virtual IP of the service in the ingress network."
    )
    backends: tuple[Address, ...] = Field(
        default=(), description="Ingress addresses of the tasks, one per replica, in any order."
    )


class Topology(_Section):
    """A whole lab. Equal topologies have the same `fingerprint`.

    ``Topology.model_validate_json(topology.model_dump_json())`` gives an equal one.
    """

    # The key is spelt as users of other declarative files know it.
    apiVersion: ApiVersion = Field(  # noqa: N815
        description="Version of this file's format."
    )
    link: NetworkSpec = Field(description="Private network between the nodes: swarm traffic.")
    bridge: NetworkSpec = Field(description="docker_gwbridge, made on every node beforehand.")
    overlay_pool: PoolSpec = Field(description="Where swarm's overlay networks come from.")
    nodes: tuple[NodeSpec, ...] = Field(
        description=f"The machines: 1 manager and 1 to {MAX_WORKERS} workers.",
        json_schema_extra={"minItems": 2, "maxItems": 1 + MAX_WORKERS},
    )
    service: ServiceSpec = Field(description="What runs on the swarm.")
    expected: Expected = Field(
        default=Expected(), description="Values the checks assert exactly; all optional."
    )

    @model_validator(mode="after")
    def _keep_the_rules(self) -> Self:
        broken = violations(self)
        if broken:
            text = "\n".join(str(violation) for violation in broken)
            raise PydanticCustomError(RULES_BROKEN, "{text}", {"text": text})
        return self

    @property
    def manager(self) -> NodeSpec:
        """The one manager."""
        return next(node for node in self.nodes if node.role is Role.MANAGER)

    @property
    def workers(self) -> tuple[NodeSpec, ...]:
        """All workers, in file order."""
        return tuple(node for node in self.nodes if node.role is Role.WORKER)

    @property
    def bridge_gateway(self) -> IPv4Address:
        """Each node's own address on docker_gwbridge: the first one of its subnet."""
        return self.bridge.subnet.network_address + 1

    @property
    def ingress_subnet(self) -> IPv4Network:
        """The network swarm gives to ``ingress``: the first one of the overlay pool."""
        return first_network(self.overlay_pool.subnet, self.overlay_pool.prefix_length)

    @property
    def marks_to_burn(self) -> int:
        """How many load balancers must live and die on a node before the service is created.

        dockerd numbers them from 256 and never reuses a number (moby: libnetwork, ``fwMarkCtr``).
        """
        return 0 if self.expected.fwmark is None else self.expected.fwmark - FIRST_FWMARK

    @property
    def fingerprint(self) -> str:
        """SHA-256, as 64 hexadecimal digits, of what the topology says, however it is written."""
        said = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(said.encode()).hexdigest()
