from pathlib import Path

import pytest

from lab import advice
from lab.advice import typed_here

OUTSIDE = [
    ("Try: invoke lab.up", "Try: invoke -r '{}' lab.up"),
    (
        "invoke lab.down, then invoke lab.up",
        "invoke -r '{0}' lab.down, then invoke -r '{0}' lab.up",
    ),
    ("invoke bench", "invoke -r '{}' bench"),
    ("pytest checks/test_traffic.py", "pytest '{}'/checks/test_traffic.py"),
    (
        "sudo apt-get install zstd   (or: make up)",
        "sudo apt-get install zstd   (or: make -C '{}' up)",
    ),
    ("they make ingress, invoke nothing", "they make ingress, invoke nothing"),
]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    found = tmp_path / "my labs"
    (found / "docs").mkdir(parents=True)
    monkeypatch.setattr(advice, "CHECKOUT", found)
    return found


@pytest.mark.parametrize(("written", "shown"), OUTSIDE)
def test_commands_name_the_checkout_outside_of_it(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, written: str, shown: str
) -> None:
    monkeypatch.chdir(checkout.parent)
    assert typed_here(written) == shown.format(checkout)


@pytest.mark.parametrize("place", ["", "docs"])
@pytest.mark.parametrize("written", [written for written, _ in OUTSIDE])
def test_commands_are_short_inside(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, place: str, written: str
) -> None:
    monkeypatch.chdir(checkout / place)
    assert typed_here(written) == written


def test_a_directory_that_is_gone_is_outside(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert typed_here("invoke lab.up") == f"invoke -r '{checkout}' lab.up"
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("invoke lab.status", "invoke lab.status --name mine"),
        ("invoke lab.exec worker -- docker ps", "invoke lab.exec --name mine worker -- docker ps"),
        ("invoke lab.up; pytest checks/", "invoke lab.up --name mine; pytest checks/ --name mine"),
        ("pytest checks/", "pytest checks/ --name mine"),
        ("invoke lab.up --name other", "invoke lab.up --name other"),
        ("invoke lab.down --all removes them", "invoke lab.down --all removes them"),
        ("invoke lab.doctor", "invoke lab.doctor"),
        ("invoke lab.list; invoke lab.down --name x", "invoke lab.list; invoke lab.down --name x"),
    ],
)
def test_commands_mean_the_lab_that_was_named(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, written: str, shown: str
) -> None:
    monkeypatch.chdir(checkout)
    assert typed_here(written, "mine") == shown
    assert typed_here(written) == written
