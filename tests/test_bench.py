import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import cast
from unittest.mock import patch

import pytest

from lab import bench, providers
from lab.bench import SCENARIOS, Scenario, Series, chosen, measure, possible
from lab.bench_chart import VERIFIED, Bar, bars, svg
from lab.bench_growth import Added, Line, Point, added_nodes, growth, growth_svg
from lab.bench_report import DOCKERD_FLOOR, KERNEL_FLOOR, markdown, summary, with_ratios
from lab.errors import CommandFailed, PreflightFailed, UsageError
from lab.paths import cache_dir
from lab.steps import Steps
from tests.fake_lab import FakeProvider, Servers
from tests.fake_snapshots import FakeSnapshots
from tests.world import World

READINGS = {
    "lab.up, cold (s)": [50.0, 40.0, 90.0],
    f"- cold: {VERIFIED} (s)": [45.0, 35.0, 80.0],
    "- cold: Waiting for 1 machine to boot (s)": [10.0, 10.0, 30.0],
    "- cold: memory per node (MiB)": [300.0, 300.0, 300.0],
    "lab.up, warm (s)": [2.0],
}


def test_a_series_is_told_by_minimum_median_and_maximum() -> None:
    assert summary(READINGS)["lab.up, cold (s)"] == {"min": 40.0, "median": 50.0, "max": 90.0}


def test_every_way_of_coming_up_has_a_bar_of_its_phases() -> None:
    found = bars([{"title": "2 nodes", "summary": summary(READINGS)}])
    assert found == (
        Bar("2 nodes, cold", 50.0, (("Waiting for 1 machine to boot", 10.0),)),
        Bar("2 nodes, warm", 2.0, ()),
    )


def test_the_picture_tells_seconds_in_words_and_length() -> None:
    picture = svg((Bar("a & b", 4.0, (("boot", 3.0),)), Bar("c", 2.0, ())))
    assert "a &amp; b" in picture
    assert ">4.0 s<" in picture
    boot = next(line for line in picture.splitlines() if "boot: 3.0 s" in line)
    rest = next(line for line in picture.splitlines() if "everything else: 1.0 s" in line)
    widths = [float(line.split('width="')[1].split('"')[0]) for line in (boot, rest)]
    assert abs(widths[0] - 3 * widths[1]) < 0.5


def test_what_this_machine_cannot_carry_is_left_out_and_said(world: World) -> None:
    world.fails_at("preflight", PreflightFailed("vagrant: not installed"))
    fine = replace(SCENARIOS[0], provider="able")
    lacking = replace(SCENARIOS[1], provider="fake")
    able = {**providers.PROVIDERS, "able": lambda: FakeProvider(Servers())}
    with patch.object(providers, "PROVIDERS", able):
        assert possible((fine, lacking), world.steps) == (fine,)
        assert "2 nodes, Vagrant is left out: vagrant: not installed" in world.shown
        with pytest.raises(PreflightFailed):
            possible((lacking,), world.steps)


def test_a_title_chooses_one_scenario_and_a_part_of_it_all_that_have_it() -> None:
    assert [one.title for one in chosen("2 nodes")] == ["2 nodes"]
    assert [one.topology for one in chosen("side")] == ["article"]
    assert len(chosen("2 nodes,")) == 2
    assert chosen("") == SCENARIOS
    with pytest.raises(UsageError, match="No scenario is named '3 nodes'"):
        chosen("3 nodes")


def test_several_titles_choose_these_and_nothing_that_only_begins_like_them() -> None:
    wished = ["2 nodes", "4 nodes", "8 nodes"]
    assert [one.title for one in chosen("8 nodes; 2 nodes;4 nodes")] == wished
    assert [one.title for one in chosen("2 nodes, Vagrant;4 nodes;")] == [
        "2 nodes, Vagrant",
        "4 nodes",
    ]
    with pytest.raises(UsageError, match="No scenario is named '3 nodes'"):
        chosen("2 nodes;3 nodes")


