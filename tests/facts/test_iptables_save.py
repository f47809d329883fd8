from ipaddress import IPv4Address, IPv4Network

import pytest

from lab.errors import FactUnavailable, UnreadableOutput
from lab.facts.iptables import FULL_MARK_MASK, Chain, NatTarget, Rule
from lab.facts.iptables_save import parse_iptables_save
from tests.facts.captures import captured


def test_sandbox_mark_and_snat() -> None:
    rules = parse_iptables_save(captured("iptables-save/ingress-sandbox"))
    assert rules.backend == "nf_tables"
    mark, vip = (r for r in rules.rules if r.table == "mangle")
    assert mark == Rule(
        table="mangle",
        chain="PREROUTING",
        packets=mark.packets,
        bytes=mark.bytes,
        raw=mark.raw,
        protocol="tcp",
        destination_port=5000,
        jump="MARK",
        set_mark=0x102,
        set_mark_mask=FULL_MARK_MASK,
    )
    assert mark.packets > 0
    assert (vip.chain, vip.destination, vip.set_mark) == (
        "INPUT",
        IPv4Network("10.0.0.4/32"),
        258,
    )
    snat = rules.in_chain("nat", "POSTROUTING")[1]
    assert snat.ipvs
    assert snat.destination == IPv4Network("10.0.0.0/24")
    assert snat.to_source == NatTarget(IPv4Address("10.0.0.3"), None)
    assert snat.other == ()
    assert rules.in_chain("nat", "DOCKER_POSTROUTING")[0].to_source == NatTarget(None, 53)


def test_host_dnat_types_and_negation() -> None:
    rules = parse_iptables_save(captured("iptables-save/host"))
    assert rules.chain("filter", "FORWARD") == Chain("filter", "FORWARD", "DROP", 0, 0)
    user_made = rules.chain("nat", "DOCKER-INGRESS")
    assert user_made is not None
    assert user_made.policy is None
    assert rules.chain("nat", "NO-SUCH-CHAIN") is None
    jump = rules.in_chain("nat", "PREROUTING")[0]
    assert (jump.destination_type, jump.jump) == ("LOCAL", "DOCKER-INGRESS")
    dnat = rules.in_chain("nat", "DOCKER-INGRESS")[0]
    assert dnat.to_destination == NatTarget(IPv4Address("172.19.0.2"), 5000)
    out = rules.in_chain("nat", "POSTROUTING")[1]
    assert (out.out_interface, out.negated) == ("docker_gwbridge", ("out_interface",))
    established = rules.in_chain("filter", "DOCKER-INGRESS")[1]
    assert established.source_port == 5000
    assert established.connection_states == ("RELATED", "ESTABLISHED")


def test_tables_that_nft_made_rules_in_are_warned_of_and_not_taken_for_empty() -> None:
    rules = parse_iptables_save(captured("iptables-save/made-with-nft"))
    assert rules.warnings == (
        "# Table `filter' is incompatible, use 'nft' tool.",
        "# Table `nat' contains incompatible base-chains, use 'nft' tool to list them.",
    )
    assert rules.unread == ("filter",)
    assert [r.jump for r in rules.in_chain("nat", "PREROUTING")] == ["DNAT"]
    for ask in (rules.in_chain, rules.chain):
        with pytest.raises(FactUnavailable, match="does not show the table filter") as caught:
            ask("filter", "FORWARD")
        assert caught.value.hint == "nft list table ip filter"


def test_task_redirect() -> None:
    rules = parse_iptables_save(captured("iptables-save/task"))
    redirect = rules.in_chain("nat", "PREROUTING")[0]
    assert redirect.destination == IPv4Network("10.0.0.5/32")
    assert (redirect.jump, redirect.destination_port, redirect.redirect_port) == (
        "REDIRECT",
        5000,
        3000,
    )


@pytest.mark.parametrize("backend", ["nft", "legacy"])
def test_what_cannot_be_typed_stays_verbatim_and_in_order(backend: str) -> None:
    rules = parse_iptables_save(captured(f"iptables-save/{backend}-rules"))
    assert rules.backend == {"nft": "nf_tables", "legacy": "legacy"}[backend]
    _, multiport, ranges = rules.in_chain("nat", "PREROUTING")
    assert multiport.other == ()
    assert multiport.destination_ports == ((80, 80), (443, 443))
    assert multiport.redirect_port == 3000
    assert ranges.destination_port is None
    assert ranges.to_destination is None
    assert ranges.destination_ports == ((8000, 8010),)
    assert ranges.other == ("--to-destination", "10.0.0.5-10.0.0.9:53")
    masquerade, holes = rules.in_chain("nat", "POSTROUTING")
    assert masquerade.comment == 'not ours, it\'s "foreign"'
    assert masquerade.negated == ("source", "out_interface")
    assert masquerade.other == ("--to-ports", "1024-2048")
    assert holes.source is None
    assert holes.other == ("-s", "10.0.0.1/255.0.0.255")
    not_ssh, low_bits, connmark, log = rules.in_chain("mangle", "PREROUTING")
    assert not_ssh.negated == ("destination_port", "connection_states")
    assert not_ssh.connection_states == ("INVALID", "UNTRACKED")
    assert (low_bits.set_mark, low_bits.set_mark_mask) == (1, 0xFF)
    assert connmark.set_mark is None
    assert connmark.other == ("--set-xmark", "0x5/0xffffffff")
    assert log.other[:4] == ("-m", "mark", "--mark", "0x102")
    assert log.other[-2:] == ("--log-prefix", "mark 0x102: ")
    assert rules.in_chain("filter", "FORWARD")[0].goto == "STEP"


def test_negated_unknown_flags_keep_their_sign() -> None:
    text = "*nat\n[1:2] -A X ! --vproto 6 -p tcp ! --dport 1:9 -j RETURN\nCOMMIT\n"
    rule = parse_iptables_save(text).rules[0]
    assert rule.other == ("!", "--vproto", "6")
    assert (rule.packets, rule.bytes, rule.negated) == (1, 2, ("destination_ports",))
    assert rule.destination_ports == ((1, 9),)


def test_no_tables_at_all() -> None:
    rules = parse_iptables_save(captured("iptables-save/empty-rules"))
    assert (rules.backend, rules.chains, rules.rules) == (None, (), ())


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("-A INPUT -j ACCEPT", "line 2: -A INPUT"),  # no counters: not from `-c`
        ("[0:0] -D INPUT -j ACCEPT", "line 2: "),
        (":INPUT ACCEPT", "line 2: "),
        ("Segmentation fault", "line 2: Segmentation"),
    ],
)
def test_a_line_of_another_form_is_said(line: str, said: str) -> None:
    with pytest.raises(UnreadableOutput) as caught:
        parse_iptables_save(f"*filter\n{line}\nCOMMIT\n")
    assert caught.value.details.startswith(said)


def test_a_table_cut_short_is_said() -> None:
    text = captured("iptables-save/host")
    with pytest.raises(UnreadableOutput, match="inside the table nat"):
        parse_iptables_save(text[: text.rindex("COMMIT")])
