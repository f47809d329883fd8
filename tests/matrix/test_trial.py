"""One trial: put in, judged, taken out, and looked at until all is well again."""

import pytest

from lab.errors import NotReady
from lab.faults import acting
from lab.faults.catalogue import find
from lab.faults.model import Fault, Injected
from lab.faults.place import Place
from lab.hops.situation import Situation
from lab.matrix.trial import Bench, try_fault
from lab.wait import Deadlines
from tests.conftest import Dirs
from tests.hops import altering as a
from tests.hops.breaking import NODE_A, NODE_B
from tests.hops.healthy import healthy
from tests.matrix.trials import MARK_LOST, UNMARKED, Lab

DRAINED = a.member(NODE_B, availability="drain")


class Changing(Lab):
    """A lab that looks otherwise each time, and healthy from then on."""

    deadline = Deadlines(1.0)

    def __init__(self, *changes: a.Change) -> None:
        super().__init__()
        self.changes = list(changes)

    def see(self) -> Situation:
        self.done.append("see")
        return self.changes.pop(0)(healthy()) if self.changes else healthy()


@pytest.fixture(autouse=True)
def acted(dirs: Dirs, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    done: list[str] = []

    def inject(name: str, fault: Fault, where: Place, *_: object) -> Injected:
        done.append(f"inject {fault.id} into {where.node} of {name}")
        return Injected(fault, where.node, "4 of 4 refused")

    def heal(name: str, fault: Fault, *_: object) -> tuple[str, ...]:
        done.append(f"heal {fault.id} in {name}")
        return ()

    monkeypatch.setattr(acting, "inject", inject)
    monkeypatch.setattr(acting, "heal", heal)
    return done


def test_a_fault_is_put_in_judged_and_taken_out(acted: list[str]) -> None:
    found = try_fault(Changing(UNMARKED), MARK_LOST, healthy())
    assert acted == ["inject mark-lost into worker of nowhere", "heal mark-lost in nowhere"]
    assert (found.node, found.deviations, found.left) == ("worker", (), ())
    assert found.after == healthy()
    assert found.judged.found.broken[0].verdict.check == "B1-mark"


def test_all_is_looked_at_until_it_is_well() -> None:
    lab = Changing(UNMARKED, DRAINED, DRAINED)
    assert try_fault(lab, MARK_LOST, healthy()).left == ()
    assert lab.done == ["see"] * 4


def test_what_swarm_does_about_a_change_is_waited_for() -> None:
    drained = find("node-drained")
    on_its_way = a.both(DRAINED, a.task(1, state="starting"))
    lab = Changing(on_its_way, on_its_way, on_its_way, DRAINED, DRAINED)
    found = try_fault(lab, drained, healthy())
    assert (found.deviations, found.judged.looks) == ((), 5)


def test_a_look_on_the_way_does_not_count_even_if_it_fits() -> None:
    drained = find("node-drained")
    more = a.both(DRAINED, a.member(NODE_A, availability="drain"))
    lab = Changing(DRAINED, more, more)
    found = try_fault(lab, drained, healthy())
    assert found.judged.looks == 3
    assert "C1-member[manager] is red, which the catalogue does not say" in found.deviations


def test_what_does_not_settle_is_told() -> None:
    lab = Changing(DRAINED)
    lab.deadline = Deadlines(0.0)
    found = try_fault(lab, find("node-drained"), healthy())
    assert found.deviations == ("what is seen did not settle in 1 looks",)


def test_what_is_not_well_in_time_is_told() -> None:
    lab = Changing(UNMARKED, *[DRAINED] * 9)
    lab.deadline = Deadlines(0.0)
    (left,) = try_fault(lab, MARK_LOST, healthy()).left
    assert "C1-member on worker: FAILED" in left


def test_a_bench_resets_a_lab_only_if_it_was_not_proven_to_be_well() -> None:
    lab = Changing(lambda situation: situation, UNMARKED)
    bench = Bench(lab)
    bench.try_fault(MARK_LOST)
    assert bench.well == healthy()
    bench.try_fault(MARK_LOST)
    assert lab.done.count("reset") == 1


def test_a_bench_gives_each_fault_a_pristine_lab_if_asked_to() -> None:
    lab = Changing(lambda situation: situation, UNMARKED)
    bench = Bench(lab, pristine=True)
    bench.try_fault(MARK_LOST)
    assert bench.well is None
    bench.try_fault(find("log-lost"))  # which only a reset heals
    assert bench.well is not None
    assert lab.done.count("reset") == 2


def test_a_bench_puts_nothing_into_a_lab_that_is_not_well(acted: list[str]) -> None:
    bench = Bench(Changing(DRAINED))
    with pytest.raises(NotReady, match="not well before"):
        bench.try_fault(MARK_LOST)
    assert (acted, bench.well) == ([], None)
