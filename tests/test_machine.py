import os
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

import pytest

from lab import session
from lab.home import LabState, lab_home
from lab.machine import crowding
from lab.session import LabSession
from lab.topology import Topology


@pytest.mark.parametrize(
    ("load", "factor"),
    [(0.0, 1.0), (4.0, 1.0), (8.0, 2.0), (23.0, 3.0)],
)
def test_nodes_get_more_time_where_others_are_busy_too(load: float, factor: float) -> None:
    with (
        patch.object(os, "getloadavg", lambda: (load, 0.0, 0.0)),
        patch.object(os, "cpu_count", lambda: 2),
    ):
        assert crowding() == factor


def test_a_lab_is_looked_at_with_that_patience(article: Topology) -> None:
    state = LabState(
        name="article",
        provider="qemu",
        topology=article,
        created=datetime.now(UTC),
        runtime=Path("/nowhere"),
        pace=8,
    )
    lab = LabSession(lab_home("article"), state)
    with patch.object(session, "crowding", lambda: 1.0):
        assert (lab.deadline(2), lab.answers_s) == (16.0, 12.0)
    with patch.object(session, "crowding", lambda: 3.0):
        assert (lab.deadline(2), lab.answers_s) == (48.0, 36.0)
