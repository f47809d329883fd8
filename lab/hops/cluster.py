"""Hop "cluster": the swarm itself, and the ways between its nodes."""

from collections import Counter
from collections.abc import Iterator

from lab.facts.model import NodeFacts
from lab.hops.flows import Door, Stage, between_nodes, pass_all
from lab.hops.judge import judge
from lab.hops.layouts import LAST_KNOWN, is_known, series
from lab.hops.observations import Connect
from lab.hops.situation import Situation
from lab.hops.surroundings import advertised, data_port, gossip_peers
from lab.hops.verdict import Check, Finding, Hop, Scope

CONTROL_PORT = 2377
GOSSIP_PORT = 7946


@judge(
    Check(
        "C1-member",
        Hop.CLUSTER,
        Scope.NODE,
        "the node is a member of the swarm, Ready and Active",
        cause="it lost the manager, or was drained",
        see="docker node ls",
        see_on_manager=True,
    )
)
def member_is_ready(situation: Situation, name: str) -> Finding:
    """Ask the manager about this node; what the node says of itself proves nothing."""
    node = situation.member(name)
    situation.manager()
    member = situation.cluster.member(node)
    # Whoever drains a node of their own means it, and its sandbox goes on balancing.
    wanted = "active" if situation.is_lab or member is None else member.availability
    expected = f"state ready, availability {wanted}"
    if member is None:
        ids = ", ".join(m.id for m in situation.cluster.members)
        return Finding(
            ok=False,
            expected=expected,
            found=f"the manager does not know its id {node.swarm.node_id}; it knows: {ids}",
            cause="the node belongs to another swarm: docker swarm leave, then join this one",
        )
    found = f"state {member.state}, availability {member.availability}"
    return Finding(ok=found == expected, expected=expected, found=found)


@judge(
    Check(
        "C2-leader",
        Hop.CLUSTER,
        Scope.SWARM,
        "exactly one leader, and it is the topology's manager",
        cause="another node was promoted, or the managers lost their quorum",
        see="docker node ls",
    )
)
def one_leader(situation: Situation, _: str) -> Finding:
    """Count the leaders among the members."""
    situation.manager()
    leaders = [m.hostname for m in situation.cluster.members if m.is_leader]
    expected = situation.topology.manager.name if situation.is_lab else "one of the managers"
    return Finding(
        ok=leaders == [expected] if situation.is_lab else len(leaders) == 1,
        expected=expected,
        found=", ".join(leaders) or "no leader",
    )


@judge(
    Check(
        "C3-roles",
        Hop.CLUSTER,
        Scope.SWARM,
        "the members are the topology's nodes in their roles, and nobody else",
        cause="a node never joined, left and joined again, or was promoted",
        see="docker node ls",
    )
)
def roles_are_right(situation: Situation, _: str) -> Finding:
    """Compare members with the topology by host name; a second entry of a node shows here."""
    situation.manager()
    if not situation.is_lab:
        return _each_once(situation)
    wanted = sorted(f"{n.name} ({n.role})" for n in situation.topology.nodes)
    held = sorted(f"{m.hostname} ({m.role})" for m in situation.cluster.members)
    return Finding(
        ok=held == wanted, expected=", ".join(wanted), found=", ".join(held) or "no members"
    )


def _each_once(situation: Situation) -> Finding:
    """Every host is one member in the role that was said; no member is there twice."""
    members = situation.cluster.members
    words = []
    for spec in situation.topology.nodes:
        member = situation.cluster.member(situation.cluster.node(spec.name))
        if member is None or str(member.role) != str(spec.role):
            words.append(
                f"{spec.name} is {member.role if member else 'no member'}, not {spec.role}"
            )
    times = Counter(m.hostname for m in members)
    words += [f"{name} is there {count} times" for name, count in times.items() if count > 1]
    return Finding(
        ok=not words,
        expected="every host a member in its role, no member twice",
        found="; ".join(words) or ", ".join(sorted(f"{m.hostname} ({m.role})" for m in members)),
    )


@judge(
    Check(
        "C4-engine",
        Hop.CLUSTER,
        Scope.NODE,
        "the engine's version is one whose rules these checks can read",
        cause="another Docker than Debian trixie's was installed",
        see="docker version",
    )
)
def engine_is_known(situation: Situation, name: str) -> Finding:
    """Know the layout before reading rules: 29.8 moved the DNAT to another chain."""
    version = situation.cluster.node(name).engine_version
    newer = "engine 29.8 and later publish without DOCKER-INGRESS: a layout not known here"
    return Finding(
        ok=is_known(version),
        expected="20.10 to 29.7",
        found=version,
        cause=newer if series(version) > LAST_KNOWN else "",
    )


