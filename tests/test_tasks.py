import json
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lab import lifecycle, look, saved, scaling
from lab.access import Access
from lab.errors import CommandFailed, LabError, NotRunning
from lab.home import LabState, Stage, lab_home
from lab.image import store as images
from lab.look import SwarmView
from lab.paths import cache_dir
from lab.providers import MachineState
from lab.saved import Listed
from lab.service import Entry, Replica
from lab.snapshot import KEEP, Contents, Store, automatic, named, read_snapshot
from lab.topology import Topology
from tests.conftest import Dirs
from tests.invoking import Invoke, Result

ROOT = Path(__file__).parent.parent


def make_lab(name: str, topology: Topology) -> LabState:
    """Save a lab whose machines are long gone."""
    home = lab_home(name)
    access = Access(
        host="127.0.0.1",
        port=1,
        user="root",
        identity_file=home.path / "id",
        known_hosts=home.path / "known_hosts",
        entry="127.0.0.1:1",
    )
    state = LabState(
        name=name,
        provider="qemu",
        topology=topology,
        created=datetime(2026, 11, 22, 13, 30, tzinfo=UTC),
        runtime=home.runtime,
        reached=Stage.SERVICE,
        access={node.name: access for node in topology.nodes},
    )
    home.save(state)
    return state


def test_the_commands_are_listed_with_what_they_do(invoke: Invoke) -> None:
    done = invoke("--list")
    making = ["up", "down", "reset", "snapshot", "restore"]
    using = ["box", "doctor", "exec", "image", "list", "logs", "scale", "ssh", "status"]
    assert all(f"lab.{name} " in done.stdout for name in (*making, *using))
    assert "Remove a lab: machines, disks, sockets" in done.stdout


def test_an_error_is_a_message_and_an_exit_code_from_any_directory(dirs: Dirs) -> None:
    done = subprocess.run(
        (sys.executable, "-m", "invoke", "lab.status", "--name", "nope"),
        cwd=ROOT / "docs",
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout) == (7, "")
    assert done.stderr.splitlines() == [
        "Error: There is no lab named nope",
        "  known labs: none",
        "Try: invoke lab.up --name nope",
    ]


