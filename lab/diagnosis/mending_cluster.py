"""Repairs of the swarm itself and of the service."""

from collections.abc import Iterator, Mapping

from lab.diagnosis.mending import ANEW, RESTART, Mend, deletions, dropping, publishing
from lab.diagnosis.model import Repair
from lab.hops.situation import NOT_YET, Situation
from lab.hops.verdict import Verdict

LEAVES = "the node leaves the swarm; its tasks move"


def mend_member(situation: Situation, verdict: Verdict) -> Iterator[Repair]:
    """Join, activate or wake the node."""
    node = situation.cluster.node(verdict.node)
    manager = situation.topology.manager.name
    if verdict.found.startswith(NOT_YET):
        yield from _type_the_step(situation, verdict)
        return
    member = situation.cluster.member(node)
    if member is None:
        yield from _join_again(situation, verdict)
    elif member.availability != "active":
        yield Repair(manager, f"docker node update --availability active {member.hostname}")
    else:
        yield Repair(verdict.node, RESTART, ANEW)


def mend_leader(situation: Situation, _: Verdict) -> Iterator[Repair]:
    """Make the topology's manager one."""
    name = situation.topology.manager.name
    leader = next((m.hostname for m in situation.cluster.members if m.is_leader), name)
    yield Repair(leader, f"docker node promote {name}")
    if leader != name:
        yield Repair(leader, f"docker node demote {leader}", "another manager takes the lead")


def mend_roles(situation: Situation, _: Verdict) -> Iterator[Repair]:
    """Remove strangers and entries left over, and give members their roles."""
    if not situation.is_lab:  # who belongs to somebody's own swarm is theirs to say
        return
    wanted = {node.name: str(node.role) for node in situation.topology.nodes}
    here = {node.swarm.node_id for node in situation.cluster.nodes}
    manager = situation.topology.manager.name
    for member in situation.cluster.members:
        if member.id not in here:
            yield Repair(manager, f"docker node rm --force {member.id}")
        elif wanted.get(member.hostname, str(member.role)) != str(member.role):
            word = "promote" if wanted[member.hostname] == "manager" else "demote"
            yield Repair(manager, f"docker node {word} {member.hostname}")


def mend_advertise(situation: Situation, verdict: Verdict) -> Iterator[Repair]:
    """Leave and join with the right address."""
    if verdict.node != situation.topology.manager.name:
        yield from _join_again(situation, verdict)


def mend_control(situation: Situation, verdict: Verdict) -> Iterator[Repair]:
    """Delete the rules that drop."""
    rules = situation.cluster.node(verdict.node).host.rules
    yield from deletions(verdict.node, dropping(rules, verdict))


def mend_link(situation: Situation, verdict: Verdict) -> Iterator[Repair]:
    """Set the interface up, or give it its address."""
    address = situation.spec(verdict.node).address
    host = situation.cluster.node(verdict.node).host
    link = host.interface_with(address)
    if link is not None:
        yield Repair(verdict.node, f"ip link set {link.name} up")
        return
    bare = [
        i.name
        for i in host.interfaces
        if i.kind is None and i.name != "lo" and not any(a.version == 4 for a in i.addresses)
    ]
    known = situation.topology.link
    length = known.subnet.prefixlen if known is not None else "PREFIX"
    for name in bare[:1]:
        yield Repair(verdict.node, f"ip addr add {address}/{length} dev {name}")
        yield Repair(verdict.node, f"ip link set {name} up")


def restart(_: Situation, verdict: Verdict) -> Iterator[Repair]:
    """Let dockerd make everything anew on this node."""
    yield Repair(verdict.node, RESTART, ANEW)


def mend_gossip(situation: Situation, verdict: Verdict) -> Iterator[Repair]:
    """Make the ingress network again where it is gone, else let this node join gossip anew."""
    cluster = situation.cluster
    if all(node.ingress is None for node in cluster.nodes):
        service = situation.topology.service
        manager = situation.topology.manager.name
        yield Repair(manager, "docker network create --driver overlay --ingress ingress")
        yield Repair(manager, f"docker service update --force {service.name}")
        return
    yield from restart(situation, verdict)


