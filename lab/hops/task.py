"""Hop "task": inside a task's container, from its ingress address to the program."""

from ipaddress import IPv4Address

from lab.hops.flows import CLIENT_PORT, Stage, pass_all
from lab.hops.judge import judge, slot_number
from lab.hops.netfilter import Packet
from lab.hops.situation import Blocked, Situation
from lab.hops.verdict import Check, Finding, Hop, Scope


@judge(
    Check(
        "T1-redirect",
        Hop.TASK,
        Scope.SLOT,
        "the published port is redirected to the program's port inside the container",
        cause="the rule was flushed: the container then refuses the published port",
        see="{task} iptables -t nat -nvL PREROUTING",
    )
)
def port_is_redirected(situation: Situation, subject: str) -> Finding:
    """Follow a balanced packet through the container's nat PREROUTING."""
    slot = slot_number(subject)
    namespace = situation.namespace(slot)
    address = _address(situation, slot)
    interface = namespace.interface_with(address)
    packet = Packet(
        source=_balancing_source(situation),
        destination=address,
        protocol=situation.protocol,
        in_interface=interface.name if interface else None,
        source_port=CLIENT_PORT,
        destination_port=situation.port,
        local_destination=True,
    )
    fate = Stage("nat", "PREROUTING", packet).fate(namespace.rules)
    to = fate.rule.redirect_port if fate.rule is not None else None
    what = f"{situation.protocol} {situation.port}"
    return Finding(
        ok=fate.target == "REDIRECT" and to == situation.target,
        expected=f"{what} for {address} REDIRECT to {situation.target}",
        found=f"{fate.target} to {to}" if fate.rule else f"no rule for {what}",
        evidence=fate.lines or tuple(r.raw for r in namespace.rules.in_chain("nat", "PREROUTING")),
    )


@judge(
    Check(
        "T2-listens",
        Hop.TASK,
        Scope.SLOT,
        "the program listens on its port, on an address the redirected packet has",
        cause="it stopped, listens on 127.0.0.1 only, or on another port than -p says",
        see="{task} ss -ltnp",
    )
)
def program_listens(situation: Situation, subject: str) -> Finding:
    """Look for a listener on every IPv4 address, or on the ingress address itself."""
    slot = slot_number(subject)
    address = _address(situation, slot)
    protocol = situation.protocol
    held = [s for s in situation.namespace(slot).listeners if s.protocol == protocol]
    fitting = [
        s for s in held if s.port == situation.target and (s.any_ipv4 or s.address == address)
    ]
    ports = ", ".join(f"{s.address or '*'}:{s.port}" for s in held)
    return Finding(
        ok=bool(fitting),
        expected=f"a listener on 0.0.0.0:{situation.target}",
        found=f"listens on {ports}" if held else "nothing listens",
        evidence=tuple(s.raw for s in fitting or held),
    )


@judge(
    Check(
        "T3-address",
        Hop.TASK,
        Scope.SLOT,
        "the container's own ingress address is the swarm's, and IPVS holds it on every node",
        cause="gossip did not tell every node of the task, or Docker's records and the container "
        "disagree",
        see="docker inspect --format '{{json .NetworkSettings.Networks.ingress}}' "
        "$(docker ps -q --filter name={service})",
    )
)
def address_is_a_backend(situation: Situation, subject: str) -> Finding:
    """Follow one address: swarm's word, docker inspect, the interface, each IPVS table."""
    slot = slot_number(subject)
    address = _address(situation, slot)
    local = situation.local(slot)
    namespace = situation.namespace(slot)
    words = []
    if local.ingress_address != address:
        words.append(f"docker inspect says {local.ingress_address}")
    interface = namespace.interface_with(address)
    if interface is None or not interface.is_up:
        words.append("no interface that is up has it")
    for spec in situation.topology.nodes:
        try:
            backends = {b.address for b in situation.balancer(spec.name).backends}
        except Blocked as blocked:
            words.append(f"{spec.name}: {blocked.found}")
        else:
            if address not in backends:
                words.append(f"IPVS on {spec.name} does not hold it")
    return Finding(
        ok=not words,
        expected=f"{address} in the container and in IPVS on every node",
        found="; ".join(words) or f"{address} everywhere",
    )


@judge(
    Check(
        "T4-filter",
        Hop.TASK,
        Scope.SLOT,
        "the container's filter lets requests for the program in and its replies out",
        cause="docker closes a task's ingress address but for the published service; a rule was "
        "removed or added",
        see="{task} iptables -nvL",
    )
)
def container_lets_it_pass(situation: Situation, subject: str) -> Finding:
    """Follow a redirected request through INPUT and its reply through OUTPUT."""
    slot = slot_number(subject)
    namespace = situation.namespace(slot)
    address = _address(situation, slot)
    interface = namespace.interface_with(address)
    device = interface.name if interface else None
    client = _balancing_source(situation)
    request = Packet(
        source=client,
        destination=address,
        protocol=situation.protocol,
        in_interface=device,
        source_port=CLIENT_PORT,
        destination_port=situation.target,
        local_destination=True,
    )
    reply = Packet(
        source=address,
        destination=client,
        protocol=situation.protocol,
        out_interface=device,
        source_port=situation.target,
        destination_port=CLIENT_PORT,
        state="ESTABLISHED",
        local_source=True,
    )
    passages = [
        pass_all(namespace.rules, (Stage("filter", "INPUT", request),)),
        pass_all(namespace.rules, (Stage("filter", "OUTPUT", reply),)),
    ]
    lost = [p for p in passages if not p.ok]
    what = f"{situation.protocol} {situation.target}"
    return Finding(
        ok=not lost,
        expected=f"{what} accepted in INPUT, its replies in OUTPUT",
        found="; ".join(map(str, lost or passages)),
        evidence=tuple(line for p in lost or passages for line in p.fate.lines),
    )


def _address(situation: Situation, slot: int) -> IPv4Address:
    address = situation.task(slot).ingress_address
    if address is None:
        raise Blocked(
            f"the task of slot {slot} has no address on the ingress network",
            owner="S4-port",
            cause="the service publishes no port in mode ingress",
            see=f"docker service inspect {situation.topology.service.name}",
            see_on_manager=True,
        )
    return address


def _balancing_source(situation: Situation) -> IPv4Address:
    """Return the address a balanced packet comes from: a sandbox's own."""
    return situation.ingress_address(situation.topology.manager.name)


JUDGES = (
    port_is_redirected,
    program_listens,
    address_is_a_backend,
    container_lets_it_pass,
)
