import json
from datetime import UTC, datetime

from lab.faults import telling
from lab.faults.catalogue import FAULTS, find
from lab.faults.journal import Command, Entry, Progress
from lab.faults.model import Injected, Leftover

ENTRY = Entry(
    fault="vxlan-blocked",
    node="worker",
    since=datetime(2026, 11, 22, 13, 30, tzinfo=UTC),
    progress=Progress.INJECTED,
    present=Command(node="worker", command="true"),
    heal=(),
)


def test_the_list_names_every_fault_and_marks_what_is_injected() -> None:
    text = telling.listed(FAULTS, (ENTRY,))
    lines = text.splitlines()
    assert max(map(len, lines)) <= 100
    assert all(f" {fault.id} " in text for fault in FAULTS)
    assert [line.split()[1] for line in lines if line.startswith("* ")] == ["vxlan-blocked"]
    assert "https://github.com/moby/moby/issues/26946" in text
    assert lines[-2] == "injected: vxlan-blocked on worker, since 2026-11-22 13:30 UTC"
    assert telling.listed(FAULTS, ()).endswith("invoke lab.break FAULT")


def test_an_injection_that_was_cut_short_is_told() -> None:
    (line, _) = telling.injected_lines(
        (ENTRY.model_copy(update={"progress": Progress.INJECTING}),)
    )
    assert "cut short" in line


def test_leftovers_are_told_unless_they_are_in_the_journal() -> None:
    ours = Leftover("vxlan-blocked", "worker", journaled=True)
    strange = Leftover("mark-lost", "manager", journaled=False)
    assert "mark-lost on manager" in telling.leftover_lines((ours, strange))[0]
    assert len(telling.leftover_lines((ours,))) == 1


def test_what_was_broken_is_told_without_its_solution() -> None:
    text = telling.broken(Injected(find("vxlan-blocked"), "worker", "2 of 4 answered"))
    assert max(map(len, text.splitlines())) <= 100
    assert "F2-tunnel-in" not in text
    assert "invoke lab.heal vxlan-blocked" in text
    assert "the whole lab" not in text
    assert "the whole lab" in telling.broken(Injected(find("node-lost"), "worker", "seen"))
    assert "already" in telling.broken(Injected(find("vxlan-blocked"), "worker", ""))


def test_the_list_as_json() -> None:
    strange = Leftover("mark-lost", "manager", journaled=False)
    found = json.loads(json.dumps(telling.contents(FAULTS, (ENTRY,), (strange,))))
    blocked = next(one for one in found["faults"] if one["id"] == "vxlan-blocked")
    assert blocked["injected"] == ["worker"]
    assert blocked["named_by"] == ["F2-tunnel-in"]
    assert (blocked["level"], blocked["hop"], blocked["heal"]) == (1, "fabric", "commands")
    hops = {one["id"]: one["hop"] for one in found["faults"]}
    assert hops == {fault.id: str(fault.hop) for fault in FAULTS}
    assert found["leftovers"] == [{"fault": "mark-lost", "node": "manager"}]
    assert telling.contents(FAULTS, (), None)["leftovers"] is None
