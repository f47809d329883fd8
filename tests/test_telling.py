"""How a run of checks ends: blocked failures apart, and the first broken hop named."""

import io
from types import SimpleNamespace
from typing import Any

import pytest

from checks.proving import BLOCKED, Prove
from checks.telling import status_of, tell
from lab.diagnosis.examine import diagnose
from lab.hops.sandbox import port_is_marked
from lab.hops.situation import Situation
from lab.hops.traffic import nodes_are_answered
from lab.session import typed_for
from tests.hops import altering as a
from tests.hops import breaking as b
from tests.hops.breaking import NODE_B
from tests.hops.healthy import healthy


def unmarked() -> Situation:
    broken = a.both(
        a.sandbox_rules(NODE_B, a.without("--dport 5000 -j MARK")),
        a.rounds(NODE_B, b.nothing),
    )
    return broken(healthy())


def failed(**properties: str) -> pytest.TestReport:
    named = [(name.replace("_", " "), value) for name, value in properties.items()]
    return pytest.TestReport(
        nodeid="checks/test_traffic.py::test_nodes_are_answered[worker]",
        location=("", 0, ""),
        keywords={},
        outcome="failed",
        longrepr="the whole story",
        when="call",
        user_properties=[*named],
    )


class Paper:
    """What of pytest's reporter is written to."""

    def __init__(self, *, verbose: int = 0, **stats: list[pytest.TestReport]) -> None:
        self.stats = stats
        self.config = SimpleNamespace(option=SimpleNamespace(verbose=verbose))
        self.text = io.StringIO()

    def section(self, title: str) -> None:
        self.write_line(f"== {title}")

    def write_line(self, line: str, **_: bool) -> None:
        print(line, file=self.text)


def told(paper: Paper, situation: Situation | None) -> str:
    state: Any = SimpleNamespace(
        name="article",
        topology=healthy().topology,
        kept=lambda: (situation, diagnose(situation)) if situation else None,
    )
    evidence: Any = SimpleNamespace(kept=state.kept, typed=typed_for(state))
    reporter: Any = paper
    tell(reporter, evidence)
    return paper.text.getvalue()


def test_a_failure_says_whose_consequence_it_is() -> None:
    kept: dict[str, object] = {}
    prove = Prove(lambda name, value: kept.update({name: value}), unmarked)
    with pytest.raises(pytest.fail.Exception, match="B1-mark on worker fails before"):
        prove(nodes_are_answered, NODE_B)
    assert kept == {
        "check": "R1-inside",
        "hop": "traffic",
        "subject": "worker",
        "node": "worker",
        BLOCKED: "B1-mark on worker",
    }


def test_the_broken_hop_itself_is_nobodys_consequence() -> None:
    kept: dict[str, object] = {}
    prove = Prove(lambda name, value: kept.update({name: value}), unmarked)
    with pytest.raises(pytest.fail.Exception) as caught:
        prove(port_is_marked, NODE_B)
    assert BLOCKED not in kept
    assert "could not pass" not in str(caught.value)


def test_a_blocked_check_is_shown_apart_and_stays_failed() -> None:
    report = failed(blocked_by="B1-mark on worker")
    assert status_of(report) == ("blocked", "b", ("BLOCKED", {"yellow": True}))
    assert report.failed
    assert status_of(failed()) is None


def test_a_red_run_ends_with_the_diagnosis() -> None:
    blocked = failed(blocked_by="B1-mark on worker")
    text = told(Paper(failed=[failed()], blocked=[blocked]), unmarked())
    assert text.startswith("== diagnosis\nBROKEN: B1-mark on worker\n")
    assert "the whole story" not in text


def test_blocked_checks_are_told_when_nothing_else_failed_or_more_is_asked_for() -> None:
    blocked = failed(blocked_by="B1-mark on worker")
    for paper in (
        Paper(blocked=[blocked]),
        Paper(verbose=1, failed=[failed()], blocked=[blocked]),
    ):
        text = told(paper, unmarked())
        assert "blocked by B1-mark on worker\nthe whole story\n" in text
        assert text.index("blocked checks") < text.index("== diagnosis")


def test_a_green_run_and_one_without_facts_end_as_ever() -> None:
    assert told(Paper(passed=[]), unmarked()) == ""
    assert told(Paper(error=[failed()]), None) == ""
