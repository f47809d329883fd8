"""What the catalogue promises is compared with what is seen, and each difference is told."""

from dataclasses import replace

from lab.faults.catalogue import find
from lab.faults.place import Place
from lab.hops.observations import Connect
from lab.matrix.expecting import right_first
from tests.hops import altering as a
from tests.hops.breaking import NODE_A, NODE_B
from tests.hops.healthy import healthy
from tests.matrix.trials import MARK_LOST, UNANSWERED, UNMARKED, trial

SILENT = a.reached(NODE_A, tcp=lambda t: tuple(replace(p, outcome=Connect.SILENT) for p in t))
BLOCKED = a.both(
    a.host_rules(NODE_B, a.first("-A INPUT -p tcp -m tcp --dport 7946 -j DROP")), SILENT
)


def test_a_fault_that_shows_as_promised_deviates_in_nothing() -> None:
    found = trial()
    assert found.deviations == ()
    assert len(found.failed) > 5


def test_what_is_not_red_is_told() -> None:
    told = trial(change=UNANSWERED).deviations
    assert "B1-mark[worker] is green" in told
    assert "R1-inside[worker] is named first; expected B1-mark[worker]" in told
    healthy_told = trial(change=lambda s: s).deviations
    assert "R1-inside is green" in healthy_told
    assert healthy_told[-1] == "no hop is named first; expected B1-mark[worker]"


def test_what_is_red_beside_it_is_told() -> None:
    both = a.both(UNMARKED, a.settings(NODE_B, "sandbox", net__ipv4__ip_forward="0"))
    told = trial(change=both).deviations
    assert told[0] == "B12-forwarding[worker] is red, which the catalogue does not say"
    assert any(line.startswith("nothing explains B12-forwarding on worker") for line in told)


def test_what_was_not_asked_is_told() -> None:
    told = trial(change=lambda s: replace(UNMARKED(s), traffic=None)).deviations
    assert any(line.startswith("R1-inside[worker] could not be asked") for line in told)


def test_what_comes_later_may_be_red_and_need_not() -> None:
    fault = find("gossip-blocked")
    assert trial(fault, BLOCKED).deviations == ()
    forgotten = a.inside(NODE_A, "ingress", peers=lambda peers: peers[:1])
    assert trial(fault, a.both(BLOCKED, forgotten)).deviations == ()
    assert trial(replace(fault, later=()), a.both(BLOCKED, forgotten)).deviations != ()


def test_the_first_of_several_is_right_and_any_of_them_in_a_tie() -> None:
    place = Place(healthy(), NODE_B)
    tie = find("tcp-lost-in-tunnel")
    assert right_first(tie, place) == ("F7-fetch[manager]", "F7-fetch[worker]")
    assert right_first(replace(tie, tie=""), place) == ("F7-fetch[manager]",)
    assert right_first(MARK_LOST, place) == ("B1-mark[worker]",)
    assert right_first(find("app-on-loopback"), place) == ("T2-listens[slot-1]",)
