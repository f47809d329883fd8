"""Hop "fabric": the overlay that carries a packet from one node's sandbox to a task elsewhere."""

from ipaddress import IPv4Address

from lab.facts.model import OverlayFacts
from lab.hops.flows import Door, between_nodes, pass_all
from lab.hops.judge import judge
from lab.hops.observations import FetchProbe
from lab.hops.situation import Blocked, Situation
from lab.hops.surroundings import data_port, tunnel_peers
from lab.hops.verdict import Check, Finding, Hop, Scope

VXLAN_OVERHEAD = 50
"""Bytes VXLAN adds to a packet: outer IP 20, UDP 8, VXLAN 8, inner Ethernet 14 (RFC 7348)."""


@judge(
    Check(
        "F1-vxlan",
        Hop.FABRIC,
        Scope.NODE,
        "the ingress network's tunnel is up, with the network's own VXLAN id, on swarm's UDP port",
        cause="the network was made again while nodes still had the old one, or a stale VXLAN "
        "device holds the id",
        see="{overlay} ip -d link show type vxlan",
    )
)
def tunnel_is_up(situation: Situation, name: str) -> Finding:
    """Compare the link with the id the managers gave the network."""
    overlay = _overlay(situation, name)
    option = situation.ingress(name).option("com.docker.network.driver.overlay.vxlanid_list")
    tunnel = overlay.vxlan
    link = next((i for i in overlay.interfaces if i.vxlan is not None), None)
    up = link is not None and link.is_up
    port = data_port(situation)
    return Finding(
        ok=up and tunnel is not None and (str(tunnel.vni), tunnel.port) == (option, port),
        expected=f"VXLAN id {option}, UDP port {port}, up",
        found=f"VXLAN id {tunnel.vni}, UDP port {tunnel.port}, {'up' if up else 'down'}"
        if tunnel
        else "no VXLAN link",
    )


@judge(
    Check(
        "F2-tunnel-in",
        Hop.FABRIC,
        Scope.NODE,
        "the node's own filter lets tunnel packets of every other node in, and its own out",
        cause="a firewall rule drops the tunnels' UDP port (4789): requests hang whenever it is "
        "the turn of a task on another node",
        see="iptables -nvL INPUT; iptables -nvL OUTPUT",
    )
)
def tunnel_packets_get_in(situation: Situation, name: str) -> Finding:
    """Follow a VXLAN packet from and to each other node through raw, mangle and filter."""
    node = situation.member(name)
    others = tunnel_peers(situation, name)
    own = situation.spec(name).address
    door = Door("udp", data_port(situation))
    ways = [s for o in others for s in between_nodes(node, own, o, door) if s]
    passages = [pass_all(node.host.rules, stages) for stages in ways]
    lost = [p for p in passages if not p.ok]
    return Finding(
        ok=len(passages) == 2 * len(others) and not lost,
        expected=f"UDP {door.port} accepted from and to {', '.join(map(str, others))}",
        found="; ".join(map(str, lost))
        or ("accepted" if passages else "no interface has the advertised address"),
        evidence=tuple(line for p in lost for line in p.fate.lines),
    )


@judge(
    Check(
        "F3-mtu",
        Hop.FABRIC,
        Scope.NODE,
        "the overlay's packets fit into the link's with the tunnel's 50 bytes around them",
        cause="the link's MTU was lowered after the network was made (a cloud's default is often "
        "1450): make ingress again with --opt com.docker.network.driver.mtu",
        see="nsenter --net=/var/run/docker/netns/ingress_sbox ip link; ip link",
    )
)
def mtu_leaves_room(situation: Situation, name: str) -> Finding:
    """Compare the MTU in sandbox, tunnel and tasks here with that of the link."""
    node = situation.member(name)
    own = situation.sandbox(name).interface_with(situation.ingress_address(name))
    link = node.host.interface_with(situation.spec(name).address)
    room = link.mtu - VXLAN_OVERHEAD if link else 0
    sizes = {"sandbox": own.mtu if own else 0}
    sizes |= {i.name: i.mtu for i in _overlay(situation, name).interfaces if i.name != "lo"}
    for task in node.tasks:
        if task.namespace is not None and task.ingress_address is not None:
            interface = task.namespace.interface_with(task.ingress_address)
            sizes[task.container.name] = interface.mtu if interface else 0
    same = set(sizes.values()) == {sizes["sandbox"]}
    return Finding(
        ok=same and 0 < sizes["sandbox"] <= room,
        expected=f"one MTU everywhere, at most {room}",
        found=", ".join(f"{who} {mtu}" for who, mtu in sizes.items()),
    )


