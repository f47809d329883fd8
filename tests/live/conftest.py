"""Fixtures of the live tests: which lab. They run only when asked for: ``pytest -m live``."""

import signal

import pytest

from lab.cli.options import lab_name_for_pytest
from lab.session import LabSession, open_lab

LIVE = ("live", "vagrant", "containerlab")


def pytest_configure() -> None:
    """Let fixtures remove their labs when ``make test`` is interrupted and ends us."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("lab")
    group.addoption("--name", default=None, help="which lab (LAB_NAME, default: article)")
    group.addoption("--all-faults", action="store_true", help="every fault, not only a sample")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the live tests out of a run that did not ask for them with ``-m``."""
    left_out = [
        item
        for marker in LIVE
        if marker not in config.option.markexpr
        for item in items
        if item.get_closest_marker(marker)
    ]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def lab(request: pytest.FixtureRequest) -> LabSession:
    """The running lab that is meant."""
    return open_lab(lab_name_for_pytest(request.config.getoption("--name", None)))
