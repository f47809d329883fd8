"""What a live trace says of requests whose fate is known, and never more than was seen."""

import json
from dataclasses import replace

import pytest

from lab.errors import NotRunning
from lab.facts.commands import HOST
from lab.facts.model import INGRESS_NAMESPACE
from lab.live.asked import Asked
from lab.live.catch import Catch
from lab.live.clocks import compare
from lab.live.content import SCHEMA, content
from lab.live.follow import follow, judge
from lab.live.glimpses import BY_ID, BY_PORT
from lab.live.ground import Proof
from lab.live.memory import Memory
from lab.live.model import Live, Outcome
from lab.live.points import Hop
from lab.live.scripts import Kind, Table
from lab.live.tables import parse_balanced, parse_conntrack
from lab.live.text import render
from lab.trace.model import Key
from lab.trace.text import WIDTH
from tests.live_trace.scenes import PORTS, TAKEN, asked, catch, seen, sight, situation

S, ODD, LOST, STOPPED = Outcome.SEEN, Outcome.ODD, Outcome.LOST, Outcome.STOPPED
UNKNOWN, BEYOND = Outcome.UNKNOWN, Outcome.BEYOND


def outcomes(live: Live) -> list[Outcome]:
    return [sight.outcome for sight in live.sights]


def retold(catch: Catch, asked: Asked) -> Live:
    return follow(situation(), catch, asked, TAKEN)


def without(catch: Catch, *hops: Hop) -> Catch:
    """The same, had the captures at some hops failed."""
    deaf = {point: "it is not up" for point in catch.packets if point.hop in hops}
    kept = {point: found for point, found in catch.packets.items() if point not in deaf}
    return replace(catch, packets=kept, deaf=deaf, clocks=compare(kept))


def test_an_answered_request_is_seen_at_every_station_of_both_nodes() -> None:
    live = seen("across")
    assert live.answered
    assert live.headline.startswith("ANSWERED: slot-2 on manager within ")
    assert live.headline.endswith("; seen at 11 of 11 stations")
    assert live.known_by == BY_ID
    assert outcomes(live) == [S] * 11
    assert [(s.key, s.node) for s in live.sights[6:]] == [
        (Key.SNAT, "worker"),
        (Key.OVERLAY, "worker"),
        (Key.OVERLAY, "manager"),
        (Key.REDIRECT, "manager"),
        (Key.PROGRAM, "manager"),
    ]
    assert "all 8 places" in live.back


def test_addresses_change_where_they_were_seen_to_change() -> None:
    live = seen("across")
    port = sight(live, Key.PORT).before
    assert port is not None
    client = port.source.removeprefix("127.0.0.1:")
    assert [str(s.after) for s in live.sights] == [
        f"127.0.0.1:{client} → 127.0.0.1:5000",
        f"127.0.0.1:{client} → 172.19.0.2:5000",
        f"127.0.0.1:{client} → 172.19.0.2:5000",
        f"172.19.0.1:{client} → 172.19.0.2:5000",
        f"172.19.0.1:{client} → 172.19.0.2:5000",
        f"172.19.0.1:{client} → 10.0.0.6:5000",
        f"10.0.0.3:{client} → 10.0.0.6:5000",
        f"10.0.0.3:{client} → 10.0.0.6:5000",
        f"10.0.0.3:{client} → 10.0.0.6:5000",
        f"10.0.0.3:{client} → 10.0.0.6:3000",
        f"10.0.0.3:{client} → 10.0.0.6:3000",
    ]
    outer = sight(live, Key.OVERLAY).outer
    assert outer is not None
    assert outer.source.startswith("192.168.56.11:")
    assert outer.destination == "192.168.56.10:4789"


def test_times_go_on_from_station_to_station_on_one_clock() -> None:
    live = seen("across")
    told = [s.moments for s in live.sights if s.moments.opened is not None]
    opened = [m.opened for m in told if m.opened is not None]
    assert opened[0] == 0
    assert opened == sorted(opened)
    asked = [m.asked for m in told if m.asked is not None]
    assert asked == sorted(asked)
    answered = [m.answered for m in told if m.answered is not None]
    assert answered == sorted(answered, reverse=True)
    assert len(opened) == len(asked) == len(answered) == 6
    assert live.took == answered[0]


