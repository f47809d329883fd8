"""Hop "sandbox": inside ingress_sbox, where a mark becomes a choice between the tasks."""

from collections.abc import Iterable
from ipaddress import IPv4Address

from lab.facts.iptables import FULL_MARK_MASK, Rule
from lab.facts.ipvs import Backend, Forwarding
from lab.hops.flows import CLIENT_PORT, Stage
from lab.hops.judge import judge
from lab.hops.netfilter import Packet
from lab.hops.situation import Blocked, Situation
from lab.hops.surroundings import gateway
from lab.hops.verdict import Check, Finding, Hop, Scope

FIRST_MARK = 256
"""The mark of the first load balancer of a dockerd process (moby: libnetwork, ``fwMarkCtr``)."""


@judge(
    Check(
        "B1-mark",
        Hop.SANDBOX,
        Scope.NODE,
        "the sandbox marks packets for the published port with the mark IPVS waits for",
        cause="the rule was removed, or the sandbox lost its rules: requests are then refused at "
        "once, because nothing listens in the sandbox",
        see="nsenter --net=/var/run/docker/netns/ingress_sbox iptables -t mangle -nvL PREROUTING",
    )
)
def port_is_marked(situation: Situation, name: str) -> Finding:
    """Follow a request into the sandbox; the last mark it gets must be the one IPVS waits for."""
    situation.published(name)
    sandbox = situation.sandbox(name)
    address = situation.sandbox_address(name)
    interface = sandbox.interface_with(address)
    packet = Packet(
        source=gateway(situation, name),
        destination=address,
        protocol=situation.protocol,
        in_interface=interface.name if interface else None,
        source_port=CLIENT_PORT,
        destination_port=situation.port,
        local_destination=True,
    )
    what = f"{situation.protocol} {situation.port}"
    return _marks(situation, name, packet, ("PREROUTING", "INPUT"), what)


@judge(
    Check(
        "B2-mark-value",
        Hop.SANDBOX,
        Scope.NODE,
        "the mark is the very one the topology promises",
        cause="marks count up from 256 per dockerd and are never reused: fewer or more services "
        "lived in this process before, or docker was restarted",
        see="nsenter --net=/var/run/docker/netns/ingress_sbox iptables -t mangle -nvL PREROUTING",
    )
)
def mark_is_as_promised(situation: Situation, name: str) -> Finding:
    """Compare with ``expected.fwmark``, where the topology declares it."""
    situation.published(name)
    wanted = situation.topology.expected.fwmark
    chain = situation.sandbox(name).rules.in_chain("mangle", "PREROUTING")
    rules = [r for r in chain if r.destination_port == situation.port]
    found = [r.set_mark for r in rules if r.set_mark is not None]
    return Finding(
        ok=wanted is None or found == [wanted],
        expected="nothing promised" if wanted is None else _mark(wanted),
        found=", ".join(_mark(mark) for mark in found) or f"no mark for port {situation.port}",
        evidence=_raw(rules),
    )


@judge(
    Check(
        "B3-vip-mark",
        Hop.SANDBOX,
        Scope.NODE,
        "the sandbox gives packets for the service's virtual address the same mark",
        cause="the rule was removed, or the service's address changed",
        see="nsenter --net=/var/run/docker/netns/ingress_sbox iptables -t mangle -nvL INPUT",
    )
)
def vip_is_marked(situation: Situation, name: str) -> Finding:
    """Follow a packet for the VIP through mangle INPUT (moby: OUTPUT up to 18.03)."""
    vip = situation.vip()
    packet = Packet(source=vip, destination=vip, in_interface="lo", local_destination=True)
    return _marks(situation, name, packet, ("INPUT",), f"{vip}/32")


@judge(
    Check(
        "B4-ipvs",
        Hop.SANDBOX,
        Scope.NODE,
        "IPVS balances that mark round robin, and remembers no client",
        cause="the IPVS table was cleared, changed by hand, or the module ip_vs is missing",
        see="nsenter --net=/var/run/docker/netns/ingress_sbox ipvsadm -Ln",
    )
)
def ipvs_balances_the_mark(situation: Situation, name: str) -> Finding:
    """Find the IPVS service of the mark; docker always asks for rr without persistence."""
    situation.published(name)
    service = situation.balancer(name)
    return Finding(
        ok=service.scheduler == "rr" and not service.flags,
        expected=f"FWM {service.fwmark} rr",
        found=" ".join([f"FWM {service.fwmark} {service.scheduler}", *service.flags]),
        evidence=(service.raw,),
    )


