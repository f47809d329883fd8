from dataclasses import replace
from pathlib import Path

import pytest

from lab import golden
from lab.errors import Conflict, LabError, PreflightFailed, ProviderFailed
from lab.home import LabHome, LabState, Stage, lab_home
from lab.lifecycle import down, require_running
from lab.providers import Machines
from lab.snapshot import automatic
from lab.steps import Steps
from lab.topology import Topology
from tests.conftest import Dirs
from tests.fake_snapshots import FakeSnapshots
from tests.world import WISH, World, is_everything_gone

FULL = replace(WISH, until=Stage.SERVICE)
SECOND = replace(FULL, name="second")

SAVE = "provider: save"
BOOTED = ["provider: preflight", "provider: prepare", "provider: create"]
"""How a cold start begins that makes a machine to copy."""
RESTORED = ["provider: preflight", "provider: restore"]


@pytest.fixture
def saves(world: World) -> FakeSnapshots:
    """How the provider of this world saves its machines."""
    world.provider.snapshots = saves = FakeSnapshots(world.provider)
    return saves


@pytest.fixture
def kept(world: World, saves: FakeSnapshots) -> Path:
    """The snapshot a first lab has left, which was brought up completely and is gone."""
    path = origin(world.up(FULL))
    down("article", world.steps)
    world.log.clear()
    return path


def origin(state: LabState) -> Path:
    assert state.origin is not None
    return state.origin


def snapshots() -> list[Path]:
    return [automatic().path_of(name) for name in automatic().names()]


def spoil(path: Path) -> None:
    """Change the content of a snapshot, not its size."""
    file = path / "services"
    file.write_text(file.read_text().replace("hello-a", "hello-b"))


def test_a_provider_without_snapshots_boots_every_machine(world: World) -> None:
    state = world.up(FULL)
    assert world.log[:2] == ["provider: preflight", "provider: create"]
    assert state.origin is None
    assert (automatic().names(), golden.store().names()) == ((), ())


def test_the_first_start_copies_one_machine_and_keeps_the_lab(
    world: World, saves: FakeSnapshots
) -> None:
    state = world.up(FULL)
    prepared = ["bridge", "init", "create earlier", "leave"]
    # The image is loaded beside the bridge and the networks; the service needs all of them.
    log = world.log
    loaded = log.index("node: load image")
    assert len(BOOTED) <= loaded < log.index("node: create earlier")
    assert log[:loaded] + log[loaded + 1 :] == [
        *BOOTED,
        *(f"node: {what}" for what in prepared),
        SAVE,
        "provider: destroy",
        "provider: multiply",
        "manager: init",
        "worker: join",
        "manager: create hello-a",
        SAVE,
    ]
    assert world.provider.lives("article") == ["manager", "worker"]
    assert not (world.home.path / "golden").exists()
    assert not (world.home.path / "paused").exists()
    assert [origin(state)] == snapshots()
    assert state == world.home.load()
    assert (state.reached, state.topology.manager.name) == (Stage.SERVICE, "manager")


def test_the_next_lab_starts_where_the_first_one_was(world: World, kept: Path) -> None:
    world.provider.pace = 3.0
    state = world.up(SECOND)
    assert world.log == RESTORED
    assert (state.name, state.reached, origin(state)) == ("second", Stage.SERVICE, kept)
    assert world.provider.cluster.services == {"hello-a": 2}
    assert require_running("second").running
    assert "==> Restoring 2 machines from a snapshot made " in world.shown
    assert "==> Verifying: every replica answers through every node" in world.shown
    assert snapshots() == [kept]
    assert (set(state.access), state.pace) == ({"manager", "worker"}, 3.0)
    config = lab_home("second").ssh_config.read_text()
    assert f"Port {state.access['manager'].port}" in config


def test_a_lab_goes_on_from_the_nearest_snapshot(world: World, saves: FakeSnapshots) -> None:
    nearest = origin(world.up(replace(FULL, until=Stage.SWARM)))
    world.up(replace(WISH, name="third"))
    world.log.clear()
    state = world.up(SECOND)
    assert world.log == [
        *RESTORED,
        "manager: ping",
        "worker: ping",
        "manager: create hello-a",
        SAVE,
    ]
    assert "==> Verifying: every node's Docker Engine answers" in world.shown
    assert state.reached is Stage.SERVICE
    assert len(snapshots()) == 3
    assert origin(state) not in (nearest, origin(lab_home("third").load()))


def test_a_snapshot_of_a_later_stage_is_not_for_a_lab_that_stops_before(
    world: World, kept: Path
) -> None:
    """A workshop's machines have Docker and no swarm."""
    state = world.up(WISH)
    assert world.log == ["provider: preflight", "provider: prepare", "provider: multiply", SAVE]
    assert (state.reached, world.provider.cluster.swarms) == (Stage.NODES, {})
    assert sorted(snapshots()) == sorted([kept, origin(state)])


