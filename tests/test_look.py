from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lab import docker_api
from lab.home import LabHome, LabState, lab_home
from lab.look import SwarmView, look_at_swarm, patience_s
from lab.service import Replica
from lab.topology import Topology
from tests.conftest import Dirs
from tests.fake_lab import Cluster, FakeEngine


def lab(topology: Topology, *, pace: float) -> tuple[LabHome, LabState]:
    home = lab_home("article")
    now = datetime.now(UTC)
    return home, LabState(
        name="article",
        provider="qemu",
        topology=topology,
        created=now,
        runtime=home.runtime,
        pace=pace,
    )


@pytest.mark.parametrize(("pace", "expected"), [(1.0, 3.0), (8.0, 8.0)])
def test_slow_machines_are_waited_for_longer(
    dirs: Dirs, article: Topology, pace: float, expected: float
) -> None:
    assert patience_s(lab(article, pace=pace)[1]) == expected


def test_the_manager_is_asked_and_not_for_long(
    dirs: Dirs, article: Topology, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster(swarms={"manager": "manager", "worker": "manager"}, services={"hello-a": 2})
    asked: list[Mapping[str, Any]] = []

    def connect(node: str, *, config: Path, socket: Path, timeout_s: float) -> FakeEngine:
        asked.append({"node": node, "timeout_s": timeout_s})
        return FakeEngine(node, cluster)

    monkeypatch.setattr(docker_api, "connect", connect)
    assert look_at_swarm(*lab(article, pace=8.0)) == SwarmView(
        {"manager": "ready", "worker": "ready"},
        tuple(Replica(slot, "manager", "running", "") for slot in (1, 2)),
    )
    assert asked == [{"node": "manager", "timeout_s": 8.0}]
