"""The Docker Engine API of a node: the only place that imports the docker package.

The API is reached through the node's ssh connection (a forwarded unix socket): no TCP listener
on the node, and dockerd needs none of the 16 s it waits before it opens one without TLS.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import docker
import docker.auth
import docker.errors
import requests
import urllib3
from docker.types import (
    ContainerSpec,
    EndpointSpec,
    IPAMConfig,
    IPAMPool,
    NetworkAttachmentConfig,
    ServiceMode,
    TaskTemplate,
)

from lab.access import forward_socket
from lab.docker_log import LogLine, log_line, log_lines, unframed
from lab.errors import CommandFailed, NotReady, NotRunning

SOCKET = "/var/run/docker.sock"
NANOSECONDS = 1_000_000_000
API_VERSION = "1.41"
"""Spoken by every engine from 20.10 on; naming it saves a round trip to ask."""


NO_ANSWER = (
    docker.errors.DockerException,
    requests.RequestException,
    # A log stream that breaks off: the docker package reads those below requests.
    urllib3.exceptions.HTTPError,
    OSError,
    struct.error,
)
"""What a call raises when the engine, or the way to it, is gone."""


@dataclass(frozen=True, slots=True)
class SwarmStatus:
    """The swarm as one node sees it: its own state, id and, on a manager, the cluster's id."""

    state: str
    node_id: str
    manager: bool
    cluster_id: str
    remote_managers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Member:
    """A node of the swarm as its manager lists it."""

    node_id: str
    hostname: str
    state: str
    availability: str
    leader: bool


@dataclass(frozen=True, slots=True)
class Task:
    """One task of a service: where it runs and how it is."""

    task_id: str
    slot: int
    node_id: str
    container_id: str
    state: str
    desired: str
    error: str
    tty: bool = False