def test_a_snapshot_is_for_labs_of_its_topology(world: World, kept: Path) -> None:
    world.up(replace(WISH, topology="four-nodes"))
    assert "provider: restore" not in world.log


def test_copies_that_hold_different_images_are_no_lab(
    world: World, saves: FakeSnapshots, monkeypatch: pytest.MonkeyPatch
) -> None:
    multiply = saves.multiply

    def forgetful(home: LabHome, topology: Topology, machine: Path, steps: Steps) -> Machines:
        machines = multiply(home, topology, machine, steps)
        world.provider.cluster.images.remove("worker")
        return machines

    monkeypatch.setattr(saves, "multiply", forgetful)
    with pytest.raises(ProviderFailed, match="do not all hold the same image") as caught:
        world.up(WISH)
    assert caught.value.details == "manager: sha256:1234\nworker: None"
    assert world.home.load().reached is None


def test_cold_boots_every_machine(world: World, kept: Path) -> None:
    state = world.up(replace(FULL, cold=True))
    log = world.log
    assert log[:2] == ["provider: preflight", "provider: create"]
    assert log[-1] == "manager: create hello-a", "what is kept already is not saved again"
    assert origin(state) == kept, "and this is what a reset goes back to"


def test_a_copy_that_cannot_be_made_is_cleared_away_and_the_lab_starts_cold(
    world: World, kept: Path
) -> None:
    before = (kept / "manifest.json").stat().st_ino
    world.fails_at("restore", LabError("QEMU did not start worker"))
    state = world.up(FULL)
    log = world.log
    assert log[:5] == [
        *RESTORED,
        "provider: destroy",
        "provider: prepare",
        "provider: multiply",
    ]
    assert "QEMU did not start worker: starting cold" in world.shown
    assert (state.reached, origin(state)) == (Stage.SERVICE, kept)
    assert log[-1] == SAVE, "it was kept anew"
    assert (kept / "manifest.json").stat().st_ino != before
    world.recovers()
    world.log.clear()
    world.up(SECOND)
    assert world.log == RESTORED


def test_what_a_cold_start_fails_at_too_is_not_the_snapshots_fault(
    world: World, kept: Path
) -> None:
    before = (kept / "manifest.json").stat().st_ino
    world.provider.cluster.failing = {
        "restore": LabError("QEMU did not start worker"),
        "multiply": LabError("QEMU did not start worker either"),
    }
    with pytest.raises(LabError, match="worker either"):
        world.up(FULL)
    assert (kept / "manifest.json").stat().st_ino == before
    world.recovers()
    world.log.clear()
    assert origin(world.up(FULL)) == kept
    assert world.log == ["provider: preflight", "provider: destroy", "provider: restore"]


@pytest.mark.parametrize(
    "error", [Conflict("No 4 free ports"), PreflightFailed("qemu-img is not installed")]
)
def test_what_this_machine_lacks_is_said_at_once(
    world: World, kept: Path, error: LabError
) -> None:
    world.fails_at("restore", error)
    with pytest.raises(type(error)):
        world.up(FULL)
    assert "starting cold" not in world.shown
    assert snapshots() == [kept]


