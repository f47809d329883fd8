"""Broken swarms and services."""

from dataclasses import replace

from lab.hops.observations import Connect
from tests.hops import altering as a
from tests.hops import breaking as b
from tests.hops.breaking import NODE_A, NODE_B

CLUSTER = (
    b.mutation(
        "the worker is drained", a.member(NODE_B, availability="drain"), "C1-member[worker]"
    ),
    b.mutation("the worker is down", a.member(NODE_B, state="down"), "C1-member[worker]"),
    b.mutation(
        "the worker is of another swarm",
        a.part(NODE_B, "swarm", node_id="somebody-else"),
        "C1-member[worker]",
        "S2-placed[slot-1]",
        "T1-redirect[slot-1]",
        "T2-listens[slot-1]",
        "T3-address[slot-1]",
        "T4-filter[slot-1]",
        "R13-redirect-counter[slot-1]",
    ),
    b.mutation("no leader", a.member(NODE_A, is_leader=False), "C2-leader[manager]"),
    b.mutation("a node has another name", a.member(NODE_B, hostname="w2"), "C3-roles[manager]"),
    b.mutation(
        "a newer engine",
        a.node(NODE_B, lambda n: replace(n, engine_version="29.8.0")),
        "C4-engine[worker]",
    ),
    b.mutation(
        "an ancient engine",
        a.node(NODE_B, lambda n: replace(n, engine_version="19.03.15")),
        "C4-engine[worker]",
    ),
    b.mutation(
        "the manager sees a NAT address",
        a.member(NODE_B, address=a.ip("192.168.120.15")),
        "C5-advertise[worker]",
    ),
    b.mutation(
        "no gossip socket",
        b.listeners(NODE_B, lambda s: (s.protocol, s.port) != ("udp", 7946)),
        "C6-listeners[worker]",
    ),
    b.mutation(
        "no control socket", b.listeners(NODE_A, lambda s: s.port != 2377), "C6-listeners[manager]"
    ),
    b.mutation(
        "gossip is dropped by a rule",
        a.host_rules(NODE_B, a.first("-A INPUT -p tcp -m tcp --dport 7946 -j DROP")),
        "C10-control-in[worker]",
    ),
    b.mutation(
        "gossip by udp may not leave",
        a.host_rules(NODE_A, a.first("-A OUTPUT -p udp -m udp --dport 7946 -j REJECT")),
        "C10-control-in[manager]",
    ),
    b.mutation(
        "orders are dropped",
        a.host_rules(NODE_A, a.first("-A INPUT -p tcp -m tcp --dport 2377 -j DROP")),
        "C10-control-in[manager]",
    ),
    b.mutation(
        "the link is down", b.interfaces(NODE_B, "host", b.down("eth1")), "C11-link[worker]"
    ),
    b.mutation(
        "7946 tcp is dropped on the way",
        a.reached(NODE_B, tcp=lambda t: tuple(replace(p, outcome=Connect.SILENT) for p in t)),
        "C7-reach[worker]",
    ),
    b.mutation(
        "gossip lost a peer",
        a.inside(NODE_B, "ingress", peers=lambda peers: peers[:1]),
        "C8-gossip[worker]",
    ),
    b.mutation(
        "legacy rules beside nft rules",
        a.host_rules(NODE_B, lambda r: replace(r, warnings=("Warning: iptables-legacy tables",))),
        "C9-backend[worker]",
    ),
)

SERVICE = (
    b.mutation(
        "a task failed",
        a.task(2, state="failed", error="task: non-zero exit (1)"),
        "S1-replicas[manager]",
        "S2-placed[slot-2]",
        "S7-same-service[manager]",
        "S7-same-service[worker]",
        "B5-backends[manager]",
        "B5-backends[worker]",
        "T1-redirect[slot-2]",
        "T2-listens[slot-2]",
        "T3-address[slot-2]",
        "T4-filter[slot-2]",
        "R3-alternate[manager]",
        "R3-alternate[worker]",
        "R4-even[manager]",
        "R4-even[worker]",
        "R5-log[manager]",
        "R5-log[worker]",
        "R13-redirect-counter[slot-2]",
    ),
    b.mutation(
        "the container was removed behind swarm's back",
        a.node(NODE_B, lambda n: replace(n, tasks=())),
        "S2-placed[slot-1]",
        "T1-redirect[slot-1]",
        "T2-listens[slot-1]",
        "T3-address[slot-1]",
        "T4-filter[slot-1]",
        "R13-redirect-counter[slot-1]",
    ),
    b.mutation(
        "the container is paused",
        a.node(
            NODE_B,
            lambda n: replace(
                n,
                tasks=tuple(
                    replace(t, container=replace(t.container, state="paused")) for t in n.tasks
                ),
            ),
        ),
        "S2-placed[slot-1]",
    ),
    b.mutation(
        "another image of the same name",
        a.node(
            NODE_B,
            lambda n: replace(n, images=tuple(replace(i, id="sha256:other") for i in n.images)),
        ),
        "S3-image[worker]",
    ),
    b.mutation(
        "no image on the worker",
        a.node(NODE_B, lambda n: replace(n, images=())),
        "S3-image[worker]",
    ),
    b.mutation("published in mode host", b.publish("host"), "S4-port[manager]"),
    b.mutation("dnsrr", b.service(endpoint_mode="dnsrr"), "S4-port[manager]"),
    b.mutation(
        "a task has the virtual address",
        b.vip("10.0.0.5"),
        "S5-vip[manager]",
        "S6-vip-value[manager]",
        "S7-same-service[manager]",
        "S7-same-service[worker]",
        "B3-vip-mark[manager]",
        "B3-vip-mark[worker]",
        "B10-own-address[manager]",
        "B10-own-address[worker]",
        "B11-unique[manager]",
    ),
    b.mutation(
        "another promise of a VIP", b.promise(vip=a.ip("10.0.0.9")), "S6-vip-value[manager]"
    ),
    b.mutation(
        "the worker knows one task only",
        a.inside(
            NODE_B,
            "ingress",
            services=lambda found: tuple(replace(s, tasks=s.tasks[:1]) for s in found),
        ),
        "S7-same-service[worker]",
    ),
)