@judge(
    Check(
        "C5-advertise",
        Hop.CLUSTER,
        Scope.NODE,
        "the node advertises its address on the link, not that of a NAT interface",
        cause="swarm init or join without --advertise-addr chose the interface of the default "
        "route, whose address is the same on every node of many labs",
        see="docker info --format '{{.Swarm.NodeAddr}}'",
    )
)
def advertises_the_link(situation: Situation, name: str) -> Finding:
    """Compare what the node, and its peers, say with the topology's address."""
    node = situation.member(name)
    if situation.topology.link is None:
        return _alone_with_its_address(situation, name)
    address = situation.spec(name).address
    member = situation.cluster.member(node)
    said = {"itself": node.swarm.address}
    if member is not None:
        said["the manager"] = member.address
    return Finding(
        ok=all(found == address for found in said.values()),
        expected=f"{address} in {situation.topology.link.subnet}",
        found=", ".join(f"{found} says {who}" for who, found in said.items()),
    )


def _alone_with_its_address(situation: Situation, name: str) -> Finding:
    """Where nobody said which address is right, it must at least be no other node's."""
    own = advertised(situation, name)
    peers = gossip_peers(situation, name)
    return Finding(
        ok=own not in peers,
        expected=f"{own} is advertised by no other node",
        found="another node advertises it too" if own in peers else "by no other",
    )


@judge(
    Check(
        "C6-listeners",
        Hop.CLUSTER,
        Scope.NODE,
        "swarm's ports are open on the node: 7946 tcp and udp, 2377 tcp on a manager, and the "
        "tunnels' 4789 udp, or what swarm init chose for it",
        cause="the node is not in the swarm, or another data path port was chosen at init",
        see="ss -ltunp",
    )
)
def swarm_listens(situation: Situation, name: str) -> Finding:
    """Look for each socket; the tunnels' belongs to the kernel and has no process."""
    node = situation.member(name)
    tunnels = ("udp", data_port(situation))
    wanted = [("tcp", GOSSIP_PORT), ("udp", GOSSIP_PORT), tunnels]
    if node.swarm.is_manager:
        wanted.append(("tcp", CONTROL_PORT))
    open_ports = {(s.protocol, s.port): s.raw for s in node.host.listeners}
    missing = [pair for pair in wanted if pair not in open_ports]
    if missing == [tunnels]:
        situation.ingress(name)  # without the network there is no tunnel
    return Finding(
        ok=not missing,
        expected=", ".join(f"{port}/{protocol}" for protocol, port in wanted),
        found=f"not open: {', '.join(f'{port}/{protocol}' for protocol, port in missing)}"
        if missing
        else "all open",
        evidence=tuple(open_ports[key] for key in wanted if key in open_ports),
    )


@judge(
    Check(
        "C10-control-in",
        Hop.CLUSTER,
        Scope.NODE,
        "the node's own filter lets swarm's gossip and orders of every other node in, and its own "
        "out",
        cause="a firewall rule drops 7946 tcp or udp, or 2377 tcp of a manager: the node hears of "
        "no new task, though what it knows already goes on working",
        see="iptables -nvL INPUT; iptables -nvL OUTPUT",
    )
)
def control_packets_pass(situation: Situation, name: str) -> Finding:
    """Follow packets of each control port from and to each other node through the filter."""
    node = situation.member(name)
    ways = tuple(_control_ways(situation, name))
    passages = [(what, pass_all(node.host.rules, stages)) for what, stages in ways if stages]
    lost = [(what, passage) for what, passage in passages if not passage.ok]
    return Finding(
        ok=len(passages) == len(ways) and not lost,
        expected=f"accepted: {', '.join(dict.fromkeys(what for what, _ in ways))}",
        found="; ".join(dict.fromkeys(f"{what} {passage}" for what, passage in lost))
        or ("accepted" if passages else "no interface has the advertised address"),
        evidence=tuple(dict.fromkeys(line for _, p in lost for line in p.fate.lines)),
    )


