from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest

from lab.errors import UnreadableOutput
from lab.facts.addresses import (
    ForwardingEntry,
    Neighbour,
    PolicyRule,
    Route,
    RouteLookup,
    Vxlan,
)
from lab.facts.commands import ADDRESSES, HOST
from lab.facts.ip_json import parse_addresses, parse_forwarding, parse_route_lookup
from tests.facts.captures import batch, captured

SANDBOX = IPv4Address("172.19.0.2")


def test_sandbox_interfaces_hold_the_vip_too() -> None:
    tables = parse_addresses(batch("worker-two-replicas").answer("ingress_sbox", ADDRESSES))
    loopback, overlay, bridge = tables.interfaces
    assert (loopback.name, loopback.kind, loopback.is_up) == ("lo", None, True)
    assert overlay.addresses == (IPv4Interface("10.0.0.3/24"), IPv4Interface("10.0.0.4/32"))
    assert (overlay.mtu, overlay.kind, overlay.mac) == (1450, "veth", "02:42:0a:00:00:03")
    assert bridge.addresses == (IPv4Interface("172.19.0.2/16"),)
    assert tables.routes[0] == Route(
        IPv4Network("0.0.0.0/0"), "unicast", "eth1", IPv4Address("172.19.0.1"), None, 0
    )
    assert tables.policy_rules[0] == PolicyRule(0, "local", (("src", "all"),))


def test_overlay_tunnel_neighbours_and_forwarding() -> None:
    tables = parse_addresses(batch("worker-two-replicas").answer("1-rhws85r6ch", ADDRESSES))
    tunnels = [i for i in tables.interfaces if i.vxlan is not None]
    assert [(i.name, i.vxlan, i.master) for i in tunnels] == [
        ("vxlan0", Vxlan(vni=4096, port=4789, local=None), "br0")
    ]
    assert tables.neighbours == (
        Neighbour(IPv4Address("10.0.0.2"), "vxlan0", "02:42:0a:00:00:02", ("PERMANENT",)),
        Neighbour(IPv4Address("10.0.0.6"), "vxlan0", "02:42:0a:00:00:06", ("PERMANENT",)),
    )
    entries = parse_forwarding(captured("bridge-fdb/worker-overlay"))
    manager = IPv4Address("192.168.56.10")
    assert ForwardingEntry("02:42:0a:00:00:06", "vxlan0", manager, "permanent") in entries
    assert {e.destination for e in entries if e.device == "veth0"} == {None}


def test_a_blackhole_is_a_route_and_a_refused_lookup() -> None:
    tables = parse_addresses(batch("worker-blackhole").answer(HOST, ADDRESSES))
    assert Route(IPv4Network("172.19.0.2/32"), "blackhole", None, None, None, 0) in tables.routes
    complaint = "RTNETLINK answers: Invalid argument"
    lookup = parse_route_lookup("", destination=SANDBOX, exit_code=2, complaint=complaint)
    assert lookup == RouteLookup(SANDBOX, None, None, None, complaint)


def test_a_lookup_names_the_device() -> None:
    text = '[{"dst":"172.19.0.2","dev":"docker_gwbridge","prefsrc":"172.19.0.1","flags":[]}]\n'
    lookup = parse_route_lookup(text, destination=SANDBOX, exit_code=0, complaint="")
    assert lookup == RouteLookup(SANDBOX, "docker_gwbridge", None, IPv4Address("172.19.0.1"), None)


def test_a_lookup_without_a_reason_still_has_one() -> None:
    lookup = parse_route_lookup("", destination=SANDBOX, exit_code=2, complaint="")
    assert lookup.error == "ip ended with exit code 2"


@pytest.mark.parametrize(
    ("text", "brief"),
    [
        ("", "ip printed 0 of the 4 tables asked for"),
        ("[]\n[]\n[]\n", "ip printed 3 of the 4 tables asked for"),
        ('[]\n[{"dst":"defa', "ip -json: line 2 is not JSON"),
        ("{}\n[]\n[]\n[]\n", "ip addr: expected a list"),
        ('[{"ifname":"lo"}]\n[]\n[]\n[]\n', "ip addr[0]: expected a value under 'ifindex'"),
        ('[]\n[{"dst":"10.0.0.1/24"}]\n[]\n[]\n', "ip route[0]: dst is not what it should be"),
        ('[]\n[]\n[{"priority":"0"}]\n[]\n', "ip rule[0]: expected a number"),
        ("[]\n[]\n[]\n[3]\n", "ip neigh[0]: expected an object"),
    ],
)
def test_what_cannot_be_read_is_said(text: str, brief: str) -> None:
    with pytest.raises(UnreadableOutput) as caught:
        parse_addresses(text)
    assert caught.value.brief.startswith(brief)


@pytest.mark.parametrize("text", ["", "[]", "[]\n[]", "{}"])
def test_a_lookup_that_is_not_one_route_is_said(text: str) -> None:
    with pytest.raises(UnreadableOutput):
        parse_route_lookup(text, destination=SANDBOX, exit_code=0, complaint="")