def test_what_to_type_next_works_where_one_is(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert f"Try: invoke -r {ROOT} lab.up\n" in invoke("lab.status").stderr
    assert f"Make one with: invoke -r {ROOT} lab.up\n" in invoke("lab.list").stdout


@pytest.mark.parametrize(
    ("line", "exit_code", "message"),
    [
        ("lab.status", 7, "There is no lab named article"),
        ("lab.ssh manager", 7, "There is no lab named article"),
        ("lab.exec manager", 2, "There is no command to run"),
        ("lab.exec manager --", 2, "There is no command to run"),
        ("lab.exec manager -- docker ps", 7, "There is no lab named article"),
        ("lab.logs", 7, "There is no lab named article"),
        ("lab.logs --tail few", 2, "--tail is 'few'"),
        ("lab.scale 3", 7, "There is no lab named article"),
        ("lab.scale 0", 2, "replicas is 0"),
        ("lab.scale many", 2, "replicas is 'many'"),
        ("lab.reset", 7, "There is no lab named article"),
        ("lab.reset --name No_Good", 2, "'No_Good' cannot name a lab"),
        ("lab.reset -o xml", 2, "--output cannot be 'xml'"),
        ("lab.snapshot mine -o xml", 2, "--output cannot be 'xml'"),
        ("lab.snapshot --remove mine", 2, "There is no snapshot mine"),
        ("lab.snapshot mine --remove old", 2, "Either save mine or remove old"),
        ("lab.restore mine", 2, "There is no snapshot mine"),
        ("lab.restore mine --name No_Good", 2, "'No_Good' cannot name a lab"),
        ("lab.restore No_Good", 2, "'No_Good' cannot name a snapshot"),
        ("lab.restore old", 2, "'old' cannot name a snapshot"),
        ("lab.restore mine -o xml", 2, "--output cannot be 'xml'"),
        ("lab.list -o xml", 2, "--output cannot be 'xml'"),
        ("lab.status -o xml", 2, "--output cannot be 'xml'"),
        ("lab.doctor -o xml", 2, "--output cannot be 'xml'"),
        ("lab.image -o xml", 2, "--output cannot be 'xml'"),
        ("lab.up -o xml", 2, "--output cannot be 'xml'"),
        ("lab.up --until never", 2, "--until cannot be 'never'"),
        ("lab.up --topology nowhere", 2, "no topology named 'nowhere'"),
        ("lab.up --topology ./nowhere.yaml", 2, "nowhere.yaml"),
        ("lab.up --topology ~is-nobody/my.yaml", 2, "~is-nobody/my.yaml names no file"),
        ("lab.up --inventory ~is-nobody/my.yaml", 2, "~is-nobody/my.yaml names no file"),
        ("lab.up --provider nobody", 2, "no provider named nobody"),
        ("lab.up --name No_Good", 2, "'No_Good' cannot name a lab"),
        ("lab.down --name ../..", 2, "'../..' cannot name a lab"),
        ("lab.doctor --topology nowhere", 2, "no topology named 'nowhere'"),
    ],
)
def test_what_cannot_be_done_is_said(
    invoke: Invoke, line: str, exit_code: int, message: str
) -> None:
    done = invoke(*line.split())
    assert (done.exit_code, done.stdout) == (exit_code, "")
    assert done.stderr.startswith("Error: ")
    assert message in done.stderr


def test_restore_must_be_told_what(invoke: Invoke) -> None:
    done = invoke("lab.restore")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "required positional arguments: 'snapshot'" in done.stderr


@pytest.mark.parametrize(
    ("words", "cold"), [([], False), (["--cold"], True), (["-c", "--rollback"], True)]
)
def test_cold_is_asked_for_by_a_word(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, words: list[str], *, cold: bool
) -> None:
    wishes: list[lifecycle.Wish] = []

    def fail(wish: lifecycle.Wish, steps: object) -> None:
        wishes.append(wish)
        raise LabError("seen enough")

    monkeypatch.setattr(lifecycle, "up", fail)
    assert invoke("lab.up", *words).exit_code == 5
    assert [wish.cold for wish in wishes] == [cold]
    assert wishes[0].rollback == ("--rollback" in words)


@pytest.mark.parametrize("words", [["--provider", "nobody"], ["--topology", "./nowhere.yaml"]])
def test_what_cannot_be_meant_leaves_nothing_behind(
    invoke: Invoke, dirs: Dirs, words: list[str]
) -> None:
    assert invoke("lab.up", *words).exit_code == 2
    assert not dirs.state.exists()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(27, "File too large"), "Error: File too large\n"),
        (OSError(28, "No space left on device", "/x"), "Error: No space left on device: /x\n"),
    ],
)
def test_what_the_system_refuses_is_said_in_its_words(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, error: OSError, said: str
) -> None:
    def fail(wish: lifecycle.Wish, steps: object) -> None:
        raise error

    monkeypatch.setattr(lifecycle, "up", fail)
    done = invoke("lab.up")
    assert done.exit_code == 5
    assert done.stderr.startswith(said)


def test_an_empty_list(invoke: Invoke) -> None:
    assert invoke("lab.list").stdout == "No labs. Make one with: invoke lab.up\n"
    done = invoke("lab.list", "-o", "json")
    assert json.loads(done.stdout) == {"schema": "lab.list/v1", "labs": [], "failed": []}
    assert done.stderr == ""


def test_labs_are_listed_even_if_one_is_damaged(
    invoke: Invoke, dirs: Dirs, article: Topology
) -> None:
    for name in ("first", "second", "third"):
        make_lab(name, article)
    (dirs.state / "second" / "state.json").write_text("{")
    done = invoke("lab.list", "-o", "json")
    assert done.exit_code == 5
    listed = json.loads(done.stdout)
    labs = [(lab["name"], lab["running"]) for lab in listed["labs"]]
    assert labs == [("first", False), ("third", False)]
    (failed,) = listed["failed"]
    assert failed["name"] == "second"
    assert "state of lab second cannot be read" in failed["error"]
    assert "Lab second could not be looked at" in done.stderr
    assert "state of lab second cannot be read" in done.stderr
    assert "invoke lab.down --name second" in done.stderr
    for name in ("first", "third"):
        (dirs.state / name / "state.json").unlink()
    done = invoke("lab.list")
    assert "No labs" not in done.stdout
    assert "second" in done.stdout


