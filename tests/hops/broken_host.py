"""Broken hosts: port, rules, bridge, routes."""

from dataclasses import replace
from ipaddress import IPv4Network

from lab.facts.addresses import PolicyRule, Route, RouteLookup
from lab.facts.sockets import Process
from tests.hops import altering as a
from tests.hops import breaking as b
from tests.hops.breaking import NODE_B

HOST = (
    b.mutation(
        "another program has the port",
        a.inside(
            NODE_B,
            "host",
            listeners=lambda found: tuple(
                replace(s, processes=(Process("nc", 7),)) if s.port == 5000 else s for s in found
            ),
        ),
        "H1-reserved[worker]",
    ),
    b.mutation(
        "the jump in OUTPUT is gone",
        a.host_rules(NODE_B, a.without("OUTPUT -m addrtype --dst-type LOCAL -j DOCKER-INGRESS")),
        "H2-jump[worker]",
    ),
    b.mutation(
        "an earlier DNAT takes the packet",
        a.host_rules(
            NODE_B,
            a.first(
                "-A PREROUTING -p tcp -m tcp --dport 5000 -j DNAT --to-destination 10.9.9.9:80",
                table="nat",
            ),
        ),
        "H2-jump[worker]",
    ),
    b.mutation(
        "the DNAT is gone",
        a.host_rules(NODE_B, a.without("-j DNAT")),
        "H3-dnat[worker]",
        "H4-sandbox-value[worker]",
    ),
    b.mutation(
        "the DNAT leads elsewhere",
        a.host_rules(NODE_B, a.swapped("172.19.0.2:5000", "172.19.0.9:5000")),
        "H3-dnat[worker]",
        "H4-sandbox-value[worker]",
    ),
    b.mutation(
        "another promise of a sandbox address",
        b.promise(sandbox=a.ip("172.19.0.7")),
        "H4-sandbox-value[manager]",
        "H4-sandbox-value[worker]",
    ),
    b.mutation(
        "an administrator drops the port in DOCKER-USER",
        a.host_rules(NODE_B, a.first("-A DOCKER-USER -p tcp -m tcp --dport 5000 -j DROP")),
        "H5-requests-pass[worker]",
    ),
    b.mutation(
        "an administrator rejects the link in FORWARD",
        a.host_rules(
            NODE_B,
            a.first("-A FORWARD -i eth1 -j REJECT --reject-with icmp-port-unreachable"),
        ),
        "H5-requests-pass[worker]",
    ),
    b.mutation(
        "an administrator may drop it, now and then",
        a.host_rules(
            NODE_B,
            a.first("-A DOCKER-USER -p tcp -m tcp --dport 5000 -m limit --limit 5/sec -j DROP"),
        ),
        "H5-requests-pass[worker]",
    ),
    b.mutation(
        "the jump in FORWARD is gone",
        a.host_rules(NODE_B, a.without("-A FORWARD -j DOCKER-INGRESS")),
        "H5-requests-pass[worker]",
    ),
    b.mutation(
        "what comes from the bridge is dropped",
        a.host_rules(NODE_B, a.first("-A FORWARD -i docker_gwbridge -j DROP")),
        "H6-replies-pass[worker]",
    ),
    b.mutation(
        "the node may not talk to the bridge",
        a.host_rules(NODE_B, a.first("-A OUTPUT -o docker_gwbridge -j DROP")),
        "H7-local-pass[worker]",
    ),
    b.mutation(
        "no masquerading",
        a.host_rules(NODE_B, a.without("--src-type LOCAL -j MASQUERADE")),
        "H8-masquerade[worker]",
    ),
    b.mutation(
        "loopback addresses may not leave",
        a.settings(NODE_B, "host", net__ipv4__conf__docker_gwbridge__route_localnet="0"),
        "H8-masquerade[worker]",
    ),
    b.mutation(
        "docker chose the subnet itself",
        a.part(NODE_B, "bridge", subnets=(IPv4Network("172.18.0.0/16"),)),
        "H9-bridge[worker]",
    ),
    b.mutation(
        "the bridge is down",
        b.interfaces(NODE_B, "host", b.down("docker_gwbridge")),
        "H9-bridge[worker]",
    ),
    b.mutation(
        "the sandbox lost its address",
        b.interfaces(NODE_B, "sandbox", b.without_address("172.19.0.2")),
        "H10-address[worker]",
        "B15-way-back[worker]",
    ),
    b.mutation(
        "a blackhole",
        a.part(
            NODE_B,
            "host",
            route_to_sandbox=RouteLookup(
                a.ip("172.19.0.2"), None, None, None, "RTNETLINK answers: Invalid argument"
            ),
        ),
        "H11-route[worker]",
    ),
    b.mutation(
        "a more specific route",
        b.route(NODE_B, Route(IPv4Network("172.19.0.2/32"), "blackhole", None, None, None, 0)),
        "H12-no-shadow[worker]",
    ),
    b.mutation(
        "policy routing",
        a.part(NODE_B, "host", policy_rules=(PolicyRule(100, "vpn", (("src", "all"),)),)),
        "H12-no-shadow[worker]",
    ),
    b.mutation(
        "forwarding is off",
        a.settings(NODE_B, "host", net__ipv4__ip_forward="0"),
        "H13-forwarding[worker]",
    ),
)
