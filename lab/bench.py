"""Measuring the lab: several runs, every phase with minimum, median and maximum.

Each run is what a user types, as a process of its own: the start of the interpreter counts. Runs
alternate over the scenarios, so that a machine that gets slower half way slows all of them.
"""

import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from lab.errors import CommandFailed, UsageError
from lab.process import memory_mib, run
from lab.providers.qemu_command import QEMU
from lab.steps import Steps

ROOT = Path(__file__).parent.parent
SCHEMA = "lab.bench/v1"
TIMEOUT_S = 1800.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """One thing to measure: a topology, and whether the node image must be built first."""

    title: str
    topology: str
    fresh: bool


SCENARIOS = (
    Scenario("2 nodes, image cached", "article", fresh=False),
    Scenario("4 nodes, image cached", "four-nodes", fresh=False),
    Scenario("2 nodes, image to build", "article", fresh=True),
)


@dataclass(slots=True)
class Series:
    """All readings of one scenario: seconds, MiB, keyed by what was measured."""

    title: str
    readings: dict[str, list[float]] = field(default_factory=dict)

    def add(self, what: str, value: float) -> None:
        """Record one reading."""
        self.readings.setdefault(what, []).append(round(value, 2))


def chosen(only: str) -> tuple[Scenario, ...]:
    """Return the scenarios whose title holds ``only``; all for an empty text.

    Raises:
        UsageError: There is none.
    """
    found = tuple(scenario for scenario in SCENARIOS if only in scenario.title)
    if not found:
        titles = "; ".join(scenario.title for scenario in SCENARIOS)
        raise UsageError(f"No scenario is named {only!r}", details=f"there are: {titles}")
    return found


def measure(scenarios: Sequence[Scenario], runs: int, steps: Steps) -> dict[str, object]:
    """Run every scenario ``runs`` times; return the report (schema ``lab.bench/v1``)."""
    series = {scenario: Series(scenario.title) for scenario in scenarios}
    load_before = os.getloadavg()[0]
    for number in range(1, runs + 1):
        for scenario in scenarios:
            with steps.step(f"Run {number} of {runs}: {scenario.title}"):
                _measure_once(scenario, series[scenario])
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "runs": runs,
        "machine": _machine() | {"load_before": round(load_before, 2)},
        "scenarios": [
            {"title": found.title, "readings": found.readings, "summary": summary(found.readings)}
            for found in series.values()
        ],
    }


def summary(readings: Mapping[str, Sequence[float]]) -> dict[str, dict[str, float]]:
    """Return minimum, median and maximum of every series of readings."""
    return {
        what: {
            "min": min(values),
            "median": round(statistics.median(values), 2),
            "max": max(values),
        }
        for what, values in readings.items()
    }


def save(report: Mapping[str, object]) -> Path:
    """Write the report to ``benchmarks/``, named by its date; return the file."""
    file = ROOT / "benchmarks" / f"{str(report['date'])[:16].replace(':', '')}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({"schema": SCHEMA, **report}, indent=2) + "\n")
    return file


def markdown(report: Mapping[str, object]) -> str:
    """Return the report as Markdown tables, one per scenario."""
    machine = report["machine"]
    assert isinstance(machine, Mapping)  # noqa: S101 - made by measure()
    lines = [
        f"Measured {report['date']}, {report['runs']} runs, on {machine['cpus']} CPUs "
        f"({machine['processor']}), {machine['memory_mib']} MiB, kernel {machine['kernel']}, "
        f"{machine['qemu']}, Python {machine['python']}; load before the first run "
        f"{machine['load_before']}.",
    ]
    scenarios = report["scenarios"]
    assert isinstance(scenarios, Sequence)  # noqa: S101
    for scenario in scenarios:
        lines += ["", f"### {scenario['title']}", "", "| what | min | median | max |"]
        lines += ["| --- | ---: | ---: | ---: |"]
        for what, found in scenario["summary"].items():
            lines.append(f"| {what} | {found['min']} | {found['median']} | {found['max']} |")
    return "\n".join(lines) + "\n"


def _measure_once(scenario: Scenario, series: Series) -> None:
    name = f"bench-{os.getpid()}"
    lab = ("--name", name)
    with tempfile.TemporaryDirectory(prefix="lab-bench-") as cache:
        env = dict(os.environ) | ({"XDG_CACHE_HOME": cache} if scenario.fresh else {})
        if not scenario.fresh:
            _invoke("lab.image", env=env)
        try:
            seconds, text = _invoke(
                "lab.up", *lab, "--topology", scenario.topology, "--output", "json", env=env
            )
            series.add("lab.up, total (s)", seconds)
            for what, value in _details(json.loads(text)):
                series.add(what, value)
            series.add("second lab.up (s)", _invoke("lab.up", *lab, env=env)[0])
            series.add("pytest checks/ (s)", _checks(name, env))
        finally:
            series.add("lab.down (s)", _invoke("lab.down", *lab, env=env)[0])


def _details(up: Mapping[str, object]) -> Iterator[tuple[str, float]]:
    phases, nodes = up["phases"], up["nodes"]
    assert isinstance(phases, Sequence)  # noqa: S101 - our own schema
    assert isinstance(nodes, Sequence)  # noqa: S101
    for phase in phases:
        yield f"- {phase['title'].split(':')[0]} (s)", float(phase["seconds"])
    yield "memory per node (MiB)", statistics.mean(n["resident_mib"] for n in nodes)
    yield "disk per node (MiB)", statistics.mean(n["disk_mib"] for n in nodes)


def _invoke(*words: str, env: Mapping[str, str]) -> tuple[float, str]:
    return _timed((sys.executable, "-m", "invoke", "--search-root", str(ROOT), *words), env)


def _checks(name: str, env: Mapping[str, str]) -> float:
    argv = (sys.executable, "-m", "pytest", "-q", str(ROOT / "checks"), "--name", name)
    return _timed(argv, env)[0]


def _timed(argv: Sequence[str], env: Mapping[str, str]) -> tuple[float, str]:
    started = time.monotonic()
    done = run(argv, timeout_s=TIMEOUT_S, env=env)
    return time.monotonic() - started, done.stdout


def _machine() -> dict[str, object]:
    return {
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "memory_mib": round(memory_mib()[0]),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "qemu": run((QEMU, "--version"), timeout_s=10).stdout.splitlines()[0],
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    raise CommandFailed("/proc/cpuinfo names no processor")
