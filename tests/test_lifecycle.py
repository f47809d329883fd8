import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from lab.errors import (
    CommandFailed,
    Conflict,
    LabError,
    NotReady,
    NotRunning,
    PreflightFailed,
    ProviderFailed,
    UsageError,
)
from lab.home import Stage, lab_names
from lab.inventory import HostSpec, Inventory
from lab.lifecycle import LabStatus, down, require_running, status
from lab.process import identify, is_alive
from lab.scaling import scale
from lab.steps import Steps
from lab.topology_file import default_topology_path
from tests.conftest import Dirs
from tests.fake_lab import FakeEngine
from tests.world import WISH, World, is_everything_gone


def test_everything_happens_in_order(world: World) -> None:
    state = world.up(replace(WISH, until=Stage.SERVICE))
    log = world.log
    assert log[:2] == ["provider: preflight", "provider: create"]
    prepared = ["bridge", "init", "create earlier", "leave"]
    for node in ("manager", "worker"):
        own = [event.partition(": ")[2] for event in log if event.startswith(node)]
        # The image is loaded beside the bridge and the networks, before the service that runs it.
        assert own.index("load image") < own.index("create earlier")
        own.remove("load image")
        assert own[:4] == prepared
    assert log[-3:] == ["manager: init", "worker: join", "manager: create hello-a"]
    assert state == world.home.load()
    assert state.reached is Stage.SERVICE
    assert "==> Verifying: every replica answers through every node" in world.shown
    assert "no machine at all" in world.shown


def test_a_lab_that_answers_is_left_alone(world: World) -> None:
    world.up(replace(WISH, until=Stage.SERVICE))
    world.log.clear()
    world.up(replace(WISH, until=Stage.SERVICE))
    world.up(replace(WISH, until=Stage.NODES))
    assert world.log == []
    assert "nothing to do" in world.shown
    assert "--cold" not in world.shown
    world.up(replace(WISH, until=Stage.SERVICE, cold=True))
    assert world.log == []
    assert "nothing to do; --cold is for a lab that is not up" in world.shown


@pytest.mark.parametrize(
    ("until", "last", "nothing_of"),
    [(Stage.NODES, "leave", "join"), (Stage.SWARM, "join", "create hello-a")],
)
def test_up_stops_where_it_is_told(world: World, until: Stage, last: str, nothing_of: str) -> None:
    state = world.up(replace(WISH, until=until))
    log = world.log
    assert state.reached is until
    assert log[-1].endswith(last)
    assert not any(event.endswith(nothing_of) for event in log)


def test_a_later_up_does_what_is_missing_and_no_more(world: World) -> None:
    world.up()
    world.log.clear()
    state = world.up(replace(WISH, until=Stage.SWARM))
    assert state.reached is Stage.SWARM
    assert world.log == ["manager: init", "worker: join"]


def test_what_somebody_typed_is_left_alone(world: World) -> None:
    """In a workshop: `docker swarm init` and `docker service create --replicas 3` by hand."""
    world.up()
    cluster = world.provider.cluster
    cluster.swarms = {"manager": "manager", "worker": "192.168.56.10"}
    cluster.services = {"hello-a": 3}
    world.log.clear()
    assert world.up(replace(WISH, until=Stage.SERVICE)).reached is Stage.SERVICE
    assert world.log == []


def test_a_node_in_another_swarm_is_a_conflict(world: World) -> None:
    world.up()
    world.provider.cluster.swarms = {"worker": "10.9.9.9"}
    with pytest.raises(Conflict, match="worker belongs to another swarm") as caught:
        world.up(replace(WISH, until=Stage.SWARM))
    assert caught.value.details == "its managers: 10.9.9.9:2377"
    assert "swarm leave --force" in caught.value.hint


def test_a_dead_machine_means_starting_afresh(world: World) -> None:
    world.up(replace(WISH, until=Stage.SWARM))
    world.provider.alive.remove(("article", "worker"))
    world.log.clear()
    assert world.up().reached is Stage.NODES
    assert world.log[:3] == ["provider: preflight", "provider: destroy", "provider: create"]
    assert "worker not running any more" in world.shown


def test_a_fresh_start_keeps_the_topology_nobody_mentions(world: World) -> None:
    world.up(replace(WISH, topology="four-nodes"))
    world.provider.alive.clear()
    state = world.up(replace(WISH, provider=None))
    assert len(state.topology.nodes) == 4
    assert state.provider == "fake"


def test_preparing_is_all_or_nothing(world: World) -> None:
    world.fails_at("load image")
    with pytest.raises(LabError, match="load image was refused"):
        world.up()
    assert world.home.load().reached is None
    world.recovers()
    world.log.clear()
    assert world.up().reached is Stage.NODES
    assert world.log[:3] == ["provider: preflight", "provider: destroy", "provider: create"]
    assert "did not finish preparing" in world.shown


