"""What docs/trace.md and docs/diagnose.md show is what happens; a repair that is told mends.

The lab is as it was before, except for what its counters count.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from lab.faults import acting
from lab.faults.catalogue import FAULTS
from lab.faults.model import Fault
from lab.hops.catalogue import TRIED
from lab.session import LabSession
from lab.steps import Steps
from lab.wait import wait_until

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 240.0
SANDBOX = "nsenter --net=/var/run/docker/netns/ingress_sbox"
SHOWS = {
    "invoke lab.trace --from worker": "a client on worker",
    "invoke lab.trace -o svg > trace.svg": "</svg>",
    "invoke lab.trace -o html > trace.html": "</html>",
    "invoke lab.trace -o mermaid": "flowchart TB",
    "invoke lab.trace -o json": '"schema": "lab.trace/v1"',
}
"""The commands of docs/trace.md, and a piece of what each must show."""
LIVE_SHOWS = {
    "invoke lab.trace --live --from host": "ANSWERED: slot-",
    "invoke lab.trace --live -o html > live.html": "</html>",
    "invoke lab.capture": "1 of 1 requests answered",
    "invoke lab.capture link --from worker --file link.pcapng": "Written: link.pcapng",
    "invoke lab.capture manager-bridge --file - > bridge.pcapng": "manager-bridge",
}
"""The same of those that send a request: tests/live/test_live_trace.py types them."""
README_PICTURE = "invoke lab.trace -o svg > docs/images/ingress-path.svg"
BREAK = f"invoke lab.exec worker -- {SANDBOX} iptables -t mangle -F PREROUTING"

QUIET = Steps(quiet=True)
MENDABLE = [f for f in FAULTS if f.change.is_exact and f.check not in TRIED]
"""Faults of rules, tables and settings that commands put back exactly."""
SAMPLE = {
    "fdb-wrong",
    "ipvs-cleared",
    "mark-wrong",
    "policy-route",
    "redirect-lost",
}
"""Those that are tried unless all are asked for with ``--all-faults``."""

pytestmark = pytest.mark.live


def shown(document: str) -> list[str]:
    """Return the commands of a document's console blocks."""
    blocks = re.findall(r"```console\n(.*?)```", (ROOT / "docs" / document).read_text(), re.S)
    return [line[2:] for block in blocks for line in block.splitlines() if line[:2] == "$ "]


def typed(lab: LabSession, line: str, directory: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run a line as it is pasted into a terminal, the lab under test being the one meant."""
    program = shlex.join((sys.executable, "-m", "invoke", "-r", str(ROOT)))
    return subprocess.run(
        ("bash", "-c", re.sub(r"\binvoke (?:-r \S+ )?(?=lab\.)", f"{program} ", line)),
        cwd=directory,
        env=dict(os.environ) | {"LAB_NAME": lab.name},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def diagnosis(lab: LabSession, *options: str) -> tuple[int, dict[str, object]]:
    """Return the exit code and the document of ``lab.diagnose``."""
    done = typed(lab, shlex.join(("invoke", "lab.diagnose", "-o", "json", *options)))
    assert done.stdout, done.stderr
    document: dict[str, object] = json.loads(done.stdout)
    return done.returncode, document


def test_every_command_of_the_trace_is_known() -> None:
    assert set(shown("trace.md")) == {*SHOWS, *LIVE_SHOWS, README_PICTURE}


@pytest.mark.parametrize("line", SHOWS)
def test_a_trace_shows_what_it_is_for(line: str, lab: LabSession, tmp_path: Path) -> None:
    done = typed(lab, line, tmp_path)
    assert done.returncode == 0, done.stderr
    written = "".join(file.read_text() for file in tmp_path.iterdir())
    assert SHOWS[line] in done.stdout + written


def test_the_diagnosis_goes_as_its_document_says(lab: LabSession) -> None:
    assert shown("diagnose.md") == [BREAK, "invoke lab.diagnose"]
    assert typed(lab, BREAK).returncode == 0
    done = typed(lab, "invoke lab.diagnose")
    assert done.returncode == 9
    lines = done.stdout.splitlines()
    assert lines[0] == "BROKEN: B1-mark on worker"
    repair = next(n for n, line in enumerate(lines) if line.startswith("  repair "))
    until = next(n for n, line in enumerate(lines) if line.startswith("  blocks "))
    pasted = "\n".join(line[16:] for line in lines[repair:until])
    assert typed(lab, pasted).returncode == 0, pasted
    healed = typed(lab, "invoke lab.diagnose")
    assert (healed.returncode, healed.stdout[:6]) == (0, "WHOLE:"), healed.stdout


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "fault" in metafunc.fixturenames:
        everything = metafunc.config.getoption("--all-faults")
        chosen = [f for f in MENDABLE if everything or f.id in SAMPLE]
        metafunc.parametrize("fault", chosen, ids=[f.id for f in chosen])


def test_the_repair_that_is_told_mends(fault: Fault, lab: LabSession) -> None:
    injected = acting.inject(lab.name, fault, None, QUIET)
    try:
        code, found = diagnosis(lab, "--rules")
        assert code == 9
        broken = found["broken"]
        assert isinstance(broken, list)
        assert broken[0]["check"] == fault.check, broken[0]
        assert injected.node in (broken[0]["node"], *broken[0]["found"].split())
        for repair in broken[0]["repairs"]:
            done = typed(lab, repair["typed"])
            assert done.returncode == 0, (repair, done.stderr)
        # What gossip has to bring comes a moment later.
        wait_until(
            lambda: diagnosis(lab, "--rules")[1],
            lambda after: bool(after["healthy"]),
            what=f"the repair of {fault.id} to mend",
            timeout_s=lab.deadline(15),
        )
    finally:
        acting.heal(lab.name, fault, None, QUIET)
