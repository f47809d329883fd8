"""How many nodes are looked at at the same moment."""

import os

import pytest

from lab.evidence import AT_ONCE, Place
from lab.topology import Topology
from lab.wait import Deadlines


@pytest.mark.parametrize(
    ("pace", "cpus", "expected"),
    [(1.0, 2, AT_ONCE), (8.0, 2, 2), (8.0, 1, 2), (8.0, 4, 4), (8.0, 64, AT_ONCE)],
)
def test_emulated_nodes_are_not_all_made_busy_at_once(
    pace: float, cpus: int, expected: int, article: Topology, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cpus)
    assert Place(article, {}, {}, Deadlines(pace)).at_once == expected
