"""Break a running lab in one place, run the checks for real, and see the right one go red.

A check that cannot fail is a defect. Each fault is injected on a live node; ``pytest checks/``
runs as a user runs it; the checks that name the fault must fail, those after it must say that it kept
them from passing, and everything is green again once it is healed.
"""

import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.session import LabSession
from lab.shell import SshShell, succeed
from tests.live.faults import FAULTS, Fault

ROOT = Path(__file__).parents[2]
CHECKS_TIMEOUT_S = 600.0

pytestmark = pytest.mark.live


@dataclass(frozen=True, slots=True)
class Red:
    """One failed check of a run: ``check@node``, its hop and what it said."""

    check: str
    hop: str
    message: str


def test_pristine_lab_is_green(lab: LabSession, tmp_path: Path) -> None:
    assert run_checks(lab, tmp_path) == ()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_fault_is_named(fault: Fault, lab: LabSession, tmp_path: Path) -> None:
    with injected(fault, lab):
        red = run_checks(lab, tmp_path)
    names = {found.check for found in red}
    assert fault.red <= names, f"not noticed: {sorted(fault.red - names)}, red: {sorted(names)}"
    named = {check.partition("@")[0] for check in fault.red | fault.also}
    for found in red:
        if found.check in fault.red | fault.also:
            continue
        blamed = "could not pass" in found.message and any(n in found.message for n in named)
        assert blamed, f"{found.check} does not say what it could not pass for:\n{found.message}"


def test_healed_lab_is_green(lab: LabSession, tmp_path: Path) -> None:
    assert run_checks(lab, tmp_path) == ()


@contextmanager
def injected(fault: Fault, lab: LabSession) -> Iterator[None]:
    """Break the lab for as long as the body runs."""
    with SshShell(fault.node, lab.state.access[fault.node]) as shell:
        succeed(shell, fault.inject)
        try:
            yield
        finally:
            succeed(shell, fault.heal)


def run_checks(lab: LabSession, directory: Path) -> tuple[Red, ...]:
    """Run ``pytest checks/`` as a process; return what failed, from its JUnit report."""
    report = directory / "checks.xml"
    done = subprocess.run(
        (sys.executable, "-m", "pytest", "checks", "--name", lab.name, "--junitxml", report),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=CHECKS_TIMEOUT_S,
        check=False,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    red = tuple(_failures(report))
    assert bool(red) == (done.returncode == 1)
    return red


def _failures(report: Path) -> Iterator[Red]:
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 - our own file
        failure = case.find("failure")
        if failure is None:
            failure = case.find("error")
        if failure is None:
            continue
        properties = {p.get("name", ""): p.get("value", "") for p in case.iter("property")}
        yield Red(
            check=f"{properties.get('check', case.get('name'))}@{properties.get('node', '?')}",
            hop=properties.get("hop", "?"),
            message=failure.text or failure.get("message") or "",
        )
