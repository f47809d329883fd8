"""From machines with Docker to a swarm: preparing each node, then forming the cluster."""

from collections.abc import Callable, Sequence

from lab.docker_api import Engine, Member
from lab.errors import Conflict, ProviderFailed
from lab.image.recipe import NODE_TEST_ARCHIVE
from lab.node import Node
from lab.parallel import on_all
from lab.shell import succeed
from lab.topology import Topology
from lab.wait import Deadlines, wait_until

GATEWAY_BRIDGE = "docker_gwbridge"
FIRST_MARK = 256
"""moby, libnetwork/service_linux.go: ``fwMarkCtr uint32 = 256``, one counter per dockerd."""


def prepare(node: Node, topology: Topology, deadline: Deadlines) -> None:
    """Give a fresh node its bridge, its image and its past; not to be repeated half way.

    The bridge is made beforehand because dockerd would take the first free subnet
    (172.18.0.0/16), and the walk-through has 172.19.0.0/16.
    """
    wait_until(
        node.engine.version,
        bool,
        what=f"the Docker Engine of {node.name}",
        timeout_s=deadline(15),
        hint=f"invoke lab.exec {node.name} -- journalctl -u docker",
    )
    # Side by side: unpacking an image and making networks ask dockerd for different things.
    parts: tuple[Callable[[], tuple[str, ...]], ...] = (
        lambda: _make_networks(node, topology),
        lambda: (load_image(node, topology.service.image),),
    )
    networks, _ = on_all(parts, lambda make: make())
    if networks:
        burn_marks(node, topology, networks, deadline)


def _make_networks(node: Node, topology: Topology) -> tuple[str, ...]:
    """Make the bridge and, in a swarm of this node alone, the networks that use up marks.

    Returns the ids of the latter: none if there are no marks to use up, or a swarm is there.
    """
    if not node.engine.has_network(GATEWAY_BRIDGE):
        node.engine.create_bridge(GATEWAY_BRIDGE, topology.bridge.subnet, topology.bridge_gateway)
    if not topology.marks_to_burn or node.engine.swarm().state != "inactive":
        return ()
    pool = topology.overlay_pool
    node.engine.init_swarm(node.spec.address, pool.subnet, pool.prefix_length)
    return tuple(
        node.engine.create_overlay(f"earlier-{number}") for number in range(topology.marks_to_burn)
    )


def load_image(node: Node, tag: str) -> str:
    """Load the service's image from the archive the node brought with it; return its id."""
    found = node.engine.image_id(tag)
    if found is not None:
        return found
    succeed(
        node.shell,
        "curl -sS --fail --unix-socket /var/run/docker.sock -H 'Content-Type: application/x-tar' "
        f"-X POST --data-binary @{NODE_TEST_ARCHIVE} http://localhost/images/load",
        timeout_s=120,
    )
    found = node.engine.image_id(tag)
    if found is None:
        raise ProviderFailed(
            f"The image {tag} is not on {node.name} after loading {NODE_TEST_ARCHIVE}",
            hint="invoke lab.image --rebuild",
        )
    return found


def burn_marks(
    node: Node, topology: Topology, networks: Sequence[str], deadline: Deadlines
) -> None:
    """Let the firewall marks before the expected one be used up by a service that lived before.

    dockerd numbers its load balancers from 256 and never reuses a number while it runs, not even
    across ``docker swarm leave``. So a swarm of this one node alone, with one task on as many
    overlay networks as there are marks to use up, makes the next service get exactly the mark of
    the walk-through. Addresses are not affected: they belong to the swarm that is left again.
    DNS round robin is enough, because the number is taken before anybody looks for a virtual
    address (libnetwork/service_common.go, addServiceBinding; measured with docker.io 26.1.5).
    """
    node.engine.create_service(
        "earlier",
        topology.service.image,
        replicas=1,
        ports={},
        env={},
        networks=networks,
        mesh=False,
        stop_grace_s=0,
    )
    wait_until(
        lambda: node.engine.tasks("earlier"),
        lambda tasks: any(task.state == "running" for task in tasks),
        what=f"the service that uses up marks on {node.name}",
        timeout_s=deadline(20),
    )
    node.engine.leave_swarm()


def form_swarm(
    nodes: Sequence[Node], topology: Topology, deadline: Deadlines
) -> tuple[Member, ...]:
    """Make one swarm of all nodes, doing only what is missing; return its members.

    Raises:
        Conflict: A node belongs to another swarm.
        NotReady: Not all nodes became ready.
    """
    manager, *workers = sorted(nodes, key=lambda node: node.spec != topology.manager)
    if manager.engine.swarm().state == "inactive":
        pool = topology.overlay_pool
        manager.engine.init_swarm(manager.spec.address, pool.subnet, pool.prefix_length)
    _expect_manager(manager.engine)
    token = manager.engine.worker_token()
    # One after the other: the manager numbers their ingress addresses in the order they join.
    for worker in workers:
        _join(worker, manager, token)
    return wait_until(
        manager.engine.members,
        lambda members: len(members) >= len(nodes) and all(m.state == "ready" for m in members),
        what=f"{len(nodes)} nodes to be ready",
        timeout_s=deadline(15),
        hint=f"invoke lab.exec {manager.name} -- docker node ls",
    )


def _join(worker: Node, manager: Node, token: str) -> None:
    found = worker.engine.swarm()
    if found.state == "inactive":
        worker.engine.join_swarm(manager.spec.address, token, worker.spec.address)
    elif f"{manager.spec.address}:2377" not in found.remote_managers:
        raise Conflict(
            f"{worker.name} belongs to another swarm",
            details=f"its managers: {', '.join(found.remote_managers) or 'itself'}",
            hint=f"invoke lab.exec {worker.name} -- docker swarm leave --force",
        )


def _expect_manager(engine: Engine) -> None:
    found = engine.swarm()
    if not found.manager:
        raise Conflict(
            f"{engine.node} is not the manager of its swarm",
            details=f"swarm state {found.state}, managers {', '.join(found.remote_managers)}",
            hint=f"invoke lab.exec {engine.node} -- docker swarm leave --force",
        )


def prepare_all(nodes: Sequence[Node], topology: Topology, deadline: Deadlines) -> None:
    """Prepare all nodes at the same time."""
    on_all(nodes, lambda node: prepare(node, topology, deadline))
    expect_same_image(nodes, topology.service.image)


def expect_same_image(nodes: Sequence[Node], tag: str) -> None:
    """Make sure that every node holds the very same image under a tag.

    Raises:
        ProviderFailed: They do not.
    """
    found = on_all(nodes, lambda node: node.engine.image_id(tag))
    if len(set(found)) != 1 or None in found:
        raise ProviderFailed(
            f"The nodes do not all hold the same image {tag}",
            details="\n".join(
                f"{node.name}: {id_}" for node, id_ in zip(nodes, found, strict=True)
            ),
            hint="invoke lab.down, then invoke lab.up",
        )
