"""All that judges look at, and the question "is it there at all?" that comes before theirs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from lab.errors import FactUnavailable
from lab.facts.docker_model import DockerNetwork, GossipService, Service, SwarmState, SwarmTask
from lab.facts.ipvs import VirtualService
from lab.facts.model import ClusterFacts, ContainerFacts, NodeFacts, SandboxFacts, TaskFacts
from lab.hops.observations import Reach, Traffic
from lab.topology import Topology
from lab.topology_outline import NodeOutline, Outline

BRIDGE = "docker_gwbridge"
NOT_YET = "not done yet: "
"""How findings begin whose remedy is the next step of the walk-through."""
IN_SANDBOX = "nsenter --net=/var/run/docker/netns/ingress_sbox"


class Blocked(Exception):
    """What the judge wanted to look at is not there. Becomes a failed verdict.

    ``owner`` is the check whose very question this is: it fails too, and is the one to mend.
    """

    def __init__(
        self,
        found: str,
        *,
        owner: str,
        cause: str = "",
        see: str = "",
        see_on_manager: bool = False,
    ) -> None:
        super().__init__(found)
        self.found = found
        self.owner = owner
        self.cause = cause
        self.see, self.see_on_manager = see, see_on_manager


@dataclass(frozen=True, slots=True)
class Situation:
    """A lab at one moment, and what it should be; or somebody's own hosts.

    ``reach`` and ``traffic`` are None when nothing was tried: judges then raise
    ``FactUnavailable``. ``strangers`` are the addresses of members that nobody gave us to look
    at. ``left_out`` says why checks are not asked here, by id or by ``ID@SUBJECT``.
    """

    cluster: ClusterFacts
    topology: Outline
    reach: tuple[Reach, ...] | None = None
    traffic: Traffic | None = None
    strangers: tuple[IPv4Address, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)

    def why_left_out(self, check: str, subject: str) -> str | None:
        """Return why a check is not asked here, or not of this subject; None when it is."""
        return self.left_out.get(check) or self.left_out.get(f"{check}@{subject}")

    @property
    def is_lab(self) -> bool:
        """Whether everything about it was written down beforehand."""
        return isinstance(self.topology, Topology)

    @property
    def protocol(self) -> str:
        """What the published port speaks: tcp or udp."""
        return self.topology.service.protocol

    @property
    def port(self) -> int:
        """The published port."""
        return self.topology.service.published_port

    @property
    def target(self) -> int:
        """The port the application listens on."""
        return self.topology.service.target_port

    def spec(self, name: str) -> NodeOutline:
        """Return what the topology says of a node."""
        return next(node for node in self.topology.nodes if node.name == name)

    def member(self, name: str) -> NodeFacts:
        """Return a node's facts, once it is in the swarm.

        Raises:
            Blocked: It is not; the finding is the command to type.
        """
        node = self.cluster.node(name)
        if node.swarm.state is SwarmState.ACTIVE:
            return node
        if node.swarm.state is SwarmState.INACTIVE:
            raise Blocked(
                f"{NOT_YET}{self.join_command(name)}",
                owner="C1-member",
                cause="this step of the walk-through has not been taken",
                see="docker info --format '{{.Swarm.LocalNodeState}}'",
            )
        raise Blocked(
            f"the engine's swarm state is {node.swarm.state}: {node.swarm.error or 'no reason'}",
            owner="C1-member",
            cause="it cannot reach the manager at 2377, or its own state is damaged",
            see="docker info; journalctl -u docker --no-pager | tail -n 20",
        )

    def join_command(self, name: str) -> str:
        """Return what to type on a node to make it part of the swarm."""
        address = self.spec(name).address
        own = f"--advertise-addr {address} --data-path-addr {address}"
        manager = self.topology.manager
        pool = self.topology.overlay_pool
        if name == manager.name and pool is not None:
            return (
                f"docker swarm init {own} --default-addr-pool {pool.subnet} "
                f"--default-addr-pool-mask-length {pool.prefix_length}"
            )
        return f"docker swarm join {own} --token TOKEN {manager.address}:2377"

    def manager(self) -> NodeFacts:
        """Return the manager's facts; see ``member`` for what is raised."""
        return self.member(self.topology.manager.name)

    def service(self) -> Service:
        """Return the service, once it is created.

        Raises:
            Blocked: There is no swarm or no service yet; the finding is the command to type.
        """
        self.manager()
        if self.cluster.service is not None:
            return self.cluster.service
        wanted = self.topology.service
        raise Blocked(
            f"{NOT_YET}docker service create --replicas {wanted.replicas} "
            f'--name="{wanted.name}" -p {wanted.published_port}:{wanted.target_port} '
            f"{wanted.image}",
            owner="S1-replicas",
            cause="this step of the walk-through has not been taken, on the manager",
            see="docker service ls",
            see_on_manager=True,
        )

    def published(self, name: str) -> NodeFacts:
        """Return a node's facts, once the node is a member and the service exists."""
        self.service()
        return self.member(name)

    def served(self, name: str) -> NodeFacts:
        """Return a node's facts, once it publishes the service's port: as long as a task runs.

        Raises:
            Blocked: No task runs behind the mesh; dockerd then takes the port's rules away.
        """
        found = self.published(name)
        self._expect_backends()
        return found

    def bridge(self, name: str) -> DockerNetwork:
        """Return a node's docker_gwbridge.

        Raises:
            Blocked: The network does not exist there.
        """
        found = self.cluster.node(name).bridge
        if found is None:
            raise Blocked(
                f"the network {BRIDGE} does not exist",
                owner="H9-bridge",
                cause="it is made before `docker swarm init`, or by it",
                see="docker network ls",
            )
        return found

    def ingress(self, name: str) -> DockerNetwork:
        """Return the ingress network as a node sees it.

        Raises:
            Blocked: This node has no such network.
        """
        found = self.member(name).ingress
        if found is None:
            raise Blocked(
                "the network ingress does not exist on this node",
                owner="C8-gossip",
                cause="it was removed (docker network rm ingress), or never came from the manager",
                see="docker network ls; journalctl -u docker --no-pager | tail -n 20",
            )
        return found

    def sandbox(self, name: str) -> SandboxFacts:
        """Return the hidden sandbox of a node.

        Raises:
            Blocked: The node has none.
        """
        found = self.member(name).sandbox
        if found is None:
            self.ingress(name)
            raise Blocked(
                "there is no namespace ingress_sbox on this node",
                owner="H10-address",
                cause="the ingress network is gone, or dockerd failed to build its sandbox",
                see="ls /var/run/docker/netns; journalctl -u docker --no-pager | tail -n 20",
            )
        return found

    def sandbox_address(self, name: str) -> IPv4Address:
        """Return the address of ``ingress-sbox`` on docker_gwbridge.

        Raises:
            Blocked: The bridge has no such endpoint.
        """
        self.bridge(name)
        found = self.member(name).sandbox_address
        if found is None:
            self.ingress(name)
            raise Blocked(
                f"{BRIDGE} has no endpoint ingress-sbox",
                owner="H10-address",
                cause="the ingress sandbox was not built, or lost its gateway",
                see=f"docker network inspect {BRIDGE}",
            )
        return found

    def ingress_address(self, name: str) -> IPv4Address:
        """Return the node's own address on the ingress network.

        Raises:
            Blocked: The ingress network has no endpoint ingress-sbox there.
        """
        self.ingress(name)
        found = self.member(name).ingress_address
        if found is None:
            raise Blocked(
                "the ingress network has no endpoint ingress-sbox on this node",
                owner="B10-own-address",
                cause="the ingress sandbox was not built",
                see="docker network inspect ingress",
            )
        return found

    def vip(self) -> IPv4Address:
        """Return the service's virtual address on the ingress network.

        Raises:
            Blocked: It has none.
        """
        self.service()
        found = self.cluster.virtual_address
        if found is None:
            raise Blocked(
                "the service has no virtual address on the ingress network",
                owner="S5-vip",
                cause="it publishes no port in mode ingress, or its endpoint mode is dnsrr",
                see=f"docker service inspect {self.topology.service.name}",
                see_on_manager=True,
            )
        return found

    def known_mark(self, name: str) -> int:
        """Return the mark dockerd on this node gave the service, by its own account.

        Raises:
            Blocked: This dockerd balances nothing for the service.
        """
        return self._gossip(name).fwmark

    def balancer(self, name: str) -> VirtualService:
        """Return the IPVS service this node's dockerd made for the service.

        Raises:
            Blocked: The kernel has no IPVS service with that mark.
        """
        mark = self.known_mark(name)
        found = self.sandbox(name).virtual_service(mark)
        if found is None:
            held = self.sandbox(name).virtual_services
            marks = ", ".join(str(s.fwmark) for s in held if s.fwmark is not None)
            raise Blocked(
                f"IPVS holds no service for mark {mark}; it holds: {marks or 'none'}",
                owner="B4-ipvs",
                cause="the IPVS table was cleared, or ip_vs could not be loaded",
                see=f"{IN_SANDBOX} ipvsadm -Ln",
            )
        return found

    def task(self, slot: int) -> SwarmTask:
        """Return the running task of a slot.

        Raises:
            Blocked: Nothing runs there; the finding holds the last task's error.
        """
        self.service()
        mine = [task for task in self.cluster.tasks if task.slot == slot]
        running = next((task for task in mine if task.is_running), None)
        if running is not None:
            return running
        last = "; ".join(f"{t.state} {t.error or t.message}".strip() for t in mine[:3])
        raise Blocked(
            f"no task runs in slot {slot} ({last or 'there never was one'})",
            owner="S1-replicas",
            cause="it was killed and swarm is starting another, its program ends, its image is "
            "missing on the node, or no node is free",
            see=f"docker service ps --no-trunc {self.topology.service.name}",
            see_on_manager=True,
        )

    def local(self, slot: int) -> TaskFacts:
        """Return the container of a slot, as its own node shows it.

        Raises:
            Blocked: Nothing runs there, or not on a node of this lab.
        """
        task = self.task(slot)
        node = self.cluster.node_of(task)
        container = task.container_id
        held = node.tasks if node is not None else ()
        found = next((t for t in held if t.container.id == container), None)
        if found is None:
            where = node.node if node is not None else f"node {task.node_id}"
            raise Blocked(
                f"the swarm says slot {slot} runs on {where}, which has no such container",
                owner="S2-placed",
                cause="the node died, or the container was removed behind swarm's back",
                see=f"docker service ps --no-trunc {self.topology.service.name}",
                see_on_manager=True,
            )
        return found

    def namespace(self, slot: int) -> ContainerFacts:
        """Return the network namespace of a slot's container.

        Raises:
            Blocked: No namespace of its node holds its ingress address.
        """
        local = self.local(slot)
        if local.namespace is None:
            raise Blocked(
                f"no namespace on the node holds the task's address {local.ingress_address}",
                owner="T3-address",
                cause="the container lost its interface on the ingress network",
                see="docker ps; ls /var/run/docker/netns",
            )
        return local.namespace

    def reach_of(self, name: str) -> Reach:
        """Return what was tried from a node.

        Raises:
            FactUnavailable: Nothing was tried.
        """
        self.member(name)
        found = next((r for r in self.reach or () if r.node == name), None)
        if found is None:
            raise FactUnavailable(f"nothing was probed from {name}", hint="pytest checks/")
        return found

    def sent(self) -> Traffic:
        """Return the traffic that was sent.

        Raises:
            Blocked: There is no service to send to.
            FactUnavailable: Nothing was sent.
        """
        self.service()
        if self.traffic is None:
            raise FactUnavailable("no traffic was sent", hint="pytest checks/test_traffic.py")
        return self.traffic

    def _gossip(self, name: str) -> GossipService:
        wanted = self.service().name
        services = self.ingress(name).services
        found = next((s for s in services if s.name == wanted), None)
        if found is None:
            self._expect_backends()
            known = ", ".join(s.name for s in services) or "no service"
            raise Blocked(
                f"this node never learned of {wanted}; it knows: {known}",
                owner="S7-same-service",
                cause="gossip on 7946 tcp and udp is cut between this node and the tasks' nodes",
                see="docker network inspect --verbose ingress",
            )
        return found

    def _expect_backends(self) -> None:
        """Raise Blocked if swarm itself has no task for the published port to lead to."""
        if self.cluster.backend_addresses:
            return
        running = self.cluster.running_tasks
        raise Blocked(
            f"no task {'is on the ingress network' if running else 'runs'}: no port is published",
            owner="S4-port" if running else "S1-replicas",
            cause="the program ends as soon as it is started, no node may run it, or mode=host",
            see=f"docker service ps --no-trunc {self.topology.service.name}",
            see_on_manager=True,
        )
