"""Labs that start from snapshots: correct, side by side, and whatever is killed or damaged.

    invoke lab.up --name try
    pytest tests/live/test_snapshots.py -m live -x --name try

The labs are the tests' own, named after ``--name``, which only has to have been there once: what
``lab.up`` has saved is used. So nothing boots here, unless the code has changed since.
"""

import io
import json
import os
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lab import warm
from lab.cli.options import lab_name_for_pytest
from lab.home import LabState, Stage
from lab.lifecycle import status
from lab.paths import cache_dir
from lab.process import run
from lab.providers import provider_named
from lab.providers.qemu_machines import agent_socket, process_of
from lab.providers.qmp import monitor
from lab.saved import circumstances_of
from lab.snapshot import MANIFEST, automatic, key_of, named
from lab.steps import Steps
from lab.topology import Topology
from lab.topology_file import load_named_topology
from lab.wait import wait_until
from tests.live.commands import COLD_S, ROOT, OwnLab

pytestmark = pytest.mark.live

GUIDE = ROOT / "docs" / "how-to" / "snapshots.md"
CHECKS_TIMEOUT_S = 300.0
STEP = "before-join"
"""What the guide calls the snapshot of its lesson step."""
PAUSE_S = 20.0
"""Longer than swarm waits for a silent node."""
CLOCK_S = 0.5
APART_S = 0.2


