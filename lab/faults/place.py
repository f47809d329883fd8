"""Where a fault goes: the values a lab's facts give to the words in its commands. Pure.

A word is a name in braces, as in ``iptables -I INPUT -p tcp --dport {port} -j DROP``. What a word
stands for is looked up only when a command has it, so a fault needs no more of the path than it
is about.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from lab.errors import UsageError
from lab.facts.addresses import Interface
from lab.facts.docker_model import NetworkEndpoint, SwarmTask
from lab.facts.model import NodeFacts, OverlayFacts, TaskFacts
from lab.faults.model import Fault, On, Role, Step
from lab.hops.judge import slot_name
from lab.hops.situation import IN_SANDBOX, Situation
from lab.hops.surroundings import gateway

WORD = re.compile(r"\{([a-z_]+)\}")
MANY = {"nodes", "others", "slots"}
"""Words of which a subject may stand for several."""


@dataclass(frozen=True, slots=True)
class Place:
    """A node of a lab, and what the lab is like at this moment.

    ``kept`` is what earlier steps printed, by name.
    """

    situation: Situation
    node: str
    kept: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def manager(self) -> str:
        """The manager's name."""
        return self.situation.topology.manager.name

    @property
    def others(self) -> tuple[str, ...]:
        """The other nodes' names, in the topology's order."""
        return tuple(n.name for n in self.situation.topology.nodes if n.name != self.node)

    @property
    def facts(self) -> NodeFacts:
        """The node's facts."""
        return self.situation.cluster.node(self.node)

    def named(self, on: On) -> str:
        """Return the name of the node that is meant.

        Raises:
            UsageError: The lab has no other node.
        """
        match on:
            case On.NODE:
                return self.node
            case On.MANAGER:
                return self.manager
            case On.OTHER:
                if self.others:
                    return self.others[0]
                raise UsageError(f"{self.node} is the only node of this lab")

    def fill(self, template: str) -> str:
        """Return a command with this place's values for its words.

        Raises:
            Blocked: A part of the path it is about is not there now.
            UsageError: This node has no such value.
        """
        return WORD.sub(lambda word: self._value(word[1]), template)

    def command(self, step: Step) -> tuple[str, str]:
        """Return a step's node and its command; errors as ``fill``."""
        return self.named(step.on), self.fill(step.command)

    def verdicts(self, templates: Iterable[str]) -> frozenset[str]:
        """Return "CHECK[subject]" for templates such as ``C7-reach[{others}]``: one or several."""
        return frozenset(name for template in templates for name in self._verdicts(template))

    def _verdicts(self, template: str) -> tuple[str, ...]:
        word = WORD.search(template)
        if word is None or word[1] not in MANY:
            return (self.fill(template),)
        several = {
            "nodes": (self.node, *self.others),
            "others": self.others,
            "slots": tuple(
                slot_name(n + 1) for n in range(self.situation.topology.service.replicas)
            ),
        }[word[1]]
        return tuple(template.replace(word[0], one) for one in several)

    def _value(self, word: str) -> str:
        if word in self.kept:
            return self.kept[word]
        return VALUES[word](self)


def fitting(fault: Fault, situation: Situation) -> tuple[str, ...]:
    """Return the nodes a fault can be put into: workers first, because students look there."""
    topology = situation.topology
    workers = tuple(node.name for node in topology.nodes if node.name != topology.manager.name)
    match fault.role:
        case Role.MANAGER:
            return (topology.manager.name,)
        case Role.WORKER:
            return workers
        case Role.ANY:
            return (*workers, topology.manager.name)
        case Role.TASK:
            homes = {_home(situation, task) for task in situation.cluster.running_tasks}
            return tuple(n for n in (*workers, topology.manager.name) if n in homes)


def _home(situation: Situation, task: SwarmTask) -> str | None:
    node = situation.cluster.node_of(task)
    return node.node if node is not None else None


def _own_task(place: Place) -> tuple[SwarmTask, TaskFacts]:
    for task in place.situation.cluster.running_tasks:
        if _home(place.situation, task) == place.node and task.slot is not None:
            return task, place.situation.local(task.slot)
    raise UsageError(f"no task of the service runs on {place.node}")


def _slot(place: Place) -> int:
    return _own_task(place)[0].slot or 0


def _address(task: SwarmTask) -> IPv4Address:
    if task.ingress_address is None:
        raise UsageError("the task has no address on the ingress network")
    return task.ingress_address


def _remote(place: Place) -> SwarmTask:
    tasks = place.situation.cluster.running_tasks
    away = [t for t in tasks if _home(place.situation, t) in place.others and t.ingress_address]
    if not away:
        raise UsageError(f"no task of the service runs on another node than {place.node}")
    return min(away, key=_address)


def _remote_home(place: Place) -> str:
    return _home(place.situation, _remote(place)) or ""


def _remote_endpoint(place: Place) -> NetworkEndpoint:
    task = _remote(place)
    ingress = place.situation.ingress(_remote_home(place))
    found = next((e for e in ingress.endpoints if e.container_id == task.container_id), None)
    if found is None:
        raise UsageError(f"the ingress network has no endpoint of {task.ingress_address}")
    return found


