"""Following one packet through rules, as the kernel would."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from lab.facts.iptables import Ruleset
from lab.facts.iptables_save import parse_iptables_save
from lab.hops.flows import Door, Entrance, outside_reply, outside_request, pass_all
from lab.hops.netfilter import Packet, follow

PACKET = Packet(
    source=IPv4Address("192.168.56.11"),
    destination=IPv4Address("172.19.0.2"),
    in_interface="eth1",
    out_interface="docker_gwbridge",
    source_port=50000,
    destination_port=5000,
)


def rules(*lines: str, policy: str = "DROP", table: str = "filter") -> Ruleset:
    chains = dict.fromkeys(line.split()[1] for line in lines)
    declared = [
        f":{c} {policy if c == 'FORWARD' else '-'} [0:0]" for c in {"FORWARD": 0, **chains}
    ]
    counted = [f"[0:0] {line}" for line in lines]
    return parse_iptables_save("\n".join([f"*{table}", *declared, *counted, "COMMIT", ""]))


def fate(*lines: str, policy: str = "DROP") -> str:
    found = follow(rules(*lines, policy=policy), "filter", "FORWARD", PACKET)
    return f"{found.target}{' perhaps dropped' if found.doubts else ''}"


@pytest.mark.parametrize(
    ("expected", "lines"),
    [
        ("DROP", []),
        ("ACCEPT", ["-A FORWARD -p tcp -m tcp --dport 5000 -j ACCEPT"]),
        ("DROP", ["-A FORWARD -p udp -m udp --dport 5000 -j ACCEPT"]),
        ("DROP", ["-A FORWARD -p tcp -m tcp --dport 5001 -j ACCEPT"]),
        ("ACCEPT", ["-A FORWARD -p tcp -m tcp --dport 4000:5000 -j ACCEPT"]),
        ("DROP", ["-A FORWARD -p tcp -m tcp --dport 5001:6000 -j ACCEPT"]),
        ("ACCEPT", ["-A FORWARD -p tcp -m multiport --dports 80,443,5000 -j ACCEPT"]),
        ("DROP", ["-A FORWARD -p tcp -m multiport --dports 80,443 -j ACCEPT"]),
        ("DROP", ["-A FORWARD -p tcp -m multiport ! --dports 80,5000 -j ACCEPT"]),
        ("DROP", ["-A FORWARD -p tcp -m multiport --ports 5000 -j ACCEPT"]),
        ("DROP", ["-A FORWARD ! -p tcp -j ACCEPT"]),
        ("ACCEPT", ["-A FORWARD ! -i docker_gwbridge -j ACCEPT"]),
        ("ACCEPT", ["-A FORWARD -i eth+ -j ACCEPT"]),
        ("ACCEPT", ["-A FORWARD -s 192.168.56.0/24 -d 172.19.0.2/32 -j ACCEPT"]),
        ("DROP", ["-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"]),
        ("ACCEPT", ["-A FORWARD -m conntrack --ctstate NEW -j ACCEPT"]),
        ("REJECT", ["-A FORWARD -j REJECT --reject-with icmp-port-unreachable"]),
        ("ACCEPT", ["-A FORWARD -j LOG --log-prefix seen", "-A FORWARD -j ACCEPT"]),
        # A chain that returns, one that decides, one that is gone to and does not come back.
        ("ACCEPT", ["-A FORWARD -j USER", "-A FORWARD -j ACCEPT", "-A USER -j RETURN"]),
        ("ACCEPT", ["-A FORWARD -j USER", "-A FORWARD -j DROP", "-A USER -j ACCEPT"]),
        ("DROP", ["-A FORWARD -g USER", "-A FORWARD -j ACCEPT", "-A USER -p udp -j ACCEPT"]),
        # What is not known never counts as accepting, and is a doubt when it drops.
        ("DROP", ["-A FORWARD -m set --match-set friends src -j ACCEPT"]),
        (
            "ACCEPT perhaps dropped",
            ["-A FORWARD -m limit --limit 5/sec -j DROP", "-A FORWARD -j ACCEPT"],
        ),
        (
            "ACCEPT perhaps dropped",
            ["-A FORWARD -m mark --mark 0x1 -j USER", "-A FORWARD -j ACCEPT", "-A USER -j DROP"],
        ),
        (
            "ACCEPT",
            ["-A FORWARD -m set --match-set x src -p udp -j DROP", "-A FORWARD -j ACCEPT"],
        ),
    ],
)
def test_a_packet_ends_as_in_the_kernel(expected: str, lines: list[str]) -> None:
    assert fate(*lines) == expected


@pytest.mark.parametrize(
    ("is_dnat", "line", "expected"),
    [
        (True, "--ctstate RELATED,ESTABLISHED,DNAT -j ACCEPT", "ACCEPT"),  # as firewalld makes it
        (True, "! --ctstate DNAT -j DROP", "DROP by policy"),
        (True, "! --ctstate DNAT,SNAT -j DROP", "DROP by policy"),
        (False, "--ctstate RELATED,ESTABLISHED,DNAT -j ACCEPT", "DROP by policy"),
        (False, "! --ctstate DNAT -j DROP", "DROP"),
        (None, "--ctstate DNAT -j DROP", "doubt"),
        (None, "! --ctstate DNAT -j DROP", "doubt"),
        (None, "--ctstate DNAT -j ACCEPT", "DROP by policy"),
        (None, "--ctstate NEW,DNAT -j ACCEPT", "ACCEPT"),
        (True, "--ctstate SNAT -j DROP", "doubt"),
    ],
)
def test_a_rewritten_connection_is_in_a_state_of_its_own(
    *, is_dnat: bool | None, line: str, expected: str
) -> None:
    packet = replace(PACKET, is_dnat=is_dnat)
    asked = rules(f"-A FORWARD -m conntrack {line}")
    found = follow(asked, "filter", "FORWARD", packet)
    by = "" if found.rule else " by policy"
    assert ("doubt" if found.doubts else f"{found.target}{by}") == expected


def test_what_the_host_forwards_to_the_sandbox_was_rewritten() -> None:
    """Only what is let pass for it is: the state of a published port's requests."""
    way = Entrance("eth0", IPv4Address("192.0.2.2"), IPv4Address("192.0.2.1"))
    sandbox, port = IPv4Address("172.19.0.2"), Door("tcp", 5000)
    asked = rules("-A FORWARD -m conntrack --ctstate DNAT -j ACCEPT")
    for stages in (outside_request(way, sandbox, port), outside_reply(way, sandbox, port)):
        assert pass_all(asked, stages).ok


def test_a_table_that_does_not_exist_lets_everything_pass() -> None:
    found = follow(rules(), "raw", "PREROUTING", PACKET)
    assert found.target == "ACCEPT"
    assert found.passes


def test_the_rule_that_decided_is_shown() -> None:
    line = "-A FORWARD -p tcp -m tcp --dport 5000 -j ACCEPT"
    assert follow(rules(line), "filter", "FORWARD", PACKET).lines == (f"[0:0] {line}",)


def test_an_unknown_condition_on_a_marking_rule_is_no_doubt() -> None:
    lines = rules("-A FORWARD -m limit --limit 1/sec -j LOG", policy="ACCEPT")
    assert follow(lines, "filter", "FORWARD", PACKET).passes