@pytest.mark.parametrize("what", ["create", "init", "join"])
def test_the_next_up_completes_what_failed(world: World, what: str) -> None:
    world.fails_at(what)
    with pytest.raises(LabError):
        world.up(replace(WISH, until=Stage.SWARM))
    assert lab_names() == ("article",), "a broken lab is kept for inspection"
    world.recovers()
    assert world.up(replace(WISH, until=Stage.SWARM)).reached is Stage.SWARM


def test_a_failed_join_does_not_undo_the_machines(world: World) -> None:
    world.fails_at("join")
    with pytest.raises(LabError):
        world.up(replace(WISH, until=Stage.SWARM))
    world.recovers()
    world.log.clear()
    world.up(replace(WISH, until=Stage.SWARM))
    assert world.log == ["worker: join"]


def test_a_machine_that_cannot_be_made_is_tried_again(world: World, dirs: Dirs) -> None:
    world.fails_at("preflight", PreflightFailed("qemu-img is not installed"))
    with pytest.raises(PreflightFailed):
        world.up()
    assert is_everything_gone(dirs), "nothing was begun"


@pytest.mark.parametrize("error", [LabError("no"), KeyboardInterrupt(), OSError(28, "disk full")])
def test_rollback_removes_what_cannot_be_completed(
    world: World, dirs: Dirs, error: BaseException
) -> None:
    world.fails_at("bridge", error)
    with pytest.raises(type(error)):
        world.up(replace(WISH, rollback=True))
    assert is_everything_gone(dirs)
    assert not world.provider.alive
    assert "--rollback" in world.shown


def test_rollback_leaves_a_lab_alone_that_is_not_the_wished_one(world: World) -> None:
    world.up()
    with pytest.raises(Conflict):
        world.up(replace(WISH, topology="four-nodes", rollback=True))
    assert world.home.load().reached is Stage.NODES


def test_another_topology_is_a_conflict(world: World) -> None:
    world.up()
    world.log.clear()
    with pytest.raises(Conflict, match="exists with another topology") as caught:
        world.up(replace(WISH, topology="four-nodes"))
    assert caught.value.hint.startswith("invoke lab.down --name article")
    assert world.log == []
    world.up(replace(WISH, topology="article"))


def test_a_lab_of_which_nothing_was_made_may_be_another(world: World) -> None:
    world.fails_at("create", LabError("no"))
    with pytest.raises(LabError):
        world.up()
    world.recovers()
    other = replace(WISH, topology="four-nodes", provider="qemu")
    state = world.up(other)
    assert (len(state.topology.nodes), state.provider) == (4, "qemu")
    assert world.home.load() == state


def test_a_lab_of_which_nothing_was_made_keeps_what_nobody_mentions(world: World) -> None:
    hosts = Inventory(apiVersion="swarm-ingress-lab/v1", hosts=(HostSpec(name="manager"),))
    world.fails_at("create", LabError("no"))
    for wish in (
        replace(WISH, topology="four-nodes", inventory=hosts),
        replace(WISH, provider=None),
    ):
        with pytest.raises(LabError):
            world.up(wish)
        state = world.home.load()
        assert (len(state.topology.nodes), state.provider) == (4, "fake")
        assert state.inventory == hosts
    world.recovers()
    state = world.up(replace(WISH, provider="qemu"))
    assert (len(state.topology.nodes), state.inventory) == (4, None)


def test_an_unknown_topology_or_provider_begins_nothing(world: World, dirs: Dirs) -> None:
    for wish in (replace(WISH, topology="none"), replace(WISH, provider="none")):
        with pytest.raises(UsageError):
            world.up(wish)
    assert is_everything_gone(dirs)


def test_node_names_must_leave_room_for_sockets(world: World, dirs: Dirs, tmp_path: Path) -> None:
    text = default_topology_path().read_text()
    file = tmp_path / "long.yaml"
    file.write_text(text.replace("name: worker", f"name: {'w' * 63}"))
    with pytest.raises(PreflightFailed, match="too long a path for sockets"):
        world.up(replace(WISH, topology=str(file)))
    assert is_everything_gone(dirs)


