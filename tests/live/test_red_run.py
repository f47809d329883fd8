"""Break a running lab and run ``pytest checks/`` as a user does: red, and for the right reason.

``checks/test_faults.py`` goes through all faults in one process; this is about the run itself: its
exit code, the JUnit report with hop and node, the message that names the hop before.
"""

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from lab.session import LabSession
from lab.shell import succeed
from lab.ssh import SshShell

ROOT = Path(__file__).parents[2]
CHECKS_TIMEOUT_S = 600.0
MARK = "PREROUTING -p tcp --dport 5000 -j MARK --set-mark 0x102"
SANDBOX = "nsenter --net=/var/run/docker/netns/ingress_sbox"

pytestmark = pytest.mark.live


def test_lost_mark_turns_the_run_red_and_its_return_green(lab: LabSession, tmp_path: Path) -> None:
    node = lab.topology.workers[0].name
    with SshShell(node, lab.state.access[node]) as shell:
        succeed(shell, f"{SANDBOX} iptables -t mangle -D {MARK}")
        try:
            code, red, said = run_checks(lab, tmp_path)
        finally:
            succeed(shell, f"{SANDBOX} iptables -t mangle -I {MARK}")
    assert code == 1
    assert ("B1-mark", "sandbox", node) in red
    blamed = red["R1-inside", "traffic", node]
    assert f"B1-mark on {node} fails before" in blamed
    assert all(where == node for _, _, where in red), red
    assert f"\nBROKEN: B1-mark on {node}\n" in said
    assert f"1 failed, {len(red) - 1} blocked" in counts(said)
    code, red, said = run_checks(lab, tmp_path)
    assert (code, red) == (0, {})
    assert "diagnosis" not in said


def counts(said: str) -> str:
    """Return the last line of a run with its numbers put in the order failed, blocked."""
    failed, blocked = (re.search(rf"\d+ {word}", said) for word in ("failed", "blocked"))
    assert failed
    assert blocked
    return f"{failed[0]}, {blocked[0]}"


def run_checks(
    lab: LabSession, directory: Path
) -> tuple[int, dict[tuple[str, str, str], str], str]:
    """Return the exit code, each failure's message by check, hop and node, and what was shown."""
    report = directory / "checks.xml"
    done = subprocess.run(
        (sys.executable, "-m", "pytest", "checks", "--name", lab.name, "--junitxml", report),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=CHECKS_TIMEOUT_S,
        check=False,
    )
    red = {}
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 - our own file
        failure = case.find("failure")
        if failure is not None:
            told = {p.get("name"): p.get("value") or "" for p in case.iter("property")}
            red[told["check"], told["hop"], told["node"]] = failure.text or ""
    return done.returncode, red, done.stdout
