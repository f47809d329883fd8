"""Which lab is meant when nobody names one: pytest and Invoke must agree."""

from pathlib import Path

import pytest

from lab.cli import options
from lab.cli.options import lab_name_for_pytest
from lab.errors import UsageError


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout and a home directory that hold no configuration yet."""
    monkeypatch.delenv("LAB_NAME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(options, "CHECKOUT", tmp_path)
    (tmp_path / "home").mkdir()
    return tmp_path


def test_pytest_means_the_lab_that_the_checkout_names(checkout: Path) -> None:
    assert lab_name_for_pytest(None) == "article"
    (checkout / "home" / ".invoke.yaml").write_text("lab:\n  name: at-home\n")
    assert lab_name_for_pytest(None) == "at-home"
    (checkout / "invoke.yaml").write_text("lab:\n  name: of-the-project\n")
    assert lab_name_for_pytest(None) == "of-the-project"


def test_what_is_nearer_to_the_command_line_counts(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (checkout / "invoke.yaml").write_text("lab:\n  name: of-the-project\n")
    monkeypatch.setenv("LAB_NAME", "of-the-environment")
    assert lab_name_for_pytest(None) == "of-the-environment"
    assert lab_name_for_pytest("typed") == "typed"
    with pytest.raises(UsageError, match="--name is empty"):
        lab_name_for_pytest("")
