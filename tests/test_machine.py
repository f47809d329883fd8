import os
from unittest.mock import patch

import pytest

from lab.machine import crowding


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
