"""A bundle of a lab in whatever state: what is in it, what is not and why, and its form."""

import io
import json
import subprocess
import sys
import tarfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lab.bundle import telling
from lab.bundle.archive import README, cleaned, packed, readme
from lab.bundle.kept import tail_of
from lab.bundle.model import Bundle, Part, part
from lab.errors import CommandFailed, NotRunning
from lab.home import LabHome, LabState, lab_home
from tests.bundle.planting import collected, facts_of, members
from tests.conftest import Dirs
from tests.world import World

ROOT = Path(__file__).parents[2]
MADE = datetime(2026, 11, 22, 13, 30, tzinfo=UTC)
ON_THIS_MACHINE = {
    f"this-machine/{name}.json" for name in ("versions", "doctor", "images", "snapshots")
}
TOLD = {"docker.log", "containerd.log", "kernel.log", "journal.log", "system.log", "facts.txt"}


def absent(bundle: Bundle) -> dict[str, str]:
    return {one.name: one.missing for one in bundle.absent}


def test_a_running_lab_tells_everything(world: World) -> None:
    world.up()
    bundle = collected("article", log="a request\n")
    found = members(bundle)
    told = {f"nodes/{node}/{name}" for node in ("manager", "worker") for name in TOLD}
    assert found.keys() == {
        README,
        *ON_THIS_MACHINE,
        *told,
        *(f"lab/{name}.json" for name in ("state", "status", "topology")),
        "diagnosis.txt",
        "diagnosis.json",
        "service.log",
    }
    assert found["nodes/worker/facts.txt"].startswith("@@@ begin host ")
    assert json.loads(found["diagnosis.json"])["schema"] == "lab.diagnosis/v1"
    assert json.loads(found["lab/status.json"])["name"] == "article"
    assert set(absent(bundle)) == {"lab/timeline.txt", "lab/consoles/"}


def test_a_node_that_is_silent_is_told_of_and_asked_once(world: World) -> None:
    world.up()
    gone = NotRunning("worker does not answer ssh", details="timed out")
    bundle = collected("article", lambda node: gone if node == "worker" else facts_of(node))
    found, missing = members(bundle), absent(bundle)
    assert {name for name in missing if "worker" in name} == {f"nodes/worker/{n}" for n in TOLD}
    assert missing["nodes/worker/docker.log"] == "worker does not answer ssh\ntimed out"
    assert "nodes/manager/docker.log" in found
    assert "worker (cannot be looked at)" in found["diagnosis.txt"]


def test_facts_nobody_can_read_are_in_it_as_they_came(world: World) -> None:
    world.up()
    bundle = collected("article", lambda node: "no such output\n")
    assert members(bundle)["nodes/manager/facts.txt"] == "no such output\n"
    assert absent(bundle)["diagnosis.txt"].startswith("no node could be looked at\nmanager: ")


def test_a_lab_that_is_down_is_told_of_from_what_is_kept(world: World) -> None:
    world.up()
    world.provider.alive.clear()
    bundle = collected("article")
    found, missing = members(bundle), absent(bundle)
    assert not json.loads(found["lab/status.json"])["running"]
    assert missing["nodes/manager/facts.txt"] == "the machine manager does not run"
    assert missing["service.log"] == "the machine manager does not run"


def test_a_lab_that_is_half_made_is_no_obstacle(world: World) -> None:
    state = world.up()
    world.home.save(state.model_copy(update={"reached": None, "access": {}}))
    missing = absent(collected("article"))
    assert missing["nodes/worker/kernel.log"] == "worker was not made far enough to be reached"


def test_the_console_of_a_machine_that_was_to_be_copied_is_in_it(world: World) -> None:
    world.up()
    own = LabHome("article", world.home.path / "golden", world.home.runtime)
    own.node_dir("machine").mkdir(parents=True)
    (own.node_dir("machine") / "console.log").write_text("Kernel panic\n")
    assert members(collected("article"))["lab/consoles/golden-machine.log"] == "Kernel panic\n"


def test_without_a_lab_this_machine_is_told_of(world: World) -> None:
    bundle = collected("nowhere")
    assert members(bundle).keys() == {README, *ON_THIS_MACHINE}
    assert absent(bundle)["nodes/"].startswith("There is no lab named nowhere")


def test_a_mistake_of_ours_is_in_it_and_stops_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.up()

    def wrong(home: LabHome) -> LabState:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr("lab.bundle.nodes.diagnose", wrong)
    bundle = collected("article")
    reason = absent(bundle)["diagnosis.txt"]
    assert reason.startswith("a mistake in this program:\nTraceback")
    assert reason.endswith("ZeroDivisionError: ours") or "TypeError" in reason
    assert "nodes/worker/docker.log" in members(bundle)


def bundle_of(*parts: Part) -> Bundle:
    return Bundle("article", MADE, "swarm-ingress-lab 0", parts)


