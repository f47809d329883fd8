import json
import os
from collections.abc import Mapping
from dataclasses import replace
from unittest.mock import patch

import pytest

from lab import bench, providers
from lab.bench import SCENARIOS, Scenario, Series, chosen, measure, possible, summary
from lab.bench_chart import Bar, bars, svg
from lab.errors import PreflightFailed, UsageError
from lab.steps import Steps
from tests.fake_lab import FakeProvider, Servers
from tests.fake_snapshots import FakeSnapshots
from tests.world import World

READINGS = {
    "lab.up, cold (s)": [50.0, 40.0, 90.0],
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


def test_every_provider_is_measured_on_the_same_topology() -> None:
    by_default, by_vagrant = SCENARIOS[0], SCENARIOS[1]
    assert by_default.topology == by_vagrant.topology
    assert (by_default.provider, by_vagrant.provider) == ("qemu", "vagrant")


def typed_for(scenario: Scenario, world: World, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what one run of a scenario types, the name of its lab written as LAB."""
    typed: list[str] = []
    world.provider.snapshots = FakeSnapshots(world.provider)

    def invoke(*words: str, env: Mapping[str, str]) -> tuple[float, str]:
        typed.append(" ".join(words).replace(f"bench-{os.getpid()}", "LAB"))
        node = {"resident_mib": 1, "disk_mib": 1}
        return 1.0, json.dumps({"phases": [], "nodes": [node]})

    def checks(name: str, env: Mapping[str, str]) -> float:
        typed.append(f"checks of {name}".replace(f"bench-{os.getpid()}", "LAB"))
        return 1.0

    monkeypatch.setattr(bench, "_invoke", invoke)
    monkeypatch.setattr(bench, "_checks", checks)
    monkeypatch.setattr(bench._Bench, "floors", lambda *_: typed.append("floors"))
    monkeypatch.setattr(bench, "describe", dict)
    (_,) = measure((scenario,), 1, world.steps)
    return typed


def test_a_run_measures_every_way_of_coming_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    up = "lab.up --name LAB --topology article --provider qemu --output json"
    assert typed_for(SCENARIOS[0], world, monkeypatch) == [
        "lab.image",
        up,
        "lab.up --name LAB",
        "checks of LAB",
        "lab.down --name LAB",
        up,
        "checks of LAB",
        "lab.reset --name LAB",
        "floors",
        "lab.down --name LAB",
        "lab.snapshot --remove start",
        up,
        "lab.down --name LAB",
    ]


def test_a_crowd_comes_up_beside_the_first_lab_and_leaves_nobody(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert SCENARIOS[-1].crowd == 8
    assert typed_for(replace(SCENARIOS[-1], crowd=3), world, monkeypatch) == [
        "lab.image",
        "lab.up --name LAB --topology article --provider qemu --output json",
        "lab.up --name LAB-2 --topology article",
        "lab.up --name LAB-3 --topology article",
        *("checks of LAB", "checks of LAB-2", "checks of LAB-3"),
        *("lab.down --name LAB-2", "lab.down --name LAB-3", "lab.down --name LAB"),
    ]
