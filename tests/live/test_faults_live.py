"""`lab.break`, `lab.heal` and `lab.faults` on a real lab, as an instructor types them.

That each fault of the catalogue bites and is healed: ``pytest checks/test_faults.py``.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import lifecycle
from lab.faults import journal
from lab.session import LabSession
from lab.shell import succeed
from lab.ssh import SshShell
from lab.steps import Steps
from lab.wait import wait_until

ROOT = Path(__file__).parents[2]
COMMAND_TIMEOUT_S = 300.0

pytestmark = pytest.mark.live


@pytest.fixture
def pristine(lab: LabSession) -> Iterator[LabSession]:
    """The lab as it was made, before and after."""
    lifecycle.reset(lab.name, Steps(quiet=True))
    yield lab
    lifecycle.reset(lab.name, Steps(quiet=True))


def command(lab: LabSession, *words: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "invoke", *words, "--name", lab.name)


def invoke(lab: LabSession, *words: str) -> tuple[int, str, str]:
    done = subprocess.run(
        command(lab, *words),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=COMMAND_TIMEOUT_S,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def leftovers(lab: LabSession) -> list[dict[str, str]]:
    code, out, _ = invoke(lab, "lab.faults", "--look", "-o", "json")
    assert code == 0
    found: list[dict[str, str]] = json.loads(out)["leftovers"]
    return found


def test_a_fault_comes_and_goes_and_repeating_either_does_nothing(pristine: LabSession) -> None:
    assert leftovers(pristine) == []
    code, out, _ = invoke(pristine, "lab.break", "vxlan-blocked")
    assert (code, "seen" in out) == (0, True)
    code, out, _ = invoke(pristine, "lab.break", "vxlan-blocked")
    assert (code, "already: nothing to do" in out) == (0, True)
    _, out, _ = invoke(pristine, "lab.status")
    assert "injected: vxlan-blocked on worker" in out
    assert invoke(pristine, "lab.heal", "vxlan-blocked")[1] == "Healed: vxlan-blocked on worker\n"
    code, out, _ = invoke(pristine, "lab.heal", "vxlan-blocked")
    assert (code, out) == (0, "vxlan-blocked is not there: nothing to heal.\n")
    assert invoke(pristine, "lab.heal")[:2] == (0, "Nothing is injected.\n")
    assert leftovers(pristine) == []


def test_several_faults_are_healed_together(pristine: LabSession) -> None:
    for words in (["vxlan-blocked"], ["vxlan-blocked", "--node", "manager"], ["mark-lost"]):
        assert invoke(pristine, "lab.break", *words)[0] == 0
    _, out, _ = invoke(pristine, "lab.heal")
    assert sorted(out.splitlines()) == [
        "Healed: mark-lost on worker",
        "Healed: vxlan-blocked on manager",
        "Healed: vxlan-blocked on worker",
    ]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_an_injection_that_is_cut_short_can_be_healed(
    pristine: LabSession, number: signal.Signals
) -> None:
    """As soon as it is written down the command is ended: whatever it has done by then."""
    program = subprocess.Popen(
        command(pristine, "lab.break", "backend-swapped"),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(
        lambda: journal.read(pristine.home),
        bool,
        what="the journal to be written",
        timeout_s=pristine.deadline(20),
        every_s=0.005,
    )
    os.kill(program.pid, number)
    _, err = program.communicate(timeout=60)
    assert "Traceback" not in err
    assert invoke(pristine, "lab.heal")[1] == "Healed: backend-swapped on worker\n"
    assert leftovers(pristine) == []
    assert journal.read(pristine.home) == ()


def test_what_somebody_typed_is_found_and_healed(pristine: LabSession) -> None:
    node = pristine.topology.workers[0].name
    with SshShell(node, pristine.state.access[node]) as shell:
        succeed(shell, "iptables -I INPUT -p udp --dport 4789 -j DROP")
    assert leftovers(pristine) == [{"fault": "vxlan-blocked", "node": node}]
    assert invoke(pristine, "lab.heal", "vxlan-blocked")[1] == f"Healed: vxlan-blocked on {node}\n"
    assert leftovers(pristine) == []


def test_what_does_not_exist_or_fit_is_said(pristine: LabSession) -> None:
    code, _, err = invoke(pristine, "lab.break", "mark-lost", "--node", "nowhere")
    assert (code, "its nodes: manager, worker" in err) == (2, True)
    code, _, err = invoke(pristine, "lab.break", "scaled-down", "--node", "worker")
    assert (code, "it needs manager; here: manager" in err) == (2, True)
    assert invoke(pristine, "lab.heal", "mark-lost", "--node", "nowhere")[0] == 2


def test_a_reset_takes_everything_out(pristine: LabSession) -> None:
    assert invoke(pristine, "lab.break", "dnat-lost")[0] == 0
    assert invoke(pristine, "lab.reset")[0] == 0
    assert journal.read(pristine.home) == ()
    assert leftovers(pristine) == []
