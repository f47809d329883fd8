"""Hop "service": what the swarm was asked to run, and what runs."""

from lab.hops.judge import judge, slot_name, slot_number
from lab.hops.situation import Situation
from lab.hops.surroundings import COMING, slots
from lab.hops.verdict import Check, Finding, Hop, Scope

RESTARTING = (
    "a task was killed or its program ended, and swarm is starting another: look again in some "
    "seconds; if it ends again and again, the evidence says why"
)


@judge(
    Check(
        "S1-replicas",
        Hop.SERVICE,
        Scope.SWARM,
        "as many tasks run as replicas are wanted",
        cause="a task was killed or its program ended, the image is missing on a node, or a node "
        "is down",
        see="docker service ps --no-trunc {service}",
    )
)
def replicas_run(situation: Situation, _: str) -> Finding:
    """Compare topology, service and running tasks: all three say the same number."""
    service = situation.service()
    wanted = situation.topology.service.replicas
    mode = situation.topology.service.mode
    asked = wanted if mode == "global" else service.replicas
    running = situation.cluster.running_tasks
    errors = tuple(
        f"{slot_name(t.slot or 0)}: {t.state} {t.error}"
        for t in situation.cluster.tasks
        if t.error
    )
    held = {t.slot for t in running}
    return Finding(
        ok=service.mode == mode and asked == wanted == len(running) == len(held),
        expected=f"{wanted} replicas asked for, {wanted} running, each in its own slot",
        found=f"mode {service.mode}, {asked} asked for, {len(running)} running "
        f"in {len(held)} slots",
        evidence=errors,
        cause=RESTARTING if _is_restarting(situation) else "",
    )


def _is_restarting(situation: Situation) -> bool:
    """Say whether swarm is starting another task in every slot whose task ended."""
    tasks = situation.cluster.tasks
    wanted = slots(situation)
    empty = set(wanted) - {task.slot for task in situation.cluster.running_tasks}
    ended = {task.slot for task in tasks if task.error}
    coming = {t.slot for t in tasks if t.desired_state in COMING and not t.error}
    return bool(empty) and empty <= ended & coming


@judge(
    Check(
        "S2-placed",
        Hop.SERVICE,
        Scope.SLOT,
        "the slot's task runs on a node of the lab that really holds its container",
        cause="the swarm's picture is older than the node's: a container or a node was lost",
        see="docker ps",
    )
)
def task_is_placed(situation: Situation, subject: str) -> Finding:
    """Follow the task from the swarm's word to a running container."""
    local = situation.local(slot_number(subject))
    return Finding(
        ok=local.container.state == "running",
        expected="a running container",
        found=f"{local.container.name} is {local.container.state}",
    )


@judge(
    Check(
        "S3-image",
        Hop.SERVICE,
        Scope.NODE,
        "the node holds the very image the manager holds",
        cause="without a registry each node needs the image loaded: docker load",
        see="docker images --no-trunc {image}",
    )
)
def image_is_the_same(situation: Situation, name: str) -> Finding:
    """Compare image ids: equal names prove nothing."""
    image = situation.topology.service.image
    wanted = situation.cluster.node(situation.topology.manager.name).image_id(image)
    found = situation.cluster.node(name).image_id(image)
    return Finding(
        ok=found is not None and found == wanted,
        expected=f"{image} is {wanted or 'an image the manager holds'}",
        found=found or f"no image {image}",
    )


@judge(
    Check(
        "S4-port",
        Hop.SERVICE,
        Scope.SWARM,
        "the service publishes the port through the routing mesh",
        cause="it was created with another -p, or with mode=host, which passes the mesh by",
        see="docker service inspect {service} --format '{{json .Endpoint.Ports}}'",
    )
)
def port_is_published(situation: Situation, _: str) -> Finding:
    """Look for PUBLISHED:TARGET in mode ingress, and the VIP endpoint mode it needs."""
    service = situation.service()
    ports = [f"{p.published}:{p.target}/{p.protocol} mode {p.mode}" for p in service.ports]
    wanted = f"{situation.port}:{situation.target}/{situation.protocol} mode ingress"
    return Finding(
        ok=wanted in ports and service.endpoint_mode == "vip",
        expected=f"{wanted}, endpoint mode vip",
        found=f"{', '.join(ports) or 'no port'}, endpoint mode {service.endpoint_mode}",
    )


@judge(
    Check(
        "S5-vip",
        Hop.SERVICE,
        Scope.SWARM,
        "the service has one virtual address, inside the ingress network",
        cause="it publishes no port, or its endpoint mode is dnsrr",
        see="docker service inspect {service} --format '{{json .Endpoint.VirtualIPs}}'",
    )
)
def vip_is_in_ingress(situation: Situation, _: str) -> Finding:
    """Relate the VIP to the network it lives in and to the tasks' addresses."""
    vip = situation.vip()
    subnets = situation.ingress(situation.topology.manager.name).subnets
    taken = vip in situation.cluster.backend_addresses
    return Finding(
        ok=any(vip in subnet for subnet in subnets) and not taken,
        expected=f"an address in {', '.join(map(str, subnets))} that no task has",
        found=f"{vip}{', which a task has too' if taken else ''}",
    )


@judge(
    Check(
        "S6-vip-value",
        Hop.SERVICE,
        Scope.SWARM,
        "the virtual address is the one the topology promises",
        cause="addresses are handed out in order: the service was created before all nodes had "
        "joined, or is not the first one",
        see="docker service inspect {service} --format '{{json .Endpoint.VirtualIPs}}'",
    )
)
def vip_is_as_promised(situation: Situation, _: str) -> Finding:
    """Compare with ``expected.vip``, where the topology declares it."""
    wanted = situation.topology.expected.vip
    found = situation.vip()
    return Finding(ok=wanted in (None, found), expected=_declared(wanted), found=str(found))


@judge(
    Check(
        "S7-same-service",
        Hop.SERVICE,
        Scope.NODE,
        "the node's gossip tells the same virtual address and tasks as the manager",
        cause="gossip on 7946 has not converged, or is cut: look at C8-gossip",
        see="docker network inspect --verbose ingress",
    )
)
def gossip_tells_the_same(situation: Situation, name: str) -> Finding:
    """Compare what this node learned with what the manager decided."""
    wanted = situation.service()
    learned = next((s for s in situation.ingress(name).services if s.name == wanted.name), None)
    tasks = sorted(t.address for t in learned.tasks) if learned else []
    backends = sorted(situation.cluster.backend_addresses)
    vip = learned.virtual_address if learned else None
    return Finding(
        # Gossip carries tasks, and with each the service: without a task there is neither.
        ok=tasks == backends and (vip == situation.vip() or not backends),
        expected=f"{situation.vip()} for {', '.join(map(str, backends)) or 'no task'}",
        found=f"{vip} for {', '.join(map(str, tasks))}" if learned else "it never learned of it",
    )


def _declared(value: object) -> str:
    return "nothing promised" if value is None else str(value)


JUDGES = (
    replicas_run,
    task_is_placed,
    image_is_the_same,
    port_is_published,
    vip_is_in_ingress,
    vip_is_as_promised,
    gossip_tells_the_same,
)
