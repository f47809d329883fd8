import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lab import lifecycle
from lab.errors import Conflict, LabError, NotReady, NotRunning, UsageError
from lab.faults import acting, journal
from lab.faults.journal import Progress
from lab.faults.model import Change, Injected, On, Role, Shown, Step
from lab.faults.patient import Patient
from lab.faults.place import Place
from lab.steps import Steps
from lab.topology import Topology
from tests.conftest import Dirs
from tests.faults.world import World, answering, fault, make_world
from tests.hops.healthy import healthy

QUIET = Steps(quiet=True)
TWO = fault()


@pytest.fixture
def world(
    dirs: Dirs, article: Topology, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    """A lab that runs, whose facts are a healthy swarm's."""
    with answering() as entry:
        made = make_world(article, tmp_path, entry)
        monkeypatch.setattr(lifecycle, "require_running", lambda name: made.status)
        monkeypatch.setattr(Patient, "look", lambda patient: healthy())
        yield made


def files(world: World, node: str = "worker") -> list[str]:
    return sorted(path.name for path in world.shells[node].directory.iterdir())


def inject(world: World, node: str | None = None) -> Injected:
    return acting.inject("article", TWO, node, QUIET, shells=world.open)


def heal(world: World, node: str | None = None, *, everything: bool = False) -> tuple[str, ...]:
    wanted = None if everything else TWO
    return acting.heal("article", wanted, node, QUIET, shells=world.open)


def test_a_fault_is_injected_seen_and_healed(world: World) -> None:
    done = inject(world)
    assert (done.node, done.seen) == ("worker", "there are two")
    assert files(world) == ["one-5000", "two-5000"]
    (entry,) = journal.read(world.home)
    assert (str(entry), entry.progress) == ("two-files on worker", Progress.INJECTED)
    assert heal(world) == ("two-files on worker",)
    assert files(world) == []
    assert journal.read(world.home) == ()


def test_everything_is_written_down_before_it_is_done(world: World) -> None:
    world.shells["worker"].interrupt_at = "touch one"
    with pytest.raises(KeyboardInterrupt):
        inject(world)
    (entry,) = journal.read(world.home)
    assert entry.progress is Progress.INJECTING
    assert [c.command for c in entry.heal] == ["rm -f one-5000", "rm -f two-5000"]
    file = world.home.path / "faults.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert json.loads(file.read_text())["version"] == 1


@pytest.mark.parametrize("everything", [True, False])
def test_what_was_cut_short_is_healed(world: World, *, everything: bool) -> None:
    world.shells["worker"].interrupt_at = "touch two"
    with pytest.raises(KeyboardInterrupt):
        inject(world)
    world.shells["worker"].interrupt_at = ""
    assert files(world) == ["one-5000"]
    assert heal(world, everything=everything) == ("two-files on worker",)
    assert files(world) == []


def test_what_was_cut_short_is_injected_anew(world: World) -> None:
    world.shells["worker"].interrupt_at = "touch two"
    with pytest.raises(KeyboardInterrupt):
        inject(world)
    world.shells["worker"].interrupt_at = ""
    assert inject(world).seen == "there are two"
    assert len(journal.read(world.home)) == 1


def test_a_heal_that_was_cut_short_is_done_again(world: World) -> None:
    inject(world)
    world.shells["worker"].interrupt_at = "rm -f two"
    with pytest.raises(KeyboardInterrupt):
        heal(world)
    world.shells["worker"].interrupt_at = ""
    assert heal(world) == ("two-files on worker",)
    assert files(world) == []


def test_injecting_twice_is_said_and_does_nothing(world: World) -> None:
    inject(world)
    world.shells["worker"].typed.clear()
    assert inject(world).seen == ""
    assert not [line for line in world.shells["worker"].typed if line.startswith("touch")]


def test_healing_twice_and_healing_what_is_not_broken_do_nothing(world: World) -> None:
    assert heal(world) == ()
    assert heal(world, everything=True) == ()
    inject(world)
    heal(world)
    assert heal(world) == ()


def test_what_was_broken_by_hand_is_journaled_or_healed(world: World) -> None:
    (world.shells["manager"].directory / "one-5000").touch()
    assert heal(world) == ("two-files on manager",)
    for name in ("one-5000", "two-5000"):
        (world.shells["worker"].directory / name).touch()
    inject(world)
    assert "touch one-5000" not in world.shells["worker"].typed
    assert len(journal.read(world.home)) == 1


def test_what_was_healed_by_hand_is_struck(world: World) -> None:
    inject(world)
    for name in files(world):
        (world.shells["worker"].directory / name).unlink()
    assert heal(world) == ("two-files on worker",)
    assert journal.read(world.home) == ()


def test_a_fault_may_be_in_several_nodes(world: World) -> None:
    inject(world, "manager")
    second = inject(world, "worker")
    assert "other faults" in second.seen
    assert heal(world, "manager") == ("two-files on manager",)
    assert files(world, "manager") == []
    assert [entry.node for entry in journal.read(world.home)] == ["worker"]


def test_all_are_healed_the_last_one_first(world: World) -> None:
    inject(world, "manager")
    inject(world, "worker")
    assert heal(world, everything=True) == ("two-files on manager", "two-files on worker")
    assert journal.read(world.home) == ()


def test_what_does_not_bite_is_said_and_can_be_healed(world: World) -> None:
    toothless = replace(TWO, bites=Shown("there are three", Step("test -e three")))
    patience = world.state.model_copy(update={"pace": 0.01})
    world.home.save(patience)
    quick = replace(world, state=patience)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lifecycle, "require_running", lambda name: quick.status)
        with pytest.raises(NotReady, match="there are three"):
            acting.inject("article", toothless, None, QUIET, shells=world.open)
    assert heal(world) == ("two-files on worker",)