def test_a_machine_that_dies_while_booting_ends_the_wait(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = world.provider.create

    def dying(home, topology, steps):  # type: ignore[no-untyped-def]
        machines = create(home, topology, steps)
        home.node_dir("worker").joinpath("console.log").write_text("a\n\nKernel panic\n")
        world.provider.alive.remove(("article", "worker"))
        return machines

    monkeypatch.setattr(world.provider, "create", dying)
    with pytest.raises(ProviderFailed, match="worker ended while it was booting") as caught:
        world.up()
    assert "Kernel panic" in caught.value.details
    assert "console.log" in caught.value.details


def test_a_wait_that_expires_shows_every_console(world: World) -> None:
    world.fails_at("connect", NotReady("Waited 30s for docker", details="last seen: ''"))
    with pytest.raises(NotReady, match="Waited 30s for docker") as caught:
        world.up()
    assert caught.value.details.splitlines() == [
        "last seen: ''",
        "manager left no console output",
        "worker left no console output",
    ]


def test_two_labs_live_side_by_side(world: World) -> None:
    world.up()
    world.up(replace(WISH, name="second"))
    assert lab_names() == ("article", "second")
    assert down("article", Steps(world.screen))
    assert lab_names() == ("second",)
    assert require_running("second").running


def test_only_one_command_changes_a_lab(world: World) -> None:
    world.up()
    world.log.clear()
    for change in (world.up, lambda: down("article", Steps(world.screen))):
        with (
            world.home.lock(),
            pytest.raises(Conflict, match="Another command is working on lab article"),
        ):
            change()
    assert world.log == []


def test_down_leaves_nothing_and_is_safe_to_repeat(world: World, dirs: Dirs) -> None:
    assert not down("article", Steps(world.screen))
    world.up(replace(WISH, until=Stage.SWARM))
    assert down("article", Steps(world.screen))
    assert not down("article", Steps(world.screen))
    assert is_everything_gone(dirs)
    assert not world.provider.alive
    with pytest.raises(NotRunning, match="no lab named article"):
        status("article")


def test_down_needs_no_topology_file(world: World, dirs: Dirs, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(default_topology_path().read_text())
    world.up(replace(WISH, topology=str(file)))
    file.unlink()
    assert len(status("article").machines) == 2
    assert down("article", Steps(world.screen))
    assert is_everything_gone(dirs)


@pytest.mark.parametrize("damage", [b"", b"\xff", b'{"version": 2}', None])
def test_down_needs_no_readable_state(world: World, dirs: Dirs, damage: bytes | None) -> None:
    world.up()
    file = world.home.path / "state.json"
    if damage is None:
        file.unlink()
    else:
        file.write_bytes(damage)
    assert down("article", Steps(world.screen))
    assert is_everything_gone(dirs)
    assert not world.provider.alive


def test_up_starts_afresh_over_a_damaged_state(world: World) -> None:
    world.up()
    (world.home.path / "state.json").write_text("{")
    assert world.up().reached is Stage.NODES
    assert "cannot be read: starting afresh" in world.shown


def test_down_ends_an_ssh_that_nobody_recorded(world: World, tmp_path: Path) -> None:
    world.up()
    program = tmp_path / "ssh"
    program.symlink_to("/usr/bin/tail")
    with subprocess.Popen((program, "-f", world.home.ssh_config)) as master:
        process = identify(master.pid)
        down("article", Steps(world.screen))
        assert not is_alive(process)


def test_what_is_not_running_says_how_to_start_it(world: World) -> None:
    world.up()
    world.provider.alive.remove(("article", "worker"))
    assert not status("article").running
    with pytest.raises(NotRunning, match="Lab article is not running") as caught:
        require_running("article")
    assert caught.value.details == "no process for: worker"
    assert caught.value.hint.startswith("invoke lab.up --name article ")


def test_scaling_waits_until_every_way_in_reaches_all_replicas(world: World) -> None:
    world.up(replace(WISH, until=Stage.SERVICE))
    world.log.clear()
    entries = scale(
        require_running("article"), 3, Steps(world.screen), connect=world.provider.connect
    )
    assert world.log == ["manager: scale hello-a=3"]
    assert len(entries) == 4
    assert all(len(set(entry.answered_by)) == 3 for entry in entries)


def test_scaling_that_takes_too_long_shows_every_console(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.provider.pace = 0.001
    world.up(replace(WISH, until=Stage.SWARM))
    monkeypatch.setattr(FakeEngine, "tasks", lambda self, service: ())
    with pytest.raises(NotReady) as caught:
        scale(require_running("article"), 3, Steps(world.screen), connect=world.provider.connect)
    assert "worker left no console output" in caught.value.details


def test_scaling_beyond_the_addresses_there_are_touches_nothing(world: World) -> None:
    state = world.up(replace(WISH, until=Stage.SERVICE))
    world.log.clear()
    found = LabStatus(world.home, state, {})
    with pytest.raises(UsageError, match="hello-a cannot have 251 replicas") as caught:
        scale(found, 251, Steps(world.screen), connect=world.provider.connect)
    assert caught.value.details.startswith("expected at most 250: 10.0.0.0/24 holds 254 addresses")
    assert world.log == []


def test_a_service_that_never_answers_is_said_to_be_so(world: World) -> None:
    world.provider.pace = 0.001
    world.up(replace(WISH, until=Stage.SWARM))
    world.provider.cluster.services = {"hello-a": 0}
    with pytest.raises(NotReady, match="to answer from everywhere") as caught:
        world.up(replace(WISH, until=Stage.SERVICE))
    assert "curl: (28) Operation timed out" in caught.value.details


def test_a_command_that_failed_keeps_its_words(world: World) -> None:
    world.fails_at("init", CommandFailed("docker swarm init was refused", details="its words"))
    with pytest.raises(CommandFailed) as caught:
        world.up()
    assert caught.value.details == "its words"
