"""Broken things to be put into a running lab: how to break each, how to mend it, what it shows."""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from lab.hops.judge import slot_name
from lab.hops.situation import IN_SANDBOX, Situation


@dataclass(frozen=True, slots=True)
class Place:
    """Where a fault goes: a node that runs a task, with the values of its hops."""

    node: str
    port: int
    target: int
    sandbox: IPv4Address
    mark: int
    subnet: IPv4Network
    own: IPv4Address
    nobody: IPv4Address
    slot: str
    task: IPv4Address
    container: str
    enter: str

    @property
    def dnat(self) -> str:
        """The host's rule that leads into the sandbox."""
        to = f"-j DNAT --to-destination {self.sandbox}:{self.port}"
        return f"DOCKER-INGRESS -p tcp -m tcp --dport {self.port} {to}"

    @property
    def marking(self) -> str:
        """The sandbox's rule that marks the published port."""
        return f"PREROUTING -p tcp -m tcp --dport {self.port} -j MARK --set-mark {self.mark}"

    @property
    def redirect(self) -> str:
        """The container's rule that leads to the program's port."""
        to = f"-j REDIRECT --to-ports {self.target}"
        return f"PREROUTING -d {self.task}/32 -p tcp -m tcp --dport {self.port} {to}"


@dataclass(frozen=True, slots=True)
class Fault:
    """One broken thing.

    ``red`` are the verdicts on facts that must fail, as "CHECK[subject]", and no others;
    ``felt`` are checks that try something and must fail because of it.
    """

    name: str
    break_it: Callable[[Place], str]
    mend_it: Callable[[Place], str]
    red: Callable[[Place], set[str]]
    felt: tuple[str, ...]


def place_in(situation: Situation) -> Place:
    """Return a worker that runs a task, or else the manager, as the place for faults."""
    names = [*(n.name for n in situation.topology.workers), situation.topology.manager.name]
    homes = {
        node.node: task
        for task in situation.cluster.running_tasks
        if (node := situation.cluster.node_of(task)) is not None
    }
    name = next(n for n in names if n in homes)
    slot = homes[name].slot or 0
    local = situation.local(slot)
    subnet = situation.ingress(name).subnets[0]
    return Place(
        node=name,
        port=situation.port,
        target=situation.target,
        sandbox=situation.sandbox_address(name),
        mark=situation.known_mark(name),
        subnet=subnet,
        own=situation.ingress_address(name),
        nobody=subnet.broadcast_address - 1,
        slot=slot_name(slot),
        task=local.ingress_address or subnet.network_address,
        container=local.container.id,
        enter=situation.namespace(slot).by_hand.strip(),
    )


def _about(check: str) -> Callable[[Place], set[str]]:
    return lambda p: {f"{check}[{p.node}]"}


FAULTS = (
    Fault(
        "gossip is dropped",
        lambda _: "iptables -I INPUT -p tcp --dport 7946 -j DROP",
        lambda _: "iptables -D INPUT -p tcp --dport 7946 -j DROP",
        _about("C10-control-in"),
        felt=("C7-reach",),
    ),
    Fault(
        "the program is paused",
        lambda p: f"docker pause {p.container}",
        lambda p: f"docker unpause {p.container}",
        lambda p: {f"S2-placed[{p.slot}]"},
        felt=("F7-fetch", "R1-inside", "R2-outside"),
    ),
    Fault(
        "the DNAT is deleted",
        lambda p: f"iptables -t nat -D {p.dnat}",
        lambda p: f"iptables -t nat -I {p.dnat}",
        _about("H3-dnat"),
        felt=("R1-inside", "R2-outside"),
    ),
    Fault(
        "an administrator drops the port",
        lambda p: f"iptables -I DOCKER-USER -p tcp --dport {p.port} -j DROP",
        lambda p: f"iptables -D DOCKER-USER -p tcp --dport {p.port} -j DROP",
        _about("H5-requests-pass"),
        felt=("R1-inside", "R2-outside"),
    ),
    Fault(
        "a blackhole swallows the sandbox",
        lambda p: f"ip route add blackhole {p.sandbox}/32",
        lambda p: f"ip route del blackhole {p.sandbox}/32",
        lambda p: {f"H11-route[{p.node}]", f"H12-no-shadow[{p.node}]"},
        felt=("R1-inside", "R2-outside"),
    ),
    Fault(
        "forwarding is switched off",
        lambda _: "sysctl -q -w net.ipv4.ip_forward=0",
        lambda _: "sysctl -q -w net.ipv4.ip_forward=1",
        _about("H13-forwarding"),
        felt=("R2-outside",),
    ),
    Fault(
        "the mark is deleted",
        lambda p: f"{IN_SANDBOX} iptables -t mangle -D {p.marking}",
        lambda p: f"{IN_SANDBOX} iptables -t mangle -A {p.marking}",
        _about("B1-mark"),
        felt=("R1-inside", "R2-outside"),
    ),
    Fault(
        "a backend is removed",
        lambda p: f"{IN_SANDBOX} ipvsadm -d -f {p.mark} -r {p.task}",
        lambda p: f"{IN_SANDBOX} ipvsadm -a -f {p.mark} -r {p.task} -m -w 1",
        lambda p: {f"B5-backends[{p.node}]", f"T3-address[{p.slot}]"},
        felt=("R4-even",),
    ),
    Fault(
        "a ghost backend is added",
        lambda p: f"{IN_SANDBOX} ipvsadm -a -f {p.mark} -r {p.nobody} -m -w 1",
        lambda p: f"{IN_SANDBOX} ipvsadm -d -f {p.mark} -r {p.nobody}",
        _about("B5-backends"),
        felt=("R1-inside", "R2-outside"),
    ),
    Fault(
        "a backend weighs nothing",
        lambda p: f"{IN_SANDBOX} ipvsadm -e -f {p.mark} -r {p.task} -m -w 0",
        lambda p: f"{IN_SANDBOX} ipvsadm -e -f {p.mark} -r {p.task} -m -w 1",
        _about("B8-weight"),
        felt=("R3-alternate", "R4-even"),
    ),
    Fault(
        "SNAT is deleted",
        lambda p: f"{IN_SANDBOX} iptables -t nat -D POSTROUTING {_snat(p)}",
        lambda p: f"{IN_SANDBOX} iptables -t nat -A POSTROUTING {_snat(p)}",
        _about("B9-snat"),
        felt=("R1-inside", "R2-outside"),
    ),
    Fault(
        "tunnel packets are dropped",
        lambda _: "iptables -I INPUT -p udp --dport 4789 -j DROP",
        lambda _: "iptables -D INPUT -p udp --dport 4789 -j DROP",
        _about("F2-tunnel-in"),
        felt=("F6-ping", "F7-fetch", "F8-payload", "R1-inside", "R2-outside"),
    ),
    Fault(
        "the redirect is deleted",
        lambda p: f"{p.enter} iptables -t nat -D {p.redirect}",
        lambda p: f"{p.enter} iptables -t nat -A {p.redirect}",
        lambda p: {f"T1-redirect[{p.slot}]"},
        felt=("F7-fetch", "R1-inside", "R2-outside"),
    ),
)


def _snat(place: Place) -> str:
    return f"-d {place.subnet} -m ipvs --ipvs -j SNAT --to-source {place.own}"
