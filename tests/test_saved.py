import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lab import golden, lifecycle, saved, snapshot
from lab.errors import PreflightFailed, UsageError
from lab.home import lab_home
from lab.saved import Listed, list_all, remove, users_of
from lab.snapshot import KEEP, automatic, named, read_snapshot
from lab.topology import Topology
from tests.fake_snapshots import FakeSnapshots
from tests.world import WISH, World


@pytest.fixture
def saves(world: World) -> FakeSnapshots:
    """How the provider of this world saves its machines."""
    world.provider.snapshots = saves = FakeSnapshots(world.provider)
    return saves


@pytest.fixture
def kept(world: World, saves: FakeSnapshots) -> dict[str, Listed]:
    """One snapshot of each kind, by kind: a lab was made, and saved under the name before."""
    world.up(WISH)
    lifecycle.save("article", "before", world.steps)
    return by_kind()


def by_kind() -> dict[str, Listed]:
    return {listed.kind: listed for listed in list_all()}


def obstacles() -> dict[str, str]:
    return {listed.kind: listed.obstacle for listed in list_all()}


def left() -> list[str]:
    """What is still there, by kind."""
    return sorted(kind for kind, store in saved.stores().items() for _ in store.names())


def edit(path: Path, **changes: object) -> None:
    """Change a manifest as nobody should."""
    file = path / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_nothing_saved_is_an_empty_list(saves: FakeSnapshots) -> None:
    assert list_all() == ()
    remove("old")


def test_all_kinds_are_listed_the_newest_first(kept: dict[str, Listed]) -> None:
    listed = list_all()
    assert [one.kind for one in listed] == ["named", "start", "machine"]
    assert [one.created for one in listed] == sorted((o.created for o in listed), reverse=True)
    assert all(one.snapshot == read_snapshot(one.path) for one in listed)
    assert [one.obstacle for one in listed] == ["", "", ""]
    assert kept["named"].name == "before"
    assert kept["start"].path == lab_home("article").load().origin
    assert kept["machine"].path.parent == golden.store().root


def test_labs_that_go_back_to_a_snapshot_are_named(world: World, kept: dict[str, Listed]) -> None:
    assert [kept[kind].users for kind in ("named", "start", "machine")] == [(), ("article",), ()]
    for name in ("b", "a"):
        lifecycle.restore(name, "before", world.steps)
    assert by_kind()["named"].users == ("a", "b")
    (lab_home("a").path / "state.json").write_text("{")
    assert by_kind()["named"].users == ("b",)
    assert users_of(read_snapshot(kept["start"].path)) == ("article",)


@pytest.mark.parametrize("kind", ["named", "start", "machine"])
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (
            lambda path: edit(path, created=(datetime.now(UTC) - KEEP).isoformat()),
            "it expired on ",
        ),
        (lambda path: edit(path, name="other"), "its manifest is that of other"),
        (lambda path: next(path.rglob("devices")).unlink(), "is gone: No such file"),
    ],
)
def test_what_stands_in_the_way_is_said(
    kept: dict[str, Listed], kind: str, damage: Callable[[Path], object], words: str
) -> None:
    damage(kept[kind].path)
    found = obstacles()
    assert words in found.pop(kind)
    assert set(found.values()) == {""}


def test_a_snapshot_nobody_can_read_is_listed_last(kept: dict[str, Listed]) -> None:
    (kept["named"].path / "manifest.json").write_text("{")
    one = list_all()[-1]
    assert (one.name, one.kind, one.snapshot) == ("before", "named", None)
    assert (one.obstacle, one.users) == ("its manifest.json is damaged", ())
    assert one.created.year == 1970


def test_what_was_made_under_other_circumstances_is_useless(
    kept: dict[str, Listed], saves: FakeSnapshots
) -> None:
    saves.fits = {"machine": "of card"}
    words = "it was made with another machine: of paper then, of card now"
    assert set(obstacles().values()) == {words}
    saves.fits = {"code": "0123abcd"}
    assert "it was made with another code" in obstacles().values()  # without two long digests
    saves.fits = None
    assert set(obstacles().values()) == {"there is no image for its machines"}


def test_what_another_version_of_ours_kept_is_never_looked_for(
    kept: dict[str, Listed], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "_code", lambda: "another")
    words = "it was made by another version of this program"
    assert obstacles() == {"named": "", "start": words, "machine": ""}
    monkeypatch.setattr(golden, "_code", lambda: "another")
    assert "another code" in obstacles()["machine"]


def test_when_nobody_can_tell_nothing_is_removed(
    kept: dict[str, Listed], saves: FakeSnapshots, monkeypatch: pytest.MonkeyPatch
) -> None:
    """QEMU is not installed, or LAB_ACCEL has a wrong word: that makes no snapshot useless."""

    def fail(topology: Topology) -> None:
        raise PreflightFailed("qemu-system-x86_64 is not installed")

    monkeypatch.setattr(saves, "circumstances", fail)
    with pytest.raises(PreflightFailed):
        remove("old")
    assert left() == ["machine", "named", "start"]


@pytest.mark.parametrize("kind", ["named", "start", "machine"])
def test_one_is_removed_by_its_name(kept: dict[str, Listed], kind: str) -> None:
    remove(kept[kind].name)
    assert left() == sorted({"machine", "named", "start"} - {kind})
    assert not kept[kind].path.exists()


@pytest.mark.parametrize("kind", ["start", "machine"])
def test_those_of_a_kind_are_removed(kept: dict[str, Listed], kind: str) -> None:
    remove(kind)
    assert left() == sorted({"machine", "named", "start"} - {kind})
    remove(kind)


@pytest.mark.parametrize("which", ["", ".", "..", "named", "after", "{path}", ".lock"])
def test_only_what_is_there_can_be_removed(kept: dict[str, Listed], which: str) -> None:
    with pytest.raises(UsageError, match="There is no snapshot") as caught:
        remove(which.format(path=kept["named"].path))
    names = [kept[kind].name for kind in ("named", "start", "machine")]
    assert caught.value.details == f"known: {', '.join(names)}"
    assert left() == ["machine", "named", "start"]


def test_a_persons_snapshots_are_removed_by_their_names_only(
    world: World, kept: dict[str, Listed]
) -> None:
    lifecycle.save("article", "named", world.steps)
    remove("named")
    assert named().names() == ("before",)


def test_removing_the_old_leaves_what_can_be_used(world: World, kept: dict[str, Listed]) -> None:
    lifecycle.save("article", "damaged", world.steps)
    next(named().path_of("damaged").rglob("devices")).unlink()
    (kept["start"].path / "manifest.json").write_text("{")
    remove("old")
    assert left() == ["machine", "named"]
    assert named().names() == ("before",)


def test_what_a_killed_save_left_goes_with_whatever_is_removed(kept: dict[str, Listed]) -> None:
    partial = automatic().root / ".saving-0123"
    partial.mkdir()
    remove("before")
    assert not partial.exists()


def test_an_unreadable_snapshot_is_removed_by_its_name(kept: dict[str, Listed]) -> None:
    (kept["named"].path / "manifest.json").unlink()
    remove("before")
    assert left() == ["machine", "start"]


def test_a_snapshot_of_another_topology_is_listed_too(
    world: World, kept: dict[str, Listed]
) -> None:
    world.up(replace(WISH, name="big", topology="four-nodes"))
    found = [one for one in list_all() if one.kind == "start"]
    assert [one.obstacle for one in found] == ["", ""]
    assert [one.users for one in found] == [("big",), ("article",)]
