import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lab import lifecycle
from lab.errors import (
    CommandFailed,
    Conflict,
    LabError,
    NotRunning,
    PreflightFailed,
    UsageError,
)
from lab.home import LabState, Stage, lab_home, lab_names
from lab.lifecycle import down, require_running
from lab.snapshot import CERTIFIED, KEEP, Snapshot, Unusable, named, read_snapshot
from lab.topology import Topology
from tests.conftest import Dirs
from tests.fake_snapshots import FakeSnapshots
from tests.world import WISH, World, is_everything_gone

FULL = replace(WISH, until=Stage.SERVICE)
RESTORED = ["provider: preflight", "provider: destroy", "provider: restore"]
PORT = 4711
"""Where a node of a lab answers that has lived elsewhere before."""


@pytest.fixture
def saves(world: World) -> FakeSnapshots:
    """How the provider of this world saves its machines."""
    world.provider.snapshots = saves = FakeSnapshots(world.provider)
    return saves


@pytest.fixture
def lab(world: World, saves: FakeSnapshots) -> LabState:
    """A lab with a service and a snapshot to go back to, which is reached at ports of its own."""
    state = world.up(FULL)
    access = {
        name: access.model_copy(update={"port": PORT + number})
        for number, (name, access) in enumerate(state.access.items())
    }
    state = state.model_copy(update={"access": access})
    world.home.save(state)
    world.log.clear()
    return state


def reset(world: World) -> LabState:
    return lifecycle.reset("article", world.steps, connect=world.provider.connect)


def save(world: World, snapshot: str = "before", lab: str = "article") -> Snapshot:
    return lifecycle.save(lab, snapshot, world.steps)


def restore(world: World, snapshot: str = "before", lab: str = "article") -> LabState:
    return lifecycle.restore(lab, snapshot, world.steps)


def change(world: World) -> None:
    """Do to a lab what students do."""
    world.provider.cluster.services.clear()
    world.provider.cluster.swarms.pop("worker")
    (world.home.node_dir("manager") / "notes").touch()


def is_unchanged(world: World) -> bool:
    cluster = world.provider.cluster
    return (
        cluster.services == {"hello-a": 2}
        and set(cluster.swarms) == {"manager", "worker"}
        and not (world.home.node_dir("manager") / "notes").exists()
    )


def origin(state: LabState) -> Path:
    assert state.origin is not None
    return state.origin


def spoil(path: Path) -> None:
    """Change the content of a snapshot, not its size."""
    file = path / "services"
    file.write_text(file.read_text().replace("hello-a", "hello-b"))


def expire(path: Path) -> None:
    """Make a snapshot older than any may be."""
    file = path / "manifest.json"
    content = json.loads(file.read_text())
    content["created"] = (datetime.now(UTC) - KEEP).isoformat()
    file.write_text(json.dumps(content))


def test_a_reset_lab_is_what_it_was_made_as_and_where_it_was(world: World, lab: LabState) -> None:
    change(world)
    state = reset(world)
    assert world.log == RESTORED
    assert is_unchanged(world)
    assert state == world.home.load()
    assert (state.access, state.reached, state.origin) == (lab.access, lab.reached, lab.origin)
    config = world.home.ssh_config.read_text()
    assert all(f"Port {PORT + number}" in config for number in (0, 1))
    assert require_running("article").running


def test_a_lab_is_reset_whose_machines_died(world: World, lab: LabState) -> None:
    world.provider.alive.clear()
    assert reset(world).access == lab.access
    assert world.provider.lives("article") == ["manager", "worker"]


def test_a_reset_goes_back_to_where_the_lab_was_made_not_to_where_it_went(
    world: World, saves: FakeSnapshots
) -> None:
    world.up(WISH)
    world.up(FULL)
    assert reset(world).reached is Stage.NODES
    assert world.provider.cluster.swarms == {}


@pytest.mark.parametrize(
    ("until", "topology", "nodes"), [(Stage.NODES, "four-nodes", 4), (Stage.SERVICE, "article", 2)]
)
def test_without_a_snapshot_a_reset_makes_the_lab_afresh(
    world: World, until: Stage, topology: str, nodes: int
) -> None:
    world.up(replace(WISH, until=until, topology=topology))
    world.log.clear()
    state = reset(world)
    assert "there is no snapshot to go back to: starting the lab afresh" in world.shown
    assert world.log[:3] == ["provider: preflight", "provider: destroy", "provider: create"]
    assert (state.reached, len(state.topology.nodes)) == (until, nodes)
    assert world.home.load() == state


