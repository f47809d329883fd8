"""Where a request can be seen: the interfaces it passes, on every node. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from lab.errors import UsageError
from lab.facts.commands import HOST, enter_by_hand
from lab.facts.model import INGRESS_NAMESPACE, NodeFacts
from lab.hops.flows import entrances
from lab.hops.judge import slot_name
from lab.hops.situation import BRIDGE, Situation
from lab.hops.surroundings import DATA_PORT


class Hop(StrEnum):
    """The places to capture at, in the order a request passes them."""

    LOCAL = "local"
    ENTRY = "entry"
    BRIDGE = "bridge"
    SANDBOX = "sandbox"
    OVERLAY = "overlay"
    TUNNEL = "tunnel"
    LINK = "link"
    TASK = "task"


TITLES: Mapping[Hop, str] = {
    Hop.LOCAL: "the node's loopback: what nothing rewrote stays here",
    Hop.ENTRY: "the outer interface, before anything is rewritten",
    Hop.BRIDGE: "docker_gwbridge, after the host's DNAT",
    Hop.SANDBOX: "the sandbox's end of docker_gwbridge, before mark and IPVS",
    Hop.OVERLAY: "the sandbox's end of the overlay, after IPVS and SNAT",
    Hop.TUNNEL: "the overlay's tunnel device, before it wraps or after it unwrapped",
    Hop.LINK: "the link between the nodes: VXLAN packets",
    Hop.TASK: "the task's end of the overlay, before REDIRECT",
}


@dataclass(frozen=True, slots=True)
class Point:
    """One interface on one node.

    Attributes:
        hop: Which place it is.
        node: Where.
        namespace: Its network namespace, "host" or a file below /var/run/docker/netns.
        interface: Its name in there.
        filter: Which packets are of interest, as pcap-filter(7) says it.
        slot: The task it belongs to, empty elsewhere.
    """

    hop: Hop
    node: str
    namespace: str
    interface: str
    filter: str
    slot: str = ""

    @property
    def name(self) -> str:
        """A name of its own in a lab, also for a file: ``worker-task-slot-1``."""
        return "-".join(filter(None, (self.node, str(self.hop), self.slot)))

    @property
    def enter(self) -> str:
        """What to type before a command to run it in there."""
        return enter_by_hand(self.namespace)

    def __str__(self) -> str:
        inside = "" if self.namespace == HOST else f" in {self.namespace}"
        return f"{self.interface}{inside}"


def points(situation: Situation) -> tuple[Point, ...]:
    """Return all places where a request can be seen, node by node."""
    order = list(Hop)
    return tuple(
        point
        for node in situation.cluster.nodes
        for point in sorted(_of_node(situation, node), key=lambda p: order.index(p.hop))
    )


def expect_possible(word: str, nodes: Sequence[str]) -> None:
    """Refuse a word that can name no place, before any node is looked at.

    Raises:
        UsageError: It is neither a hop nor begins with a node and a hop.
    """
    names = [str(hop) for hop in Hop] + [f"{node}-{hop}" for node in nodes for hop in Hop]
    if word and word not in names and not word.startswith(tuple(f"{n}-task-" for n in nodes)):
        raise UsageError(
            f"There is no hop {word!r} to capture at",
            details=f"on all nodes: {', '.join(Hop)}\none alone: {nodes[0]}-{Hop.BRIDGE}, ...",
        )


def chosen(found: Sequence[Point], word: str) -> tuple[Point, ...]:
    """Return the places a word names: a hop on all nodes, or one place; all without a word.

    Raises:
        UsageError: It names none.
    """
    mine = tuple(point for point in found if word in ("", str(point.hop), point.name))
    if mine:
        return mine
    hops = dict.fromkeys(str(point.hop) for point in found)
    raise UsageError(
        f"There is no hop {word!r} to capture at",
        details=f"on all nodes: {', '.join(hops)}\n"
        f"one alone: {', '.join(point.name for point in found)}",
    )


def on_the_way(found: Sequence[Point], entry: str, *, local: bool) -> tuple[Point, ...]:
    """Return the places by which a request can come that enters at a node.

    Its answer may come by others when it takes a wrong way: the bridges of all nodes are among
    them.

    Args:
        found: All places.
        entry: The node it enters at.
        local: Whether it is made on that node.
    """
    first = Hop.LOCAL if local else Hop.ENTRY
    at_entry = {first, Hop.BRIDGE, Hop.SANDBOX, Hop.OVERLAY}
    everywhere = {Hop.BRIDGE, Hop.TUNNEL, Hop.LINK, Hop.TASK}
    return tuple(
        point
        for point in found
        if point.hop in everywhere or (point.node == entry and point.hop in at_entry)
    )


def _of_node(situation: Situation, node: NodeFacts) -> Iterator[Point]:
    tcp = f"tcp port {situation.port}"
    yield Point(Hop.LOCAL, node.node, HOST, "lo", tcp)
    others = {spec.address for spec in situation.topology.nodes}
    ways = [way for way in entrances(situation, node.node) if way.source not in others]
    for way in ways[:1]:
        yield Point(Hop.ENTRY, node.node, HOST, way.interface, tcp)
    if node.host.interface(BRIDGE) is not None:
        yield Point(Hop.BRIDGE, node.node, HOST, BRIDGE, tcp)
    link = node.host.interface_with(situation.spec(node.node).address)
    if link is not None:
        yield Point(Hop.LINK, node.node, HOST, link.name, f"udp port {DATA_PORT}")
    sandbox = node.sandbox
    for hop, address in (
        (Hop.SANDBOX, node.sandbox_address),
        (Hop.OVERLAY, node.ingress_address),
    ):
        inner = sandbox.interface_with(address) if sandbox and address else None
        if inner is not None:
            yield Point(hop, node.node, INGRESS_NAMESPACE, inner.name, tcp)
    overlay = node.overlay
    if overlay is not None:
        for tunnel in [i for i in overlay.interfaces if i.vxlan is not None][:1]:
            yield Point(Hop.TUNNEL, node.node, overlay.name, tunnel.name, tcp)
    yield from _of_tasks(situation, node, tcp)


def _of_tasks(situation: Situation, node: NodeFacts, tcp: str) -> Iterator[Point]:
    slots = {task.container_id: task.slot for task in situation.cluster.running_tasks}
    for task in node.tasks:
        slot = slots.get(task.container.id)
        address, namespace = task.ingress_address, task.namespace
        if slot is None or address is None or namespace is None:
            continue
        interface = namespace.interface_with(address)
        if interface is not None:
            name = slot_name(slot)
            yield Point(Hop.TASK, node.node, namespace.name, interface.name, tcp, name)
