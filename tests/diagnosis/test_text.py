"""A diagnosis as people and programs read it."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from lab.diagnosis.content import content
from lab.diagnosis.examine import diagnose
from lab.diagnosis.text import WIDTH, render
from lab.diagnosis.threads import THREADS
from lab.diagnosis.words import as_root_on, through_invoke
from lab.errors import NotRunning
from lab.faults.catalogue import FAULTS
from lab.faults.model import Fault
from lab.hops.catalogue import JUDGES
from lab.hops.situation import Situation
from tests.hops import altering as a
from tests.hops import breaking as b
from tests.hops.breaking import NODE_A, NODE_B, Mutation
from tests.hops.healthy import healthy
from tests.hops.mutations import MUTATIONS, diagnosed
from tests.hops.test_not_done_yet import only_a_swarm

CITED = [fault for fault in FAULTS if fault.source.startswith("https://")]
STEP = re.compile("==> |    done: ")
"""How the lines begin that tell how far a command came."""


def read(document: str) -> str:
    return (Path(__file__).parents[2] / document).read_text()


def text(situation: Situation) -> str:
    return render(diagnose(situation), through_invoke)


def unmarked() -> Situation:
    lost = a.both(a.sandbox_rules(NODE_B, a.without("--dport 5000 -j MARK")), unanswered)
    return lost(healthy())


def unanswered(situation: Situation) -> Situation:
    return a.rounds(NODE_B, b.nothing)(situation)


def test_one_thing_is_said_first() -> None:
    lines = text(unmarked()).splitlines()
    assert lines[0] == "BROKEN: B1-mark on worker"
    assert lines[3:6] == [
        "  expected      tcp 5000 gets mark 0x102 (258)",
        "  found         tcp 5000 gets no mark",
        "  raw lines     none",
    ]


def test_the_whole_story_of_a_hop_is_told() -> None:
    told = text(unmarked())
    for part in (
        "  together      the rules are wrong, and packets are lost\n",
        "through worker: 5 connections tried, 0 answered",
        "  likely cause  the rule was removed",
        "  repair        invoke lab.exec worker -- nsenter",
        "worker: B2-mark-value, R1-inside, R2-outside",
        "worker             ok        ok        ok        BROKEN    ok        ok        blocked\n",
    ):
        assert part in told


def test_several_things_are_counted_in_the_first_line() -> None:
    change = a.both(
        a.sandbox_rules(NODE_B, a.without("-j SNAT --to-source 10.0.0.3")),
        a.host_rules(NODE_A, a.without("-j DNAT")),
    )
    first, *_ = text(change(healthy())).splitlines()
    assert first == "BROKEN at 2 places. First: H3-dnat on manager. Then: B9-snat on worker"


def test_a_whole_lab_is_told_in_a_few_lines() -> None:
    lines = text(healthy()).splitlines()
    assert lines[0] == "WHOLE: every hop holds, whichever way in: manager and worker"
    assert len(lines) < 8


def test_a_step_that_was_not_taken_is_the_first_line() -> None:
    first, *_ = text(only_a_swarm()).splitlines()
    assert first.startswith("NOT YET: the next step is on manager: docker service create")


def test_a_node_without_an_answer_is_told() -> None:
    base = healthy()
    alone = replace(base, cluster=replace(base.cluster, nodes=base.cluster.nodes[:1]))
    silent = {NODE_B: NotRunning("worker does not answer ssh", hint="invoke lab.status")}
    told = render(diagnose(alone, silent), through_invoke)
    assert told.startswith("BROKEN at ") or told.startswith("BROKEN: worker (cannot be looked at)")
    assert "worker could not be looked at" in told
    assert "try           invoke lab.status" in told
    assert "were not asked: no facts of a node named worker" in told


@pytest.mark.parametrize("document", ["README.md", "docs/diagnose.md"])
def test_a_document_that_shows_a_diagnosis_shows_what_is_said(document: str) -> None:
    blocks = re.findall(r"\$ invoke lab\.diagnose\n(.*?)(?=\n\$ |```)", read(document), re.S)
    shown = [line for line in "\n".join(blocks).splitlines() if not STEP.match(line)]
    said = [*text(unmarked()).splitlines(), *text(healthy()).splitlines()]
    assert len(shown) > 15
    assert [line for line in shown if line not in (*said, "...")] == []


def test_one_is_not_many() -> None:
    left_out = {f"B16-idle@{NODE_B}": "nobody tells it"}
    assert "1 was not asked: nobody tells it" in text(replace(healthy(), left_out=left_out))


def test_what_was_not_sent_is_told() -> None:
    told = text(replace(healthy(), traffic=None))
    assert "26 were not asked: no traffic was sent" in told
    assert "not seen" in told


def test_where_there_is_no_lab_nodes_are_named() -> None:
    told = render(diagnose(unmarked()), as_root_on)
    assert "on worker: nsenter --net=/var/run/docker/netns/ingress_sbox" in told
    assert "invoke" not in told


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.name)
def test_the_text_fits_a_terminal(mutation: Mutation) -> None:
    for line in render(diagnosed(mutation), through_invoke).splitlines():
        # Raw lines are shown as they are, and a word, or what is quoted, may be longer.
        raw = re.search(r"\[\d+:\d+\] -A|LISTEN|dev \w+ dst", line)
        quoted = "'\"'\"'" in line
        assert len(line) <= WIDTH or raw or quoted or max(map(len, line.split())) > 60, line


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.name)
def test_programs_get_the_same(mutation: Mutation) -> None:
    found = diagnosed(mutation)
    document = json.loads(json.dumps(content(found, through_invoke)))
    assert document["healthy"] is found.is_healthy
    assert [hop["check"] for hop in document["broken"]] == [h.verdict.check for h in found.broken]
    assert (document["first"] is None) == (not found.broken)
    for hop in document["broken"]:
        assert all(repair["typed"].startswith("invoke lab.exec") for repair in hop["repairs"])


def test_threads_are_of_checks_we_have_and_have_an_address() -> None:
    assert THREADS.keys() <= {judge.check.id for judge in JUDGES}
    for thread in {t for threads in THREADS.values() for t in threads}:
        owner, _, number = thread.reference.partition("#")
        assert owner.startswith(("moby/", "docker/", "firewalld/"))
        assert thread.url == f"https://github.com/{owner}/issues/{int(number)}"


@pytest.mark.parametrize("fault", CITED, ids=lambda fault: fault.id)
def test_the_check_that_names_a_fault_tells_where_it_was_met(fault: Fault) -> None:
    owner, name, _, number = fault.source.removeprefix("https://github.com/").split("/")
    told = [thread.reference for thread in THREADS.get(fault.check, ())]
    assert f"{owner}/{name}#{number}" in told


def test_a_terminal_shows_a_few_threads_and_programs_get_all() -> None:
    lost = a.host_rules(NODE_B, a.without("-j DNAT"))(healthy())
    told = render(diagnose(lost), through_invoke)
    assert len(THREADS["H3-dnat"]) == 4
    assert told.count("/issues/") == 3
    assert "\n                and 1 more\n" in told
    (hop,) = json.loads(json.dumps(content(diagnose(lost), through_invoke)))["broken"]
    assert len(hop["threads"]) == 4
