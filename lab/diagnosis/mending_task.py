"""Repairs of the overlay between the nodes and inside the tasks' containers."""

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address

from lab.diagnosis.mending import ANEW, RESTART, Mend, deletions, dropping, named_in
from lab.diagnosis.mending_cluster import mend_replicas
from lab.diagnosis.model import Repair
from lab.facts.model import OverlayFacts
from lab.hops.fabric import VXLAN_OVERHEAD
from lab.hops.judge import slot_number
from lab.hops.situation import IN_SANDBOX, Blocked, Situation
from lab.hops.verdict import Verdict


def mend_tunnel(situation: Situation, verdict: Verdict) -> Iterator[Repair]:
    """Set the tunnel up, with what it forgot; another id or port is dockerd's to mend."""
    overlay = situation.cluster.node(verdict.node).overlay
    link = next((i for i in overlay.interfaces if i.vxlan), None) if overlay else None
    if overlay is not None and link is not None and verdict.found.endswith("down"):
        yield Repair(verdict.node, f"{overlay.by_hand}ip link set {link.name} up")
        yield from mend_neighbours(situation, verdict)
    else:
        yield Repair(verdict.node, RESTART, ANEW)


def mend_tunnel_filter(situation: Situation, verdict: Verdict) -> Iterator[Repair]:
    """Delete the rules that drop."""
    rules = situation.cluster.node(verdict.node).host.rules
    yield from deletions(verdict.node, dropping(rules, verdict))


def mend_mtu(situation: Situation, verdict: Verdict) -> Iterator[Repair]:
    """Make the link large enough again, or the overlay's own interfaces equal."""
    node = situation.cluster.node(verdict.node)
    link = node.host.interface_with(situation.spec(verdict.node).address)
    overlay = node.overlay
    own = node.ingress_address
    inner = node.sandbox.interface_with(own) if node.sandbox and own else None
    if link is None or overlay is None or inner is None:
        return
    tunnel = max((i.mtu for i in overlay.interfaces if i.vxlan), default=inner.mtu)
    if inner.mtu != tunnel:
        yield Repair(verdict.node, f"{IN_SANDBOX} ip link set {inner.name} mtu {tunnel}")
    if link.mtu < tunnel + VXLAN_OVERHEAD:
        yield Repair(
            verdict.node,
            f"ip link set {link.name} mtu {tunnel + VXLAN_OVERHEAD}",
            "if the network between the machines carries that; else make ingress again with "
            "--opt com.docker.network.driver.mtu",
        )


def mend_neighbours(situation: Situation, verdict: Verdict) -> Iterator[Repair]:
    """Write the entries dockerd would have written for each task elsewhere."""
    yield from _entries(situation, verdict)


def _entries(situation: Situation, verdict: Verdict) -> Iterator[Repair]:
    node = situation.cluster.node(verdict.node)
    overlay = node.overlay
    link = next((i.name for i in overlay.interfaces if i.vxlan), None) if overlay else None
    if overlay is None or link is None:
        return
    for task in situation.cluster.running_tasks:
        home = situation.cluster.node_of(task)
        address = task.ingress_address
        if home is None or home == node or address is None:
            continue
        mac = _hardware_address(situation, task.slot or 0, address)
        end = situation.spec(home.node).address
        if not _knows(overlay, address, mac):
            yield Repair(
                verdict.node,
                f"{overlay.by_hand}ip neigh replace {address} lladdr {mac} dev {link} "
                "nud permanent",
            )
        ends = {e.destination for e in overlay.forwarding if e.mac == mac and e.destination}
        for wrong in sorted(str(e) for e in ends if e != end):
            yield Repair(
                verdict.node, f"{overlay.by_hand}bridge fdb del {mac} dev {link} dst {wrong} self"
            )
        if end not in ends:
            yield Repair(
                verdict.node,
                f"{overlay.by_hand}bridge fdb add {mac} dev {link} dst {end} self permanent",
            )


def _knows(overlay: OverlayFacts, address: IPv4Address, mac: str) -> bool:
    return any((n.address, n.mac) == (address, mac) for n in overlay.neighbours)


def _hardware_address(situation: Situation, slot: int, address: IPv4Address) -> str:
    """Return the card's address; Docker makes it of the IP address (libnetwork: netutils)."""
    try:
        interface = situation.namespace(slot).interface_with(address)
    except Blocked:
        interface = None
    made = ":".join(f"{byte:02x}" for byte in (2, 0x42, *address.packed))
    return interface.mac if interface is not None and interface.mac else made


def mend_redirect(situation: Situation, verdict: Verdict) -> Iterator[Repair]:
    """Delete what leads elsewhere, and lead to the program's port."""
    slot = slot_number(verdict.subject)
    try:
        namespace = situation.namespace(slot)
        address = situation.task(slot).ingress_address
    except Blocked:
        yield from mend_replicas(situation, verdict)
        return
    wrong = [r for r in named_in(namespace.rules, verdict) if r.jump in ("REDIRECT", "DNAT")]
    taking = [r for r in wrong if r.chain == "PREROUTING" and r.destination_port == situation.port]
    yield from deletions(verdict.node, taking, namespace.by_hand)
    proto = situation.protocol
    yield Repair(
        verdict.node,
        f"{namespace.by_hand}iptables -t nat -A PREROUTING -d {address}/32 -p {proto} -m {proto} "
        f"--dport {situation.port} -j REDIRECT --to-ports {situation.target}",
    )


def mend_container_filter(situation: Situation, verdict: Verdict) -> Iterator[Repair]:
    """Let the service's packets in and out again, before what closes the address."""
    slot = slot_number(verdict.subject)
    try:
        namespace = situation.namespace(slot)
        address = situation.task(slot).ingress_address
    except Blocked:
        return
    enter, port, proto = namespace.by_hand, situation.target, situation.protocol
    if "filter INPUT" in verdict.found:
        yield Repair(
            verdict.node,
            f"{enter}iptables -I INPUT -d {address}/32 -p {proto} -m {proto} --dport {port} "
            "-m conntrack --ctstate NEW,ESTABLISHED -j ACCEPT",
        )
    if "filter OUTPUT" in verdict.found:
        yield Repair(
            verdict.node,
            f"{enter}iptables -I OUTPUT -s {address}/32 -p {proto} -m {proto} --sport {port} "
            "-m conntrack --ctstate ESTABLISHED -j ACCEPT",
        )


TASK: Mapping[str, Mend] = {
    "F1-vxlan": mend_tunnel,
    "F2-tunnel-in": mend_tunnel_filter,
    "F3-mtu": mend_mtu,
    "F4-neighbours": mend_neighbours,
    "F5-fdb": mend_neighbours,
    "T1-redirect": mend_redirect,
    "T2-listens": mend_replicas,
    "T3-address": mend_replicas,
    "T4-filter": mend_container_filter,
}