def save_lab(store: Store, state: LabState, image: str = "0123456789abcdef, built today") -> Path:
    """Save a snapshot of a lab, such as it is, which is named start."""
    contents = Contents(
        lab=state.name,
        provider="qemu",
        topology=state.topology,
        reached=Stage.SERVICE,
        answers=True,
        circumstances={"image": image},
    )
    with store.saving("start", contents) as directory:
        (directory / "ram").write_bytes(bytes(2**21))
    return store.path_of("start")


def test_the_status_tells_where_a_reset_goes_back_to(invoke: Invoke, article: Topology) -> None:
    state = make_lab("article", article)
    assert "invoke lab.reset: no snapshot to go back to" in invoke("lab.status").stdout
    path = save_lab(automatic(), state)
    lab_home("article").save(state.model_copy(update={"origin": path}))
    assert "invoke lab.reset: goes back to snapshot start, made 20" in invoke("lab.status").stdout
    origin = json.loads(invoke("lab.status", "-o", "json").stdout)["origin"]
    assert (origin["name"], origin["path"], origin["disk_mib"]) == ("start", str(path), 2.0)
    (path / "manifest.json").unlink()
    assert json.loads(invoke("lab.status", "-o", "json").stdout)["origin"] is None


def test_an_image_goes_with_what_lab_up_saved_over_it(
    invoke: Invoke, article: Topology, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "current_key", lambda: "fedcba9876543210")
    state = make_lab("article", article)
    mine, start = save_lab(named(), state), save_lab(automatic(), state)
    image = cache_dir() / "images" / "0123456789abcdef"
    image.mkdir(parents=True)
    done = invoke("lab.image", "--remove", image.name)
    assert done.exit_code == 8
    assert "worth nothing without it: start" in done.stderr
    assert "invoke lab.snapshot --remove start" in done.stderr
    assert start.exists()
    named().remove(mine.name)
    done = invoke("lab.image", "--remove", image.name)
    assert (done.exit_code, image.exists(), start.exists()) == (0, False, False)
    assert "deleting snapshot start: its image is gone" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["mine"],
        ["mine", "--name", "other"],
        ["-n", "other", "mine"],
        ["--name=other", "--output", "json", "mine"],
    ],
)
def test_a_snapshot_is_named_wherever_the_name_stands(invoke: Invoke, words: list[str]) -> None:
    done = invoke("lab.snapshot", *words)
    lab = "other" if len(words) > 1 else "article"
    assert (done.exit_code, f"There is no lab named {lab}" in done.stderr) == (7, True)


@pytest.mark.parametrize("words", [[], ["--output", "text"], ["-n", "mine"]])
def test_without_a_name_snapshots_are_shown(invoke: Invoke, words: list[str]) -> None:
    done = invoke("lab.snapshot", *words)
    assert done.stdout.startswith("No snapshot yet.")


def test_an_empty_list_of_snapshots(invoke: Invoke) -> None:
    text = "No snapshot yet. The first lab.up keeps one; so does: invoke lab.snapshot NAME\n"
    assert invoke("lab.snapshot") == Result(0, text, "")
    assert invoke("lab.snapshot", "--remove", "old") == Result(0, text, "")
    done = invoke("lab.snapshot", "-o", "json")
    assert json.loads(done.stdout) == {"schema": "lab.snapshot/v1", "snapshots": []}


@pytest.fixture
def listed(dirs: Dirs, article: Topology, monkeypatch: pytest.MonkeyPatch) -> list[Listed]:
    """One snapshot of a person, one that lab.up has kept, and one nobody can read."""
    state = make_lab("article", article)
    mine, start = (save_lab(store, state) for store in (named(), automatic()))
    found = [
        Listed(mine, "named", read_snapshot(mine), "", ()),
        Listed(start, "start", read_snapshot(start), "made with another qemu", ("a", "b")),
        Listed(start.with_name("0123456789abcdef"), "machine", None, "[damaged]", ()),
    ]
    monkeypatch.setattr(saved, "list_all", lambda: tuple(found))
    return found