def test_what_cannot_be_healed_stays_in_the_journal(world: World) -> None:
    stubborn = replace(TWO, change=replace(TWO.change, heal=(Step("true"),)))
    acting.inject("article", stubborn, None, QUIET, shells=world.open)
    with pytest.raises(NotReady, match="two-files on worker is still there"):
        heal(world)
    assert len(journal.read(world.home)) == 1


def test_requests_that_still_fail_are_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    inject(world)
    with answering(well=False) as entry:
        access = {n: a.model_copy(update={"entry": entry}) for n, a in world.state.access.items()}
        state = world.state.model_copy(update={"pace": 0.01, "access": access})
        dead = replace(world, state=state)
        monkeypatch.setattr(lifecycle, "require_running", lambda name: dead.status)
        with pytest.raises(NotReady, match="every request through every node"):
            heal(world)
    assert journal.read(world.home) == ()


def test_what_earlier_steps_print_is_kept_but_never_written_down(world: World) -> None:
    secret = fault(
        change=Change(
            inject=(
                Step("echo t0ken", On.MANAGER, keep="token"),
                Step("echo {token} >one-5000; touch two-5000"),
            ),
            present=TWO.change.present,
            heal=TWO.change.heal,
        )
    )
    acting.inject("article", secret, None, QUIET, shells=world.open)
    assert (world.shells["worker"].directory / "one-5000").read_text() == "t0ken\n"
    assert "t0ken" not in (world.home.path / "faults.json").read_text()


SURGERY = fault(id="surgery", change=Change(inject=TWO.change.inject, present=TWO.change.present))


def resets(world: World, monkeypatch: pytest.MonkeyPatch, saved: bytes = b"") -> list[str]:
    """Let a reset do to the journal what it does: replace it by what was saved."""
    reset: list[str] = []

    def go_back(name: str, steps: Steps) -> None:
        reset.append(name)
        world.home.faults.unlink()
        if saved:
            world.home.faults.write_bytes(saved)

    monkeypatch.setattr(lifecycle, "reset", go_back)
    return reset