@judge(
    Check(
        "F4-neighbours",
        Hop.FABRIC,
        Scope.NODE,
        "the tunnel knows the hardware address of every task on another node",
        cause="gossip did not bring the task's entry (7946), or somebody deleted it",
        see="{overlay} ip neigh",
    )
)
def neighbours_are_known(situation: Situation, name: str) -> Finding:
    """Look for a permanent neighbour entry for each task that is elsewhere."""
    missing = []
    for task in _remote_tasks(situation, name):
        if _mac(situation, name, task) is None:
            missing.append(str(task))
    return _entries(situation, name, missing, "a neighbour entry")


@judge(
    Check(
        "F5-fdb",
        Hop.FABRIC,
        Scope.NODE,
        "the tunnel sends frames for a task to the node that runs it",
        cause="the entry is stale: the task or its node's advertised address moved, and gossip "
        "(7946) did not tell",
        see="{overlay} bridge fdb show",
    )
)
def frames_go_to_the_right_node(situation: Situation, name: str) -> Finding:
    """Compare each task's forwarding entry with the address of the node that really runs it."""
    overlay = _overlay(situation, name)
    wrong = []
    for task in _remote_tasks(situation, name):
        mac = _mac(situation, name, task)
        entries = [e for e in overlay.forwarding if e.mac == mac and e.destination is not None]
        ends = {str(e.destination) for e in entries}
        wanted = str(_home(situation, task))
        if ends != {wanted}:
            wrong.append(f"{task} goes to {', '.join(sorted(ends)) or 'nowhere'}, not {wanted}")
    return _entries(situation, name, wrong, "a forwarding entry to its node")


@judge(
    Check(
        "F6-ping",
        Hop.FABRIC,
        Scope.NODE,
        "full-sized packets from the sandbox reach every task, both ways, unfragmented",
        cause="the tunnels' UDP port (4789) is blocked between two nodes (the task on this node "
        "still answers), or the link carries smaller packets than its MTU says",
        see="nsenter --net=/var/run/docker/netns/ingress_sbox ping -c 2 -M do -s 1422 TASK",
    )
)
def sandbox_pings_every_task(situation: Situation, name: str) -> Finding:
    """Judge the pings that were tried; one per running task is needed."""
    situation.published(name)
    pings = situation.reach_of(name).pings
    silent = [p for p in pings if not p.answered]
    untried = situation.cluster.backend_addresses - {p.address for p in pings}
    words = [f"{p.address} does not answer {p.size_bytes} bytes" for p in silent]
    words += [f"{a} was not tried" for a in sorted(untried)]
    return Finding(
        ok=bool(pings) and not words,
        expected=f"answers from {', '.join(str(p.address) for p in pings) or 'every task'}",
        found=", ".join(words) or (f"all {len(pings)} answer" if pings else "no task to ping"),
        evidence=tuple(p.raw for p in silent),
    )


@judge(
    Check(
        "F7-fetch",
        Hop.FABRIC,
        Scope.NODE,
        "the sandbox gets an answer from every task directly, without IPVS",
        cause="the program does not run or listens elsewhere (T1, T2), or TCP is lost in the "
        "tunnel though ping passes (checksum offload of the network card)",
        see="nsenter --net=/var/run/docker/netns/ingress_sbox curl -v http://TASK:{port}/",
    )
)
def sandbox_fetches_from_every_task(situation: Situation, name: str) -> Finding:
    """Judge the small answers: they prove task and tunnel, without the balancing."""
    return _fetches(situation, name, large=False)


