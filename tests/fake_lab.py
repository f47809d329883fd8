"""A lab without machines: a provider, and engines that share one swarm in memory.

Only machines, dockerd and the network between nodes are made up. What `lab` does with them is
what it does with real ones, including the requests it sends from this machine.
"""

import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer

from lab.access import Access
from lab.docker_api import Engine, Member, SwarmStatus, Task
from lab.errors import LabError
from lab.home import LabHome, LabState, lab_home
from lab.node import Node
from lab.providers import Machines, MachineState, Snapshots
from lab.service import GET
from lab.shell import CommandResult
from lab.steps import Steps
from lab.topology import NodeSpec, Topology


@dataclass
class Cluster:
    """All dockerds of a lab, and what happened to them."""

    log: list[str] = field(default_factory=list)
    images: set[str] = field(default_factory=set)
    bridges: set[str] = field(default_factory=set)
    swarms: dict[str, str] = field(default_factory=dict)
    services: dict[str, int] = field(default_factory=dict)
    failing: dict[str, BaseException] = field(default_factory=dict)
    requests: Counter[str] = field(default_factory=Counter)

    def did(self, node: str, what: str) -> None:
        """Note an event, and let it fail if a test wants that."""
        self.log.append(f"{node}: {what}")
        if what in self.failing:
            raise self.failing[what]

    def answer(self, way_in: str) -> str:
        """Return what node-test answers: the replicas take turns at every way in."""
        replicas = self.services.get("hello-a", 0)
        if not replicas:
            return ""
        self.requests[way_in] += 1
        return json.dumps({"hostname": f"replica-{self.requests[way_in] % replicas}"})

    def begin_again(self) -> None:
        """Be the dockerds of new machines."""
        for kept in (self.images, self.bridges, self.swarms, self.services):
            kept.clear()


class FakeEngine(Engine):
    """The engine of one node of the cluster."""

    def __init__(self, node: str, cluster: Cluster) -> None:
        super().__init__(node, Path("/nowhere.sock"), timeout_s=1)
        self._cluster = cluster

    def version(self) -> str:
        return "26.1.5+dfsg1"

    def has_network(self, name: str) -> bool:
        return self.node in self._cluster.bridges

    def create_bridge(self, name: str, subnet: IPv4Network, gateway: IPv4Address) -> None:
        self._cluster.did(self.node, "bridge")
        self._cluster.bridges.add(self.node)

    def create_overlay(self, name: str) -> str:
        return f"id-{name}"

    def image_id(self, tag: str) -> str | None:
        return "sha256:1234" if self.node in self._cluster.images else None

    def swarm(self) -> SwarmStatus:
        manager = self._cluster.swarms.get(self.node)
        return SwarmStatus(
            state="active" if manager else "inactive",
            node_id=f"id-{self.node}" if manager else "",
            manager=manager == self.node,
            cluster_id="",
            remote_managers=(f"{manager}:2377",) if manager else (),
        )

    def init_swarm(self, address: IPv4Address, pool: IPv4Network, prefix_length: int) -> None:
        self._cluster.did(self.node, "init")
        self._cluster.swarms[self.node] = self.node

    def worker_token(self) -> str:
        return "SWMTKN-1-secret"

    def join_swarm(self, manager: IPv4Address, token: str, address: IPv4Address) -> None:
        assert token == "SWMTKN-1-secret"
        self._cluster.did(self.node, "join")
        self._cluster.swarms[self.node] = str(manager)

    def leave_swarm(self) -> None:
        self._cluster.did(self.node, "leave")
        del self._cluster.swarms[self.node]

    def members(self) -> tuple[Member, ...]:
        return tuple(
            Member(f"id-{node}", node, "ready", "active", leader=node == self.node)
            for node in self._cluster.swarms
        )

    def service_id(self, name: str) -> str | None:
        return f"id-{name}" if name in self._cluster.services else None

    def wanted_replicas(self, name: str) -> int | None:
        return self._cluster.services.get(name)

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
        self._cluster.did(self.node, f"create {name}")
        if name != "earlier":
            self._cluster.services[name] = replicas

    def scale(self, name: str, replicas: int) -> None:
        self._cluster.did(self.node, f"scale {name}={replicas}")
        self._cluster.services[name] = replicas

    def tasks(self, service: str) -> tuple[Task, ...]:
        running = Task("t", 0, f"id-{self.node}", "c", "running", "running", "")
        count = self._cluster.services.get(service, 1)
        return tuple(replace(running, task_id=f"t{n}", slot=n + 1) for n in range(count))