def test_a_lab_that_was_never_prepared_is_reset_to_what_up_makes(world: World) -> None:
    world.fails_at("load image")
    with pytest.raises(LabError):
        world.up(WISH)
    world.recovers()
    assert reset(world).reached is Stage.SERVICE


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (spoil, "services has been changed or damaged"),
        (expire, "it expired on "),
        (lambda path: (path / "manifest.json").unlink(), "its manifest.json is unreadable"),
    ],
)
def test_over_a_useless_snapshot_a_reset_makes_the_lab_afresh(
    world: World, lab: LabState, damage: Callable[[Path], object], words: str
) -> None:
    damage(origin(lab))
    change(world)
    state = reset(world)
    assert f"Snapshot {origin(lab).name} cannot be used: {words}" in world.shown
    assert "starting the lab afresh" in world.shown
    assert "provider: restore" not in world.log
    assert is_unchanged(world)
    assert (state.reached, state.origin) == (Stage.SERVICE, lab.origin), "it was kept anew"


def test_a_snapshot_that_is_gone_is_nothing_to_go_back_to(world: World, lab: LabState) -> None:
    origin(lab).rename(origin(lab).with_name("elsewhere"))
    assert reset(world).reached is Stage.SERVICE
    assert "there is no snapshot to go back to" in world.shown


def test_what_cannot_be_copied_now_is_not_removed_before(
    world: World, lab: LabState, saves: FakeSnapshots
) -> None:
    """The image was removed: machines that run are better than none."""
    save(world)
    saves.fits = None
    with pytest.raises(Unusable, match="before cannot be used") as caught:
        restore(world)
    assert caught.value.details == "there is no image for its machines"
    assert require_running("article").running
    state = reset(world)
    assert "there is no image for its machines" in world.shown
    assert state.reached is Stage.SERVICE


@pytest.mark.parametrize("with_snapshot", [True, False])
def test_a_lab_that_this_machine_cannot_carry_now_is_not_removed_before(
    world: World, lab: LabState, *, with_snapshot: bool
) -> None:
    if not with_snapshot:
        world.home.save(lab.model_copy(update={"origin": None}))
    before = world.home.load()
    world.fails_at("preflight", PreflightFailed("mmdebstrap is not installed"))
    with pytest.raises(PreflightFailed, match="mmdebstrap"):
        reset(world)
    assert require_running("article").running
    assert world.home.load() == before
    world.recovers()
    assert reset(world).reached is Stage.SERVICE


