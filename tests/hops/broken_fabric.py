"""Broken overlays and broken containers."""

from dataclasses import replace

from tests.hops import altering as a
from tests.hops import breaking as b
from tests.hops.breaking import NODE_B

FABRIC = (
    b.mutation(
        "the tunnel is down",
        a.overlay(NODE_B, interfaces=lambda found: tuple(map(b.down("vxlan0"), found))),
        "F1-vxlan[worker]",
    ),
    b.mutation(
        "another VXLAN id",
        a.overlay(
            NODE_B,
            interfaces=lambda found: tuple(
                replace(i, vxlan=replace(i.vxlan, vni=4097)) if i.vxlan else i for i in found
            ),
        ),
        "F1-vxlan[worker]",
    ),
    b.mutation(
        "4789 is dropped",
        a.host_rules(NODE_B, a.first("-A INPUT -p udp -m udp --dport 4789 -j DROP")),
        "F2-tunnel-in[worker]",
    ),
    b.mutation(
        "4789 may not leave",
        a.host_rules(NODE_B, a.first("-A OUTPUT -p udp -m udp --dport 4789 -j DROP")),
        "F2-tunnel-in[worker]",
    ),
    b.mutation(
        "large tunnel packets may be dropped",
        a.host_rules(
            NODE_B,
            a.first("-A INPUT -p udp -m udp --dport 4789 -m length --length 1400:65535 -j DROP"),
        ),
        "F2-tunnel-in[worker]",
    ),
    b.mutation(
        "the link became smaller",
        b.interfaces(NODE_B, "host", lambda i: replace(i, mtu=1450) if i.name == "eth1" else i),
        "F3-mtu[worker]",
    ),
    b.mutation(
        "a neighbour entry is missing",
        a.overlay(NODE_B, neighbours=lambda n: b.drop(n, lambda e: str(e.address) != "10.0.0.6")),
        "F4-neighbours[worker]",
        "F5-fdb[worker]",
    ),
    b.mutation(
        "the tunnel leads to the wrong node",
        a.overlay(
            NODE_B,
            forwarding=lambda found: tuple(
                replace(e, destination=a.ip("192.168.56.99")) if e.destination else e
                for e in found
            ),
        ),
        "F5-fdb[worker]",
    ),
    b.mutation(
        "a task does not answer ping",
        a.reached(NODE_B, pings=lambda p: (replace(p[0], answered=False), *p[1:])),
        "F6-ping[worker]",
    ),
    b.mutation(
        "a task was not pinged", a.reached(NODE_B, pings=lambda p: p[1:]), "F6-ping[worker]"
    ),
    b.mutation(
        "a task does not answer HTTP",
        a.reached(
            NODE_B,
            fetches=lambda f: tuple(
                replace(one, status=0, got_bytes=0, error="Connection refused")
                if one.asked_bytes == 0
                else one
                for one in f
            ),
        ),
        "F7-fetch[worker]",
    ),
    b.mutation(
        "large answers are cut",
        a.reached(
            NODE_B,
            fetches=lambda f: tuple(
                replace(one, got_bytes=1398) if one.asked_bytes else one for one in f
            ),
        ),
        "F8-payload[worker]",
    ),
)

TASK = (
    b.mutation(
        "the redirect is gone",
        a.container_rules(1, a.without("-j REDIRECT")),
        "T1-redirect[slot-1]",
    ),
    b.mutation(
        "the redirect leads elsewhere",
        a.container_rules(1, a.swapped("3000", "3001")),
        "T1-redirect[slot-1]",
        "T4-filter[slot-1]",
    ),
    b.mutation(
        "the program stopped listening",
        a.container(
            1, lambda c: replace(c, listeners=b.drop(c.listeners, lambda s: s.port != 3000))
        ),
        "T2-listens[slot-1]",
    ),
    b.mutation(
        "the program listens on 127.0.0.1 only",
        a.container(
            1,
            lambda c: replace(
                c,
                listeners=tuple(
                    replace(s, address=a.ip("127.0.0.1")) if s.port == 3000 else s
                    for s in c.listeners
                ),
            ),
        ),
        "T2-listens[slot-1]",
    ),
    b.mutation(
        "the container's link is down",
        a.container(1, lambda c: replace(c, interfaces=tuple(map(b.down("eth0"), c.interfaces)))),
        "T3-address[slot-1]",
    ),
    b.mutation(
        "the container accepts nothing new",
        a.container_rules(1, a.without("--ctstate NEW,ESTABLISHED -j ACCEPT")),
        "T4-filter[slot-1]",
    ),
)
