"""Somebody's own swarm, looked at through an inventory: nothing is written, started or installed.

What a lab's topology promises is read here from the swarm itself, and judges only relate it.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from pathlib import Path

from lab.diagnosis.words import Typed
from lab.errors import LabError, NotRunning, UsageError
from lab.evidence import Place
from lab.facts.commands import GENTLY
from lab.facts.docker_model import PublishedPort, Service, SwarmState
from lab.facts.gather import gather_willing
from lab.facts.model import ClusterFacts, NodeFacts
from lab.hops.catalogue import JUDGES
from lab.hops.clients import of_the_owner
from lab.hops.layouts import unknown_layouts
from lab.hops.surroundings import COMING
from lab.hops.verdict import Hop
from lab.host_shell import HostShell, expect_all, open_hosts
from lab.inventory import Inventory, load_inventory
from lab.settings import pace
from lab.topology_outline import AttachedNode, AttachedService, AttachedSwarm
from lab.topology_values import Role
from lab.wait import Deadlines

LOOK_S = 60.0
"""How long one host may take to answer everything."""
NOT_PROMISED = "no exact value is promised by hosts of your own"
NOT_SENT = "no request is sent to a service of your own"
NOT_PULLED = "swarm pins images by digest, and a node without a task needs none"
NOT_ASKED: Mapping[str, str] = {
    **{j.check.id: NOT_PROMISED for j in JUDGES if j.check.id.endswith("-value")},
    **{j.check.id: NOT_SENT for j in JUDGES if j.check.hop is Hop.TRAFFIC},
    "F7-fetch": NOT_SENT,
    "F8-payload": NOT_SENT,
    "S3-image": NOT_PULLED,
}
"""The checks that are for a lab only, and why."""
NOT_SHOWN = dict.fromkeys(("H1-reserved", "T2-listens"), "sockets of sctp are not looked at")
"""The checks that look for a listening socket, and why they cannot for every protocol."""


@dataclass(frozen=True, slots=True)
class Wish:
    """Which service of which hosts is looked at.

    ``port`` is ``443`` or ``53/udp``; it may be empty when the service publishes only one.
    """

    inventory: Path
    service: str
    port: str = ""


@dataclass(frozen=True, slots=True)
class Attached:
    """Hosts that were looked at once.

    Attributes:
        name: The inventory's file name.
        place: Where further evidence may be looked for: on the hosts that answer.
        facts: What they say.
        silent: Why each other host could not be looked at.
        notes: What has to be known to read the rest, one line each.
        statement: Why there is nothing to judge; empty when there is.
        typed: How commands for the hosts are typed here.
    """

    name: str
    place: Place
    facts: ClusterFacts
    silent: Mapping[str, LabError]
    notes: tuple[str, ...]
    statement: str
    typed: Typed


@contextmanager
def attached(wish: Wish, *, all_or_none: bool = False, parallel: int = 8) -> Iterator[Attached]:
    """Look at the hosts of an inventory, ``parallel`` at a time; hold on as long as the body runs.

    Args:
        wish: What to look at.
        all_or_none: Whether one host that cannot be looked at is an error.
        parallel: How many hosts are asked at any moment.

    Raises:
        TopologyInvalid: The inventory is wrong.
        UsageError: A host is in no swarm, or the swarm has no such service or port.
        NotRunning: No host answers, or not all of them where all must.
    """
    inventory = load_inventory(wish.inventory)
    with open_hosts(inventory, parallel=parallel) as shells:
        silent: dict[str, LabError] = expect_all(shells, parallel=parallel)
        _expect_answers(wish, shells, silent, all_or_none=all_or_none)
        here = tuple(shell for shell in shells if shell.node not in silent)
        facts, unread = gather_willing(
            here,
            service=wish.service,
            plan=GENTLY,
            parallel=parallel,
            timeout_s=LOOK_S * pace(),
        )
        silent |= unread
        _expect_answers(wish, shells, silent, all_or_none=all_or_none)
        _expect_swarm(wish, facts, silent)
        yield _attach(wish, inventory, shells, facts, silent)


def _attach(
    wish: Wish,
    inventory: Inventory,
    shells: tuple[HostShell, ...],
    facts: ClusterFacts,
    silent: Mapping[str, LabError],
) -> Attached:
    port = _port(_service(facts, wish), wish)
    facts = numbered(facts)
    swarm = outline(inventory, facts, port)
    by_name = {shell.node: shell for shell in shells}
    place = Place(
        topology=swarm,
        shells={name: shell for name, shell in by_name.items() if name not in silent},
        published={},
        deadline=Deadlines(pace()),
        strangers=strangers(facts),
        left_out={
            **NOT_ASKED,
            **unknown_layouts((node.node, node.engine_version) for node in facts.nodes),
            **untold(facts),
            **(NOT_SHOWN if swarm.service.protocol == "sctp" else {}),
        },
    )
    allowed = of_the_owner(place.situation(facts))
    return Attached(
        name=wish.inventory.name,
        place=replace(place, left_out={**place.left_out, **allowed}),
        facts=facts,
        silent=silent,
        notes=(*_notes(facts, swarm), *_allowing(allowed)),
        statement=_statement(facts, swarm, port),
        typed=lambda node, line: by_name[node].typed(line),
    )


def _expect_answers(
    wish: Wish,
    shells: Sequence[HostShell],
    silent: Mapping[str, LabError],
    *,
    all_or_none: bool,
) -> None:
    if not silent or (len(silent) < len(shells) and not all_or_none):
        return
    everyone = len(silent) == len(shells)
    who = f"no host of {wish.inventory} can" if everyone else f"{', '.join(silent)} cannot"
    raise NotRunning(
        f"{who} be looked at",
        details="\n".join(f"{e.brief}\n{e.details}".strip() for e in silent.values()),
        hint=next((error.hint for error in silent.values() if error.hint), ""),
    )


def _expect_swarm(wish: Wish, facts: ClusterFacts, silent: Mapping[str, LabError]) -> None:
    outside = [n for n in facts.nodes if n.swarm.state is SwarmState.INACTIVE]
    if outside:
        names = ", ".join(node.node for node in outside)
        raise UsageError(
            f"not in a swarm: {names}",
            details="docker info says: Swarm: inactive",
            hint=f"take it out of {wish.inventory}, or let it join",
        )
    if not facts.members:
        asked = ", ".join(node.node for node in facts.nodes)
        raise UsageError(
            "no manager of the swarm answers: only managers know services and tasks",
            details="\n".join([f"looked at: {asked}", *(e.brief for e in silent.values())]),
            hint=f"name a manager in {wish.inventory}",
        )


def _service(facts: ClusterFacts, wish: Wish) -> Service:
    if facts.service is not None:
        return facts.service
    known = f"services there: {', '.join(sorted(facts.services)) or 'none'}"
    if not wish.service:
        raise UsageError("which service?", details=known, hint="--service NAME")
    raise UsageError(f"the swarm has no service named {wish.service!r}", details=known)


def _port(service: Service, wish: Wish) -> PublishedPort | None:
    """Return the published port that is meant; None when the service publishes none."""
    if not service.ports:
        return None
    number, _, protocol = wish.port.partition("/")
    fitting = [
        port
        for port in service.ports
        if number in ("", str(port.published)) and protocol in ("", port.protocol)
    ]
    if len(fitting) == 1:
        return fitting[0]
    there = ", ".join(f"{p.published}/{p.protocol}" for p in service.ports)
    what = f"does not publish {wish.port}" if wish.port and not fitting else "publishes several"
    raise UsageError(
        f"{service.name} {what}", details=f"its ports: {there}", hint="--port NUMBER[/udp]"
    )


def numbered(facts: ClusterFacts) -> ClusterFacts:
    """Return facts in which the tasks of a global service have slots: the places of their nodes.

    Swarm numbers only replicas. A task of mode global is told by its node.
    """
    ids = [node.swarm.node_id for node in facts.nodes]
    ids += sorted({m.id for m in facts.members} - {i for i in ids if i})
    places = {node_id: place for place, node_id in enumerate(ids, start=1) if node_id}
    return replace(
        facts,
        tasks=tuple(
            replace(task, slot=places.get(task.node_id or "")) if task.slot is None else task
            for task in facts.tasks
        ),
    )


def outline(
    inventory: Inventory, facts: ClusterFacts, port: PublishedPort | None
) -> AttachedSwarm:
    """Return what is known of the swarm beforehand, from the inventory and from the swarm."""
    said = {host.name: host for host in inventory.hosts}
    nodes = []
    for node in facts.nodes:
        host = said[node.node]
        member = facts.member(node)
        role = host.role or Role(str(member.role) if member else Role.WORKER)
        nodes.append(AttachedNode(node.node, role, host.address or _tunnel_end(facts, node)))
    managing = next(node.node for node in facts.nodes if node.swarm.is_manager)
    service = facts.service
    assert service is not None, "asked for before"  # noqa: S101
    tasks = [task for task in facts.tasks if task.desired_state in COMING]
    return AttachedSwarm(
        nodes=tuple(nodes),
        manager=next(node for node in nodes if node.name == managing),
        service=AttachedService(
            name=service.name,
            image=service.image,
            mode=service.mode,
            replicas=len(tasks) if service.replicas is None else service.replicas,
            protocol=port.protocol if port else "tcp",
            published_port=(port.published or 0) if port else 0,
            target_port=port.target if port else 0,
        ),
    )


def _tunnel_end(facts: ClusterFacts, node: NodeFacts) -> IPv4Address:
    """Return where the node's tunnels end: as gossip tells of its tasks, else as it advertises.

    Both differ when the swarm was made with ``--data-path-addr``.
    """
    own = {t.ingress_address for t in node.tasks if t.ingress_address is not None}
    told = (
        task.host
        for other in facts.nodes
        if other.ingress is not None
        for service in other.ingress.services
        for task in service.tasks
        if task.address in own and task.host is not None
    )
    held = next((host for host in told if node.host.interface_with(host) is not None), None)
    address = held or node.swarm.address
    if address is None:
        raise UsageError(
            f"{node.node} advertises no address", hint="give it an address in the inventory"
        )
    return address


def untold(facts: ClusterFacts) -> Mapping[str, str]:
    """Return the questions that a node cannot answer for want of ipvsadm, and why."""
    return {
        f"B16-idle@{node.node}": "only ipvsadm tells it, which is not installed there"
        if node.substitutes
        else "ipvsadm did not tell it there"
        for node in facts.nodes
        if node.sandbox is not None
        and node.sandbox.virtual_services
        and node.sandbox.timeouts is None
    }


def strangers(facts: ClusterFacts) -> tuple[IPv4Address, ...]:
    """Return the addresses of ready members that were not looked at."""
    looked_at = {node.swarm.node_id for node in facts.nodes}
    return tuple(
        member.address
        for member in facts.members
        if member.id not in looked_at and member.state == "ready" and member.address is not None
    )


def _statement(facts: ClusterFacts, swarm: AttachedSwarm, port: PublishedPort | None) -> str:
    service = swarm.service
    if port is None:
        return f"{service.name} publishes no port: the routing mesh has no part in it."
    door = f"{service.published_port}/{service.protocol}"
    if port.mode == "host":
        return (
            f"{service.name} publishes {door} in mode host: it does not use ingress. Its tasks "
            "hold the port on their own nodes, and no other node answers there."
        )
    if not service.replicas and not facts.running_tasks:
        return (
            f"{service.name} has 0 replicas: no node balances anything for {door}, and requests "
            "are refused everywhere."
        )
    return ""


def _allowing(allowed: Mapping[str, str]) -> Iterator[str]:
    """Yield which nodes' owners choose the clients."""
    yield from dict.fromkeys(f"{where.partition('@')[2]}: {why}" for where, why in allowed.items())


def _notes(facts: ClusterFacts, swarm: AttachedSwarm) -> Iterator[str]:
    for node in facts.nodes:
        for line in node.substitutes:
            yield f"{node.node}: {line}"
    looked_at = {node.swarm.node_id for node in facts.nodes}
    unseen = [m.hostname for m in facts.members if m.id not in looked_at]
    if unseen:
        yield f"members that are not looked at: {', '.join(unseen)}"
    if swarm.service.mode == "global":
        order = ", ".join(f"slot-{n} on {node.name}" for n, node in enumerate(swarm.nodes, 1))
        yield f"mode global has no slots; here they are the hosts' places: {order}"
