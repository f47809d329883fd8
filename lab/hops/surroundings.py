"""What is around the path: who the other nodes are, each bridge's gateway, which slots there are.

A lab's topology says it. On somebody's own hosts the swarm and Docker say it themselves, and a
judge then only relates what they say.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network
from typing import TypeVar

from lab.hops.situation import BRIDGE, Blocked, Situation

T = TypeVar("T")
DATA_PORT = 4789
"""What ``docker swarm init`` takes without ``--data-path-port``."""
COMING = ("ready", "running")
"""The desired states of a task that is to run, the first while swarm waits 5 s before it."""


def bridge_subnet(situation: Situation, name: str) -> IPv4Network:
    """Return the subnet docker_gwbridge should have on a node: promised, or Docker's own word.

    Raises:
        Blocked: There is no bridge, or Docker gave it no subnet.
    """
    if situation.topology.bridge is not None:
        return situation.topology.bridge.subnet
    return _first(situation.bridge(name).subnets, "subnet")


def gateway(situation: Situation, name: str) -> IPv4Address:
    """Return a node's own address on docker_gwbridge; see ``bridge_subnet``."""
    if situation.topology.bridge is not None:
        return situation.topology.bridge.subnet.network_address + 1
    return _first(situation.bridge(name).gateways, "gateway")


def advertised(situation: Situation, name: str) -> IPv4Address:
    """Return the address under which a node takes part in the swarm and in gossip."""
    spec = situation.spec(name)
    if situation.is_lab:
        return spec.address
    return situation.cluster.node(name).swarm.address or spec.address


def gossip_peers(situation: Situation, name: str) -> tuple[IPv4Address, ...]:
    """Return the advertised addresses of all other nodes, those nobody looks at too."""
    others = (n.name for n in situation.topology.nodes if n.name != name)
    return (*(advertised(situation, other) for other in others), *situation.strangers)


def tunnel_peers(situation: Situation, name: str) -> tuple[IPv4Address, ...]:
    """Return the addresses at which the tunnels of all other nodes end."""
    others = (n.address for n in situation.topology.nodes if n.name != name)
    return (*others, *situation.strangers)


def data_port(situation: Situation) -> int:
    """Return the UDP port of the tunnels: a lab's is the default, others' what managers say."""
    if situation.is_lab:
        return DATA_PORT
    told = (node.swarm.data_path_port for node in situation.cluster.nodes)
    return next((port for port in told if port is not None), DATA_PORT)


def slots(situation: Situation) -> tuple[int, ...]:
    """Return the numbers of the slots that can be looked into.

    A lab's are counted from 1. Elsewhere scaling leaves gaps, and a task may be on a node that
    nobody gave us to look at.
    """
    if situation.is_lab:
        return tuple(range(1, situation.topology.service.replicas + 1))
    return tuple(
        sorted(
            {
                task.slot
                for task in situation.cluster.tasks
                if task.slot is not None
                and task.desired_state in COMING
                and (task.node_id is None or situation.cluster.node_of(task) is not None)
            }
        )
    )


def _first(values: Sequence[T], what: str) -> T:
    if not values:
        raise Blocked(
            f"{BRIDGE} has no {what}",
            owner="H9-bridge",
            cause="somebody made the bridge by hand",
            see=f"docker network inspect {BRIDGE}",
        )
    return values[0]
