"""How a run ends: which failures are only consequences, and which hop to mend first.

A blocked check is a failed one to pytest, to its exit code and to the JUnit report. It is only
shown apart, so that one broken hop is one failure to read.
"""

import pytest

from checks.looking import Looking
from checks.proving import BLOCKED
from lab.diagnosis.text import render


def status_of(
    report: pytest.CollectReport | pytest.TestReport,
) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
    """Show a failure that another one explains as ``blocked``."""
    if isinstance(report, pytest.TestReport) and report.failed and _blocker(report):
        return "blocked", "b", ("BLOCKED", {"yellow": True})
    return None


def tell(reporter: pytest.TerminalReporter, evidence: Looking) -> None:
    """Write what blocked checks wait for, then the diagnosis, below the failures."""
    blocked = [r for r in reporter.stats.get("blocked", ()) if isinstance(r, pytest.TestReport)]
    failed = [*reporter.stats.get("failed", ()), *reporter.stats.get("error", ())]
    if not blocked and not failed:
        return
    if blocked and (not failed or reporter.config.option.verbose > 0):
        reporter.section("blocked checks")
        for report in blocked:
            reporter.write_line(f"{report.nodeid}, blocked by {_blocker(report)}", yellow=True)
            reporter.write_line(report.longreprtext)
            reporter.write_line("")
    kept = evidence.kept()
    if kept is not None and not kept[1].is_healthy:
        reporter.section("diagnosis")
        reporter.write_line(render(kept[1], evidence.typed))


def _blocker(report: pytest.TestReport) -> str:
    return next((str(value) for name, value in report.user_properties if name == BLOCKED), "")