def test_sockets_are_looked_at_before_a_snapshot_is(
    world: World, kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_RUNTIME_DIR", str(tmp_path / ("r" * 90)))
    with pytest.raises(PreflightFailed, match="too long a path for sockets"):
        world.up(FULL)
    assert "starting cold" not in world.shown
    assert snapshots() == [kept]


def test_copies_have_more_time_while_this_machine_is_crowded(
    world: World, kept: Path, saves: FakeSnapshots, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.warm.crowding", lambda: 3.0)
    saves.numb = True
    world.up(FULL)
    assert "Waited 12ms for all 2 replicas to answer from everywhere" in world.shown


def test_a_snapshot_another_lab_goes_back_to_is_not_replaced(
    world: World, saves: FakeSnapshots
) -> None:
    kept = origin(world.up(FULL))
    before = (kept / "manifest.json").stat().st_ino
    world.fails_at("restore")
    world.log.clear()
    state = world.up(SECOND)
    assert "restore was refused: starting cold" in world.shown
    assert SAVE not in world.log
    assert (kept / "manifest.json").stat().st_ino == before
    assert origin(state) == kept


def test_copies_that_do_not_answer_make_way_for_a_cold_start(
    world: World, kept: Path, saves: FakeSnapshots
) -> None:
    saves.numb = True
    state = world.up(FULL)
    assert "for all 2 replicas to answer from everywhere: starting cold" in world.shown
    assert world.provider.cluster.services == {"hello-a": 2}
    assert state.reached is Stage.SERVICE


def test_engines_that_do_not_answer_make_way_for_a_cold_start(
    world: World, saves: FakeSnapshots
) -> None:
    world.up(WISH)
    world.fails_at("ping")
    state = world.up(replace(WISH, name="second"))
    assert "ping was refused: starting cold" in world.shown
    assert state.reached is Stage.NODES


def test_an_interrupted_copy_is_not_the_snapshots_fault(
    world: World, dirs: Dirs, kept: Path
) -> None:
    world.fails_at("restore", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        world.up(FULL)
    assert (snapshots(), world.home.load().reached) == ([kept], None)
    with pytest.raises(KeyboardInterrupt):
        world.up(replace(FULL, rollback=True))
    assert is_everything_gone(dirs)
    world.recovers()
    world.log.clear()
    assert world.up(FULL).reached is Stage.SERVICE
    assert world.log == RESTORED


def test_a_damaged_snapshot_is_named_and_replaced(world: World, kept: Path) -> None:
    spoil(kept)
    state = world.up(FULL)
    assert f"Snapshot {kept.name} cannot be used: services has been changed" in world.shown
    assert "damaged. Deleting it" in world.shown
    log = world.log
    assert log[0] == "provider: preflight"
    assert log[-1] == SAVE
    assert origin(state) == kept
    assert "hello-a" in (kept / "services").read_text()


def test_a_lab_that_was_not_just_made_is_not_saved(world: World, saves: FakeSnapshots) -> None:
    """Nobody knows what was done to it meanwhile."""
    first = origin(world.up(WISH))
    world.log.clear()
    state = world.up(FULL)
    assert state.reached is Stage.SERVICE
    assert SAVE not in world.log
    assert (origin(state), snapshots()) == (first, [first])


def test_a_lab_whose_machines_died_is_made_again_and_kept(world: World, kept: Path) -> None:
    world.up(FULL)
    world.provider.alive.clear()
    world.log.clear()
    assert origin(world.up(FULL)) == kept
    assert world.log == ["provider: preflight", "provider: destroy", "provider: restore"]


@pytest.mark.parametrize(
    "error",
    [
        LabError("QEMU refused stop", details="its words"),
        OSError(28, "No space left on device", "/cache/x"),
    ],
)
def test_a_lab_that_cannot_be_saved_is_up_all_the_same(
    world: World, saves: FakeSnapshots, error: Exception
) -> None:
    world.up(replace(WISH, name="other"))
    world.fails_at("save", error)
    state = world.up(replace(FULL, rollback=True))
    assert (state.reached, state.origin) == (Stage.SERVICE, None)
    assert world.home.load() == state
    assert "no snapshot for the next start: " in world.shown
    assert str(error.args[-1]).removeprefix("/cache/") in world.shown
    assert len(snapshots()) == 1
    world.recovers()
    world.log.clear()
    world.up(SECOND)
    assert SAVE in world.log


def test_what_is_not_known_to_fit_is_neither_used_nor_kept(
    world: World, kept: Path, saves: FakeSnapshots
) -> None:
    saves.fits = None
    state = world.up(FULL)
    assert state.origin is None
    log = world.log
    assert log[:3] == BOOTED
    assert {SAVE, "provider: restore", "provider: multiply"}.isdisjoint(log)
    assert snapshots() == [kept]


def test_what_can_never_be_used_again_is_deleted(
    world: World, kept: Path, saves: FakeSnapshots
) -> None:
    nodes = origin(world.up(WISH))
    down("article", world.steps)
    saves.fits = {"machine": "of card"}
    state = world.up(FULL)
    assert "provider: restore" not in world.log
    assert origin(state) != kept
    assert f"deleting snapshot {kept.name}, which this one replaces" in world.shown
    assert sorted(snapshots()) == sorted([nodes, origin(state)]), "another stage is another thing"


def test_what_a_lab_goes_back_to_is_not_deleted_for_a_newer_one(
    world: World, saves: FakeSnapshots
) -> None:
    first = origin(world.up(FULL))
    saves.fits = {"machine": "of card"}
    second = origin(world.up(SECOND))
    assert sorted(snapshots()) == sorted([first, second])


def test_a_snapshot_nobody_can_read_is_deleted_with_the_outdated(
    world: World, kept: Path, saves: FakeSnapshots
) -> None:
    (kept / "manifest.json").write_text("{")
    saves.fits = {"machine": "of card"}
    state = world.up(FULL)
    assert snapshots() == [origin(state)]


def test_machines_are_marked_while_they_pause(world: World, saves: FakeSnapshots) -> None:
    world.up(FULL)
    assert saves.marked
    assert not (world.home.path / "paused").exists()


def test_machines_that_a_killed_save_left_paused_go_on(world: World, saves: FakeSnapshots) -> None:
    world.up(FULL)
    (world.home.path / "paused").touch()
    world.log.clear()
    world.up(FULL)
    assert world.log == ["provider: wake"]
    assert "saving a snapshot was cut short: letting the machines go on" in world.shown
    world.up(FULL)
    assert world.log == []


def test_machines_that_do_not_go_on_are_tried_again(world: World, saves: FakeSnapshots) -> None:
    world.up(FULL)
    (world.home.path / "paused").touch()
    world.fails_at("wake")
    for _ in range(2):
        with pytest.raises(LabError, match="wake was refused"):
            world.up(FULL)
    world.recovers()
    world.up(FULL)
    assert not (world.home.path / "paused").exists()
