"""What the tests of bundles share."""

from functools import cache

import pytest

from lab.version import version_of

version_told_once = cache(version_of)
"""Programs answer the same in every test, and need a quarter of a second each time."""


@pytest.fixture(autouse=True)
def _remembered_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.image.store.version_of", version_told_once)
    monkeypatch.setattr("lab.bundle.machine.version_of", version_told_once)