def test_ratios_are_of_readings_of_the_same_run() -> None:
    readings = {
        "lab.up, cold (s)": [80.0, 60.0],
        "lab.up, warm (s)": [2.0, 3.0],
        "lab.up, from the golden machine (s)": [40.0],
        KERNEL_FLOOR: [4.0, 2.0],
        DOCKERD_FLOOR: [12.0, 10.0],
    }
    found = with_ratios(readings)
    assert {what: found[what] for what in found if what not in readings} == {
        "ratio: cold / warm": [40.0, 20.0],
        "ratio: cold / floors (kernel + dockerd)": [5.0, 5.0],
        "ratio: warm / kernel to init": [0.5, 1.5],
    }
    assert with_ratios({}) == {}


def grown(title: str, cold_s: float, memory_mib: float) -> dict[str, object]:
    cold = [cold_s - 10, cold_s, cold_s + 20]
    readings = {"lab.up, cold (s)": cold, "- cold: memory per node (MiB)": [memory_mib]}
    return {"title": title, "summary": summary(readings)}


GROWN = (
    grown("8 nodes", 300.0, 400.0),
    grown("2 nodes", 80.0, 700.0),
    grown("2 nodes, Vagrant", 190.0, 1700.0),
    grown("4 nodes", 140.0, 500.0),
)


def test_growth_is_told_of_plain_numbers_of_nodes_the_fewest_first() -> None:
    points = (
        Point(2, 70.0, 80.0, 100.0),
        Point(4, 130.0, 140.0, 160.0),
        Point(8, 290.0, 300.0, 320.0),
    )
    assert growth(GROWN) == (Line("cold start", points),)
    assert growth(GROWN[1:3]) == ()


def test_each_added_node_costs_the_difference_between_neighbours() -> None:
    assert added_nodes(GROWN) == (
        Added("lab.up, cold (s)", (2, 4), 30.0),
        Added("lab.up, cold (s)", (4, 8), 40.0),
        Added("memory of the lab, cold (MiB)", (2, 4), 300.0),
        Added("memory of the lab, cold (MiB)", (4, 8), 300.0),
    )
    assert added_nodes(GROWN[1:3]) == ()


def test_what_an_added_node_costs_stands_under_the_tables() -> None:
    facts = ("cpus", "processor", "memory_mib", "kernel", "qemu", "python", "load_before")
    machine = dict.fromkeys(facts, "x")
    text = markdown({"date": "d", "runs": 3, "machine": machine, "scenarios": GROWN})
    assert text.count("### ") == 5
    assert text.endswith(
        "### Each added node\n\n"
        "| of the medians | from 2 to 4 nodes | from 4 to 8 nodes |\n"
        "| --- | ---: | ---: |\n"
        "| lab.up, cold (s) | 30.00 | 40.00 |\n"
        "| memory of the lab, cold (MiB) | 300.00 | 300.00 |\n"
    )
    alone = markdown({"date": "d", "runs": 3, "machine": machine, "scenarios": GROWN[1:2]})
    assert "added node" not in alone


def test_the_picture_of_growth_tells_values_and_is_straight_where_growth_is() -> None:
    straight = tuple(Point(n, 10.0 * n, 10.0 * n, 10.0 * n) for n in (2, 4, 8))
    picture = growth_svg((Line("a & b", straight),))
    assert "a &amp; b, s<" in picture
    assert "4 nodes: 40.0 s (40.0 to 40.0)" in picture
    drawn = picture.split('points="')[1].split('"')[0].split()
    places = [tuple(map(float, place.split(","))) for place in drawn]
    slopes = [(y - b) / (x - a) for (a, b), (x, y) in pairwise(places)]
    assert abs(slopes[0] - slopes[1]) < 0.01