def test_snapshots_are_shown_as_a_table(invoke: Invoke, listed: list[Listed]) -> None:
    done = invoke("lab.snapshot")
    heads, mine, start, *rest = done.stdout.splitlines()
    assert heads.split()[:2] == ["snapshot", "kind"]
    made = f"{listed[0].created:%Y-%m-%d %H:%M}".split()
    assert mine.split() == ["start", "named", "article", "service", *made, "2", "MiB", "-", "yes"]
    assert start.split()[:3] == ["start", "start", "any"]
    assert "a, b" in start
    assert "another qemu" in " ".join(done.stdout.split())
    unreadable = " ".join(rest)
    assert "0123456789abcdef machine" in " ".join(unreadable.split())
    assert "[damaged]" in unreadable
    assert max(map(len, done.stdout.splitlines())) <= 100


def test_snapshots_are_told_as_json(invoke: Invoke, listed: list[Listed]) -> None:
    found = json.loads(invoke("lab.snapshot", "-o", "json").stdout)
    assert found["schema"] == "lab.snapshot/v1"
    mine, start, unreadable = found["snapshots"]
    assert mine == {
        "name": "start",
        "kind": "named",
        "lab": "article",
        "reached": "service",
        "created": listed[0].created.isoformat(),
        "expires": (listed[0].created + KEEP).isoformat(),
        "disk_mib": 2.0,
        "obstacle": "",
        "users": [],
        "path": str(listed[0].path),
    }
    assert (start["obstacle"], start["users"]) == ("made with another qemu", ["a", "b"])
    assert {name for name, value in unreadable.items() if value is None} == {
        "lab",
        "reached",
        "created",
        "expires",
        "disk_mib",
    }


@pytest.mark.parametrize(
    ("words", "schema"),
    [(["lab.reset"], "lab.reset/v1"), (["lab.restore", "mine"], "lab.restore/v1")],
)
@pytest.mark.usefixtures("running")
def test_a_lab_that_went_back_says_what_to_type_next(
    invoke: Invoke,
    article: Topology,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    schema: str,
) -> None:
    asked: list[tuple[object, ...]] = []

    def act(*arguments: object) -> LabState:
        asked.append(arguments[:-1])
        return lifecycle.status("article").state

    monkeypatch.setattr(lifecycle, "reset", act)
    monkeypatch.setattr(lifecycle, "restore", act)
    text = invoke(*words).stdout
    assert "Lab article has reached: service" in text
    assert "curl http://127.0.0.1:1/" in text
    found = json.loads(invoke(*words, "-o", "json").stdout)
    assert (found["schema"], found["name"], found["phases"]) == (schema, "article", [])
    assert asked == [("article", *words[1:])] * 2


def test_a_saved_lab_is_shown_with_the_others(
    invoke: Invoke, listed: list[Listed], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[object, ...]] = []
    monkeypatch.setattr(lifecycle, "save", lambda *arguments: asked.append(arguments[:2]))
    removed: list[str] = []
    monkeypatch.setattr(saved, "remove", removed.append)
    assert "named" in invoke("lab.snapshot", "mine", "--name", "other").stdout
    assert "named" in invoke("lab.snapshot", "--remove", "old").stdout
    assert (asked, removed) == ([("other", "mine")], ["old"])


def test_the_status_of_a_lab_that_died(invoke: Invoke, article: Topology) -> None:
    make_lab("article", article)
    done = invoke("lab.status", "-o", "json")
    found = json.loads(done.stdout)
    assert (done.exit_code, found["schema"]) == (0, "lab.status/v1")
    assert (found["running"], found["reached"]) == (False, "service")
    assert [node["name"] for node in found["nodes"]] == ["manager", "worker"]
    text = invoke("lab.status").stdout
    assert "NOT RUNNING" in text
    assert max(map(len, text.splitlines()[:-1])) <= 100