def _control_ways(situation: Situation, name: str) -> Iterator[tuple[str, tuple[Stage, ...]]]:
    """Yield the packets between this node and the others: gossip both ways, orders to managers."""
    node = situation.member(name)
    manager = situation.topology.manager.name
    own = node.swarm.address or situation.spec(name).address
    control = advertised(situation, manager)
    for peer in gossip_peers(situation, name):
        for protocol in ("tcp", "udp"):
            for stages in between_nodes(node, own, peer, Door(protocol, GOSSIP_PORT)):
                yield f"{GOSSIP_PORT}/{protocol}", stages
        if name == manager or peer == control:
            coming, going = between_nodes(node, own, peer, Door("tcp", CONTROL_PORT))
            yield f"{CONTROL_PORT}/tcp", coming if name == manager else going


@judge(
    Check(
        "C11-link",
        Hop.CLUSTER,
        Scope.NODE,
        "the interface with the node's advertised address is up",
        cause="the cable is out, or the interface was taken down or lost its address",
        see="ip addr",
    )
)
def link_is_up(situation: Situation, name: str) -> Finding:
    """Look at the interface that carries gossip, orders and tunnel."""
    address = situation.spec(name).address
    link = situation.cluster.node(name).host.interface_with(address)
    up = link is not None and link.is_up
    return Finding(
        ok=up,
        expected=f"{address} on an interface that is up",
        found=f"{address} on {link.name}, {'up' if up else 'down'}"
        if link
        else f"no interface has {address}",
    )


@judge(
    Check(
        "C7-reach",
        Hop.CLUSTER,
        Scope.NODE,
        "the node reaches every other one: 7946 tcp, and 2377 tcp where it is a manager",
        cause="a firewall on the way drops it (no answer), or nothing listens there (refused)",
        see="timeout 3 bash -c '</dev/tcp/{manager}/7946' && echo open",
    )
)
def reaches_the_others(situation: Situation, name: str) -> Finding:
    """Judge the connections that were tried; udp shows in C8-gossip and F4-ping."""
    tried = situation.reach_of(name).tcp
    others = gossip_peers(situation, name)
    failed = [f"{t.address}:{t.port} {t.outcome}" for t in tried if t.outcome is not Connect.OPEN]
    targets = ", ".join(f"{t.address}:{t.port}" for t in tried)
    return Finding(
        ok=bool(tried or not others) and not failed,
        expected=f"open: {targets}" if others else "nothing: there is no other node",
        found=", ".join(failed) or ("all open" if tried else "nothing was tried"),
    )


@judge(
    Check(
        "C8-gossip",
        Hop.CLUSTER,
        Scope.NODE,
        "the node's gossip knows every node as a peer of the ingress network",
        cause="7946 tcp or udp is blocked between two nodes, or they advertise wrong addresses",
        see="docker network inspect ingress --format '{{json .Peers}}'",
    )
)
def gossip_knows_all(situation: Situation, name: str) -> Finding:
    """Compare the ingress network's peers, as this node sees them, with the topology."""
    held = sorted(peer.address for peer in situation.ingress(name).peers)
    wanted = sorted((advertised(situation, name), *gossip_peers(situation, name)))
    return Finding(
        ok=held == wanted,
        expected=", ".join(map(str, wanted)),
        found=", ".join(map(str, held)) or "no peers",
    )


@judge(
    Check(
        "C9-backend",
        Hop.CLUSTER,
        Scope.NODE,
        "one iptables backend holds all rules, so that what is listed is what is in force",
        cause="rules were made with iptables-legacy and with iptables-nft: the kernel applies "
        "both, each tool shows its own",
        see="iptables-legacy-save; iptables-nft-save; nft list ruleset; "
        "update-alternatives --display iptables",
    )
)
def one_iptables_backend(situation: Situation, name: str) -> Finding:
    """Refuse to judge rules quietly when others exist that were not read."""
    node: NodeFacts = situation.cluster.node(name)
    rulesets = [("the host", node.host.rules)]
    if node.sandbox is not None:
        rulesets.append(("ingress_sbox", node.sandbox.rules))
    backends = {rules.backend for _, rules in rulesets if rules.backend is not None}
    warnings = tuple(w for _, rules in rulesets for w in rules.warnings)
    by_nft = warnings and all("use 'nft' tool" in warning for warning in warnings)
    return Finding(
        ok=len(backends) <= 1 and not warnings,
        expected="one backend, no warning",
        found=" and ".join(sorted(backends)) or "no rules at all",
        evidence=warnings,
        cause="nft made rules in a table of iptables: they are in force, and not to be seen here"
        if by_nft
        else "",
    )


JUDGES = (
    member_is_ready,
    one_leader,
    roles_are_right,
    engine_is_known,
    advertises_the_link,
    swarm_listens,
    control_packets_pass,
    link_is_up,
    reaches_the_others,
    gossip_knows_all,
    one_iptables_backend,
)