@judge(
    Check(
        "B5-backends",
        Hop.SANDBOX,
        Scope.NODE,
        "IPVS holds exactly the running tasks: none missing, none that is gone",
        cause="gossip (7946) did not bring or did not remove one, or somebody used ipvsadm",
        see="nsenter --net=/var/run/docker/netns/ingress_sbox ipvsadm -Ln",
    )
)
def backends_are_the_tasks(situation: Situation, name: str) -> Finding:
    """Compare the set of backends with the running tasks' ingress addresses."""
    situation.published(name)
    backends = situation.balancer(name).backends
    held = [b.address for b in backends]
    wanted = situation.cluster.backend_addresses
    missing = sorted(wanted - set(held))
    ghosts = sorted(set(held) - wanted)
    words = [f"missing {a}" for a in missing] + [f"{a} is no running task" for a in ghosts]
    return Finding(
        ok=bool(wanted) and not words and len(held) == len(wanted),
        expected=_addresses(wanted),
        found=f"{_addresses(held)}{'; ' if words else ''}{', '.join(words)}",
        evidence=tuple(b.raw for b in backends),
    )


@judge(
    Check(
        "B6-backends-value",
        Hop.SANDBOX,
        Scope.NODE,
        "the backends are the very addresses the topology promises",
        cause="addresses are handed out in order and not reused: a task failed, was replaced or "
        "scaled since the service was created",
        see="nsenter --net=/var/run/docker/netns/ingress_sbox ipvsadm -Ln",
    )
)
def backends_are_as_promised(situation: Situation, name: str) -> Finding:
    """Compare with ``expected.backends``, where the topology declares them."""
    situation.published(name)
    wanted = situation.topology.expected.backends
    backends = situation.balancer(name).backends
    return Finding(
        ok=not wanted or sorted(b.address for b in backends) == sorted(wanted),
        expected=_addresses(wanted) if wanted else "nothing promised",
        found=_addresses(b.address for b in backends),
        evidence=tuple(b.raw for b in backends),
    )


@judge(
    Check(
        "B7-masq",
        Hop.SANDBOX,
        Scope.NODE,
        "every backend is reached by address translation (Masq)",
        cause="the ingress network was made again with --opt dsr, or somebody used ipvsadm",
        see="nsenter --net=/var/run/docker/netns/ingress_sbox ipvsadm -Ln",
    )
)
def backends_are_masqueraded(situation: Situation, name: str) -> Finding:
    """Look at each backend's forwarding method."""
    situation.published(name)
    backends = situation.balancer(name).backends
    wrong = [b for b in backends if b.forwarding is not Forwarding.MASQUERADE]
    return _each(backends, wrong, "Masq", [f"{b.address} {b.forwarding}" for b in wrong])


@judge(
    Check(
        "B8-weight",
        Hop.SANDBOX,
        Scope.NODE,
        "every backend has weight 1: all get the same share, none is drained",
        cause="the task is being shut down (weight 0 for about two seconds), a removal got "
        "stuck, or somebody used ipvsadm",
        see="nsenter --net=/var/run/docker/netns/ingress_sbox ipvsadm -Ln",
    )
)
def backends_weigh_the_same(situation: Situation, name: str) -> Finding:
    """Look at each backend's weight."""
    situation.published(name)
    backends = situation.balancer(name).backends
    wrong = [b for b in backends if b.weight != 1]
    return _each(backends, wrong, "weight 1", [f"{b.address} weight {b.weight}" for b in wrong])


def _marks(
    situation: Situation, name: str, packet: Packet, chains: tuple[str, ...], what: str
) -> Finding:
    wanted = situation.known_mark(name)
    rules = situation.sandbox(name).rules
    trail = [r for c in chains for r in Stage("mangle", c, packet).fate(rules).trail]
    setting = [r for r in trail if r.set_mark is not None]
    last = setting[-1] if setting else None
    whole = last is not None and last.set_mark_mask in (None, FULL_MARK_MASK)
    mark = last.set_mark if last else None
    return Finding(
        ok=whole and mark == wanted >= FIRST_MARK,
        expected=f"{what} gets mark {_mark(wanted)}",
        found=f"{what} gets {'no mark' if mark is None else f'mark {_mark(mark)}'}",
        evidence=_raw(setting or rules.in_chain("mangle", chains[0])),
    )


def _each(
    backends: tuple[Backend, ...], wrong: list[Backend], wanted: str, words: list[str]
) -> Finding:
    if not backends:
        raise Blocked("no backend at all", owner="B5-backends")
    return Finding(
        ok=not wrong,
        expected=f"{wanted} for each of {_addresses(b.address for b in backends)}",
        found=", ".join(words) or f"all {wanted}",
        evidence=tuple(b.raw for b in wrong or backends),
    )


def _mark(mark: int) -> str:
    return f"{mark:#x} ({mark})"


def _addresses(addresses: Iterable[IPv4Address]) -> str:
    return ", ".join(str(address) for address in sorted(addresses)) or "no backend"


def _raw(rules: Iterable[Rule]) -> tuple[str, ...]:
    return tuple(rule.raw for rule in rules)


JUDGES = (
    port_is_marked,
    mark_is_as_promised,
    vip_is_marked,
    ipvs_balances_the_mark,
    backends_are_the_tasks,
    backends_are_as_promised,
    backends_are_masqueraded,
    backends_weigh_the_same,
)