@pytest.fixture
def running(article: Topology, dirs: Dirs, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lab whose machines run, as far as this machine can tell."""
    up = MachineState(running=True, resident_mib=300, disk_mib=40)
    state = make_lab("article", article)
    found = lifecycle.LabStatus(lab_home("article"), state, {"manager": up, "worker": up})
    monkeypatch.setattr(lifecycle, "status", lambda name: found)


@pytest.mark.usefixtures("running")
def test_the_status_tells_what_the_manager_sees(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = SwarmView(
        {"manager": "ready", "worker": "down"}, (Replica(1, "manager", "running", ""),)
    )
    monkeypatch.setattr(look, "look_at_swarm", lambda home, state: seen)
    lines = invoke("lab.status").stdout.splitlines()
    assert lines[3].split()[:5] == ["worker", "worker", "192.168.56.11", "up", "down"]
    assert lines[5].split() == ["hello-a.1", "manager", "running", "-"]
    found = json.loads(invoke("lab.status", "-o", "json").stdout)
    assert [node["swarm"] for node in found["nodes"]] == ["ready", "down"]
    assert [replica["slot"] for replica in found["service"]["replicas"]] == [1]


@pytest.mark.usefixtures("running")
def test_scale_tells_who_answered_where(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = (Entry("manager", ("b", "a", "b")), Entry("this machine", ("a",)))
    monkeypatch.setattr(scaling, "scale", lambda found, wanted, steps: entries)
    assert invoke("lab.scale", "2").stdout.splitlines() == [
        "manager: answered by a, b",
        "this machine: answered by a",
    ]
    assert json.loads(invoke("lab.scale", "2", "-o", "json").stdout) == {
        "schema": "lab.scale/v1",
        "name": "article",
        "service": "hello-a",
        "replicas": 2,
        "entries": [
            {"origin": "manager", "answered_by": ["a", "b"]},
            {"origin": "this machine", "answered_by": ["a"]},
        ],
    }


@pytest.mark.usefixtures("running")
def test_the_status_tells_of_a_swarm_that_was_typed_by_hand(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = lifecycle.status("article")
    at_nodes = replace(found, state=found.state.model_copy(update={"reached": Stage.NODES}))
    monkeypatch.setattr(lifecycle, "status", lambda name: at_nodes)
    by_hand = SwarmView({"manager": "ready"}, ())
    monkeypatch.setattr(look, "look_at_swarm", lambda home, state: by_hand)
    assert invoke("lab.status").stdout.splitlines()[2].split()[4] == "ready"

    def nobody(home: object, state: object) -> SwarmView:
        raise CommandFailed("manager: node ls failed", details="not a swarm manager")

    monkeypatch.setattr(look, "look_at_swarm", nobody)
    done = invoke("lab.status")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.splitlines()[2].split()[4] == "-"


@pytest.mark.usefixtures("running")
def test_the_status_of_a_lab_whose_manager_says_nothing(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its machine may have been stopped: what is known here is shown, then the error."""

    def fail(home: object, state: object) -> SwarmView:
        raise NotRunning("manager does not answer ssh")

    monkeypatch.setattr(look, "look_at_swarm", fail)
    done = invoke("lab.status", "-o", "json")
    found = json.loads(done.stdout)
    assert (done.exit_code, found["service"]["replicas"]) == (7, None)
    assert [(node["running"], node["swarm"]) for node in found["nodes"]] == [(True, None)] * 2
    assert done.stderr == "Error: manager does not answer ssh\n"
    assert "192.168.56.10" in invoke("lab.status").stdout


def test_what_needs_machines_says_that_they_are_gone(invoke: Invoke, article: Topology) -> None:
    make_lab("mine", article)
    done = invoke("lab.exec", "manager", "--name", "mine", "--", "true")
    assert done.exit_code == 7
    assert done.stderr.splitlines() == [
        "Error: Lab mine is not running",
        "  no process for: manager",
        "Try: invoke lab.up --name mine   (makes all its machines anew)",
    ]


@pytest.mark.parametrize("words", [["--name", ""], ["--name", "mine", "--all"]])
def test_down_of_what_was_not_meant_removes_nothing(
    invoke: Invoke, article: Topology, words: list[str]
) -> None:
    """``--name "$UNSET"`` must not mean the lab that happens to be the default."""
    make_lab("article", article)
    done = invoke("lab.down", *words)
    assert done.exit_code == 2
    assert "article" in invoke("lab.list").stdout


def test_down_of_nothing_is_done_twice(invoke: Invoke) -> None:
    for _ in range(2):
        done = invoke("lab.down")
        assert done == Result(0, "There is no lab named article: nothing to remove.\n", "")


def test_down_removes_what_is_left_of_a_lab(invoke: Invoke, dirs: Dirs, article: Topology) -> None:
    make_lab("article", article)
    assert invoke("lab.down").exit_code == 0
    assert not (dirs.state / "article").exists()


def test_down_tells_programs_what_it_removed(invoke: Invoke, article: Topology) -> None:
    make_lab("article", article)
    for removed, absent in ((["article"], []), ([], ["article"])):
        done = invoke("lab.down", "-o", "json")
        assert done.exit_code == 0
        assert json.loads(done.stdout) == {
            "schema": "lab.down/v1",
            "removed": removed,
            "absent": absent,
            "failed": [],
        }


def test_down_of_all_goes_on_when_one_is_busy(
    invoke: Invoke, dirs: Dirs, article: Topology
) -> None:
    for name in ("first", "second", "third"):
        make_lab(name, article)
    with lab_home("first").lock():
        done = invoke("lab.down", "--all", "-o", "json")
    assert done.exit_code == 8
    told = json.loads(done.stdout)
    assert (told["removed"], told["absent"]) == (["second", "third"], [])
    assert [one["name"] for one in told["failed"]] == ["first"]
    assert told["failed"][0]["error"].startswith("Another command is working on lab first")
    assert "Another command is working on lab first" in done.stderr
    assert [path.name for path in dirs.state.glob("[!.]*")] == ["first"]


def test_the_environment_names_a_lab(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_NAME", "fromenv")
    assert "no lab named fromenv" in invoke("lab.status").stderr
    assert "no lab named given" in invoke("lab.status", "--name", "given").stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ["docker", "ps", "--format", "{{.Names}} $HOME"],
            "docker ps --format '{{.Names}} $HOME'",
        ),
        (["docker ps | wc -l"], "docker ps | wc -l"),
        (["ls", "-l"], "ls -l"),
    ],
)
def test_exec_passes_words_as_they_were_typed(
    invoke: Invoke,
    article: Topology,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    expected: str,
) -> None:
    state = make_lab("article", article)
    became: list[tuple[str, ...]] = []
    status = lifecycle.LabStatus(lab_home("article"), state, {})
    monkeypatch.setattr(lifecycle, "require_running", lambda name, nodes: status)
    monkeypatch.setattr("lab.process.become", became.append)
    invoke("lab.exec", "worker", "--", *words)
    config = str(lab_home("article").ssh_config)
    assert became == [("ssh", "-F", config, "worker", expected)]


