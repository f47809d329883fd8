"""The write-up of a run in all its forms, from captured facts with the mark taken away."""

import json
import re
from dataclasses import replace
from pathlib import Path, PurePath
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest

from checks.proving import BLOCKED
from checks.recording import write
from lab.diagnosis.examine import diagnose
from lab.errors import NotRunning, UsageError
from lab.hops.situation import Situation
from lab.session import typed_for
from lab.writeup.forms import FORMS, form_of
from tests.browser import opened
from tests.hops import altering as a
from tests.hops import breaking as b
from tests.hops.breaking import NODE_B
from tests.hops.healthy import healthy
from tests.test_redact import TOKEN

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "lab" / "writeup" / "schema.json").read_text())


def unmarked() -> Situation:
    broken = a.both(
        a.sandbox_rules(NODE_B, a.without("--dport 5000 -j MARK")),
        a.rounds(NODE_B, b.nothing),
    )
    return broken(healthy())


def report(check: str, subject: str, outcome: str, blocked_by: str = "") -> pytest.TestReport:
    told: list[tuple[str, object]] = [("check", check), ("subject", subject)]
    told += [(BLOCKED, blocked_by)] if blocked_by else []
    return pytest.TestReport(
        nodeid=f"checks/test_x.py::test_{check}[{subject}]",
        location=("", 0, ""),
        keywords={},
        outcome="passed" if outcome == "passed" else "failed",
        longrepr=None if outcome == "passed" else f"{check} told its story | {TOKEN}",
        when="setup" if outcome == "error" else "call",
        user_properties=told,
        duration=0.25,
    )


def reports(situation: Situation) -> dict[str, list[object]]:
    """Return pytest's reports of a run over a situation."""
    found = diagnose(situation)
    kept: dict[str, list[object]] = {"deselected": ["not a report"]}
    for verdict in reversed(found.verdicts):
        blocker = found.blocker_of(verdict)
        category = "passed" if verdict.ok else "blocked" if blocker else "failed"
        name = blocker.name if blocker else ""
        kept.setdefault(category, []).append(
            report(verdict.check, verdict.subject, category, name)
        )
    return kept


def evidence_of(situation: Situation | None, *, silent: bool = False) -> Any:
    error = {NODE_B: NotRunning("worker does not answer ssh", hint="invoke lab.status")}
    kept = (situation, diagnose(situation, error if silent else {})) if situation else None
    lab: Any = SimpleNamespace(name="article", topology=healthy().topology)
    return SimpleNamespace(
        name="article",
        provider="qemu",
        remark="machines emulated in software, deadlines times 8",
        typed=typed_for(lab),
        kept=lambda: kept,
    )


@pytest.fixture(params=sorted(FORMS))
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A file to write to, of each form."""
    return tmp_path / f"report{request.param}"


def test_every_form_tells_diagnosis_environment_path_and_checks(file: Path) -> None:
    write(file, reports(unmarked()), evidence_of(unmarked()))
    text = file.read_text()
    for part in (
        "B1-mark on worker",
        "26.1.5+dfsg1",
        "6.12.117+deb13-cloud-amd64",
        "nf_tables",
        "qemu",
        "deadlines times 8",
        "swarm-ingress-lab 0.",
        "--set-mark 0x102",
        "H3-dnat",
        "R1-inside",
    ):
        assert part in text, part


def test_no_form_lets_a_secret_out(file: Path) -> None:
    line = f"-A INPUT -p udp --dport 4789 -m comment --comment {TOKEN} -j DROP"
    leaking = a.host_rules(NODE_B, a.first(line))(unmarked())
    assert TOKEN in str(diagnose(leaking).broken)
    write(file, reports(leaking), evidence_of(leaking))
    assert TOKEN not in file.read_text()
    assert "[removed: join token or unlock key]" in file.read_text()


def test_a_run_without_facts_is_written_too(file: Path) -> None:
    write(file, {"error": [report("H3-dnat", "worker", "error")]}, evidence_of(None))
    assert "H3-dnat told its story" in file.read_text()


def test_a_node_without_an_answer_is_written(file: Path) -> None:
    base = healthy()
    alone = replace(base, cluster=replace(base.cluster, nodes=base.cluster.nodes[:1]))
    write(file, {}, evidence_of(alone, silent=True))
    assert "worker does not answer ssh" in file.read_text()


@pytest.mark.parametrize("situation", [healthy(), unmarked()], ids=["whole", "broken"])
def test_json_is_as_its_schema_says(situation: Situation, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    write(file, reports(situation), evidence_of(situation))
    document = json.loads(file.read_text())
    jsonschema.validate(document, SCHEMA)
    assert document["green"] is (situation is healthy())
    assert sum(document["counts"].values()) == len(document["checks"])
    assert len(document["checks"]) == len(diagnose(situation).verdicts)
    first = [row["check"] for row in document["checks"][:2]]
    assert first == ["C1-member", "C1-member"]


def test_json_without_facts_is_as_its_schema_says(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    write(file, {"error": [report("H3-dnat", "worker", "error")]}, evidence_of(None))
    jsonschema.validate(json.loads(file.read_text()), SCHEMA)


def test_markdown_has_a_row_for_each_check_and_the_story_of_each_failure(tmp_path: Path) -> None:
    file = tmp_path / "report.md"
    write(file, reports(unmarked()), evidence_of(unmarked()))
    text = file.read_text()
    assert "\n| B1-mark | worker | ✗ **failed** | tcp 5000 gets no mark |\n" in text
    assert re.search(r"^\| R1-inside \| worker \| ○ blocked by B1-mark on worker \| ", text, re.M)
    assert text.count("\n### ") == len(re.findall(r"^\|.*(?:failed|blocked)", text, re.M))
    assert "```mermaid\nflowchart TB" in text


def test_a_name_that_asks_for_no_form_is_refused() -> None:
    with pytest.raises(UsageError, match=r"cannot write report\.pdf"):
        form_of(PurePath("report.pdf"))


@pytest.mark.browser
def test_a_browser_draws_the_page(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    write(file, reports(unmarked()), evidence_of(unmarked()))
    page = file.read_text()
    assert "default-src 'none'" in page
    shown = opened(page, "--dump-dom", "--virtual-time-budget=2000")
    assert "firewall mark: BROKEN B1-mark" in shown
    picture = tmp_path / "page.png"
    opened(page, "--window-size=1280,2400", f"--screenshot={picture}")
    assert len(picture.read_bytes()) > 100_000
