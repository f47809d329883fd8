"""No secret leaves in a bundle: planted in every source, folded, prefixed, cut, and not found."""

import io
import json
from pathlib import Path

import pytest

from lab import events
from lab.bundle.kept import tail_of
from lab.errors import CommandFailed
from lab.redact import redacted
from lab.steps import Steps
from tests.bundle.planting import NEEDLES, collected, members, plant_files, planted
from tests.test_redact import KEY
from tests.world import World

PLANTED = {
    "lab/consoles/manager.log",
    "lab/consoles/worker.log",
    "lab/faults.json",
    "lab/qemu.json",
    "lab/timeline.txt",
    "nodes/manager/facts.txt",
    "nodes/worker/facts.txt",
    *(
        f"nodes/{node}/{log}.log"
        for node in ("manager", "worker")
        for log in ("docker", "containerd", "kernel", "journal", "system")
    ),
    "service.log",
    "this-machine/versions.json",
}


@pytest.fixture
def lab(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """A lab that runs, with secrets wherever a bundle looks."""
    world.up()
    plant_files(world.home)
    monkeypatch.setenv("LAB_DEBIAN_MIRROR", planted("LAB_DEBIAN_MIRROR"))
    steps = Steps(quiet=True, record=events.recorder(world.home, "lab.up"))
    steps.note(planted("a note"))
    with pytest.raises(CommandFailed), steps.step(planted("a step")):
        raise CommandFailed(planted("an error"))
    return world


def test_the_needles_are_in_what_is_planted() -> None:
    """Otherwise nothing would be proven by not finding them."""
    text = planted("anything")
    assert all(needle in text for needle in NEEDLES)


def test_no_secret_is_in_the_bundle(lab: World) -> None:
    found = members(collected("article"))
    for name in PLANTED:
        assert "planted in " in found[name], name
        assert "[removed: " in found[name], name
    leaks = [(name, n) for name, text in found.items() for n in NEEDLES if n in text]
    assert not leaks
    assert not [n for name in found for n in NEEDLES if n in name]


def test_no_secret_is_in_the_reasons(lab: World) -> None:
    def silent(node: str) -> CommandFailed:
        return CommandFailed(f"{node}: planted", details=planted("a reason"))

    found = members(collected("article", silent))
    assert "nodes/manager/facts.txt" not in found
    assert "planted in a reason" in found["README.txt"]
    assert not [n for n in NEEDLES if n in found["README.txt"]]


def test_what_is_json_stays_json(lab: World) -> None:
    for name, text in members(collected("article")).items():
        if name.endswith(".json"):
            json.loads(text)


def test_a_damaged_state_with_secrets_is_shown_without(lab: World) -> None:
    file = lab.home.path / "state.json"
    file.write_text(file.read_text()[:200] + planted("state.json"))
    found = members(collected("article"))
    assert "planted in state.json" in found["lab/state.json"]
    assert not [n for n in NEEDLES if n in found["lab/state.json"]]
    assert "cannot be read" in found["README.txt"]


def test_files_with_keys_are_not_opened(lab: World, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    real = io.open

    def noting(file: object, *args: object, **kwargs: object) -> object:
        opened.append(str(file))
        return real(file, *args, **kwargs)  # type: ignore[call-overload]

    directory = str(lab.home.path)
    monkeypatch.setattr(io, "open", noting)
    collected("article")
    monkeypatch.undo()
    mine = {Path(name).name for name in opened if name.startswith(directory)}
    assert mine == {"state.json", "faults.json", "qemu.json", "console.log"}


@pytest.mark.parametrize("cut", range(0, len(KEY), 11))
def test_a_key_cut_by_a_limit_is_not_handed_on_in_half(cut: int, tmp_path: Path) -> None:
    """A console is read from its end: a key's first lines may be gone, the rest must not show."""
    file = tmp_path / "console.log"
    file.write_text(f"{KEY}\nend of it\n")
    text = redacted(tail_of(file, len(KEY) + len("\nend of it\n") - cut))
    assert text.endswith("end of it\n")
    assert not [line for line in KEY.splitlines()[1:3] if line in text]