class Engine:
    """The Docker Engine of one node. Every method is one API call unless it says otherwise.

    Raises (all methods):
        NotRunning: The node or its dockerd does not answer.
        CommandFailed: The engine refused; the details hold its own words.
    """

    def __init__(self, node: str, socket: Path, *, timeout_s: float) -> None:
        self.node = node
        self._api = docker.APIClient(
            base_url=f"unix://{socket}", version=API_VERSION, timeout=timeout_s
        )
        # The user's registry passwords, and the programs that keep them, are no business of a lab.
        # An empty configuration would be taken for one that is still to be read.
        self._api._auth_configs = docker.auth.AuthConfig({"auths": {"registry.invalid": {}}})

    def close(self) -> None:
        """Close the connections to the engine."""
        self._api.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def version(self) -> str:
        """Return the engine's version, such as ``26.1.5+dfsg1``."""
        with self._calling("version"):
            return str(self._api.version()["Version"])

    def has_network(self, name: str) -> bool:
        """Say whether a network of exactly this name exists."""
        with self._calling("network ls"):
            return any(found["Name"] == name for found in self._api.networks(names=[name]))

    def create_bridge(self, name: str, subnet: IPv4Network, gateway: IPv4Address) -> None:
        """Create ``docker_gwbridge`` with the options dockerd itself would give it.

        Source: moby libnetwork/default_gateway_linux.go, createGWNetwork.
        """
        with self._calling(f"network create {name}"):
            self._api.create_network(
                name,
                driver="bridge",
                options={
                    "com.docker.network.bridge.name": name,
                    "com.docker.network.bridge.enable_icc": "false",
                    "com.docker.network.bridge.enable_ip_masquerade": "true",
                },
                ipam=IPAMConfig(pool_configs=[IPAMPool(subnet=str(subnet), gateway=str(gateway))]),
            )

    def create_overlay(self, name: str) -> str:
        """Create an overlay network; return its id."""
        with self._calling(f"network create --driver overlay {name}"):
            return str(self._api.create_network(name, driver="overlay", attachable=False)["Id"])

    def image_id(self, tag: str) -> str | None:
        """Return the id of the image ``tag``, ``None`` if it is not there."""
        with self._calling(f"image inspect {tag}"):
            try:
                return str(self._api.inspect_image(tag)["Id"])
            except docker.errors.NotFound:
                return None

    def swarm(self) -> SwarmStatus:
        """Return the swarm as this node sees it."""
        with self._calling("info"):
            found = self._api.info()["Swarm"]
        return SwarmStatus(
            state=str(found["LocalNodeState"]),
            node_id=str(found["NodeID"]),
            manager=bool(found["ControlAvailable"]),
            cluster_id=str((found.get("Cluster") or {}).get("ID", "")),
            remote_managers=tuple(m["Addr"] for m in found.get("RemoteManagers") or ()),
        )

    def init_swarm(self, address: IPv4Address, pool: IPv4Network, prefix_length: int) -> None:
        """Start a swarm on this node; address serves as advertise and as data path address."""
        with self._calling("swarm init"):
            self._api.init_swarm(
                advertise_addr=str(address),
                data_path_addr=str(address),
                default_addr_pool=[str(pool)],
                subnet_size=prefix_length,
            )

    def worker_token(self) -> str:
        """Return the secret with which workers join. Never log or store it."""
        with self._calling("swarm join-token worker"):
            return str(self._api.inspect_swarm()["JoinTokens"]["Worker"])

    def join_swarm(self, manager: IPv4Address, token: str, address: IPv4Address) -> None:
        """Join the swarm of ``manager`` as a worker."""
        with self._calling("swarm join"):
            self._api.join_swarm(
                remote_addrs=[f"{manager}:2377"],
                join_token=token,
                advertise_addr=str(address),
                data_path_addr=str(address),
            )

    def leave_swarm(self) -> None:
        """Leave the swarm, as ``docker swarm leave --force``."""
        with self._calling("swarm leave"):
            self._api.leave_swarm(force=True)

    def members(self) -> tuple[Member, ...]:
        """Return the nodes of the swarm; manager only."""
        with self._calling("node ls"):
            return tuple(
                Member(
                    node_id=found["ID"],
                    hostname=found["Description"]["Hostname"],
                    state=found["Status"]["State"],
                    availability=found["Spec"]["Availability"],
                    leader=bool(found.get("ManagerStatus", {}).get("Leader")),
                )
                for found in self._api.nodes()
            )

    def service_id(self, name: str) -> str | None:
        """Return the id of the service ``name``, ``None`` if there is none; manager only."""
        with self._calling(f"service inspect {name}"):
            found = self._api.services(filters={"name": name})
        return next((str(s["ID"]) for s in found if s["Spec"]["Name"] == name), None)

    def wanted_replicas(self, name: str) -> int | None:
        """Return how many tasks a service is to have, ``None`` if there is none; manager only."""
        with self._calling(f"service inspect {name}"):
            try:
                mode = self._api.inspect_service(name)["Spec"]["Mode"]
            except docker.errors.NotFound:
                return None
        return int(mode["Replicated"]["Replicas"]) if "Replicated" in mode else len(self.members())

    def create_service(
        self,
        name: str,
        image: str,
        *,
        replicas: int,
        ports: Mapping[int, int],
        env: Mapping[str, str],
        networks: Sequence[str] = (),
        mesh: bool = True,
        stop_grace_s: float | None = None,
    ) -> None:
        """Create a replicated service; manager only.

        Args:
            name: The service's name.
            image: Tag of an image present on every node; no registry is asked for it.
            replicas: How many tasks.
            ports: Published port to target port, TCP, in ingress mode.
            env: Environment of the containers; values may be Docker templates.
            networks: Ids of overlay networks to attach it to.
            mesh: ``False`` for DNS round robin instead of a virtual address.
            stop_grace_s: How long to wait between SIGTERM and SIGKILL.
        """
        grace = None if stop_grace_s is None else int(stop_grace_s * NANOSECONDS)
        container = ContainerSpec(
            image, env=[f"{key}={value}" for key, value in env.items()], stop_grace_period=grace
        )
        template = TaskTemplate(
            container, networks=[NetworkAttachmentConfig(network) for network in networks]
        )
        with self._calling(f"service create {name}"):
            self._api.create_service(
                template,
                name=name,
                mode=ServiceMode("replicated", replicas=replicas),
                endpoint_spec=EndpointSpec(mode="vip" if mesh else "dnsrr", ports=dict(ports)),
            )

    def scale(self, name: str, replicas: int) -> None:
        """Change the number of replicas and nothing else; two calls; manager only."""
        with self._calling(f"service scale {name}={replicas}"):
            found = self._api.inspect_service(name)
            # The spec as it is, not with fetch_current_spec: that fills defaults in, which swarm
            # takes for a changed task and restarts every replica.
            spec = found["Spec"]
            self._api.update_service(
                found["ID"],
                version=found["Version"]["Index"],
                name=spec["Name"],
                labels=spec.get("Labels"),
                task_template=spec["TaskTemplate"],
                mode={"Replicated": {"Replicas": replicas}},
                update_config=spec.get("UpdateConfig"),
                rollback_config=spec.get("RollbackConfig"),
                endpoint_spec=spec.get("EndpointSpec"),
            )

    def tasks(self, service: str) -> tuple[Task, ...]:
        """Return all tasks of a service, dead ones included; manager only."""
        with self._calling(f"service ps {service}"):
            return tuple(_task(found) for found in self._api.tasks(filters={"service": service}))

    def follow_logs(self, service: str, *, tail: int | None) -> Iterator[LogLine]:
        """Yield the log lines of all replicas as the manager hands them out, without end."""
        with self._calling(f"service logs {service}"):
            stream = self._api.service_logs(
                service,
                details=True,
                follow=True,
                stdout=True,
                stderr=True,
                timestamps=True,
                tail="all" if tail is None else tail,
            )
            buffer = b""
            for chunk in stream:
                buffer += chunk
                *lines, buffer = buffer.split(b"\n")
                for line in lines:
                    yield log_line(line.decode(errors="replace"))

    def task_log(self, task: Task, *, tail: int | None, timeout_s: float) -> tuple[LogLine, ...]:
        """Return what one task has written so far; manager only.

        The docker package has no call for it.

        Raises:
            NotReady: Nothing came for ``timeout_s`` seconds: its node does not answer.
            FactUnavailable: The engine says that it could not read it.
        """
        params = {
            "details": True,
            "stdout": True,
            "stderr": True,
            "timestamps": True,
            "tail": "all" if tail is None else tail,
        }
        url = self._api._url("/tasks/{0}/logs", task.task_id)
        with self._calling(f"service logs {task.task_id}"):
            try:
                with self._api._get(url, params=params, stream=True, timeout=timeout_s) as answer:
                    self._api._raise_for_status(answer)
                    content = answer.raw.read()
            except (requests.ReadTimeout, urllib3.exceptions.ReadTimeoutError) as error:
                raise NotReady(
                    f"Waited for the log of task {task.task_id}",
                    details=f"nothing came for {timeout_s:g} s",
                ) from error
        return log_lines(content if task.tty else unframed(content))

    @contextmanager
    def _calling(self, what: str) -> Iterator[None]:
        try:
            yield
        except docker.errors.APIError as error:
            raise CommandFailed(
                f"docker {what} was refused on {self.node}",
                details=str(error.explanation or error),
                hint=f"invoke lab.ssh {self.node}",
            ) from error
        except NO_ANSWER as error:
            raise NotRunning(
                f"The Docker Engine of {self.node} does not answer",
                details=f"docker {what}: {error}",
                hint=f"invoke lab.exec {self.node} -- systemctl status docker",
            ) from error


def connect(node: str, *, config: Path, socket: Path, timeout_s: float) -> Engine:
    """Return the engine of a node, reached through its ssh connection.

    Args:
        node: A ``Host`` of the ssh_config.
        config: The lab's ssh_config.
        socket: Where to put the forwarded socket on this machine.
        timeout_s: Limit of opening the connection, if it is not open, and of each API call.
    """
    forward_socket(config, node, remote=SOCKET, local=socket, timeout_s=timeout_s)
    return Engine(node, socket, timeout_s=timeout_s)


def _task(found: dict[str, Any]) -> Task:
    status = found["Status"]
    return Task(
        task_id=found["ID"],
        slot=int(found.get("Slot", 0)),
        node_id=found.get("NodeID", ""),
        container_id=status.get("ContainerStatus", {}).get("ContainerID", ""),
        state=status["State"],
        desired=found["DesiredState"],
        error=status.get("Err", ""),
        tty=bool(found.get("Spec", {}).get("ContainerSpec", {}).get("TTY")),
    )
