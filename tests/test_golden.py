import io
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lab import golden
from lab.errors import LabError, ProviderFailed
from lab.home import LabHome, LabState, Stage
from lab.lifecycle import down
from lab.providers import Machines
from lab.snapshot import automatic, read_snapshot
from lab.steps import Steps
from lab.topology import Topology
from lab.topology_file import default_topology_path
from tests.fake_snapshots import FakeSnapshots
from tests.world import WISH, World

COPIED = ["provider: preflight", "provider: prepare", "provider: multiply", "provider: save"]
"""What a cold start does when the machine to copy is there."""


@pytest.fixture
def saves(world: World) -> FakeSnapshots:
    """How the provider of this world saves its machines."""
    world.provider.snapshots = saves = FakeSnapshots(world.provider)
    return saves


@pytest.fixture
def machine(world: World, saves: FakeSnapshots) -> Path:
    """The machine a first lab has left; that lab and its snapshot are gone."""
    world.up(WISH)
    start_over(world)
    (name,) = golden.store().names()
    return golden.store().path_of(name)


def start_over(world: World) -> None:
    """Remove the lab and what it could be started from."""
    down("article", world.steps)
    for name in automatic().names():
        automatic().remove(name)
    world.log.clear()


def test_one_machine_is_made_for_all_labs(world: World, machine: Path) -> None:
    world.up(WISH)
    assert world.log == COPIED
    assert world.provider.cluster.images == {"manager", "worker"}
    assert "Making 2 machines as copies of it: manager, worker" in world.shown
    assert golden.store().names() == (machine.name,)


def test_how_machines_run_is_told_once(world: World, saves: FakeSnapshots) -> None:
    world.up(WISH)
    assert "provider: multiply" in world.log
    assert world.shown.count("no machine at all") == 1


def test_it_is_one_machine_of_the_topology(world: World, machine: Path) -> None:
    manifest = read_snapshot(machine).manifest
    assert set(manifest.files) == {"node/devices", "services"}
    assert (manifest.reached, manifest.answers) == (Stage.NODES, False)
    assert {"machine", "bridge", "marks", "service image", "code"} <= set(manifest.circumstances)


def test_a_damaged_machine_is_made_again(world: World, machine: Path) -> None:
    devices = machine / "node" / "devices"
    devices.write_text(devices.read_text().replace("true", "TRUE"))
    world.up(WISH)
    assert f"Snapshot {machine.name} cannot be used: node/devices has been changed" in world.shown
    assert "node: load image" in world.log
    assert "TRUE" not in devices.read_text()


