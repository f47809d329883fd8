"""Measuring the lab: several runs, every phase with minimum, median and maximum.

Each run is what a user types, as a process of its own: the start of the interpreter counts. Runs
alternate over the scenarios, so that a machine that gets slower half way slows all of them.
"""

import json
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from lab.bench_chart import VERIFIED, bars, svg
from lab.bench_growth import growth, growth_svg
from lab.bench_report import DOCKERD_FLOOR, KERNEL_FLOOR, summary, with_ratios
from lab.errors import CommandFailed, LabError, UsageError
from lab.machine import describe
from lab.paths import cache_dir, private_dir
from lab.process import memory_mib, run
from lab.providers import DEFAULT_PROVIDER, provider_named
from lab.providers.floor import seconds_to_init
from lab.steps import Steps
from lab.topology_file import load_named_topology

ROOT = Path(__file__).parent.parent
SCHEMA = "lab.bench/v2"
TIMEOUT_S = 1800.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """One thing to measure: a topology, and whether the node image must be built first.

    In a run of it the lab comes up cold (nothing is saved yet), then warm, from the snapshot the
    cold start left, then with the golden machine alone. Two nodes also come up with every machine
    booted, to be seen beside that. With a ``crowd``, so many labs run side by side from that
    snapshot instead: one run of them takes as long as three of the others. A provider without
    snapshots comes up cold only, and beside it the default one, which then boots every machine as
    well, from the same image.
    """

    title: str
    topology: str
    fresh: bool = False
    crowd: int = 0
    provider: str = DEFAULT_PROVIDER

    @property
    def boots_all(self) -> bool:
        """Say whether it also comes up with every machine booted: more of them take too long."""
        plain = not (self.fresh or self.crowd) and self.provider == DEFAULT_PROVIDER
        return plain and len(load_named_topology(self.topology).nodes) == 2


