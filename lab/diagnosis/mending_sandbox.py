"""Repairs inside ingress_sbox."""

from collections.abc import Iterator, Mapping

from lab.diagnosis.mending import (
    ANEW,
    RESTART,
    Mend,
    balancer_of,
    deletions,
    dropping,
    mark_of,
    named_in,
    sandbox_of,
)
from lab.diagnosis.mending_host import mend_switches
from lab.diagnosis.model import Repair
from lab.facts.iptables import FULL_MARK_MASK, Rule
from lab.hops.sandbox_ways import IDLE_S
from lab.hops.situation import IN_SANDBOX, Blocked, Situation
from lab.hops.surroundings import gateway
from lab.hops.verdict import Verdict

ENTER = f"{IN_SANDBOX} "


def mend_address(situation: Situation, verdict: Verdict) -> Iterator[Repair]:
    """Give the sandbox's end of the bridge its address, up and with its default route."""
    sandbox = sandbox_of(situation, verdict)
    bridge = situation.cluster.node(verdict.node).bridge
    endpoint = bridge.sandbox if bridge else None
    if sandbox is None or endpoint is None or endpoint.address is None:
        yield Repair(verdict.node, RESTART, ANEW)
        return
    link = sandbox.interface_with(endpoint.address.ip)
    if link is None:
        link = next((i for i in sandbox.interfaces if i.mac == endpoint.mac), None)
        if link is None:
            yield Repair(verdict.node, RESTART, ANEW)
            return
        yield Repair(verdict.node, f"{ENTER}ip addr add {endpoint.address} dev {link.name}")
    if not link.is_up:
        yield Repair(verdict.node, f"{ENTER}ip link set {link.name} up")
    if not any(route.destination.prefixlen == 0 for route in sandbox.routes):
        own = gateway(situation, verdict.node)
        yield Repair(
            verdict.node,
            f"{ENTER}ip route replace default via {own} dev {link.name}",
            "it went away with the link",
        )


def mend_mark(situation: Situation, verdict: Verdict) -> Iterator[Repair]:
    """Delete rules that set another mark, and set the one IPVS waits for."""
    proto = situation.protocol
    packets = f"-p {proto} -m {proto} --dport {situation.port}"
    yield from _mark(situation, verdict, "PREROUTING", packets)


def mend_vip_mark(situation: Situation, verdict: Verdict) -> Iterator[Repair]:
    """The same for packets to the virtual address."""
    yield from _mark(situation, verdict, "INPUT", f"-d {situation.vip()}/32")


def _mark(situation: Situation, verdict: Verdict, chain: str, what: str) -> Iterator[Repair]:
    mark = mark_of(situation, verdict)
    sandbox = sandbox_of(situation, verdict)
    if mark is None or sandbox is None:
        yield Repair(verdict.node, RESTART, ANEW)
        return

    def is_right(rule: Rule) -> bool:
        return rule.set_mark == mark and rule.set_mark_mask in (None, FULL_MARK_MASK)

    setting = [rule for rule in named_in(sandbox.rules, verdict) if rule.jump == "MARK"]
    yield from deletions(verdict.node, (r for r in setting if not is_right(r)), ENTER)
    if not any(is_right(rule) for rule in setting):
        yield Repair(
            verdict.node,
            f"{ENTER}iptables -t mangle -A {chain} {what} -j MARK --set-mark {mark:#x}",
        )


def mend_service(situation: Situation, verdict: Verdict) -> Iterator[Repair]:
    """Make IPVS's service with all tasks, or give it back round robin."""
    mark = mark_of(situation, verdict)
    if mark is None:
        yield Repair(verdict.node, RESTART, ANEW)
    elif balancer_of(situation, verdict) is not None:
        yield Repair(verdict.node, f"{ENTER}ipvsadm -E -f {mark} -s rr")
    else:
        yield Repair(verdict.node, f"{ENTER}ipvsadm -A -f {mark} -s rr")
        for task in sorted(situation.cluster.backend_addresses):
            yield Repair(verdict.node, f"{ENTER}ipvsadm -a -f {mark} -r {task} -m -w 1")


def mend_backends(situation: Situation, verdict: Verdict) -> Iterator[Repair]:
    """Add what is missing, delete ghosts."""
    balancer = balancer_of(situation, verdict)
    if balancer is None:
        return
    held = {backend.address for backend in balancer.backends}
    wanted = situation.cluster.backend_addresses
    for task in sorted(wanted - held):
        yield Repair(verdict.node, f"{ENTER}ipvsadm -a -f {balancer.fwmark} -r {task} -m -w 1")
    for ghost in sorted(held - wanted):
        yield Repair(verdict.node, f"{ENTER}ipvsadm -d -f {balancer.fwmark} -r {ghost}")