def test_an_unknown_node_names_those_there_are(
    invoke: Invoke, article: Topology, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = lifecycle.LabStatus(lab_home("article"), make_lab("article", article), {})
    monkeypatch.setattr(lifecycle, "require_running", lambda name, nodes: status)
    done = invoke("lab.ssh", "worker9")
    assert done.exit_code == 2
    assert "its nodes: manager, worker" in done.stderr


@pytest.mark.parametrize(
    ("error", "exit_code", "message"),
    [
        (KeyboardInterrupt(), 130, "Interrupted"),
        (LabError("brief", details="a\nb", hint="c"), 5, "Error: brief\n  a\n  b\nTry: c\n"),
        (
            OSError(28, "No space left on device", "/state/x"),
            5,
            "No space left on device: /state/x",
        ),
        (PermissionError(13, "Permission denied", "/root/x"), 5, "Permission denied: /root/x"),
    ],
)
def test_trouble_ends_with_a_message(
    invoke: Invoke,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    exit_code: int,
    message: str,
) -> None:
    def fail(*_: object) -> bool:
        raise error

    monkeypatch.setattr(lifecycle, "down", fail)
    done = invoke("lab.down")
    assert done.exit_code == exit_code
    assert message in done.stderr


def test_a_home_that_cannot_be_written_is_said(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even root cannot make a directory below a device."""
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null/state")
    done = invoke("lab.up")
    assert done.exit_code == 5
    assert "/dev/null" in done.stderr
    assert "invoke lab.doctor" in done.stderr


def test_being_told_to_end_is_an_interrupt(invoke: Invoke) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests themselves may run under nohup
    invoke("lab.list")
    assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
    assert signal.getsignal(signal.SIGHUP) is signal.default_int_handler


def test_nohup_is_respected(invoke: Invoke) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    invoke("lab.list")
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