SCENARIOS = (
    Scenario("2 nodes", "article"),
    Scenario("2 nodes, Vagrant", "article", provider="vagrant"),
    Scenario("4 nodes", "four-nodes"),
    Scenario("8 nodes", "eight-nodes"),
    Scenario("2 nodes, image to build", "article", fresh=True),
    Scenario("8 labs side by side", "article", crowd=8),
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
    """Return the scenarios of these titles, with ``;`` between them; all for "".

    What is no title chooses every scenario in whose title it is.

    Raises:
        UsageError: There is none.
    """
    words = [word.strip() for word in only.split(";") if word.strip()] or [""]
    found = {scenario for word in words for scenario in _named(word)}
    return tuple(scenario for scenario in SCENARIOS if scenario in found)


def _named(word: str) -> tuple[Scenario, ...]:
    exact = tuple(scenario for scenario in SCENARIOS if word == scenario.title)
    found = exact or tuple(scenario for scenario in SCENARIOS if word in scenario.title)
    if not found:
        titles = "; ".join(scenario.title for scenario in SCENARIOS)
        raise UsageError(f"No scenario is named {word!r}", details=f"there are: {titles}")
    return found


def possible(scenarios: Sequence[Scenario], steps: Steps) -> tuple[Scenario, ...]:
    """Return the scenarios that this machine can carry; tell about the others.

    Raises:
        LabError: It can carry none.
    """
    found, obstacle = [], None
    for scenario in scenarios:
        try:
            topology = load_named_topology(scenario.topology)
            provider_named(scenario.provider).preflight(topology)
        except LabError as error:
            obstacle = error
            steps.note(f"{scenario.title} is left out: {error.brief}")
        else:
            found.append(scenario)
    if obstacle is not None and not found:
        raise obstacle
    return tuple(found)


def measure(
    scenarios: Sequence[Scenario], runs: int, steps: Steps
) -> Iterator[Mapping[str, object]]:
    """Run every scenario ``runs`` times; after each, yield the report (``lab.bench/v2``) so far.

    A run takes minutes: whoever interrupts a later one keeps those before it.
    """
    date = datetime.now(UTC).isoformat(timespec="seconds")
    series = {scenario: Series(scenario.title) for scenario in scenarios}
    load_before = os.getloadavg()[0]
    for number in range(1, runs + 1):
        for scenario in scenarios:
            try:
                with steps.step(f"Run {number} of {runs}: {scenario.title}"):
                    _measure_once(scenario, series[scenario], steps)
            except LabError as error:  # the others are worth keeping
                steps.note(f"{scenario.title}: {error.brief}: {error.details}")
        yield {
            "date": date,
            "runs": number,
            "machine": describe() | {"load_before": round(load_before, 2)},
            "scenarios": [_told(one) for one in series.values()],
        }


def _told(series: Series) -> dict[str, object]:
    readings = with_ratios(series.readings)
    return {"title": series.title, "readings": readings, "summary": summary(readings)}


def save(report: Mapping[str, object]) -> Path:
    """Write the report to ``benchmarks/``, named by its date, with pictures; return the file."""
    file = ROOT / "benchmarks" / f"{str(report['date'])[:16].replace(':', '')}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({"schema": SCHEMA, **report}, indent=2) + "\n")
    scenarios = report["scenarios"]
    assert isinstance(scenarios, Sequence)  # noqa: S101 - made by measure()
    file.with_suffix(".svg").write_text(svg(bars(scenarios)))
    if lines := growth(scenarios):
        file.with_name(f"{file.stem}-growth.svg").write_text(growth_svg(lines))
    return file


def _measure_once(scenario: Scenario, series: Series, steps: Steps) -> None:
    lab = f"bench-{os.getpid()}"
    with tempfile.TemporaryDirectory(prefix="lab-bench-", dir=_cache_parent()) as cache:
        env = dict(os.environ) | {"XDG_CACHE_HOME": cache}
        if not scenario.fresh:
            _invoke("lab.image", env=dict(os.environ))
            _lend_image(Path(cache))
        bench = _Bench(scenario, series, env, steps)
        try:
            bench.up("cold", lab, scenario.provider)
            if scenario.crowd:
                bench.crowd(lab)
                return
            bench.sizes(lab)
            series.add("second lab.up (s)", _invoke("lab.up", "--name", lab, env=env)[0])
            series.add("pytest checks/, cold lab (s)", _checks(lab, env))
            bench.down(lab)
            if provider_named(scenario.provider).snapshots is None:
                bench.up("default provider, all booted", lab, DEFAULT_PROVIDER, "--cold")
                return
            bench.saved_ways(lab)
        finally:
            bench.down(lab)


@dataclass(frozen=True, slots=True)
class _Bench:
    scenario: Scenario
    series: Series
    env: Mapping[str, str]
    steps: Steps

    def up(self, how: str, name: str, provider: str = DEFAULT_PROVIDER, *options: str) -> None:
        words = ("--name", name, "--topology", self.scenario.topology, "--provider", provider)
        seconds, text = _invoke("lab.up", *words, "--output", "json", *options, env=self.env)
        self.series.add(f"lab.up, {how} (s)", seconds)
        for what, value in _details(json.loads(text), seconds):
            self.series.add(f"- {how}: {what}", value)

    def saved_ways(self, name: str) -> None:
        """Come up from the snapshot, from the golden machine, and without either."""
        self.up("warm", name)
        self.series.add("pytest checks/, warm lab (s)", _checks(name, self.env))
        self.series.add("lab.reset (s)", _invoke("lab.reset", "--name", name, env=self.env)[0])
        self.down(name)
        self.floors(name)
        self._forget_starts()
        self.up("from the golden machine", name)
        if self.scenario.boots_all:
            self.down(name)
            self._forget_starts()  # so that both ways end with saving one
            self.up("every machine booted", name, DEFAULT_PROVIDER, "--cold")

    def _forget_starts(self) -> None:
        _invoke("lab.snapshot", "--remove", "start", env=self.env)

    def sizes(self, name: str) -> None:
        """Record what all this takes on the disk."""
        asked = ("lab.image",), ("lab.snapshot",), ("lab.status", "--name", name)
        told = [json.loads(_invoke(*w, "--output", "json", env=self.env)[1]) for w in asked]
        for what, value in _sizes(*told):
            self.series.add(f"disk: {what} (MiB)", value)

    def down(self, name: str) -> None:
        self.series.add("lab.down (s)", _invoke("lab.down", "--name", name, env=self.env)[0])

    def crowd(self, first: str) -> None:
        """Bring up more and more labs of one snapshot, and check each while all of them run.

        One after the other: eight runs of the checks at the same time on two processors took five
        minutes, and swarm itself took its starved nodes for lost.
        """
        names = [f"{first}-{number}" for number in range(2, self.scenario.crowd + 1)]
        free = memory_mib()[1]
        try:
            started = time.monotonic()
            for name in names:
                _invoke(
                    "lab.up", "--name", name, "--topology", self.scenario.topology, env=self.env
                )
            self.series.add(f"{len(names)} more labs, one by one (s)", time.monotonic() - started)
            self.series.add("memory of each more lab (MiB)", (free - memory_mib()[1]) / len(names))
            started = time.monotonic()
            green = [self._is_green(name) for name in (first, *names)]
            took = time.monotonic() - started
            self.series.add(f"pytest checks/ of {len(green)} running labs, in turn (s)", took)
            self.series.add("labs of these with every check green", sum(green))
        finally:
            for name in names:
                _invoke("lab.down", "--name", name, env=self.env)

    def _is_green(self, name: str) -> bool:
        try:
            _checks(name, self.env)
        except CommandFailed as error:
            self.steps.note(f"{name} is not green: {error.details}")
            return False
        return True

    def floors(self, name: str) -> None:
        """Measure what no lab can be faster than, with this one down: the kernel alone, dockerd.

        dockerd is that of a node without a swarm, in a lab that is gone again afterwards. In a
        swarm it would also come to terms with the other nodes and start tasks.
        """
        with _cache_of(self.env) as cache:
            self.series.add(KERNEL_FLOOR, seconds_to_init(cache))
        topology = self.scenario.topology
        _invoke("lab.up", "--name", name, "--topology", topology, "--until", "nodes", env=self.env)
        worker = load_named_topology(topology).workers[0].name
        on_worker = ("lab.exec", worker, "--name", name, "--")
        _invoke(*on_worker, "systemctl stop docker.service", env=self.env)
        idle = _invoke(*on_worker, "true", env=self.env)[0]
        start = _invoke(*on_worker, "systemctl start docker.service", env=self.env)[0]
        self.series.add(DOCKERD_FLOOR, start - idle)
        _invoke("lab.down", "--name", name, env=self.env)


def _cache_parent() -> Path:
    """Where caches of a benchmark go: on the disk of the real one, not in a RAM disk."""
    return private_dir(cache_dir())


def _lend_image(cache: Path) -> None:
    """Give an empty cache the images and verdicts of the real one, but nothing that was saved."""
    own = private_dir(cache / cache_dir().name)
    for name in ("images", "acceleration.json", "versions.json"):
        if (cache_dir() / name).exists():
            (own / name).symlink_to(cache_dir() / name)


@contextmanager
def _cache_of(env: Mapping[str, str]) -> Iterator[Path]:
    """Look for images where the commands of a benchmark do: elsewhere there may be none yet."""
    variable = "XDG_CACHE_HOME"
    before = os.environ.get(variable)
    os.environ[variable] = env[variable]
    try:
        yield Path(env[variable])
    finally:
        del os.environ[variable]
        if before is not None:
            os.environ[variable] = before


def _details(up: Mapping[str, object], took_s: float) -> Iterator[tuple[str, float]]:
    phases, nodes = up["phases"], up["nodes"]
    assert isinstance(phases, Sequence)  # noqa: S101 - our own schema
    assert isinstance(nodes, Sequence)  # noqa: S101
    saving = [p["seconds"] for p in phases if p["title"].startswith("Saving a snapshot of")]
    if saving:
        yield f"{VERIFIED} (s)", took_s - sum(saving)
    for phase in phases:
        yield f"{_untimed(phase['title'])} (s)", float(phase["seconds"])
    yield "memory per node (MiB)", statistics.mean(n["resident_mib"] for n in nodes)
    yield "disk per node (MiB)", statistics.mean(n["disk_mib"] for n in nodes)


def _sizes(
    images: Mapping[str, Sequence[Mapping[str, float]]],
    snapshots: Mapping[str, Sequence[Mapping[str, object]]],
    status: Mapping[str, Sequence[Mapping[str, float]]],
) -> Iterator[tuple[str, float]]:
    """Return MiB on the disk, holes not counted, from what the commands print as JSON.

    The cache is a benchmark's own: it holds one machine and one snapshot, those of its lab.
    """
    for image in images["images"]:
        if image["current"]:
            yield "node image", image["disk_bytes"] / 2**20
    kinds = {"machine": "golden machine", "start": "snapshot"}
    for saved in snapshots["snapshots"]:
        what, size = kinds.get(str(saved["kind"])), saved["disk_mib"]
        if what is not None and isinstance(size, int | float):
            yield what, size
    yield "lab, all nodes", sum(node["disk_mib"] for node in status["nodes"])


def _untimed(title: str) -> str:
    """Return a step's title without what differs from run to run."""
    return re.sub(r" made \S+ ago", "", title.split(":")[0])


def _invoke(*words: str, env: Mapping[str, str]) -> tuple[float, str]:
    return _timed((sys.executable, "-m", "invoke", "--search-root", str(ROOT), *words), env)


def _checks(name: str, env: Mapping[str, str]) -> float:
    argv = (sys.executable, "-m", "pytest", "-q", str(ROOT / "checks"), "--name", name)
    return _timed(argv, env)[0]


def _timed(argv: Sequence[str], env: Mapping[str, str]) -> tuple[float, str]:
    started = time.monotonic()
    done = run(argv, timeout_s=TIMEOUT_S, env=env)
    return time.monotonic() - started, done.stdout