def test_the_picture_of_growth_is_written_beside_the_other_when_something_grew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "ROOT", tmp_path)
    bench.save({"date": "2026-11-26T12:34:29+00:00", "scenarios": GROWN})
    bench.save({"date": "2026-11-26T12:35:29+00:00", "scenarios": GROWN[:1]})
    assert sorted(file.name for file in (tmp_path / "benchmarks").iterdir()) == [
        "2026-11-26T1234-growth.svg",
        "2026-11-26T1234.json",
        "2026-11-26T1234.svg",
        "2026-11-26T1235.json",
        "2026-11-26T1235.svg",
    ]


def test_an_interrupt_costs_only_the_run_it_comes_in(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def once(scenario: Scenario, series: Series, steps: Steps) -> None:
        if series.readings:
            raise KeyboardInterrupt
        series.add("lab.up, cold (s)", 1.0)

    monkeypatch.setattr(bench, "_measure_once", once)
    monkeypatch.setattr(bench, "describe", dict)
    reports = measure(SCENARIOS[:1], 3, world.steps)
    report = next(reports)
    with pytest.raises(KeyboardInterrupt):
        next(reports)
    assert report["runs"] == 1
    assert report["scenarios"] == [
        {
            "title": "2 nodes",
            "readings": {"lab.up, cold (s)": [1.0]},
            "summary": {"lab.up, cold (s)": {"min": 1.0, "median": 1.0, "max": 1.0}},
        }
    ]


def test_a_scenario_that_fails_costs_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def once(scenario: Scenario, series: Series, steps: Steps) -> None:
        series.add("lab.up, cold (s)", 1.0)
        if scenario is SCENARIOS[0]:
            raise CommandFailed("pytest failed", details="9 failed")

    monkeypatch.setattr(bench, "_measure_once", once)
    monkeypatch.setattr(bench, "describe", dict)
    (report,) = measure(SCENARIOS[:2], 1, world.steps)
    assert isinstance(report["scenarios"], list)
    assert [one["title"] for one in report["scenarios"]] == ["2 nodes", "2 nodes, Vagrant"]
    assert "2 nodes: pytest failed: 9 failed" in world.shown


def test_every_provider_is_measured_on_the_same_topology() -> None:
    by_default, by_vagrant = SCENARIOS[0], SCENARIOS[1]
    assert by_default.topology == by_vagrant.topology
    assert (by_default.provider, by_vagrant.provider) == ("qemu", "vagrant")


ANSWERS: Mapping[str, object] = {
    "lab.up": {
        "phases": [
            {"title": "Verifying: every replica answers", "seconds": 0.25},
            {"title": "Saving a snapshot of 2 machines, which pause meanwhile", "seconds": 0.5},
        ],
        "nodes": [{"resident_mib": 1, "disk_mib": 1}],
    },
    "lab.image": {
        "images": [
            {"current": False, "disk_bytes": 7},
            {"current": True, "disk_bytes": 600 * 2**20},
        ]
    },
    "lab.snapshot": {
        "snapshots": [
            {"kind": "named", "disk_mib": 7.0},
            {"kind": "machine", "disk_mib": 200.0},
            {"kind": "start", "disk_mib": 500.0},
            {"kind": "start", "disk_mib": None},
        ]
    },
    "lab.status": {"nodes": [{"disk_mib": 13.0}, {"disk_mib": 12.5}]},
}
"""What the commands print, as far as a benchmark reads it."""


@dataclass(frozen=True, slots=True)
class Typed:
    """What one run of a scenario typed, the name of its lab written as LAB, and its readings."""

    words: list[str]
    readings: Mapping[str, list[float]]


def typed_for(scenario: Scenario, world: World, monkeypatch: pytest.MonkeyPatch) -> Typed:
    """Run a scenario in which every command takes a second, and the start of dockerd five."""
    typed: list[str] = []
    own = cache_dir().parent
    world.provider.snapshots = FakeSnapshots(world.provider)

    def invoke(*words: str, env: Mapping[str, str]) -> tuple[float, str]:
        typed.append(" ".join(words).replace(f"bench-{os.getpid()}", "LAB"))
        took = 5.0 if "systemctl start docker.service" in words else 1.0
        return took, json.dumps(ANSWERS.get(words[0]))

    def checks(name: str, env: Mapping[str, str]) -> float:
        typed.append(f"checks of {name}".replace(f"bench-{os.getpid()}", "LAB"))
        return 1.0

    def kernel_alone(parent: Path) -> float:
        assert cache_dir().parent == parent != own  # where the image of this benchmark is
        typed.append("the kernel alone")
        return 0.5

    monkeypatch.setattr(bench, "_invoke", invoke)
    monkeypatch.setattr(bench, "_checks", checks)
    monkeypatch.setattr(bench, "seconds_to_init", kernel_alone)
    monkeypatch.setattr(bench, "describe", dict)
    (report,) = measure((scenario,), 1, world.steps)
    assert cache_dir().parent == own
    (told,) = cast("list[dict[str, dict[str, list[float]]]]", report["scenarios"])
    return Typed(typed, told["readings"])


UP = "lab.up --name LAB --topology article --provider qemu --output json"
SIZES = [
    "lab.image --output json",
    "lab.snapshot --output json",
    "lab.status --name LAB --output json",
]
WARM_AND_FLOORS = [
    UP,
    "checks of LAB",
    "lab.reset --name LAB",
    "lab.down --name LAB",
    "the kernel alone",
    "lab.up --name LAB --topology article --until nodes",
    "lab.exec worker --name LAB -- systemctl stop docker.service",
    "lab.exec worker --name LAB -- true",
    "lab.exec worker --name LAB -- systemctl start docker.service",
    "lab.down --name LAB",
]


def test_a_run_measures_every_way_of_coming_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert typed_for(SCENARIOS[0], world, monkeypatch).words == [
        "lab.image",
        UP,
        *SIZES,
        "lab.up --name LAB",
        "checks of LAB",
        "lab.down --name LAB",
        *WARM_AND_FLOORS,
        "lab.snapshot --remove start",
        UP,
        "lab.down --name LAB",
        "lab.snapshot --remove start",
        f"{UP} --cold",
        "lab.down --name LAB",
    ]


def test_with_an_image_to_build_or_more_nodes_not_every_machine_boots(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = next(scenario for scenario in SCENARIOS if scenario.fresh)
    words = typed_for(fresh, world, monkeypatch).words
    assert words[0] == UP
    assert words[-2:] == [UP, "lab.down --name LAB"]
    assert [scenario.title for scenario in SCENARIOS if scenario.boots_all] == ["2 nodes"]


def test_a_run_tells_floors_sizes_and_when_a_lab_was_verified(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings = typed_for(SCENARIOS[0], world, monkeypatch).readings
    expected = {
        f"- cold: {VERIFIED} (s)": [0.5],
        "disk: node image (MiB)": [600.0],
        "disk: golden machine (MiB)": [200.0],
        "disk: snapshot (MiB)": [500.0],
        "disk: lab, all nodes (MiB)": [25.5],
        KERNEL_FLOOR: [0.5],
        DOCKERD_FLOOR: [4.0],
        "lab.up, every machine booted (s)": [1.0],
        "ratio: cold / golden machine": [1.0],
        "ratio: warm / kernel to init": [2.0],
    }
    assert expected.items() <= readings.items()


def test_a_crowd_comes_up_beside_the_first_lab_and_leaves_nobody(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert SCENARIOS[-1].crowd == 8
    assert typed_for(replace(SCENARIOS[-1], crowd=3), world, monkeypatch).words == [
        "lab.image",
        UP,
        "lab.up --name LAB-2 --topology article",
        "lab.up --name LAB-3 --topology article",
        *("checks of LAB", "checks of LAB-2", "checks of LAB-3"),
        *("lab.down --name LAB-2", "lab.down --name LAB-3", "lab.down --name LAB"),
    ]