def test_counters_show_what_no_packet_shows() -> None:
    mark = sight(seen("across"), Key.MARK)
    assert "the rule that sets 0x102 counted it" in mark.says
    assert any("counted 5 more" in line or "counted 6 more" in line for line in mark.lines)


def test_without_a_mark_it_comes_to_the_sandbox_and_no_further() -> None:
    live = seen("unmarked")
    assert not live.answered
    assert live.known_by == BY_PORT
    assert live.headline == (
        "NOT ANSWERED: it came to firewall mark of worker and no further: captured on eth1 in "
        "ingress_sbox, in the sandbox; no rule marked it; 172.19.0.2:5000 refused it (RST)"
    )
    # A refused connection is forgotten at once: conntrack cannot show it any more.
    assert outcomes(live) == [UNKNOWN, S, S, S, STOPPED, BEYOND, BEYOND, BEYOND]
    assert live.backend is None
    assert "Could not connect" in live.outcome


def test_a_tunnel_that_swallows_the_answer_is_named() -> None:
    live = seen("swallowed")
    assert outcomes(live) == [S] * 10 + [LOST]
    assert live.headline == (
        "NOT ANSWERED: seen up to REDIRECT of slot-2; packets back were seen up to "
        "worker's eth1, not at worker's vxlan0 in "
        + next(p.namespace for p in catch("swallowed").packets if p.hop is Hop.TUNNEL)
    )
    assert "the packet with the request never came" in live.sights[-1].says


def test_a_frozen_program_is_where_it_ends() -> None:
    live = seen("frozen")
    assert live.known_by == BY_ID
    assert outcomes(live)[-1] is STOPPED
    assert all(outcome is S for outcome in outcomes(live)[:-1])
    assert live.headline == (
        f"NOT ANSWERED: it came to program of {live.sights[-1].slot} and no further: the packet "
        "with the request came, but the program neither answered nor logged it"
    )


def test_a_source_that_stayed_is_odd_and_its_answer_goes_astray() -> None:
    live = seen("kept")
    snat = sight(live, Key.SNAT)
    assert snat.outcome is ODD
    assert "its source stayed" in snat.says
    assert outcomes(live)[-1] is LOST
    assert live.headline.startswith("NOT ANSWERED: seen up to REDIRECT of slot-2; no packet came")
    assert "by another way: manager's docker_gwbridge (10.0.0.6:5000 → 172.19.0.1:" in live.back
    assert live.headline.endswith("; odd: SNAT of worker")


@pytest.mark.parametrize("scene", PORTS)
def test_text_fits_a_terminal_and_json_is_whole(scene: str) -> None:
    live = seen(scene)
    text = render(live)
    assert all(len(line) <= WIDTH for line in text.splitlines())
    assert text.splitlines()[3].startswith(live.headline[:40])
    document = json.loads(json.dumps(content(live)))
    assert SCHEMA == "lab.trace-live/v1"
    assert [s["outcome"] for s in document["stations"]] == [str(o) for o in outcomes(live)]
    assert document["answered"] is live.answered
    for number, shown in enumerate(live.sights, start=1):
        assert f"  │ {number:>2} " in text
        assert all(word in text for word in shown.says.split())


def test_what_could_not_be_captured_is_said_and_not_called_lost() -> None:
    live = retold(without(catch("across"), Hop.LINK, Hop.TUNNEL), asked("across"))
    over = [s for s in live.sights if s.key is Key.OVERLAY]
    assert [s.outcome for s in over] == [UNKNOWN, UNKNOWN]
    assert "not observed on eth1: it is not up" in over[0].says
    assert live.answered
    assert live.headline.endswith("seen at 9 of 11 stations")
    assert "not observed: worker: eth1: it is not up" in live.notes
    assert any("how far the clock of worker" in note for note in live.notes)


def test_with_no_ear_at_the_entry_nothing_is_recognised() -> None:
    deaf = without(catch("across"), *Hop)
    live = retold(deaf, asked("across"))
    assert live.known_by == ""
    assert "no packet of the request was recognised where it should have entered" in live.notes
    assert sight(live, Key.BRIDGE).outcome is UNKNOWN
    assert live.took is None
    unmarked = retold(without(catch("unmarked"), *Hop), asked("unmarked"))
    assert not [s for s in unmarked.sights if s.outcome in (LOST, STOPPED) and s.key is Key.MARK]