@dataclass
class ClusterShell:
    """A shell on one node: knows the commands that bring a service up and look at it."""

    node: str
    cluster: Cluster

    def run(self, command: str, *, timeout_s: float = 60.0) -> CommandResult:
        if "/images/load" in command:
            self.cluster.did(self.node, "load image")
            self.cluster.images.add(self.node)
            return CommandResult(command, 0, "", "")
        if command.endswith("/_ping"):
            self.cluster.did(self.node, "ping")
            return CommandResult(command, 0, "OK", "")
        assert command.startswith(GET), command
        requests = command.count("http://127.0.0.1:")
        if not self.cluster.services.get("hello-a"):
            return CommandResult(command, 28, "", "curl: (28) Operation timed out\n")
        answers = [self.cluster.answer(self.node) for _ in range(requests)]
        return CommandResult(command, 0, "\n".join(answers) + "\n", "")


class FakeProvider:
    """A provider whose machines are two servers of this process: an ssh banner and node-test."""

    name = "fake"

    def __init__(self, servers: "Servers") -> None:
        self.snapshots: Snapshots | None = None
        self.cluster = servers.cluster = Cluster()
        self.alive: set[tuple[str, str]] = set()
        self.pace = 1.0
        self._servers = servers

    def preflight(self, topology: Topology, lab: LabState | None = None) -> None:
        self.cluster.did("provider", "preflight")

    def prepare(self, steps: Steps) -> None:
        self.cluster.did("provider", "prepare")

    def create(self, home: LabHome, topology: Topology, steps: Steps) -> Machines:
        machines = self.begin(home, topology)
        self.cluster.did("provider", "create")
        return machines

    def begin(self, home: LabHome, topology: Topology) -> Machines:
        """Bring machines of a topology to life on which nothing has happened yet."""
        # One that is to be copied lives below its lab, whose state this is.
        state = lab_home(home.name).load()
        assert state.reached is None, "the state is written before anything is made"
        assert not self.lives(home.name), "the machines before are gone"
        self.cluster.begin_again()
        home.runtime.mkdir(exist_ok=True)
        for node in topology.nodes:
            home.node_dir(node.name).mkdir(parents=True)
            self.alive.add((home.name, node.name))
        access = {node.name: self._access(home, node) for node in topology.nodes}
        return Machines(access, self.pace, "no machine at all")

    def lives(self, lab: str) -> list[str]:
        """Return the nodes of a lab whose machines run."""
        return sorted(node for name, node in self.alive if name == lab)

    def destroy(self, home: LabHome) -> None:
        self.cluster.did("provider", "destroy")
        self.alive = {machine for machine in self.alive if machine[0] != home.name}

    def states(self, home: LabHome, topology: Topology) -> Mapping[str, MachineState]:
        return {
            node.name: MachineState((home.name, node.name) in self.alive, 300.0, 40.0)
            for node in topology.nodes
        }

    def console(self, home: LabHome, node: str) -> Path | None:
        return home.node_dir(node) / "console.log"

    @contextmanager
    def connect(self, home: LabHome, state: LabState) -> Iterator[tuple[Node, ...]]:
        """Stands in for `lab.node.connected`."""
        if "connect" in self.cluster.failing:
            raise self.cluster.failing["connect"]
        engines = [FakeEngine(node.name, self.cluster) for node in state.topology.nodes]
        try:
            yield tuple(map(self._node, state.topology.nodes, engines))
        finally:
            for engine in engines:
                engine.close()

    def _node(self, spec: NodeSpec, engine: FakeEngine) -> Node:
        shell = ClusterShell(spec.name, self.cluster)
        return Node(spec, shell, engine, self._entry(spec))

    def _entry(self, spec: NodeSpec) -> str:
        port = self._servers.entry_ports[0 if spec.role == "manager" else 1]
        return f"127.0.0.1:{port}"

    def _access(self, home: LabHome, spec: NodeSpec) -> Access:
        return Access(
            host="127.0.0.1",
            port=self._servers.ssh_port,
            user="root",
            identity_file=home.path / "id",
            known_hosts=home.path / "known_hosts",
            entry=self._entry(spec),
        )


@dataclass
class Servers:
    """An ssh banner, and node-test for the manager and for the workers, on this machine."""

    ssh_port: int = 0
    entry_ports: Sequence[int] = ()
    cluster: Cluster = field(default_factory=Cluster)


@contextmanager
def serving() -> Iterator[Servers]:
    """Serve what machines would for as long as the body runs."""
    found = Servers()

    class Banner(BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(b"SSH-2.0-fake\r\n")

    class NodeTest(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = found.cluster.answer(self.headers["Host"]).encode()
            self.send_response(200 if body else 503)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Nobody wants to read this."""

    banner, *entries = servers = (
        ThreadingTCPServer(("127.0.0.1", 0), Banner),
        ThreadingHTTPServer(("127.0.0.1", 0), NodeTest),
        ThreadingHTTPServer(("127.0.0.1", 0), NodeTest),
    )
    found.ssh_port = banner.server_address[1]
    found.entry_ports = [server.server_address[1] for server in entries]
    threads = [
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        for server in servers
    ]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()


def refusing(what: str, error: BaseException | None = None) -> dict[str, BaseException]:
    """Return what a cluster is to fail at."""
    return {what: error or LabError(f"{what} was refused")}