@pytest.fixture(scope="module")
def names(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """The names of two labs that are not there before and after."""
    stem = lab_name_for_pytest(request.config.getoption("--name", None))[:22]
    labs = OwnLab(f"{stem}-a"), OwnLab(f"{stem}-b")
    try:
        for lab in labs:
            lab.type("invoke lab.down")
        yield labs[0].name, labs[1].name
    finally:
        for lab in labs:
            lab.type("invoke lab.down")
            named().remove(lab.name)


@pytest.fixture(scope="module")
def labs(names: tuple[str, str]) -> tuple[OwnLab, OwnLab]:
    """Two labs that came up at the same time."""
    first, second = OwnLab(names[0]), OwnLab(names[1])
    first.type("invoke lab.up")  # there is a snapshot now, if there was none
    first.type("invoke lab.down")
    with first.typing("invoke lab.up") as one, second.typing("invoke lab.up") as other:
        screens = [process.communicate(timeout=CHECKS_TIMEOUT_S)[0] for process in (one, other)]
    assert (one.returncode, other.returncode) == (0, 0), screens
    assert all("Restoring 2 machines from a snapshot" in screen for screen in screens)
    return first, second


@pytest.fixture
def lab(labs: tuple[OwnLab, OwnLab]) -> OwnLab:
    """The first of them, up again if a test before left it otherwise."""
    labs[0].type("invoke lab.up")
    return labs[0]


def clocks(lab: OwnLab) -> list[float]:
    """Return how far every node's clock is before this machine's, in seconds; best of some."""
    offsets = []
    for node in lab.state.topology.nodes:
        with monitor(agent_socket(lab.home, node.name), node.name, greets=False) as agent:
            tries = []
            for _ in range(5):
                asked = time.time()
                seen = agent.execute("guest-get-time") / 1e9
                answered = time.time()
                tries.append((answered - asked, seen - (asked + answered) / 2))
        offsets.append(min(tries)[1])
    return offsets


def expect_right_clocks(lab: OwnLab) -> None:
    offsets = clocks(lab)
    assert max(map(abs, offsets)) < CLOCK_S, offsets
    assert max(offsets) - min(offsets) < APART_S, offsets


def expect_checks(lab: OwnLab) -> None:
    """Run ``pytest checks/``: the exact values are all there."""
    with lab.typing("pytest checks/ -q") as process:
        screen, _ = process.communicate(timeout=CHECKS_TIMEOUT_S)
    assert process.returncode == 0, screen


def ports(lab: OwnLab) -> set[int]:
    return {port for pair in lab.record.ports.values() for port in pair}


def signal_machines(lab: OwnLab, number: signal.Signals) -> None:
    for name in lab.record.processes:
        process = process_of(lab.record, name)
        assert process is not None
        os.kill(process.pid, number)


def kill_machines(lab: OwnLab) -> None:
    """Kill every process of a lab's machines, as a crash of this machine would."""
    signal_machines(lab, signal.SIGKILL)
    wait_until(lab.machines, lambda left: not left, what="all machines to be gone", timeout_s=30)


def test_labs_of_one_snapshot_answer_side_by_side(labs: tuple[OwnLab, OwnLab]) -> None:
    first, second = labs
    assert first.state.origin == second.state.origin
    assert not ports(first) & ports(second)
    for lab in labs:
        lab.expect_answers()


def test_clocks_are_right_at_once(labs: tuple[OwnLab, OwnLab]) -> None:
    for lab in labs:
        expect_right_clocks(lab)


def test_clocks_are_right_after_the_machines_stood_still(lab: OwnLab) -> None:
    """As while a laptop sleeps. Swarm takes nodes for lost by then, and replaces their tasks."""
    signal_machines(lab, signal.SIGSTOP)
    time.sleep(PAUSE_S)  # the pause is what is tried
    signal_machines(lab, signal.SIGCONT)
    expect_right_clocks(lab)
    lab.type("invoke lab.reset")
    expect_checks(lab)


def test_no_two_copies_have_the_same_cards_or_randomness(labs: tuple[OwnLab, OwnLab]) -> None:
    for command in ("cat /proc/sys/kernel/random/uuid", "cat /sys/class/net/eth[01]/address"):
        seen = [
            word for lab in labs for screen in lab.everywhere(command) for word in screen.split()
        ]
        assert len(seen) == len(set(seen)), seen
    for lab in labs:
        for log in lab.everywhere("dmesg"):
            assert "crng reseeded due to virtual machine fork" in log


def test_reset_mends_whatever_is_broken(lab: OwnLab) -> None:
    before = ports(lab), lab.state.access
    lab.on("worker", "iptables -t nat -F DOCKER-INGRESS")
    lab.on("manager", "docker service rm hello-a")
    with pytest.raises(AssertionError):
        expect_checks(lab)
    lab.type("invoke lab.reset")
    assert (ports(lab), lab.state.access) == before
    lab.expect_answers()
    expect_right_clocks(lab)
    expect_checks(lab)


def test_a_lab_whose_machines_were_killed_comes_up_again(lab: OwnLab) -> None:
    kill_machines(lab)
    screen = lab.type("invoke lab.up")
    assert "manager, worker not running any more: starting the lab afresh" in screen
    assert "Restoring 2 machines" in screen
    lab.expect_answers()


def test_a_killed_save_leaves_no_snapshot_and_machines_that_wake(lab: OwnLab) -> None:
    partial = named().root / f".saving-{lab.name}"
    lab.kill_amid(
        f"invoke lab.snapshot {lab.name}",
        lambda: any(partial.glob("*/ram")),
        "the memory of a machine is being saved",
    )
    assert lab.name not in named().names()
    assert "There is no snapshot" in lab.type(f"invoke lab.restore {lab.name}", code=2)
    screen = lab.type("invoke lab.up")
    assert "saving a snapshot was cut short: letting the machines go on" in screen
    lab.expect_answers()
    expect_right_clocks(lab)
    assert not partial.exists()
    assert len(lab.machines()) == 2


def test_a_killed_save_leaves_nothing_after_down(lab: OwnLab) -> None:
    partial = named().root / f".saving-{lab.name}"
    lab.kill_amid(
        f"invoke lab.snapshot {lab.name}",
        lambda: any(partial.glob("*/ram")),
        "the memory of a machine is being saved",
    )
    home = lab.home
    lab.type("invoke lab.down")
    assert lab.machines() == set()
    assert not home.path.exists()
    assert not home.runtime.exists()
    assert not partial.exists()


@pytest.mark.parametrize("moment", ["before the machines run", "while they are verified"])
def test_a_killed_restore_is_made_good(lab: OwnLab, moment: str) -> None:
    lab.type("invoke lab.down")
    come = {
        "before the machines run": lambda: bool(lab.machines()),
        "while they are verified": lambda: lab.home.ssh_config.exists(),
    }[moment]
    lab.kill_amid("invoke lab.up", come, moment)
    screen = lab.type("invoke lab.up")
    assert "did not finish preparing the machines: starting afresh" in screen
    lab.expect_answers()
    assert len(lab.machines()) == 2
    assert status(lab.name).running


def test_a_moment_is_kept_and_gone_back_to(labs: tuple[OwnLab, OwnLab]) -> None:
    """Saving pauses the machines: they go on with right clocks, and so does what is restored."""
    saved, other = labs
    name = other.name
    other.type("invoke lab.down")
    saved.type("invoke lab.up")
    saved.type(f"invoke lab.snapshot {name}")
    expect_right_clocks(saved)
    saved.expect_answers()
    path = named().path_of(name)
    assert not [file for file in path.rglob("*") if file.is_file() and file.stat().st_mode & 0o77]
    other.type(f"invoke lab.restore {name}")
    assert other.state.origin == path
    expect_right_clocks(other)
    other.expect_answers()
    assert f"goes back to snapshot {name}" in other.type("invoke lab.status")


def test_what_is_on_the_disks_is_saved_with_them(labs: tuple[OwnLab, OwnLab]) -> None:
    """Also by a copy that is saved again, and not only what the nodes still hold in memory."""
    saved, copy = labs
    keep, back = (f"invoke lab.{verb} {copy.name}" for verb in ("snapshot", "restore"))
    saved.type("invoke lab.up")
    saved.everywhere("echo one > /root/first; sync")
    saved.type(keep)
    copy.type(back)
    copy.everywhere("echo two > /root/second; sync")
    copy.type(keep)
    copy.type(back)
    copy.everywhere("echo 3 > /proc/sys/vm/drop_caches")
    assert copy.everywhere("cat /root/first /root/second") == ["one\ntwo", "one\ntwo"]
    copy.everywhere("tar -cf /dev/null /var/lib/docker /var/lib/containerd /usr/sbin 2>&1")
    assert not [log for log in copy.everywhere("dmesg") if "EXT4-fs error" in log]
    copy.expect_answers()
    saved.type("invoke lab.reset")


def steps() -> list[str]:
    """Return the commands of the guide's lesson, in order."""
    block = re.search(r"```console\n(.*?)```", GUIDE.read_text(), re.S)
    assert block
    return [line.removeprefix("$ ") for line in block[1].splitlines()]


def test_a_lesson_goes_back_to_where_a_step_began(labs: tuple[OwnLab, OwnLab]) -> None:
    """Type what the guide shows, and see that the swarm is there, and then gone."""
    _, lab = labs
    lab.type("invoke lab.down")
    swarm = []
    for step in steps():
        # A snapshot's name holds for all labs of a user: theirs stays as it is.
        lab.type(step.replace(STEP, lab.name))
        state = "docker info --format '{{.Swarm.LocalNodeState}}'"
        swarm.append({lab.on(node.name, state).strip() for node in lab.state.topology.nodes})
    out, joined = {"inactive"}, {"active"}
    assert swarm == [out, out, joined, out, out, out]
    assert lab.state.reached is Stage.NODES
    assert lab.name not in named().names()


@pytest.fixture
def copied(lab: OwnLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the snapshot lab.up starts from, in a cache of its own that may be spoilt."""
    key = automatic_key(lab.state, Stage.SERVICE)
    source, cache = automatic().path_of(key), tmp_path / "swarm-ingress-lab"
    (cache / "snapshots").mkdir(parents=True)
    (cache / "images").symlink_to(cache_dir() / "images")
    for file in cache_dir().glob("*.json"):
        shutil.copy2(file, cache)
    copy = cache / "snapshots" / key
    run(("cp", "-a", "--sparse=always", "--reflink=auto", source, copy), timeout_s=COLD_S)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    yield copy
    shutil.rmtree(cache)  # pytest keeps directories for a while, and this is a GiB


def automatic_key(state: LabState, stage: Stage) -> str:
    found = circumstances_of(provider_named(state.provider), state.topology)
    assert found is not None
    return key_of(state.topology, stage, found)


def started(lab: OwnLab, topology: Topology | None = None) -> tuple[LabState | None, str]:
    """Try to start from a snapshot; return the lab, if it came up, and what was said."""
    lab.type("invoke lab.down")
    plan = LabState(
        name=lab.name,
        provider="qemu",
        topology=topology or load_named_topology(None),
        created=datetime.now(UTC),
        runtime=lab.home.runtime,
    )
    screen = io.StringIO()
    with lab.home.lock():
        lab.home.save(plan)
        state = warm.start(lab.home, plan, Stage.SERVICE, Steps(screen)).state
    return state, screen.getvalue()


def change_a_byte(snapshot: Path) -> None:
    """Change a byte in the middle of a machine's memory, and put the file's time back."""
    ram = snapshot / "manager" / "ram"
    before = ram.stat()
    with ram.open("r+b") as file:
        file.seek(before.st_size // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))
    os.utime(ram, ns=(before.st_atime_ns, before.st_mtime_ns))


def cut_devices(snapshot: Path) -> None:
    devices = snapshot / "worker" / "devices"
    os.truncate(devices, devices.stat().st_size // 2)


def claim_other_qemu(snapshot: Path) -> None:
    manifest = json.loads((snapshot / MANIFEST).read_bytes())
    manifest["circumstances"]["qemu"] = "QEMU emulator version 1.0"
    (snapshot / MANIFEST).write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (change_a_byte, "manager/ram has been changed or damaged. Deleting it"),
        (cut_devices, "worker/devices has "),
        (claim_other_qemu, "it was made with another qemu: QEMU emulator version 1.0 then, "),
    ],
    ids=["a changed byte", "a short file", "another QEMU"],
)
def test_a_spoilt_snapshot_is_named_and_deleted(
    labs: tuple[OwnLab, OwnLab], copied: Path, spoil: Callable[[Path], None], said: str
) -> None:
    spoil(copied)
    state, screen = started(labs[1])
    assert state is None
    assert f"Snapshot {copied.name} cannot be used: {said}" in screen
    assert not copied.exists()


def test_another_topology_starts_from_nothing_of_this_one(
    labs: tuple[OwnLab, OwnLab], copied: Path
) -> None:
    article = load_named_topology(None)
    service = article.service.model_copy(update={"published_port": 5001})
    changed = article.model_copy(update={"service": service})
    assert started(labs[1], changed) == (None, "")
    assert copied.exists()


def test_a_copied_snapshot_is_as_good_as_the_first(
    labs: tuple[OwnLab, OwnLab], copied: Path
) -> None:
    """What the tests above spoil does start a lab if nobody spoils it."""
    labs[1].type("invoke lab.down")
    screen = labs[1].type("invoke lab.up")
    assert labs[1].state.origin == copied, screen
    labs[1].expect_answers()
    labs[1].type("invoke lab.down")
