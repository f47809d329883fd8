"""The way of a request through captured facts, whole and with one thing broken at a time."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from lab.diagnosis.examine import diagnose
from lab.diagnosis.model import Diagnosis, State
from lab.errors import FactUnavailable
from lab.facts.addresses import ForwardingEntry
from lab.hops.catalogue import JUDGES
from lab.hops.situation import Situation
from lab.trace.build import Request, trace
from lab.trace.content import content
from lab.trace.kinds import KINDS, OF_REQUESTS, OF_THE_SWARM
from lab.trace.model import HERE, Key, Step, Trace
from lab.trace.text import WIDTH, render
from tests.hops import altering as a
from tests.hops.breaking import NODE_A, NODE_B, Mutation
from tests.hops.healthy import healthy
from tests.hops.mutations import MUTATIONS, broken, diagnosed
from tests.hops.test_not_done_yet import only_a_swarm, only_machines

ROOT = Path(__file__).parents[2]


def followed(
    situation: Situation, origin: str = NODE_A, entry: str = "", found: Diagnosis | None = None
) -> Trace:
    request = Request(origin, entry or (NODE_A if origin == HERE else origin))
    return trace(situation, found or diagnose(situation), request, lab="article", made="today")


def followed_broken(mutation: Mutation, origin: str = NODE_A) -> Trace:
    return followed(broken(mutation), origin, found=diagnosed(mutation))


def addresses(steps: tuple[Step, ...]) -> list[str]:
    return [str(step.after) for step in steps]


def test_addresses_change_where_the_walkthrough_says() -> None:
    found = followed(healthy())
    assert str(found.client) == "127.0.0.1 → 127.0.0.1:5000"
    assert [step.station.key for step in found.trunk] == list(Key)[:6]
    assert addresses(found.trunk) == [
        "127.0.0.1 → 127.0.0.1:5000",
        "127.0.0.1 → 172.19.0.2:5000",
        "127.0.0.1 → 172.19.0.2:5000",
        "172.19.0.1 → 172.19.0.2:5000",
        "172.19.0.1 → 172.19.0.2:5000",
        "172.19.0.1 → 172.19.0.2:5000",
    ]


@pytest.mark.parametrize(
    ("origin", "command"), [(NODE_A, "iptables -nvL OUTPUT"), (HERE, "iptables -nvL FORWARD")]
)
def test_the_filter_is_shown_by_the_chain_that_this_request_passes(
    origin: str, command: str
) -> None:
    passed = next(s for s in followed(healthy(), origin).trunk if s.station.key is Key.FILTER)
    assert passed.station.see[0] == command


def test_there_is_a_branch_for_each_backend_over_the_tunnel_or_not() -> None:
    away, here = followed(healthy()).branches
    assert [(s.station.key, s.station.node) for s in away.steps] == [
        (Key.SNAT, NODE_A),
        (Key.OVERLAY, NODE_A),
        (Key.OVERLAY, NODE_B),
        (Key.REDIRECT, NODE_B),
        (Key.PROGRAM, NODE_B),
    ]
    assert str(away.steps[1].outer) == "192.168.56.10 → 192.168.56.11:4789"
    assert away.steps[1].lines == (
        "10.0.0.5 dev vxlan0 lladdr 02:42:0a:00:00:05 PERMANENT",
        "02:42:0a:00:00:05 dev vxlan0 dst 192.168.56.11 self permanent",
    )
    assert addresses(away.steps)[-1] == "10.0.0.2 → 10.0.0.5:3000"
    assert [s.station.node for s in here.steps] == [NODE_A] * 4
    assert not any(step.outer for step in here.steps)


def test_what_the_bridge_has_learned_does_not_hide_the_tunnel() -> None:
    learned = ForwardingEntry("02:42:0a:00:00:05", "vxlan0", None, None)
    change = a.overlay(NODE_A, forwarding=lambda found: (learned, *found))
    away = followed(change(healthy())).branches[0]
    assert str(away.steps[1].outer) == "192.168.56.10 → 192.168.56.11:4789"


def test_a_request_from_this_machine_comes_in_by_the_outer_interface() -> None:
    found = followed(healthy(), HERE)
    assert str(found.client) == "192.168.120.2 → 192.168.120.15:5000"
    assert "192.168.120.2 from eth0, NEW" in found.trunk[2].does
    assert str(found.trunk[3].after) == "192.168.120.2 → 172.19.0.2:5000"


def test_a_request_made_on_a_node_minds_its_own_filter_only() -> None:
    forwarded = a.host_rules(NODE_A, a.first("-A DOCKER-USER -p tcp -m tcp --dport 5000 -j DROP"))
    found = followed(forwarded(healthy()))
    assert found.trunk[2].station.state is State.BROKEN
    assert found.branches
    outside = followed(forwarded(healthy()), HERE)
    assert outside.trunk[-1].station.key is Key.FILTER
    assert outside.trunk[-1].after is None
    assert not outside.branches
    local = a.host_rules(NODE_A, a.first("-A OUTPUT -o docker_gwbridge -j DROP"))
    assert followed(local(healthy())).trunk[-1].after is None


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (a.host_rules(NODE_A, a.without("-j DNAT")), Key.DNAT),
        (a.sandbox_rules(NODE_A, a.without("--dport 5000 -j MARK")), Key.MARK),
        (a.sandbox_rules(NODE_A, a.swapped("0x102", "0x111")), Key.MARK),
        (a.ipvs(NODE_A, lambda _: None), Key.MARK),
    ],
)
def test_the_way_ends_where_nothing_leads_on(change: a.Change, key: Key) -> None:
    found = followed(change(healthy()))
    assert found.trunk[-1].station.key is key
    assert found.trunk[-1].after is None
    assert not found.branches


def test_a_ghost_is_a_branch_that_leads_nowhere() -> None:
    found = next(m for m in MUTATIONS if m.name == "a ghost backend").change(healthy())
    ghost = followed(found, NODE_B).branches[-1]
    assert (str(ghost.backend), ghost.task) == ("10.0.0.99", None)
    assert ghost.steps[-1].after is None
    assert "10.0.0.99, which is no running task" in render(followed(found, NODE_B))


def test_a_drained_backend_gets_no_branch() -> None:
    drained = next(m for m in MUTATIONS if m.name == "a backend is drained").change(healthy())
    assert len(followed(drained, NODE_B).branches) == 1


def test_a_tunnel_that_does_not_know_the_task_ends_the_way() -> None:
    lost = next(m for m in MUTATIONS if m.name == "a neighbour entry is missing")
    branch = next(x for x in followed(lost.change(healthy()), NODE_B).branches if x.steps)
    steps = followed(lost.change(healthy()), NODE_B).branches
    (ended,) = [x for x in steps if any(s.after is None for s in x.steps)]
    assert branch.steps
    assert "does not know where 10.0.0.6 is" in next(s.does for s in ended.steps if not s.after)


def test_every_check_is_about_one_station_or_the_swarm_or_requests() -> None:
    told = [check for kind in KINDS.values() for check in kind.checks]
    assert len(told) == len(set(told))
    beginnings = (*OF_THE_SWARM, *OF_REQUESTS)
    for judge in JUDGES:
        plain = judge.check.id.partition("-")[0]
        kept = judge.check.id in told
        general = any(plain.startswith(b) if b.isalpha() else plain == b for b in beginnings)
        assert kept or general, judge.check.id


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.name)
def test_a_broken_hop_is_a_broken_station(mutation: Mutation) -> None:
    found = followed_broken(mutation)
    states = {s.id: s.state for s in found.stations}
    about = {check: key for key, kind in KINDS.items() for check in kind.checks}
    for hop in diagnosed(mutation).broken:
        key = about.get(hop.verdict.check)
        if key is None:
            general = [found.swarm, *(state for _, state in found.requests)]
            assert State.BROKEN in general or State.ODD in general
            continue
        wanted = State.ODD if hop.is_beside else State.BROKEN
        subject = hop.verdict.subject
        if hop.verdict.check == "S4-port":
            subject = NODE_A
        assert states[f"{subject}-{key}"] is wanted


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.name)
def test_text_and_json_hold_for_whatever_is_broken(mutation: Mutation) -> None:
    found = followed_broken(mutation, NODE_B)
    text = render(found)
    assert text.splitlines()[3] == found.headline.splitlines()[0]
    for line in text.splitlines():
        raw = re.search(r"\[\d+:\d+\] -A|users:|nsenter ", line)
        assert len(line) <= WIDTH or raw, line
    document = json.loads(json.dumps(content(found)))
    ids = {station["id"] for station in document["stations"]}
    walked = {s["station"] for s in document["trunk"]}
    walked |= {s["station"] for branch in document["branches"] for s in branch["steps"]}
    assert walked <= ids


def test_the_text_tells_each_station_with_line_command_and_where_to_read() -> None:
    text = render(followed(healthy(), NODE_B))
    for part in (
        "  ├ 127.0.0.1 → 172.19.0.2:5000\n",
        "  │  5 ✓ firewall mark      tcp 5000 gets the mark 0x102, which is 258 in decimal\n"
        "  │    [20:1384] -A PREROUTING -p tcp -m tcp --dport 5000 -j MARK "
        "--set-xmark 0x102/0xffffffff\n"
        "  │    # nsenter --net=/var/run/docker/netns/ingress_sbox iptables -t mangle -nvL "
        "PREROUTING\n"
        "  │    docs/walkthrough.md#hop-3-a-mark\n",
        "  │    -> 10.0.0.5:0                   Masq    1      0          0\n",
        "inside UDP 192.168.56.11 → 192.168.56.10:4789\n",
        "  │ 10 ✓ REDIRECT           tcp 5000 becomes 3000, the program's own port\n",
    ):
        assert part in text


def test_what_a_station_shows_it_shows_once() -> None:
    assert render(followed(healthy())).count("--to-source 10.0.0.2") == 1


def test_before_the_swarm_there_is_little_to_show_and_no_error() -> None:
    for situation in (only_machines(), only_a_swarm()):
        assert "NOT YET" in render(followed(situation))


def test_a_node_that_was_not_looked_at_cannot_be_entered() -> None:
    base = healthy()
    alone = replace(base, cluster=replace(base.cluster, nodes=base.cluster.nodes[:1]))
    assert [side.node for side in followed(alone).sides] == [NODE_A]
    with pytest.raises(FactUnavailable, match="worker could not be looked at"):
        followed(alone, NODE_B)


def test_the_parts_of_the_walkthrough_exist() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "docs" / "walkthrough.md").read_text(), re.M)
    anchors = {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings}
    assert {kind.read for kind in KINDS.values()} <= anchors
