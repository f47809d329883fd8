"""What was done to a lab is written down, and stays within bounds."""

import pytest

from lab import events, lifecycle
from lab.errors import CommandFailed
from lab.home import LabHome, lab_home
from lab.steps import Steps
from tests.conftest import Dirs
from tests.world import World


@pytest.fixture
def home(dirs: Dirs) -> LabHome:
    return lab_home("article")


def test_steps_and_notes_are_written_down_as_they_end(home: LabHome) -> None:
    steps = Steps(quiet=True, record=events.recorder(home, "lab.up"))
    with steps.step("Starting"):
        steps.note("with software emulation")
    with pytest.raises(CommandFailed), steps.step("Forming"):
        raise CommandFailed("it failed", details="much more")
    with pytest.raises(KeyboardInterrupt), steps.step("Waiting"):
        raise KeyboardInterrupt
    found = events.read(home)
    assert [(e.command, e.step, e.outcome, e.seen) for e in found] == [
        ("lab.up", "with software emulation", "note", ""),
        ("lab.up", "Starting", "done", ""),
        ("lab.up", "Forming", "failed", "it failed"),
        ("lab.up", "Waiting", "interrupted", ""),
    ]
    assert str(found[2]).endswith(" UTC  lab.up       failed      Forming after 0.0 s: it failed")
    assert events.file_of(home).stat().st_mode & 0o777 == 0o600


def test_what_happened_before_a_reset_is_still_known_and_goes_with_the_lab(world: World) -> None:
    world.up()
    record = events.recorder(world.home, "lab.break")
    Steps(quiet=True, record=record).note("one")
    world.provider.destroy(world.home)
    world.up()
    assert [event.step for event in events.read(world.home)] == ["one"]
    lifecycle.down("article", world.steps)
    assert events.read(world.home) == ()
    Steps(quiet=True, record=record).note("a start that was rolled back")
    assert not lifecycle.down("article", world.steps)
    assert events.read(world.home) == ()


def test_the_file_does_not_grow_for_ever(home: LabHome) -> None:
    steps = Steps(quiet=True, record=events.recorder(home, "lab.up"))
    text = "x" * 5000
    for number in range(60):
        steps.note(f"{number} {text}")
        assert events.file_of(home).stat().st_size < events.MOST_BYTES + 6000
    found = [event.step.split()[0] for event in events.read(home)]
    assert found[-1] == "59"
    assert found == [str(n) for n in range(int(found[0]), 60)]


def test_a_line_that_was_cut_short_hides_no_other(home: LabHome) -> None:
    steps = Steps(quiet=True, record=events.recorder(home, "lab.up"))
    steps.note("one")
    with events.file_of(home).open("a") as file:
        file.write('{"at": "2026-\n')
    steps.note("two")
    assert [event.step for event in events.read(home)] == ["one", "two"]


def test_nothing_fails_because_it_cannot_be_written(home: LabHome) -> None:
    events.file_of(home).parent.mkdir(parents=True, exist_ok=True)
    events.file_of(home).mkdir()
    Steps(quiet=True, record=events.recorder(home, "lab.up")).note("one")