@judge(
    Check(
        "F8-payload",
        Hop.FABRIC,
        Scope.NODE,
        "an answer larger than one packet arrives whole from every task",
        cause="large packets are lost on the way: the link's real MTU is smaller than its "
        "interface says; small answers still arrive",
        see="nsenter --net=/var/run/docker/netns/ingress_sbox curl -v "
        "'http://TASK:{port}/?bytes=8000' -o /dev/null",
    )
)
def large_answers_arrive(situation: Situation, name: str) -> Finding:
    """Judge the answers that were asked to be larger than one MTU."""
    return _fetches(situation, name, large=True)


def _fetches(situation: Situation, name: str, *, large: bool) -> Finding:
    situation.published(name)
    fetches = [f for f in situation.reach_of(name).fetches if (f.asked_bytes > 0) is large]
    untried = situation.cluster.backend_addresses - {f.address for f in fetches}
    words = [f"{f.address}: {_trouble(f)}" for f in fetches if not _whole(f)]
    words += [f"{a} was not tried" for a in sorted(untried)]
    size = f" of {fetches[0].asked_bytes} bytes" if large and fetches else ""
    return Finding(
        ok=bool(fetches) and not words,
        expected=f"status 200{size} from {', '.join(str(f.address) for f in fetches) or 'each'}",
        found="; ".join(words) or (f"all {len(fetches)} came" if fetches else "no task to ask"),
    )


def _whole(fetch: FetchProbe) -> bool:
    enough = fetch.asked_bytes in (0, fetch.got_bytes)
    return fetch.status == 200 and enough and not fetch.error


def _trouble(fetch: FetchProbe) -> str:
    return fetch.error or f"status {fetch.status}, {fetch.got_bytes} bytes"


def _overlay(situation: Situation, name: str) -> OverlayFacts:
    situation.ingress(name)
    found = situation.member(name).overlay
    if found is None:
        raise Blocked(
            "this node has no namespace for the ingress network's tunnel",
            owner="F1-vxlan",
            cause="the network's driver failed to start; dockerd's journal says why",
            see="ls /var/run/docker/netns; journalctl -u docker --no-pager | tail -n 20",
        )
    return found


def _remote_tasks(situation: Situation, name: str) -> tuple[IPv4Address, ...]:
    """Return the addresses of the tasks the managers place on other nodes."""
    own = situation.published(name)
    tasks = []
    for task in situation.cluster.running_tasks:
        node = situation.cluster.node_of(task)
        if task.ingress_address is not None and node not in (None, own):
            tasks.append(task.ingress_address)
    return tuple(tasks)


def _home(situation: Situation, address: IPv4Address) -> IPv4Address | None:
    for task in situation.cluster.running_tasks:
        node = situation.cluster.node_of(task)
        if task.ingress_address == address and node is not None:
            return situation.spec(node.node).address
    return None


def _mac(situation: Situation, name: str, address: IPv4Address) -> str | None:
    overlay = _overlay(situation, name)
    entries = (n for n in overlay.neighbours if n.address == address and n.mac is not None)
    return next((entry.mac for entry in entries), None)


def _entries(situation: Situation, name: str, wrong: list[str], what: str) -> Finding:
    remote = _remote_tasks(situation, name)
    overlay = _overlay(situation, name)
    lines = [f"{n.address} dev {n.device} lladdr {n.mac}" for n in overlay.neighbours]
    lines += [f"{e.mac} dev {e.device} dst {e.destination}" for e in overlay.forwarding]
    tasks = ", ".join(map(str, remote))
    return Finding(
        ok=not wrong,
        expected=f"{what} for {tasks}" if remote else "nothing: no task runs elsewhere",
        found=f"wrong or missing: {'; '.join(wrong)}" if wrong else "all there",
        evidence=tuple(lines) if wrong else (),
    )


JUDGES = (
    tunnel_is_up,
    tunnel_packets_get_in,
    mtu_leaves_room,
    neighbours_are_known,
    frames_go_to_the_right_node,
)
TRIED = (
    sandbox_pings_every_task,
    sandbox_fetches_from_every_task,
    large_answers_arrive,
)
"""Those that need the tasks to be well, so they come after them in path order."""
