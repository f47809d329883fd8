"""`invoke lab.break`, `lab.heal`, `lab.faults` and `lab.matrix` as they are typed."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lab.cli.word import has_word
from lab.faults import journal
from lab.faults.journal import Command, Entry, Progress
from lab.home import LabHome
from lab.topology import Topology
from tests.conftest import Dirs
from tests.faults.world import make_world

ROOT = Path(__file__).parents[2]


def invoke(*words: str) -> tuple[int, str, str]:
    done = subprocess.run(
        (sys.executable, "-m", "invoke", *words),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={k: v for k, v in os.environ.items() if k not in ("LAB_NAME", "LAB_OUTPUT")},
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


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
@pytest.mark.usefixtures("dirs")
def test_what_cannot_be_done_is_said(line: str, exit_code: int, message: str) -> None:
    code, out, err = invoke(*line.split())
    assert (code, out) == (exit_code, "")
    assert message in err


@pytest.mark.usefixtures("home")
def test_a_lab_that_is_down_is_said() -> None:
    code, _, err = invoke("lab.break", "vxlan-blocked")
    assert (code, err.splitlines()[0]) == (7, "Error: Lab article is not running")
    assert invoke("lab.heal") == (0, "Nothing is injected.\n", "")


def test_what_is_injected_is_shown_without_a_machine(home: LabHome) -> None:
    broken(home)
    code, out, _ = invoke("lab.faults")
    assert code == 0
    assert "* vxlan-blocked" in out
    assert "injected: vxlan-blocked on worker" in out
    code, out, _ = invoke("lab.status")
    assert out.splitlines()[-1] == "Put it back with: invoke lab.heal"
    code, out, _ = invoke("lab.status", "-o", "json")
    (fault,) = json.loads(out)["faults"]
    assert (fault["fault"], fault["node"]) == ("vxlan-blocked", "worker")
    code, _, err = invoke("lab.heal")
    assert (code, "is not running" in err) == (7, True)


@pytest.mark.usefixtures("dirs")
def test_the_list_needs_no_lab() -> None:
    code, out, err = invoke("lab.faults", "-o", "json")
    found = json.loads(out)
    assert (code, err, found["schema"]) == (0, "", "lab.faults/v1")
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