def test_what_the_machine_depends_on_is_looked_at(
    saves: FakeSnapshots, article: Topology, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = golden.circumstances_of(article, saves)
    assert first is not None
    service = article.service.model_copy(update={"image": "node-test:2"})
    other = article.model_copy(update={"service": service})
    changes = {
        "service image": golden.circumstances_of(other, saves),
        "marks": golden.circumstances_of(with_mark(article, 260), saves),
    }
    saves.fits = {"machine": "of card"}
    changes["machine"] = golden.circumstances_of(article, saves)
    saves.fits = {"machine": "of paper"}
    monkeypatch.setattr(golden, "_code", lambda: "another")
    changes["code"] = golden.circumstances_of(article, saves)
    for what, found in changes.items():
        assert found is not None
        assert {name for name in found if found[name] != first[name]} == {what}


def with_mark(topology: Topology, mark: int) -> Topology:
    expected = topology.expected.model_copy(update={"fwmark": mark})
    return topology.model_copy(update={"expected": expected})


def test_nodes_that_differ_in_memory_are_no_copies_of_one(
    world: World, saves: FakeSnapshots, tmp_path: Path
) -> None:
    file = tmp_path / "uneven.yaml"
    text = default_topology_path().read_text()
    assert text.count("memory_mib: ") > 1
    head, _, tail = text.rpartition("memory_mib: ")
    file.write_text(f"{head}memory_mib: 2{tail}")
    world.up(replace(WISH, topology=str(file)))
    log = world.log
    assert "provider: create" in log
    assert "provider: multiply" not in log
    assert {"manager: load image", "worker: load image"} <= set(log)
    assert golden.store().names() == ()


def test_without_room_for_it_every_machine_boots(
    world: World, saves: FakeSnapshots, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.room.free_mib", lambda path: 700.0)
    assert world.up(WISH).reached is Stage.NODES
    log = world.log
    assert log[:3] == ["provider: preflight", "provider: prepare", "provider: create"]
    assert {"manager: load image", "worker: load image"} <= set(log)
    assert golden.store().names() == ()
    assert "booting every machine: no room to save one. " in world.shown
    assert "700 MiB free, up to 1324 MiB needed" in world.shown
    assert "no snapshot for the next start: There is not enough room" in world.shown


def test_the_console_of_a_machine_that_does_not_boot_can_be_looked_at(
    world: World, saves: FakeSnapshots, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = world.provider.create

    def dying(home: LabHome, topology: Topology, steps: Steps) -> Machines:
        machines = create(home, topology, steps)
        home.node_dir("node").joinpath("console.log").write_text("Kernel panic\n")
        world.provider.alive.remove(("article", "node"))
        return machines

    with monkeypatch.context() as patch:
        patch.setattr(world.provider, "create", dying)
        with pytest.raises(ProviderFailed, match="node ended while it was booting") as caught:
            world.up(WISH)
    console = world.home.path / "golden" / "nodes" / "node" / "console.log"
    assert f"its console ({console})" in caught.value.details
    assert console.read_text() == "Kernel panic\n"
    assert world.up(WISH).reached is Stage.NODES
    assert not console.exists()


@pytest.mark.parametrize("what", ["create", "bridge", "save"])
@pytest.mark.parametrize("error", [LabError("refused"), KeyboardInterrupt()])
def test_a_machine_that_cannot_be_made_is_taken_away(
    world: World, saves: FakeSnapshots, what: str, error: BaseException
) -> None:
    world.fails_at(what, error)
    with pytest.raises(type(error)):
        world.up(WISH)
    assert golden.store().names() == ()
    assert world.provider.alive == set()
    assert world.home.load().reached is None
    world.recovers()
    assert world.up(WISH).reached is Stage.NODES


def test_what_is_outdated_for_every_lab_is_forgotten(
    world: World, machine: Path, saves: FakeSnapshots
) -> None:
    saves.fits = {"machine": "of card", "qemu": "10.0.2"}
    world.up(WISH)
    assert golden.store().names() != (machine.name,)
    assert len(golden.store().names()) == 1


def test_what_another_topology_needs_is_not_forgotten(
    world: World, machine: Path, saves: FakeSnapshots
) -> None:
    saves.fits = {"machine": "of card"}
    world.up(WISH)
    assert len(golden.store().names()) == 2


class Watched(io.StringIO):
    """A screen that lets something happen when a word appears on it."""

    def __init__(self, word: str, then: Callable[[], object]) -> None:
        super().__init__()
        self._word, self._then = word, then

    def write(self, text: str) -> int:
        if self._word in text:
            self._then()
        return super().write(text)


def test_two_labs_do_not_make_a_machine_at_the_same_time(
    world: World, saves: FakeSnapshots, article: Topology
) -> None:
    making, second_waits = threading.Event(), threading.Event()
    plan = LabState(
        name="article",
        provider="fake",
        topology=article,
        created=datetime.now(UTC),
        runtime=world.home.runtime,
    )

    def make(one: Topology, directory: Path) -> None:
        making.set()
        assert second_waits.wait(10)
        (directory / "node").mkdir()
        (directory / "node" / "devices").touch()

    def make_too(one: Topology, directory: Path) -> None:
        raise AssertionError("somebody else has just made it")

    found: list[Path | None] = []
    first = threading.Thread(
        target=lambda: found.append(golden.ensure(plan, saves, world.steps, make))
    )
    first.start()
    assert making.wait(10)
    screen = Watched("waiting for it", second_waits.set)
    found.append(golden.ensure(plan, saves, Steps(screen), make_too))
    first.join(10)
    (name,) = golden.store().names()
    assert found == [golden.store().path_of(name) / "node"] * 2
