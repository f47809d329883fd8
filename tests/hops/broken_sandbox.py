"""Broken sandboxes: marks, IPVS, SNAT, routes."""

from dataclasses import replace
from ipaddress import IPv4Interface

from lab.facts.ipvs import Forwarding
from tests.hops import altering as a
from tests.hops import breaking as b
from tests.hops.breaking import NODE_B

SANDBOX = (
    b.mutation(
        "the mark rule is gone",
        a.sandbox_rules(NODE_B, a.without("--dport 5000", table="mangle")),
        "B1-mark[worker]",
        "B2-mark-value[worker]",
    ),
    b.mutation(
        "another mark",
        a.sandbox_rules(
            NODE_B, a.swapped("5000 -j MARK --set-xmark 0x102", "5000 -j MARK --set-xmark 0x105")
        ),
        "B1-mark[worker]",
        "B2-mark-value[worker]",
    ),
    b.mutation(
        "a later rule takes the mark away",
        a.sandbox_rules(NODE_B, a.last("-A PREROUTING -j MARK --set-xmark 0x0", table="mangle")),
        "B1-mark[worker]",
    ),
    b.mutation(
        "another promise of a mark",
        b.promise(fwmark=0x104),
        "B2-mark-value[manager]",
        "B2-mark-value[worker]",
    ),
    b.mutation(
        "the VIP's mark is gone",
        a.sandbox_rules(NODE_B, a.without("-A INPUT -d 10.0.0.4/32")),
        "B3-vip-mark[worker]",
    ),
    b.mutation(
        "least connection instead of round robin",
        a.ipvs(NODE_B, lambda s: replace(s, scheduler="lc")),
        "B4-ipvs[worker]",
    ),
    b.mutation(
        "persistence",
        a.ipvs(NODE_B, lambda s: replace(s, flags=("persistent", "300"))),
        "B4-ipvs[worker]",
    ),
    b.mutation(
        "the IPVS table was cleared",
        a.ipvs(NODE_B, lambda _: None),
        "B4-ipvs[worker]",
        "B5-backends[worker]",
        "B6-backends-value[worker]",
        "B7-masq[worker]",
        "B8-weight[worker]",
        "T3-address[slot-1]",
        "T3-address[slot-2]",
    ),
    b.mutation(
        "a backend is missing",
        a.backends(NODE_B, lambda b: b[:1]),
        "B5-backends[worker]",
        "B6-backends-value[worker]",
        "T3-address[slot-2]",
    ),
    b.mutation(
        "a ghost backend",
        a.backends(NODE_B, lambda b: (*b, replace(b[0], address=a.ip("10.0.0.99")))),
        "B5-backends[worker]",
        "B6-backends-value[worker]",
    ),
    b.mutation(
        "another promise of backends",
        b.promise(backends=(a.ip("10.0.0.7"), a.ip("10.0.0.8"))),
        "B6-backends-value[manager]",
        "B6-backends-value[worker]",
    ),
    b.mutation(
        "direct routing",
        a.backends(NODE_B, lambda b: (replace(b[0], forwarding=Forwarding.ROUTE), *b[1:])),
        "B7-masq[worker]",
    ),
    b.mutation(
        "a backend is drained",
        a.backends(NODE_B, lambda b: (replace(b[0], weight=0), *b[1:])),
        "B8-weight[worker]",
    ),
    b.mutation(
        "SNAT is gone",
        a.sandbox_rules(NODE_B, a.without("-j SNAT --to-source 10.0.0.3")),
        "B9-snat[worker]",
    ),
    b.mutation(
        "SNAT to another node's address",
        a.sandbox_rules(NODE_B, a.swapped("--to-source 10.0.0.3", "--to-source 10.0.0.2")),
        "B9-snat[worker]",
    ),
    b.mutation(
        "the VIP alias is gone",
        b.interfaces(NODE_B, "sandbox", b.without_address("10.0.0.4")),
        "B10-own-address[worker]",
    ),
    b.mutation(
        "two sandboxes share an address",
        a.inside(NODE_B, "ingress", endpoints=b.with_sandbox_at("10.0.0.2")),
        "B9-snat[worker]",
        "B10-own-address[worker]",
        "B11-unique[manager]",
        "B15-way-back[worker]",
        "F3-mtu[worker]",
        "R6-source[worker]",
    ),
    b.mutation(
        "the sandbox has the address of another one",
        b.interfaces(
            NODE_B,
            "sandbox",
            lambda i: (
                replace(i, addresses=(*i.addresses, IPv4Interface("10.0.0.2/32")))
                if "10.0.0.3" in map(str, (held.ip for held in i.addresses))
                else i
            ),
        ),
        "B11-unique[manager]",
    ),
    b.mutation(
        "the sandbox does not forward",
        a.settings(NODE_B, "sandbox", net__ipv4__ip_forward="0"),
        "B12-forwarding[worker]",
    ),
    b.mutation(
        "IPVS without conntrack",
        a.settings(NODE_B, "sandbox", net__ipv4__vs__conntrack="0"),
        "B12-forwarding[worker]",
    ),
    b.mutation(
        "nat balances",
        a.sandbox_rules(
            NODE_B,
            a.last(
                "-A PREROUTING -p tcp -m tcp --dport 5000 -j DNAT --to-destination 10.0.0.5:5000",
                table="nat",
            ),
        ),
        "B13-not-nat[worker]",
    ),
    b.mutation(
        "the sandbox drops a task's replies",
        a.sandbox_rules(NODE_B, a.last("-A FORWARD -s 10.0.0.6/32 -j DROP")),
        "B14-filter[worker]",
    ),
    b.mutation(
        "no default route",
        a.inside(
            NODE_B,
            "sandbox",
            routes=lambda found: b.drop(found, lambda r: r.destination.prefixlen > 0),
        ),
        "B15-way-back[worker]",
    ),
    b.mutation(
        "IPVS forgets idle connections soon",
        a.inside(NODE_B, "sandbox", timeouts=lambda found: replace(found, tcp_s=2)),
        "B16-idle[worker]",
    ),
)