def mend_backends_of_iptables(situation: Situation, verdict: Verdict) -> Iterator[Repair]:
    """Empty the tables of iptables' other kind; what nft made is for whoever made it to judge."""
    if verdict.evidence and all("use 'nft' tool" in warning for warning in verdict.evidence):
        return
    used = situation.cluster.node(verdict.node).host.rules.backend
    other = "iptables-legacy" if used == "nf_tables" else "iptables-nft"
    note = f"look first: {other}-save shows what somebody made with the other tool"
    for table in ("filter", "nat", "mangle"):
        yield Repair(verdict.node, f"{other} -t {table} -F", note)
        note = ""
    if other == "iptables-legacy":
        yield Repair(
            verdict.node,
            "modprobe -r iptable_filter iptable_nat iptable_mangle iptable_raw",
            "empty tables still count as a second backend",
        )


def mend_replicas(situation: Situation, verdict: Verdict) -> Iterator[Repair]:
    """Ask for the right number, or have every task made anew."""
    wanted = situation.topology.service
    manager = situation.topology.manager.name
    found = situation.cluster.service
    if verdict.found.startswith(NOT_YET):
        yield from _type_the_step(situation, verdict)
    elif found is not None and found.replicas != wanted.replicas:
        yield Repair(manager, f"docker service scale {wanted.name}={wanted.replicas}")
    else:
        yield Repair(
            manager, f"docker service update --force {wanted.name}", "all tasks are made anew"
        )


def mend_placement(situation: Situation, verdict: Verdict) -> Iterator[Repair]:
    """Wake a paused container; have a lost one replaced."""
    node = situation.cluster.node(verdict.node)
    paused = [t.container for t in node.tasks if f"{t.container.name} is paused" == verdict.found]
    for container in paused:
        yield Repair(verdict.node, f"docker unpause {container.name}")
    if not paused:
        yield from mend_replicas(situation, verdict)


def mend_image(situation: Situation, verdict: Verdict) -> Iterator[Repair]:
    """Load the image from the file every node of a lab has."""
    note = "the file that every node of a lab has; elsewhere: docker save, copy, docker load"
    yield Repair(verdict.node, "docker load -i /usr/share/node-test/node-test.tar", note)
    service = situation.topology.service.name
    yield Repair(situation.topology.manager.name, f"docker service update --force {service}")


def mend_publishing(situation: Situation, _: Verdict) -> Iterator[Repair]:
    """Publish the port as the topology says."""
    found = situation.cluster.service
    removed, added = publishing(situation)
    mode = ("--endpoint-mode vip",) if found and found.endpoint_mode != "vip" else ()
    words = (*removed, *mode, added, situation.topology.service.name)
    yield Repair(situation.topology.manager.name, f"docker service update {' '.join(words)}")


def _type_the_step(situation: Situation, verdict: Verdict) -> Iterator[Repair]:
    step = verdict.found.removeprefix(NOT_YET)
    node = verdict.see_on if "service create" in step else verdict.node
    note = ""
    if "TOKEN" in step:
        manager = situation.topology.manager.name
        note = f"on {manager}, docker swarm join-token -q worker prints the TOKEN"
    yield Repair(node, step, note)


def _join_again(situation: Situation, verdict: Verdict) -> Iterator[Repair]:
    manager = situation.topology.manager.name
    note = f"on {manager}, docker swarm join-token -q worker prints the TOKEN"
    yield Repair(verdict.node, "docker swarm leave", LEAVES)
    yield Repair(verdict.node, situation.join_command(verdict.node), note)


CLUSTER: Mapping[str, Mend] = {
    "C1-member": mend_member,
    "C2-leader": mend_leader,
    "C3-roles": mend_roles,
    "C5-advertise": mend_advertise,
    "C6-listeners": restart,
    "C8-gossip": mend_gossip,
    "C9-backend": mend_backends_of_iptables,
    "C10-control-in": mend_control,
    "C11-link": mend_link,
    "S1-replicas": mend_replicas,
    "S2-placed": mend_placement,
    "S3-image": mend_image,
    "S4-port": mend_publishing,
    "S5-vip": mend_publishing,
    "S7-same-service": restart,
}