def mend_each_backend(situation: Situation, verdict: Verdict) -> Iterator[Repair]:
    """Give the backends shown back their weight and their way of forwarding."""
    balancer = balancer_of(situation, verdict)
    if balancer is None:
        return
    for backend in balancer.backends:
        if backend.raw in verdict.evidence:
            words = f"-e -f {balancer.fwmark} -r {backend.address} -m -w 1"
            yield Repair(verdict.node, f"{ENTER}ipvsadm {words}")


def mend_snat(situation: Situation, verdict: Verdict) -> Iterator[Repair]:
    """Delete what sets another source, and set the node's own."""
    sandbox = sandbox_of(situation, verdict)
    ingress = situation.cluster.node(verdict.node).ingress
    try:
        own = situation.ingress_address(verdict.node)
    except Blocked:
        own = None
    if sandbox is None or ingress is None or own is None:
        yield Repair(verdict.node, RESTART, ANEW)
        return
    wrong = [r for r in named_in(sandbox.rules, verdict) if r.jump in ("SNAT", "MASQUERADE")]
    yield from deletions(verdict.node, wrong, ENTER)
    for subnet in ingress.subnets:
        yield Repair(
            verdict.node,
            f"{ENTER}iptables -t nat -A POSTROUTING -d {subnet} -m ipvs --ipvs "
            f"-j SNAT --to-source {own}",
        )


def mend_own_address(situation: Situation, verdict: Verdict) -> Iterator[Repair]:
    """Give the overlay's end its addresses back, up."""
    node = situation.cluster.node(verdict.node)
    sandbox = node.sandbox
    endpoint = node.ingress.sandbox if node.ingress else None
    if sandbox is None or endpoint is None or endpoint.address is None:
        yield Repair(verdict.node, RESTART, ANEW)
        return
    link = next((i for i in sandbox.interfaces if i.mac == endpoint.mac), None)
    if link is None:
        yield Repair(verdict.node, RESTART, ANEW)
        return
    held = {str(address) for address in link.addresses}
    for address in (str(endpoint.address), f"{situation.vip()}/32"):
        if address not in held:
            yield Repair(verdict.node, f"{ENTER}ip addr add {address} dev {link.name}")
    if not link.is_up:
        yield Repair(verdict.node, f"{ENTER}ip link set {link.name} up")


def mend_sandbox_switches(situation: Situation, verdict: Verdict) -> Iterator[Repair]:
    """Turn the switches on inside the namespace."""
    for repair in mend_switches(situation, verdict):
        yield Repair(repair.node, f"{ENTER}{repair.command}")


def mend_sandbox_rules(situation: Situation, verdict: Verdict) -> Iterator[Repair]:
    """Delete the rules shown: Docker makes none of these in the sandbox."""
    sandbox = sandbox_of(situation, verdict)
    if sandbox is None:
        return
    guilty = dropping(sandbox.rules, verdict) or named_in(sandbox.rules, verdict)
    yield from deletions(verdict.node, guilty, ENTER)


def mend_ways(situation: Situation, verdict: Verdict) -> Iterator[Repair]:
    """Put the sandbox's two routes back."""
    sandbox = sandbox_of(situation, verdict)
    node = situation.cluster.node(verdict.node)
    address, own = node.sandbox_address, node.ingress_address
    if sandbox is None or node.ingress is None or address is None or own is None:
        return
    inner, outer = sandbox.interface_with(address), sandbox.interface_with(own)
    bridge = gateway(situation, verdict.node)
    default = next((r for r in sandbox.routes if r.destination.prefixlen == 0), None)
    if inner and (default is None or (default.gateway, default.device) != (bridge, inner.name)):
        yield Repair(
            verdict.node, f"{ENTER}ip route replace default via {bridge} dev {inner.name}"
        )
    for subnet in node.ingress.subnets:
        here = [r for r in sandbox.routes if r.destination == subnet]
        if outer and not any((r.kind, r.device) == ("unicast", outer.name) for r in here[:1]):
            yield Repair(
                verdict.node, f"{ENTER}ip route replace {subnet} dev {outer.name} src {own}"
            )


def mend_timeouts(situation: Situation, verdict: Verdict) -> Iterator[Repair]:
    """Let idle connections live as the kernel does; 0 leaves a value as it is, see ipvsadm(8)."""
    if sandbox_of(situation, verdict) is not None:
        yield Repair(verdict.node, f"{ENTER}ipvsadm --set {IDLE_S} 0 0")


SANDBOX: Mapping[str, Mend] = {
    "H10-address": mend_address,
    "B1-mark": mend_mark,
    "B3-vip-mark": mend_vip_mark,
    "B4-ipvs": mend_service,
    "B5-backends": mend_backends,
    "B7-masq": mend_each_backend,
    "B8-weight": mend_each_backend,
    "B9-snat": mend_snat,
    "B10-own-address": mend_own_address,
    "B12-forwarding": mend_sandbox_switches,
    "B13-not-nat": mend_sandbox_rules,
    "B14-filter": mend_sandbox_rules,
    "B15-way-back": mend_ways,
    "B16-idle": mend_timeouts,
}
