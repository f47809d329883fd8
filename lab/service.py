"""The published service: deploying it, and making sure that every way in reaches all replicas."""

import http.client
import json
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from lab.errors import CommandFailed, UnreadableOutput
from lab.node import Node
from lab.parallel import on_all
from lab.shell import Shell
from lab.topology import ServiceSpec
from lab.wait import Deadlines, wait_until

if TYPE_CHECKING:  # it loads half a second's worth of libraries
    from lab.docker_api import Engine, Task

TEMPLATES = {
    "SERVICE": "{{.Service.Name}}",
    "SLOT": "{{.Task.Slot}}",
    "TASK": "{{.Task.Name}}",
    "NODE": "{{.Node.Hostname}}",
}
"""What a container is told about itself; swarm fills the templates in (docker service create)."""

DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Opens addresses of this machine, which no proxy of the environment could reach."""

ENDED = frozenset({"complete", "failed", "rejected", "remove", "orphaned", "shutdown"})


GET = (
    "if [ -x /bin/busybox ]; then set -- busybox wget -q -T 5 -O -; "
    "else set -- curl -sS --max-time 5 -H 'Connection: close'; fi; \"$@\""
)
"""Fetches URLs, each on a connection of its own. busybox is linked statically: an emulated
processor starts it in a tenth of the time that curl's thirty libraries take."""


class Doorway(Protocol):
    """A node as requests go through it.

    ``entry`` is ``host:port`` on this machine through which a request enters at this node.
    """

    @property
    def name(self) -> str:
        """The node's name."""

    @property
    def shell(self) -> Shell:
        """Runs commands on it."""

    @property
    def entry(self) -> str:
        """Where a request enters."""


@dataclass(frozen=True, slots=True)
class Replica:
    """One wanted task of the service: its slot, the node it is on and how it is."""

    slot: int
    node: str
    state: str
    error: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One way into the ingress: from where a request is sent and which hosts answered it."""

    origin: str
    answered_by: tuple[str, ...]


def deploy(manager: Node, spec: ServiceSpec, deadline: Deadlines) -> "tuple[Task, ...]":
    """Create the service unless it exists; return its running tasks.

    A service of that name that is already there is left alone, whatever its options and however
    many replicas it has: a student may have typed it.
    """
    wanted = manager.engine.wanted_replicas(spec.name)
    if wanted is None:
        wanted = spec.replicas
        manager.engine.create_service(
            spec.name,
            spec.image,
            replicas=wanted,
            ports={spec.published_port: spec.target_port},
            env=TEMPLATES,
        )
    return await_running(manager.engine, spec.name, wanted, deadline)


def await_running(
    engine: "Engine", service: str, replicas: int, deadline: Deadlines
) -> "tuple[Task, ...]":
    """Wait until exactly ``replicas`` tasks are wanted and running; return them.

    Raises:
        NotReady: The deadline passed; the details hold the tasks and their errors.
    """
    tasks = wait_until(
        lambda: engine.tasks(service),
        lambda found: _running(found) == replicas and not _leaving(found),
        what=f"{replicas} running replicas of {service}",
        timeout_s=deadline(30),
        hint=f"invoke lab.exec {engine.node} -- docker service ps --no-trunc {service}",
    )
    return tuple(task for task in tasks if task.state == "running")


def replicas(engine: "Engine", service: str) -> tuple[Replica, ...]:
    """Return the wanted replicas of a service by slot; none if it does not exist; manager only."""
    if engine.service_id(service) is None:
        return ()
    hostnames = {member.node_id: member.hostname for member in engine.members()}
    return tuple(
        Replica(task.slot, hostnames.get(task.node_id, "?"), task.state, task.error)
        for task in sorted(engine.tasks(service), key=lambda task: task.slot)
        if task.desired not in ENDED
    )


def await_entries(
    nodes: Sequence[Doorway], spec: ServiceSpec, deadline: Deadlines, *, base_s: float = 15.0
) -> tuple[Entry, ...]:
    """Wait until requests are answered by all replicas, from each node and from this machine.

    Each round sends as many fresh connections as there are replicas through every way in, twice
    in a row: right after a start gossip may still be on its way to one of the nodes.

    Args:
        nodes: Where to send from, and through.
        spec: The service.
        deadline: Scales the deadline.
        base_s: How long it may take on real hardware.

    Raises:
        NotReady: Some way in did not reach all replicas; the details say which.
    """
    count = max(2, spec.replicas)

    def probe() -> tuple[Entry, ...]:
        inside = on_all(nodes, lambda node: ask_from_node(node.shell, spec.published_port, count))
        outside = on_all(nodes, lambda node: ask_from_here(node.name, node.entry, count))
        return (*inside, *outside)

    return wait_until(
        probe,
        lambda entries: all(len(set(e.answered_by)) >= spec.replicas for e in entries),
        what=f"all {spec.replicas} replicas to answer from everywhere",
        timeout_s=deadline(base_s),
        successes=2,
        hint="pytest checks/",
    )


def ask_from_node(shell: Shell, port: int, count: int) -> Entry:
    """Send ``count`` requests, each on a connection of its own, from a node to itself.

    Raises:
        CommandFailed: A request was not answered in time.
    """
    url = f"http://127.0.0.1:{port}/"
    done = shell.run(f"{GET} {' '.join([url] * count)}", timeout_s=60)
    if done.exit_code:
        raise CommandFailed(f"{url} did not answer on {shell.node}", details=done.stderr.strip())
    return Entry(f"{shell.node} ({url})", tuple(map(_hostname, done.stdout.splitlines())))


def ask_from_here(node: str, entry: str, count: int) -> Entry:
    """Send ``count`` requests from this machine through the entry of a node.

    Raises:
        CommandFailed: A request was not answered in time.
    """
    url = f"http://{entry}/"
    answers = []
    for _ in range(count):
        try:
            with DIRECTLY.open(url, timeout=10) as answer:
                answers.append(_hostname(answer.read().decode(errors="replace")))
        except (OSError, http.client.HTTPException) as error:
            raise CommandFailed(
                f"{url} (through {node}) did not answer", details=str(error)
            ) from error
    return Entry(f"this machine ({url}, through {node})", tuple(answers))


def _hostname(line: str) -> str:
    try:
        answer: Any = json.loads(line)
        return str(answer["hostname"])
    except (ValueError, TypeError, KeyError) as error:
        raise UnreadableOutput(
            "The service's answer is not node-test's",
            details=line[:200],
            hint="see node-test/README.md",
        ) from error


def _running(tasks: "Sequence[Task]") -> int:
    return sum(task.state == "running" and task.desired == "running" for task in tasks)


def _leaving(tasks: "Sequence[Task]") -> bool:
    return any(task.desired in ENDED and task.state not in ENDED for task in tasks)