def _link(place: Place) -> Interface:
    address = place.situation.spec(place.node).address
    found = place.facts.host.interface_with(address)
    if found is None:
        raise UsageError(f"no interface of {place.node} has {address}")
    return found


def _way_out(place: Place) -> str:
    found = next((r for r in place.facts.host.routes if r.destination.prefixlen == 0), None)
    if found is None or found.device is None:
        raise UsageError(f"{place.node} has no default route")
    return found.device


def _way_out_address(place: Place) -> IPv4Address:
    interface = place.facts.host.interface(_way_out(place))
    held = [a.ip for a in (interface.addresses if interface else ()) if a.version == 4]
    if not held or not isinstance(held[0], IPv4Address):
        raise UsageError(f"{_way_out(place)} of {place.node} has no IPv4 address")
    return held[0]


def _sandbox_device(place: Place, address: IPv4Address) -> str:
    found = place.situation.sandbox(place.node).interface_with(address)
    if found is None:
        raise UsageError(f"no interface of the sandbox has {address}")
    return found.name


def _overlay(place: Place) -> OverlayFacts:
    place.situation.ingress(place.node)
    found = place.facts.overlay
    if found is None:
        raise UsageError(f"{place.node} has no namespace for the ingress network's tunnel")
    return found


def _tunnel(place: Place) -> str:
    found = next((i.name for i in _overlay(place).interfaces if i.vxlan is not None), None)
    if found is None:
        raise UsageError(f"the ingress network has no VXLAN link on {place.node}")
    return found


def _task_device(place: Place) -> str:
    namespace = place.situation.namespace(_slot(place))
    found = namespace.interface_with(_address(_own_task(place)[0]))
    if found is None:
        raise UsageError("no interface of the container has the task's address")
    return found.name


def _add_backends(place: Place) -> str:
    """Return the options of ipvsadm(8) that add every task, a word of sh for each."""
    mark = place.situation.known_mark(place.node)
    tasks = sorted(place.situation.cluster.backend_addresses)
    return " ".join(f"'-a -f {mark} -r {task} -m -w 1'" for task in tasks)


def _add_neighbours(place: Place) -> str:
    """Return the commands that put back what dockerd told the tunnel of other nodes."""
    overlay, tunnel = _overlay(place), _tunnel(place)
    held = [n for n in overlay.neighbours if n.device == tunnel and n.mac is not None]
    return "; ".join(
        f"{overlay.by_hand}ip neigh replace {n.address} lladdr {n.mac} dev {tunnel} nud permanent"
        for n in sorted(held, key=lambda n: int(n.address))
    )


def _link_nobody(place: Place) -> str:
    """Return an address of a lab's link that no node has."""
    link = place.situation.topology.link
    if link is None:
        raise UsageError("A fault can only be put into a lab")
    return str(link.subnet.broadcast_address - 1)


VALUES: Mapping[str, Callable[[Place], str]] = {
    "node": lambda p: p.node,
    "manager": lambda p: p.manager,
    "port": lambda p: str(p.situation.port),
    "target": lambda p: str(p.situation.target),
    "service": lambda p: p.situation.topology.service.name,
    "image": lambda p: p.situation.topology.service.image,
    "replicas": lambda p: str(p.situation.topology.service.replicas),
    "vip": lambda p: str(p.situation.vip()),
    "manager_address": lambda p: str(p.situation.topology.manager.address),
    "address": lambda p: str(p.situation.spec(p.node).address),
    "link": lambda p: _link(p).name,
    "link_mtu": lambda p: str(_link(p).mtu),
    "way_out": _way_out,
    "way_out_address": lambda p: str(_way_out_address(p)),
    "gateway": lambda p: str(gateway(p.situation, p.node)),
    "sandbox": lambda p: str(p.situation.sandbox_address(p.node)),
    "sandbox_ns": lambda _: IN_SANDBOX,
    "sandbox_link": lambda p: _sandbox_device(p, p.situation.sandbox_address(p.node)),
    "sandbox_overlay": lambda p: _sandbox_device(p, p.situation.ingress_address(p.node)),
    "mark": lambda p: str(p.situation.known_mark(p.node)),
    "other_mark": lambda p: str(p.situation.known_mark(p.node) + 4096),
    "subnet": lambda p: str(p.situation.ingress(p.node).subnets[0]),
    "own": lambda p: str(p.situation.ingress_address(p.node)),
    "others_own": lambda p: str(p.situation.ingress_address(p.named(On.OTHER))),
    "nobody": lambda p: str(p.situation.ingress(p.node).subnets[0].broadcast_address - 1),
    "add_backends": _add_backends,
    "overlay_ns": lambda p: _overlay(p).by_hand.strip(),
    "tunnel": _tunnel,
    "add_neighbours": _add_neighbours,
    "remote": lambda p: str(_address(_remote(p))),
    "remote_mac": lambda p: _remote_endpoint(p).mac,
    "remote_node": lambda p: str(p.situation.spec(_remote_home(p)).address),
    "link_nobody": _link_nobody,
    "slot": lambda p: slot_name(_slot(p)),
    "task": lambda p: str(_address(_own_task(p)[0])),
    "task_ns": lambda p: p.situation.namespace(_slot(p)).by_hand.strip(),
    "task_link": _task_device,
    "container": lambda p: _own_task(p)[1].container.id,
}
"""What each word stands for."""