def test_what_no_command_heals_resets_the_lab(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    reset = resets(world, monkeypatch)
    inject(world, "manager")
    acting.inject("article", SURGERY, None, QUIET, shells=world.open)
    healed = acting.heal("article", SURGERY, None, QUIET, shells=world.open)
    assert healed == ("two-files on manager", "surgery on worker")
    assert reset == ["article"]


def test_what_a_reset_goes_back_to_is_healed_as_far_as_commands_can(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lab was saved under a name while it was broken, and restored from that."""
    inject(world, "worker")
    saved = world.home.faults.read_bytes()
    reset = resets(world, monkeypatch, saved)
    acting.inject("article", SURGERY, None, QUIET, shells=world.open)
    healed = heal(world, everything=True)
    assert healed == ("two-files on worker", "surgery on worker")
    assert (reset, journal.read(world.home), files(world)) == (["article"], (), [])


def test_what_a_reset_goes_back_to_and_no_command_heals_is_said(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    acting.inject("article", SURGERY, None, QUIET, shells=world.open)
    resets(world, monkeypatch, world.home.faults.read_bytes())
    with pytest.raises(Conflict, match="surgery on worker back, and the lab goes back to it"):
        heal(world, everything=True)
    assert [str(entry) for entry in journal.read(world.home)] == ["surgery on worker"]


def test_surgery_that_was_cut_short_or_done_by_hand_asks_for_a_reset(world: World) -> None:
    world.shells["worker"].interrupt_at = "touch two"
    with pytest.raises(KeyboardInterrupt):
        acting.inject("article", SURGERY, None, QUIET, shells=world.open)
    world.shells["worker"].interrupt_at = ""
    with pytest.raises(Conflict) as caught:
        acting.inject("article", SURGERY, None, QUIET, shells=world.open)
    assert caught.value.hint == "invoke lab.reset"


def test_nodes_that_do_not_fit_are_refused_before_anything_is_done(world: World) -> None:
    with pytest.raises(UsageError, match="no node named worker9"):
        inject(world, "worker9")
    only_manager = replace(TWO, role=Role.MANAGER)
    with pytest.raises(UsageError) as caught:
        acting.inject("article", only_manager, "worker", QUIET, shells=world.open)
    assert "here: manager" in caught.value.details
    assert journal.read(world.home) == ()


def test_a_path_that_is_broken_already_says_what_is_missing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = tuple(replace(node, bridge=None) for node in healthy().cluster.nodes)
    broken = replace(healthy(), cluster=replace(healthy().cluster, nodes=nodes))
    monkeypatch.setattr(Patient, "look", lambda patient: broken)
    needs_sandbox = replace(TWO, change=replace(TWO.change, present=Step("test {sandbox} = 1")))
    with pytest.raises(UsageError) as caught:
        acting.inject("article", needs_sandbox, None, QUIET, shells=world.open)
    assert "docker_gwbridge does not exist" in caught.value.details


def test_a_lab_somebody_works_on_is_left_alone(world: World) -> None:
    with world.home.lock(), pytest.raises(Conflict):
        inject(world)


def test_there_is_nothing_to_heal_in_a_lab_that_does_not_exist(dirs: Dirs) -> None:
    with pytest.raises(NotRunning, match="no lab named nowhere"):
        acting.heal("nowhere", TWO, None, QUIET)


def test_a_journal_nobody_can_read_is_said(world: World) -> None:
    (world.home.path / "faults.json").write_text("{")
    with pytest.raises(LabError) as caught:
        heal(world)
    assert caught.value.hint == "invoke lab.reset"


def test_the_journal_goes_with_the_lab(world: World) -> None:
    inject(world)
    world.home.remove()
    assert journal.read(world.home) == ()


def test_traces_are_found_in_the_nodes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acting, "FAULTS", (TWO,))
    inject(world, "worker")
    (world.shells["manager"].directory / "one-5000").touch()
    found = acting.leftovers("article", shells=world.open)
    assert {(one.node, one.journaled) for one in found} == {("worker", True), ("manager", False)}


def test_a_write_that_fails_leaves_the_journal_as_it_was(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    inject(world)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fdopen", full)
    with pytest.raises(OSError, match="No space"):
        inject(world, "manager")
    assert [str(entry) for entry in journal.read(world.home)] == ["two-files on worker"]
    assert files(world, "manager") == []


def test_a_place_that_was_seen_just_now_is_not_looked_at(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Patient, "look", lambda patient: pytest.fail("it was looked at"))
    place = Place(healthy(), "manager")
    assert acting.inject("article", TWO, place, QUIET, shells=world.open).node == "manager"
    assert files(world, "manager") == ["one-5000", "two-5000"]
