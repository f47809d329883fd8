"""A run goes through all faults, whatever happens, and keeps what it has at every step."""

import io
from pathlib import Path

import pytest

import lab.matrix.run as matrix
import lab.matrix.trial as trials
from lab.faults.catalogue import find
from lab.matrix import page, record
from lab.matrix.record import Record, Row
from lab.matrix.run import Run, begun, still_to_do, told
from lab.matrix.trial import Bench
from lab.process import run
from lab.steps import Steps
from tests.hops import altering as a
from tests.hops.breaking import NODE_B
from tests.matrix.trials import MADE, UNANSWERED, VERSIONS, Lab, empty, row, try_fault

SOME = tuple(map(find, ("dnat-lost", "mark-lost", "snat-lost")))
DRAINED = a.member(NODE_B, availability="drain")


@pytest.fixture(autouse=True)
def without_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "try_fault", try_fault)


def made(lab: Lab) -> tuple[Run, list[Record], io.StringIO]:
    kept: list[Record] = []
    shown = io.StringIO()
    return Run(Bench(lab), Steps(shown), kept.append, empty(), "0123456789ab"), kept, shown


def test_a_lab_that_was_proven_to_be_well_is_not_reset() -> None:
    lab = Lab()
    run, kept, shown = made(lab)
    run.try_faults(SOME)
    assert lab.done == ["reset", "see", "dnat-lost", "mark-lost", "snat-lost"]
    assert [len(record.rows) for record in kept] == [1, 2, 3]
    assert kept[-1].rows[0].made.commit == "0123456789ab"
    assert "==> Fault 2 of 3: mark-lost" in shown.getvalue()
    assert "mark-lost on worker: B1-mark[worker] after 12.5 s" in shown.getvalue()


def test_a_fault_that_fails_is_written_down_and_the_next_one_is_tried() -> None:
    lab = Lab(fails="dnat-lost")
    run, kept, shown = made(lab)
    run.try_faults(SOME[:2])
    assert lab.done == ["reset", "see", "dnat-lost", "reset", "see", "mark-lost"]
    assert kept[-1].rows[0].error == "It broke: exit code 1: no such rule"
    assert kept[-1].rows[1].is_right
    assert "dnat-lost: error: It broke" in shown.getvalue()


def test_a_fault_that_leaves_something_is_followed_by_a_reset() -> None:
    lab = Lab(leaves="mark-lost")
    run, kept, _ = made(lab)
    run.try_faults(SOME)
    assert lab.done[-3:] == ["reset", "see", "snat-lost"]
    assert kept[-1].rows[1].left == ("B1-mark is red",)
    assert not kept[-1].rows[1].is_right


def test_nothing_is_put_into_a_lab_that_is_not_well() -> None:
    lab = Lab(looks=DRAINED)
    run, kept, _ = made(lab)
    run.try_faults(SOME[:1])
    assert lab.done == ["reset", "see"]
    assert "not well before anything is put in" in kept[-1].rows[0].error
    assert "C1-member on worker" in kept[-1].rows[0].error


def test_an_interrupt_keeps_what_was_done() -> None:
    class Interrupted(Lab):
        def reset(self) -> None:
            if "dnat-lost" in self.done:
                raise KeyboardInterrupt
            super().reset()

    run, kept, _ = made(Interrupted(leaves="dnat-lost"))
    with pytest.raises(KeyboardInterrupt):
        run.try_faults(SOME)
    assert [r.fault for r in kept[-1].rows] == ["dnat-lost"]


def test_pristine_labs_are_reset_and_looked_at_each_time() -> None:
    lab = Lab()
    run, kept, _ = made(lab)
    run.look_at_pristine(3)
    assert lab.done == ["reset", "see"] * 3
    assert [one.is_green for one in kept[-1].pristine] == [True] * 3
    run, kept, shown = made(Lab(looks=DRAINED))
    run.look_at_pristine(1)
    assert not kept[-1].pristine[0].is_green
    assert "C1-member on worker: FAILED" in shown.getvalue()


def test_what_this_commit_has_proven_is_left_out() -> None:
    earlier = empty().with_row(row(SOME[1])).with_row(row(SOME[0], UNANSWERED))
    assert [f.id for f in still_to_do(SOME, earlier, MADE.commit)] == ["dnat-lost", "snat-lost"]
    assert still_to_do(SOME, earlier, "another") == SOME
    assert still_to_do(SOME, None, MADE.commit) == SOME
    changed = f"{MADE.commit}-dirty"
    made_so = MADE.model_copy(update={"commit": changed})
    earlier = empty().with_row(row(SOME[1]).model_copy(update={"made": made_so}))
    assert still_to_do(SOME, earlier, changed) == SOME


def test_rows_of_other_versions_are_not_mixed_with_new_ones() -> None:
    earlier = empty().with_row(row())
    assert begun(earlier, VERSIONS).rows == earlier.rows
    assert begun(earlier, VERSIONS.model_copy(update={"engine": "27.5.1"})).rows == ()
    assert begun(None, VERSIONS).rows == ()


def test_what_is_not_as_expected_is_told_in_the_same_line() -> None:
    assert "NOT as expected: B1-mark[worker] is green" in told(row(change=UNANSWERED))
    assert told(Row(fault="mark-lost", made=MADE, error="No")) == "mark-lost: error: No"


def test_what_a_run_writes_makes_no_other_state_of_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(*words: str) -> str:
        who = ("-c", "user.name=nobody", "-c", "user.email=nobody@example.org")
        return run(("git", "-C", tmp_path, *who, *words), timeout_s=30).stdout.strip()

    (tmp_path / "docs").mkdir()
    for name in ("docs/detection.json", "docs/detection.md", "code.py"):
        (tmp_path / name).write_text("before\n")
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message", "all")
    monkeypatch.setattr(matrix, "ROOT", tmp_path)
    monkeypatch.setattr(record, "FILE", tmp_path / "docs" / "detection.json")
    monkeypatch.setattr(page, "FILE", tmp_path / "docs" / "detection.md")
    head = git("rev-parse", "--short=12", "HEAD")
    (tmp_path / "docs" / "detection.json").write_text("after\n")
    (tmp_path / "new.txt").write_text("new\n")
    assert matrix.commit() == head
    (tmp_path / "code.py").write_text("after\n")
    assert matrix.commit() == f"{head}-dirty"
    (tmp_path / ".git").rename(tmp_path / "no-longer")
    assert matrix.commit() == ""