def test_the_same_gives_the_same_file_in_any_order() -> None:
    parts = [Part(f"nodes/{n}.txt", "about", f"{n}\n") for n in ("b", "a", "c")]
    home = Path("/home/bob")
    first, second = (
        packed(cleaned(bundle_of(*order), home)) for order in (parts, reversed(parts))
    )
    assert first == second
    later = replace(bundle_of(*parts), made=MADE + timedelta(seconds=1))
    assert packed(cleaned(later, home)) != first


def test_the_archive_unpacks_into_one_private_directory() -> None:
    data = packed(bundle_of(Part("nodes/worker/facts.txt", "about", "x")))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        entries = tar.getmembers()
    assert [entry.name for entry in entries] == [
        "lab-bundle-article-20261122-133000/README.txt",
        "lab-bundle-article-20261122-133000/nodes/worker/facts.txt",
    ]
    assert {(e.mode, e.uid, e.gid, e.uname, e.gname) for e in entries} == {(0o600, 0, 0, "", "")}


def test_the_readme_tells_what_is_there_and_why_something_is_not() -> None:
    text = readme(
        bundle_of(Part("a.txt", "what it is", "x"), Part("b.txt", "other", missing="no\nway"))
    )
    assert "a.txt\n    what it is\n" in text
    assert text.endswith("Not in it:\n\nb.txt (other)\n    no\n    way\n")


def test_the_end_of_what_is_too_long_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.bundle.archive.MOST_BYTES", 2000)
    lines = "".join(f"line {n}\n" for n in range(1000))
    (found,) = cleaned(bundle_of(Part("x", "about", lines)), Path("/home/bob")).parts
    assert found.content.startswith("(the first ")
    assert found.content.endswith(lines[-1900:])
    assert len(found.content) < 2100


def test_the_users_own_directory_is_not_told_but_a_nodes_is() -> None:
    text = "/root/.ssh /root /data/root /rooted /root-2"
    here, there = cleaned(
        bundle_of(Part("lab/x", "about", text), Part("nodes/x", "about", text)), Path("/root")
    ).parts
    assert here.content == "~/.ssh ~ /data/root /rooted /root-2"
    assert there.content == text


def test_a_tail_begins_with_a_whole_line(tmp_path: Path) -> None:
    file = tmp_path / "console.log"
    file.write_text("first\nsecond\nthird\n")
    assert tail_of(file, 9) == "third\n"
    assert tail_of(file, 100) == "first\nsecond\nthird\n"


def test_reasons_are_those_of_the_errors(tmp_path: Path) -> None:
    def fail() -> str:
        raise CommandFailed("no", details="because", hint="try")

    assert part("x", "about", fail).missing == "no\nbecause"
    missing = part("x", "about", (tmp_path / "nothing").read_text).missing
    assert missing == f"No such file or directory: {tmp_path}/nothing"


def test_what_is_said_names_file_sizes_and_gaps() -> None:
    bundle = bundle_of(
        Part("a.txt", "what it is", "x" * 2048), Part("b", "other", missing="no\nway")
    )
    said = telling.lines(bundle, Path("/home/bob/b.tar.gz"), 512)
    assert "a.txt      2.0 KiB\n" in said
    assert "\nNot in it, and why:\nb      no\n" in said
    assert "\nWritten: /home/bob/b.tar.gz (0 KiB, readable by you alone)\n" in said
    assert telling.content(bundle, Path("/home/bob/b.tar.gz"), 512)["missing"] == [
        {"name": "b", "about": "other", "reason": "no\nway"}
    ]


def typed(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (sys.executable, "-m", "invoke", "-r", str(ROOT), "lab.bundle", *words),
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_writes_a_private_file_here(dirs: Dirs, tmp_path: Path) -> None:
    done = typed(tmp_path, "--name", "mine", "-o", "json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["schema"] == telling.SCHEMA
    (file,) = tmp_path.glob("lab-bundle-mine-*.tar.gz")
    assert told["file"] == str(file)
    assert told["bytes"] == file.stat().st_size
    assert file.stat().st_mode & 0o777 == 0o600
    assert {p["name"] for p in told["parts"]} == ON_THIS_MACHINE
    assert not lab_home("mine").exists()


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("nowhere/b.tar.gz", "There is no directory nowhere"),
        (".", ". is a directory"),
        ("here", "here is a directory"),
        ("here/", "here is a directory"),
        ("there.tar.gz", "there.tar.gz exists already"),
    ],
)
def test_what_could_not_be_written_is_said_at_once(
    dirs: Dirs, tmp_path: Path, file: str, said: str
) -> None:
    inner = tmp_path / "inner"
    (inner / "here").mkdir(parents=True)
    (inner / "there.tar.gz").write_text("mine")
    done = typed(inner, "--file", file)
    assert done.returncode == 2
    assert done.stderr.startswith(f"Error: {said}")
    assert "==>" not in done.stderr
    assert (inner / "there.tar.gz").read_text() == "mine"
    assert [one.name for one in tmp_path.iterdir() if one.suffix == ".gz"] == []