def test_a_table_that_could_not_be_read_is_no_empty_one() -> None:
    base = catch("unmarked")
    mine = base.tables["worker"]
    broken = {
        key: Table("", "iptables-save -c: locked") if key[1] is Kind.RULES else table
        for key, table in mine.after.items()
    }
    tables = {**base.tables, "worker": replace(mine, after=broken)}
    live = retold(replace(base, tables=tables), asked("unmarked"))
    mark = sight(live, Key.MARK)
    assert mark.outcome is UNKNOWN
    assert "iptables-save -c: locked" in mark.says


def test_a_log_line_without_an_answer_tells_that_the_program_was_reached() -> None:
    answered = asked("across")
    line = answered.sent.answers[0]
    lost = replace(answered.sent.exchanges[0], status=0, error="timed out", answer=None)
    live = retold(catch("across"), Asked(replace(answered.sent, exchanges=(lost,)), (line,)))
    assert live.sights[-1].outcome is ODD
    assert "logged it, but no answer came back to the client" in live.sights[-1].says
    assert live.headline.startswith(
        "NOT ANSWERED: seen up to program of slot-2; packets came back"
    )
    silent = Asked(replace(answered.sent, exchanges=(lost,)), (), "the manager does not answer")
    assert retold(catch("across"), silent).sights[-1].outcome is UNKNOWN


def proof(*, passed: bool | None, is_odd: bool = False, came: bool = False) -> Proof:
    return Proof(Key.PORT, "worker", "", passed, "", is_odd=is_odd, came=came)


@pytest.mark.parametrize(
    ("shown", "told"),
    [
        ((True, True), (S, S)),
        ((None, True), (UNKNOWN, S)),
        ((False, True), (ODD, S)),
        ((True, None, False, False), (S, UNKNOWN, LOST, BEYOND)),
        ((True, None), (S, UNKNOWN)),
        ((False, None), (LOST, BEYOND)),
        ((None, None), (UNKNOWN, UNKNOWN)),
        ((), ()),
    ],
)
def test_stations_are_judged_by_what_all_of_them_show(
    shown: tuple[bool | None, ...], told: tuple[Outcome, ...]
) -> None:
    assert judge([proof(passed=passed) for passed in shown]) == told


def test_where_it_came_and_did_not_pass_it_got_no_further() -> None:
    assert judge([proof(passed=True, is_odd=True), proof(passed=False, came=True)]) == (
        ODD,
        STOPPED,
    )


def test_memories_are_read_by_namespace() -> None:
    memory = Memory(catch("across").tables["worker"])
    tracked = memory.tracked(HOST, lambda ends: ends.destination_port == 5000)
    assert tracked is not None
    assert str(tracked.rewritten.destination) == "172.19.0.2"
    assert memory.trouble(HOST, Kind.CONNTRACK) == ""
    assert memory.trouble("elsewhere", Kind.IPVS) == "ipvs of elsewhere was not read"
    assert memory.counted("elsewhere", lambda rule: True) == ()
    assert memory.counted(INGRESS_NAMESPACE, lambda rule: rule.jump == "MARK")


def test_lines_that_are_no_connections_are_left_out() -> None:
    assert parse_conntrack("") == ()
    assert parse_conntrack("tcp 6 114 TIME_WAIT src=127.0.0.1 dst=127.0.0.1 sport=1") == ()
    assert parse_balanced("IPVS connection entries\npro expire state source\n") == ()


def test_a_node_that_does_not_answer_is_told_with_what_to_type() -> None:
    error = NotRunning(
        "worker does not answer ssh",
        details="nothing came back within 12 s\nlast lines of its console (c.log):\nlogin:",
        hint="invoke lab.status",
    )
    told = follow(
        situation(), catch("across"), asked("across"), replace(TAKEN, silent={"worker": error})
    )
    assert told.notes[1] == (
        "not observed: anything on worker: worker does not answer ssh: nothing came back within "
        "12 s last lines of its console (c.log): login:. Try: invoke lab.status"
    )
