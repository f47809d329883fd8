from dataclasses import replace
from unittest.mock import patch

import pytest

from lab import providers
from lab.bench import SCENARIOS, possible, summary
from lab.bench_chart import Bar, bars, svg
from lab.errors import PreflightFailed
from tests.fake_lab import FakeProvider, Servers
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


def test_every_provider_is_measured_on_the_same_topology() -> None:
    by_default, by_vagrant = SCENARIOS[0], SCENARIOS[1]
    assert by_default.topology == by_vagrant.topology
    assert (by_default.provider, by_vagrant.provider) == ("qemu", "vagrant")
