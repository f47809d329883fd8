"""Faults of hop "fabric": the overlay between the nodes."""

from lab.faults.changes import added_rule, commands
from lab.faults.model import Answers, Fault, Requests, Role, Shown, Step
from lab.faults.threads import libnetwork, moby
from lab.hops.verdict import Hop

TC = "{overlay_ns} tc"
SWALLOWING = f"{TC} filter show dev {{tunnel}} ingress"
EVERYWHERE = ("R1-inside", "R2-outside")
BOTH_ENDS = "what is lost in one end of the tunnel is missed by the probes of both"
TRIED = ("F6-ping", "F7-fetch", "F8-payload", *EVERYWHERE)

FAULTS = (
    Fault(
        id="vxlan-blocked",
        title="a firewall drops the tunnel's packets, UDP 4789",
        symptom="every other request hangs; `docker node ls` shows all nodes Ready",
        hop=Hop.FABRIC,
        first="F2-tunnel-in[{node}]",
        role=Role.ANY,
        level=1,
        change=added_rule("INPUT -p udp --dport 4789 -j DROP"),
        bites=Requests(Answers.SOME),
        source=moby(26946),
        felt=TRIED,
    ),
    Fault(
        id="vxlan-blocked-out",
        title="a firewall keeps the tunnel's packets from leaving the node",
        symptom="every other request hangs; the node's INPUT is clean",
        hop=Hop.FABRIC,
        first="F2-tunnel-in[{node}]",
        role=Role.ANY,
        level=2,
        change=added_rule("OUTPUT -p udp --dport 4789 -j DROP"),
        bites=Requests(Answers.SOME),
        source=moby(26946),
        felt=TRIED,
    ),
    Fault(
        id="mtu-hole",
        title="large tunnel packets are lost on the way",
        symptom="small answers come, every other large one hangs",
        hop=Hop.FABRIC,
        first="F2-tunnel-in[{node}]",
        role=Role.ANY,
        level=3,
        change=added_rule("INPUT -p udp --dport 4789 -m length --length 1400:65535 -j DROP"),
        bites=Requests(Answers.SMALL),
        source=moby(24906),
        felt=("F6-ping", "F8-payload", "R8-large"),
    ),
    Fault(
        id="link-mtu-lowered",
        title="the link between the nodes carries smaller packets than the overlay sends",
        symptom="nothing: full packets are refused, and who sent them learns to send smaller ones",
        hop=Hop.FABRIC,
        first="F3-mtu[{node}]",
        role=Role.ANY,
        level=3,
        change=commands(
            inject="ip link set {link} mtu 1400",
            present="ip link show {link} | grep -qw 'mtu 1400'",
            # What the sandbox has learnt of smaller packets is forgotten, too.
            heal="ip link set {link} mtu {link_mtu}; {sandbox_ns} ip route flush cache",
        ),
        bites=Shown(
            "a packet of 1450 bytes is too long for the tunnel",
            Step(
                "{sandbox_ns} ping -c 2 -i 0.2 -W 2 -M do -s 1422 {remote} 2>&1 | "
                "grep -qE 'Frag needed|Message too long'"
            ),
        ),
        source=libnetwork(2661),
        felt=("F6-ping",),
    ),
    Fault(
        id="vxlan-down",
        title="the tunnel's interface is down",
        symptom="every other request hangs",
        hop=Hop.FABRIC,
        first="F1-vxlan[{node}]",
        also=("C6-listeners[{node}]", "F4-neighbours[{node}]", "F5-fdb[{node}]"),
        role=Role.ANY,
        level=2,
        change=commands(
            inject="{overlay_ns} ip link set {tunnel} down",
            present="{overlay_ns} ip -br link show {tunnel} | grep -qv '[<,]UP[,>]'",
            heal="{overlay_ns} ip link set {tunnel} up; {add_neighbours}",
        ),
        bites=Requests(Answers.SOME),
        source=libnetwork(1765),
        felt=TRIED,
    ),
    Fault(
        id="neighbour-lost",
        title="the tunnel has forgotten the hardware address of a replica on another node",
        symptom="every other request through this node hangs, after some minutes",
        hop=Hop.FABRIC,
        first="F4-neighbours[{node}]",
        also=("F5-fdb[{node}]",),
        role=Role.ANY,
        level=3,
        change=commands(
            inject="{overlay_ns} ip neigh del {remote} dev {tunnel}; "
            "{sandbox_ns} ip neigh flush to {remote}",
            present="! {overlay_ns} ip neigh show to {remote} dev {tunnel} | grep -q PERMANENT",
            heal="{overlay_ns} ip neigh replace {remote} lladdr {remote_mac} dev {tunnel} "
            "nud permanent; {sandbox_ns} ip neigh flush to {remote}",
        ),
        bites=Requests(Answers.SOME),
        source=moby(32195),
        felt=TRIED,
    ),
    Fault(
        id="fdb-wrong",
        title="the tunnel sends packets for a replica to a node that does not exist",
        symptom="every other request through this node hangs",
        hop=Hop.FABRIC,
        first="F5-fdb[{node}]",
        role=Role.ANY,
        level=3,
        change=commands(
            inject="{overlay_ns} bridge fdb replace {remote_mac} dev {tunnel} "
            "dst {link_nobody} self permanent",
            present="{overlay_ns} bridge fdb show dev {tunnel} | grep -qwF 'dst {link_nobody}'",
            heal="{overlay_ns} bridge fdb replace {remote_mac} dev {tunnel} "
            "dst {remote_node} self permanent",
        ),
        bites=Requests(Answers.SOME),
        source=moby(37319),
        felt=TRIED,
    ),
    Fault(
        id="tunnel-swallows",
        title="what arrives through the tunnel is lost before it reaches the sandbox",
        symptom="every other request through this node hangs, though all rules are right",
        hop=Hop.FABRIC,
        first="F6-ping[{nodes}]",
        role=Role.ANY,
        level=3,
        change=commands(
            inject=f"{TC} qdisc add dev {{tunnel}} clsact; "
            f"{TC} filter add dev {{tunnel}} ingress protocol ip matchall action drop",
            present=f"{SWALLOWING} | grep -q matchall",
            heal=f"{TC} qdisc del dev {{tunnel}} clsact 2>/dev/null || :",
        ),
        bites=Requests(Answers.SOME),
        source=moby(40590),
        felt=TRIED,
        tie=BOTH_ENDS,
    ),
    Fault(
        id="tcp-lost-in-tunnel",
        title="TCP does not survive the tunnel, as with a network card's broken checksums",
        symptom="every other request through this node hangs, though ping passes",
        hop=Hop.FABRIC,
        first="F7-fetch[{nodes}]",
        role=Role.ANY,
        level=3,
        change=commands(
            inject=f"{TC} qdisc add dev {{tunnel}} clsact; "
            f"{TC} filter add dev {{tunnel}} ingress protocol ip flower ip_proto tcp action drop",
            present=f"{SWALLOWING} | grep -q 'ip_proto tcp'",
            heal=f"{TC} qdisc del dev {{tunnel}} clsact 2>/dev/null || :",
        ),
        bites=Requests(Answers.SOME),
        source=moby(41775),
        felt=("F7-fetch", "F8-payload", *EVERYWHERE),
        tie=BOTH_ENDS,
    ),
)
