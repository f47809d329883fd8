"""`invoke lab.break`, `lab.heal`, `lab.faults` and `lab.matrix` as they are typed."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lab.cli.word import has_word
from lab.faults import acting, journal
from lab.faults.journal import Command, Entry, Progress
from lab.faults.model import Fault, Injected
from lab.home import LabHome
from lab.steps import Steps
from lab.topology import Topology
from tests.conftest import Dirs
from tests.faults.world import make_world
from tests.invoking import Invoke, Result


@pytest.fixture
def home(dirs: Dirs, article: Topology, tmp_path: Path) -> LabHome:
    """A lab whose machines are long gone."""
    return make_world(article, tmp_path, "127.0.0.1:1").home


def broken(home: LabHome) -> None:
    command = Command(node="worker", command="true")
    journal.record(
        home,
        Entry(
            fault="vxlan-blocked",
            node="worker",
            since=datetime(2026, 11, 22, 13, 30, tzinfo=UTC),
            progress=Progress.INJECTED,
            present=command,
            heal=(command,),
        ),
    )


@pytest.mark.parametrize(
    ("line", "exit_code", "message"),
    [
        ("lab.break", 1, "did not receive required positional arguments: 'fault'"),
        ("lab.break vxlan-bloked", 2, "perhaps: vxlan-blocked"),
        ("lab.break no-such-thing", 2, "There is no fault 'no-such-thing'"),
        ("lab.heal vxlan-bloked", 2, "perhaps: vxlan-blocked"),
        ("lab.break vxlan-blocked", 7, "There is no lab named article"),
        ("lab.break vxlan-blocked --name mine", 7, "Try: invoke lab.up --name mine"),
        ("lab.heal", 7, "There is no lab named article"),
        ("lab.heal vxlan-blocked", 7, "There is no lab named article"),
        ("lab.faults --look", 7, "There is no lab named article"),
        ("lab.matrix --only mark-lost,no-such-thing", 2, "There is no fault 'no-such-thing'"),
        ("lab.matrix --runs some", 2, "expected a whole number"),
        ("lab.matrix --lab nowhere", 7, "There is no lab named nowhere"),
        ("lab.faults -o xml", 2, "--output cannot be 'xml'"),
    ],
)
def test_what_cannot_be_done_is_said(
    line: str, exit_code: int, message: str, invoke: Invoke
) -> None:
    done = invoke(*line.split())
    assert (done.exit_code, done.stdout) == (exit_code, "")
    assert message in done.stderr


@pytest.mark.usefixtures("home")
def test_a_lab_that_is_down_is_said(invoke: Invoke) -> None:
    done = invoke("lab.break", "vxlan-blocked")
    assert done.exit_code == 7
    assert done.stderr.splitlines()[0] == "Error: Lab article is not running"
    assert invoke("lab.heal") == Result(0, "Nothing is injected.\n", "")


def test_what_is_injected_is_shown_without_a_machine(home: LabHome, invoke: Invoke) -> None:
    broken(home)
    done = invoke("lab.faults")
    assert done.exit_code == 0
    assert "* vxlan-blocked" in done.stdout
    assert "injected: vxlan-blocked on worker" in done.stdout
    done = invoke("lab.status")
    assert done.stdout.splitlines()[-1] == "Put it back with: invoke lab.heal"
    (fault,) = json.loads(invoke("lab.status", "-o", "json").stdout)["faults"]
    assert (fault["fault"], fault["node"]) == ("vxlan-blocked", "worker")
    done = invoke("lab.heal")
    assert (done.exit_code, "is not running" in done.stderr) == (7, True)


@pytest.mark.parametrize(
    ("seen", "told"), [("100 requests were lost", "100 requests were lost"), ("", None)]
)
def test_programs_are_told_what_was_broken(
    seen: str, told: str | None, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    def inject(lab: str, fault: Fault, node: str | None, steps: Steps) -> Injected:
        return Injected(fault, node or "worker", seen)

    monkeypatch.setattr(acting, "inject", inject)
    done = invoke("lab.break", "vxlan-blocked", "-o", "json")
    assert json.loads(done.stdout) == {
        "schema": "lab.break/v1",
        "fault": "vxlan-blocked",
        "node": "worker",
        "seen": told,
    }


@pytest.mark.parametrize("healed", [("vxlan-blocked on worker",), ()])
def test_programs_are_told_what_was_healed(
    healed: tuple[str, ...], invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acting, "heal", lambda *_: healed)
    done = invoke("lab.heal", "-o", "json")
    assert json.loads(done.stdout) == {"schema": "lab.heal/v1", "healed": list(healed)}


def test_the_list_needs_no_lab(invoke: Invoke) -> None:
    done = invoke("lab.faults", "-o", "json")
    found = json.loads(done.stdout)
    assert (done.exit_code, done.stderr, found["schema"]) == (0, "", "lab.faults/v1")
    assert len(found["faults"]) >= 25
    assert (found["injected"], found["leftovers"]) == ([], None)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("lab.heal", False),
        ("lab.heal vxlan-blocked", True),
        ("lab.heal --name mine", False),
        ("lab.heal --name mine vxlan-blocked", True),
        ("lab.heal -n mine vxlan-blocked", True),
        ("lab.heal -nmine", False),
        ("lab.heal --name=mine vxlan-blocked", True),
        ("lab.heal --name=mine", False),
        ("lab.heal vxlan-blocked --node worker", True),
        ("lab.heal -- vxlan-blocked", False),
        ("-r DIR lab.heal vxlan-blocked", True),
        ("lab.heal --name", False),
        ("lab.faults", False),
    ],
)
def test_a_word_is_told_from_the_value_of_an_option(line: str, *, found: bool) -> None:
    assert has_word(["invoke", *line.split()], "heal") is found