def test_a_lab_that_was_just_removed_to_be_made_anew_is_still_known(
    world: World, lab: LabState, saves: FakeSnapshots, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same command can be typed again."""
    world.home.save(lab.model_copy(update={"origin": None}))

    def interrupted(topology: Topology) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(saves, "circumstances", interrupted)
        with pytest.raises(KeyboardInterrupt):
            reset(world)
    assert lab_names() == ("article",)
    assert reset(world).reached is Stage.SERVICE


def test_a_reset_that_fails_leaves_a_lab_that_the_next_one_makes(
    world: World, lab: LabState
) -> None:
    world.fails_at("restore")
    with pytest.raises(LabError, match="restore was refused"):
        reset(world)
    assert world.home.load().reached is None
    world.recovers()
    state = reset(world)
    assert (state.reached, state.origin) == (Stage.SERVICE, lab.origin)


def test_a_copy_that_does_not_answer_is_no_reset_lab(
    world: World, lab: LabState, saves: FakeSnapshots
) -> None:
    saves.numb = True
    with pytest.raises(LabError, match="to answer from everywhere") as caught:
        reset(world)
    assert "worker left no console output" in caught.value.details
    assert world.home.load().reached is None


def test_a_copy_that_does_not_answer_can_be_looked_at(
    world: World, lab: LabState, saves: FakeSnapshots
) -> None:
    save(world)
    saves.numb = True
    with pytest.raises(LabError, match="to answer from everywhere"):
        restore(world, lab="mine")
    state = lab_home("mine").load()
    assert (state.reached, set(state.access)) == (None, {"manager", "worker"})
    assert lab_home("mine").ssh_config.exists()


def test_only_a_lab_can_be_reset(world: World, lab: LabState, dirs: Dirs) -> None:
    down("article", world.steps)
    with pytest.raises(NotRunning, match="no lab named article"):
        reset(world)
    assert is_everything_gone(dirs)


def test_going_back_waits_for_nobody(world: World, lab: LabState) -> None:
    save(world)
    world.log.clear()
    for act in (reset, save, restore):
        with (
            world.home.lock(),
            pytest.raises(Conflict, match="Another command is working on lab article"),
        ):
            act(world)
    assert world.log == []


def test_what_was_saved_under_a_name_comes_back(world: World, lab: LabState) -> None:
    saved = save(world)
    assert world.log == ["provider: save"]
    assert (saved.name, saved.path) == ("before", named().path_of("before"))
    manifest = saved.manifest
    assert (manifest.lab, manifest.reached, manifest.answers) == ("article", Stage.SERVICE, True)
    assert manifest.circumstances == {"machine": "of paper"}
    change(world)
    state = restore(world)
    assert world.log == RESTORED
    assert is_unchanged(world)
    assert state == world.home.load()
    assert (state.access, state.origin) == (lab.access, saved.path)
    change(world)
    assert reset(world).origin == saved.path, "from now on this is where it goes back to"
    assert is_unchanged(world)


def test_a_broken_lab_is_saved_as_broken(world: World, lab: LabState) -> None:
    """An exercise: whoever restores it finds it broken, and nobody waits for answers."""
    world.provider.cluster.services.clear()
    assert not save(world).manifest.answers
    world.log.clear()
    assert restore(world).reached is Stage.SERVICE
    assert world.log == [*RESTORED, "manager: ping", "worker: ping"]
    assert world.provider.cluster.services == {}


def test_what_was_injected_is_saved_and_comes_back(world: World, lab: LabState) -> None:
    world.home.faults.write_text("mark-lost on worker")
    path = save(world).path
    assert "faults.json" in read_snapshot(path).manifest.files
    world.home.faults.write_text("mended, and broken otherwise")
    restore(world)
    assert world.home.faults.read_text() == "mark-lost on worker"
    assert world.home.faults.stat().st_mode & 0o777 == 0o600
    world.home.faults.unlink()
    reset(world)
    assert world.home.faults.read_text() == "mark-lost on worker"
    down("article", world.steps)
    world.up(FULL)
    assert not world.home.faults.exists()


def test_a_new_lab_is_made_from_what_was_saved(
    world: World, saves: FakeSnapshots, lab: LabState
) -> None:
    save(world)
    down("article", world.steps)
    world.log.clear()
    state = restore(world, lab="mine")
    assert world.log == [RESTORED[0], RESTORED[-1]], "there was nothing to remove"
    assert lab_names() == ("mine",)
    assert (state.name, state.provider, state.topology) == ("mine", "fake", lab.topology)
    assert (state.runtime, state.origin) == (lab_home("mine").runtime, named().path_of("before"))
    assert state.access["manager"].port != PORT, "another lab has other ports"
    assert require_running("mine").running
    assert lab_home("mine").load() == state


def test_a_lab_of_another_topology_is_not_overwritten(
    world: World, saves: FakeSnapshots, lab: LabState
) -> None:
    save(world)
    world.up(replace(WISH, name="big", topology="four-nodes"))
    world.log.clear()
    with pytest.raises(Conflict, match="before is of another topology than lab big") as caught:
        restore(world, lab="big")
    assert caught.value.details == "it was saved from lab article"
    assert caught.value.hint.startswith("invoke lab.restore before --name another")
    assert world.log == []
    assert require_running("big").running


def test_a_damaged_lab_is_made_from_what_was_saved(world: World, lab: LabState) -> None:
    save(world)
    (world.home.path / "state.json").write_text("{")
    assert restore(world).reached is Stage.SERVICE
    assert require_running("article").running


def test_a_restore_that_fails_leaves_what_down_removes(
    world: World, lab: LabState, dirs: Dirs
) -> None:
    save(world)
    down("article", world.steps)
    world.fails_at("restore")
    with pytest.raises(LabError, match="restore was refused"):
        restore(world)
    assert world.home.load().reached is None
    assert down("article", world.steps)
    assert is_everything_gone(dirs)
    assert named().names() == ("before",), "the snapshot is a person's"


def test_a_lab_that_was_restored_comes_up_again_from_the_same(world: World, lab: LabState) -> None:
    """As after a power cut in the middle of a lesson."""
    change(world)
    save(world)
    restore(world)
    world.provider.alive.remove(("article", "worker"))
    world.log.clear()
    state = world.up(replace(WISH, until=Stage.NODES))
    assert world.log[:3] == RESTORED
    assert state.origin == named().path_of("before")
    assert "it was restored from snapshot before: going back to that" in world.shown
    assert not is_unchanged(world)


def test_the_age_of_a_swarm_goes_with_its_copies(world: World, lab: LabState) -> None:
    first = save(world).manifest
    assert first.formed == lab.created
    assert restore(world).formed == lab.created
    assert save(world, "again").manifest.formed == lab.created
    old = world.home.load().model_copy(update={"formed": lab.created - CERTIFIED})
    world.home.save(old)
    with pytest.raises(LabError, match="swarm of lab article is too old to be saved") as caught:
        save(world, "third")
    assert "60 days ago" in caught.value.details
    assert named().names() == ("again", "before")
    world.home.save(old.model_copy(update={"formed": None}))
    assert save(world, "third").manifest.formed == lab.created


def test_a_cold_start_goes_back_to_nothing(world: World, lab: LabState) -> None:
    save(world)
    restore(world)
    world.provider.alive.remove(("article", "worker"))
    world.log.clear()
    state = world.up(replace(FULL, cold=True))
    assert "provider: restore" not in world.log
    assert state.origin != named().path_of("before")


def test_a_lab_whose_snapshot_is_gone_starts_afresh(world: World, lab: LabState) -> None:
    path = save(world).path
    restore(world)
    world.provider.alive.remove(("article", "worker"))
    next(path.rglob("devices")).unlink()
    state = world.up(FULL)
    assert state.reached is Stage.SERVICE
    assert state.origin != path


def test_an_unknown_snapshot_names_those_there_are(world: World, lab: LabState) -> None:
    with pytest.raises(UsageError, match="There is no snapshot after") as caught:
        restore(world, "after")
    assert caught.value.details == "known: none"
    assert caught.value.hint == "invoke lab.snapshot   (lists what there is)"
    for name in ("two", "one"):
        save(world, name)
    with pytest.raises(UsageError) as caught:
        restore(world, "after")
    assert caught.value.details == "known: one, two"
    assert require_running("article").running


@pytest.mark.parametrize("name", ["", "..", "../images", "Not-This", "old", ".saving-x"])
def test_a_snapshot_needs_a_name_that_is_one(world: World, lab: LabState, name: str) -> None:
    for act in (save, restore):
        with pytest.raises(UsageError, match="cannot name a snapshot"):
            act(world, name)
    assert world.log == []


@pytest.mark.parametrize("damage", [spoil, expire])
def test_a_useless_snapshot_is_refused_and_kept(
    world: World, lab: LabState, damage: Callable[[Path], object]
) -> None:
    damage(save(world).path)
    world.log.clear()
    with pytest.raises(Unusable, match="Snapshot before cannot be used") as caught:
        restore(world)
    assert caught.value.details
    assert caught.value.hint == "invoke lab.snapshot --remove before"
    assert world.log == []
    assert named().names() == ("before",)


def test_a_lab_that_does_not_run_is_not_saved(world: World, lab: LabState) -> None:
    world.provider.alive.remove(("article", "worker"))
    with pytest.raises(NotRunning, match="Lab article is not running"):
        save(world)
    with pytest.raises(NotRunning, match="no lab named mine"):
        save(world, lab="mine")
    assert named().names() == ()


def test_machines_that_are_not_prepared_are_not_saved(
    world: World, lab: LabState, saves: FakeSnapshots
) -> None:
    world.home.save(lab.model_copy(update={"reached": None}))
    with pytest.raises(Conflict, match="machines of lab article are not prepared") as caught:
        save(world)
    assert caught.value.hint == "invoke lab.up --name article"
    assert named().names() == ()


def test_a_save_that_fails_keeps_what_had_the_name(world: World, lab: LabState) -> None:
    first = save(world)
    world.fails_at("save", CommandFailed("QEMU refused stop"))
    with pytest.raises(CommandFailed, match="QEMU refused stop"):
        save(world)
    world.recovers()
    assert restore(world).origin == first.path
    world.provider.cluster.services["hello-a"] = 1
    assert save(world).manifest.created > first.manifest.created
    restore(world)
    assert world.provider.cluster.services == {"hello-a": 1}


@pytest.mark.parametrize("stuck", [False, True])
def test_a_save_that_fails_leaves_no_machine_paused(
    world: World, lab: LabState, *, stuck: bool
) -> None:
    marker = world.home.path / "paused"
    refusals = {
        what: CommandFailed(f"{what} was refused") for what in ("save", "wake")[: 1 + stuck]
    }
    world.provider.cluster.failing = dict(refusals)
    with pytest.raises(CommandFailed, match="save was refused"):
        save(world)
    assert world.log == ["provider: save", "provider: wake"]
    assert marker.exists() == stuck


def test_machines_that_a_killed_save_left_paused_go_on_before_they_are_saved(
    world: World, lab: LabState
) -> None:
    (world.home.path / "paused").touch()
    assert save(world).manifest.answers
    assert world.log == ["provider: wake", "provider: save"]


def test_what_a_provider_cannot_do_is_said(world: World) -> None:
    world.up(WISH)
    with pytest.raises(UsageError, match="The provider fake cannot save its machines"):
        save(world)
    assert named().names() == ()
