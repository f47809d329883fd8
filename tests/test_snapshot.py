import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lab import snapshot
from lab.errors import Conflict, PreflightFailed, UsageError
from lab.home import Stage
from lab.room import expect_room
from lab.snapshot import (
    CERTIFIED,
    KEEP,
    MANIFEST,
    Contents,
    Snapshot,
    Store,
    Unusable,
    automatic,
    expect_name,
    key_of,
    named,
    read_snapshot,
)
from lab.topology import Topology
from tests.conftest import Dirs

NOW = {"qemu": "QEMU emulator version 10.0.2", "image": "0123456789abcdef"}
FILES = {
    "id_ed25519": b"secret",
    "manager/devices": b"devices of manager",
    "manager/ram": b"memory of manager" * 1000,
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "snapshots")


@pytest.fixture
def contents(article: Topology) -> Contents:
    return Contents(
        lab="article",
        provider="qemu",
        topology=article,
        reached=Stage.SERVICE,
        answers=True,
        circumstances=NOW,
    )


def fill(directory: Path, files: Mapping[str, bytes] = FILES) -> None:
    for name, content in files.items():
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_bytes(content)


def make(
    store: Store, contents: Contents, name: str = "mine", error: BaseException | None = None
) -> Path:
    """Save a snapshot; return where it is. An error comes when all files have been written."""
    with store.saving(name, contents) as directory:
        fill(directory)
        if error is not None:
            raise error
    return store.path_of(name)


def usable(store: Store, circumstances: Mapping[str, str] = NOW) -> Snapshot:
    """Return the snapshot mine, which must be usable."""
    found = store.find("mine", circumstances)
    assert found is not None
    return found


@pytest.fixture
def saved(store: Store, contents: Contents) -> Path:
    """A snapshot named mine in the store."""
    return make(store, contents)


def edit(path: Path, **changes: object) -> None:
    """Change a manifest as nobody should."""
    content: dict[str, Any] = json.loads((path / MANIFEST).read_bytes())
    (path / MANIFEST).write_text(json.dumps(content | changes))


def obstacle(store: Store, circumstances: Mapping[str, str] = NOW) -> str:
    """Return why the snapshot mine cannot be used."""
    with pytest.raises(Unusable, match="Snapshot mine cannot be used") as caught:
        store.find("mine", circumstances)
    return caught.value.details


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files whose content was read for a digest since, by name."""
    digest, found = hashlib.file_digest, []

    def watched(file: Any, kind: Any) -> Any:
        found.append(Path(file.name).name)
        return digest(file, kind)

    monkeypatch.setattr(hashlib, "file_digest", watched)
    return found


@contextmanager
def seal_breaking(file: Path) -> Iterator[None]:
    """Do something to a file and put its time back; the kernel notes the change all the same."""
    before = file.stat()
    yield
    while file.stat().st_ctime_ns == before.st_ctime_ns:  # its clock ticks every few ms
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_what_was_saved_is_found(store: Store, contents: Contents) -> None:
    before = datetime.now(UTC)
    path = make(store, contents)
    found = usable(store)
    assert found == read_snapshot(path) == Snapshot(path, found.manifest)
    manifest = found.manifest
    assert found.name == manifest.name == "mine"
    assert (manifest.lab, manifest.provider) == ("article", "qemu")
    assert (manifest.topology, manifest.circumstances) == (contents.topology, NOW)
    assert (manifest.reached, manifest.answers) == (Stage.SERVICE, True)
    assert before <= manifest.created <= datetime.now(UTC)
    assert set(manifest.files) == set(FILES)
    assert {path.name for path in path.iterdir()} == {"manifest.json", "id_ed25519", "manager"}


def test_what_is_not_there_is_not_found(store: Store) -> None:
    assert store.find("mine", NOW) is None
    assert store.names() == ()
    store.remove("mine")


def test_names_are_sorted_and_those_of_snapshots(store: Store, contents: Contents) -> None:
    for name in ("b", "a"):
        make(store, contents, name)
    (store.root / ".saving-c").mkdir()
    assert store.names() == ("a", "b")
    store.remove("a")
    assert store.names() == ("b",)


def test_nobody_else_may_read_a_snapshot(store: Store, contents: Contents) -> None:
    old = os.umask(0)
    try:
        make(store, contents)
    finally:
        os.umask(old)
    for path in (store.root, store.path_of("mine")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    files = [path for path in store.path_of("mine").rglob("*") if path.is_file()]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert len(files) == len(FILES) + 1


def test_the_stores_are_private_and_apart(dirs: Dirs) -> None:
    assert automatic().root == dirs.cache / "snapshots"
    assert named().root == dirs.state / ".snapshots", "no lab can be named so"


def test_as_long_as_the_seals_are_unbroken_nothing_is_read(
    store: Store, saved: Path, read: list[str]
) -> None:
    usable(store)
    assert read == []


def test_a_file_that_was_touched_is_read_once_and_sealed_again(
    store: Store, saved: Path, read: list[str]
) -> None:
    os.utime(saved / "manager" / "ram", (1, 1))
    before = (saved / MANIFEST).stat()
    usable(store)
    assert sorted(read) == ["devices", "id_ed25519", "ram"]
    read.clear()
    assert usable(store).manifest.files["manager/ram"].modified == 10**9
    assert read == []
    after = (saved / MANIFEST).stat()
    assert after.st_ino != before.st_ino, "others see the old manifest or the new"
    assert stat.S_IMODE(after.st_mode) == 0o600


def test_after_a_new_start_of_this_machine_everything_is_read_once(
    store: Store, saved: Path, read: list[str]
) -> None:
    """A power cut takes what was not yet on the disk, and the seals tell nothing of it."""
    before = read_snapshot(saved).manifest
    edit(saved, boot="another")
    (saved / MANIFEST).chmod(0o600)
    usable(store)
    assert sorted(read) == ["devices", "id_ed25519", "ram"]
    read.clear()
    usable(store)
    assert read == []
    assert read_snapshot(saved).manifest == before


@pytest.mark.parametrize("name", FILES)
def test_one_changed_byte_is_found_even_if_the_time_was_put_back(
    store: Store, saved: Path, name: str
) -> None:
    file = saved / name
    with seal_breaking(file), file.open("r+b") as content:
        content.write(b"X")
    assert obstacle(store) == f"{name} has been changed or damaged"
    assert obstacle(store) == f"{name} has been changed or damaged", "it stays so"


def test_damage_of_a_power_cut_is_found(store: Store, saved: Path) -> None:
    """The seal may even be unbroken: then the boot is another one."""
    content = json.loads((saved / MANIFEST).read_bytes())
    content["files"]["manager/devices"]["sha256"] = "0" * 64
    edit(saved, boot="another", files=content["files"])
    assert obstacle(store) == "manager/devices has been changed or damaged"


def cut_short(file: Path) -> None:
    with seal_breaking(file):
        os.truncate(file, file.stat().st_size - 1)


def made_open(file: Path) -> None:
    file.chmod(0o640)


def made_a_link(file: Path) -> None:
    file.rename(file.with_name("elsewhere"))
    file.symlink_to("elsewhere")


def made_a_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file, 0o600)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (Path.unlink, "manager/ram is gone: No such file or directory"),
        (cut_short, "manager/ram has 16999 bytes instead of 17000"),
        (made_open, "manager/ram is not a private file of yours"),
        (made_a_link, "manager/ram is not a private file of yours"),
        (made_a_pipe, "manager/ram is not a private file of yours"),
    ],
)
def test_a_damaged_file_is_named(
    store: Store, saved: Path, damage: Callable[[Path], None], reason: str
) -> None:
    damage(saved / "manager" / "ram")
    assert obstacle(store) == reason


def test_files_of_somebody_else_are_not_used(
    store: Store, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: me + 1)
    assert obstacle(store) == "its manifest.json is not a private file of yours"
    monkeypatch.setattr(os, "getuid", iter((me, me + 1)).__next__)
    assert obstacle(store) == "id_ed25519 is not a private file of yours"


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"\xff", b"null", b'{"version": 2}'])
def test_a_damaged_manifest_makes_a_snapshot_useless(
    store: Store, saved: Path, damage: bytes
) -> None:
    (saved / MANIFEST).write_bytes(damage)
    assert obstacle(store) == "its manifest.json is damaged"


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (Path.unlink, "its manifest.json is unreadable: "),
        (made_open, "its manifest.json is not a private file of yours"),
        (made_a_link, "its manifest.json is not a private file of yours"),
    ],
)
def test_a_manifest_that_is_not_ours_makes_a_snapshot_useless(
    store: Store, saved: Path, damage: Callable[[Path], None], reason: str
) -> None:
    damage(saved / MANIFEST)
    assert obstacle(store).startswith(reason)


def test_a_snapshot_under_another_name_is_not_that_snapshot(
    store: Store, contents: Contents
) -> None:
    make(store, contents, "yours").rename(store.path_of("mine"))
    assert obstacle(store) == "its manifest is that of yours"


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        (
            {**NOW, "qemu": "QEMU emulator version 10.0.3"},
            "another qemu: QEMU emulator version 10.0.2 then, QEMU emulator version 10.0.3 now",
        ),
        ({**NOW, "processor": "x86_64"}, "another processor: nothing then, x86_64 now"),
        ({**NOW, "qemu": "flags" * 100}, "another qemu"),
    ],
)
def test_what_is_different_now_is_named(
    store: Store, saved: Path, now: Mapping[str, str], reason: str
) -> None:
    assert obstacle(store, now) == f"it was made with {reason}"


def test_circumstances_nobody_asks_for_do_not_count(store: Store, saved: Path) -> None:
    assert usable(store, {}) == usable(store, {"qemu": NOW["qemu"]})


def test_a_snapshot_expires_before_the_certificates_in_it(store: Store, saved: Path) -> None:
    assert timedelta(days=45) > KEEP
    now = datetime.now(UTC)
    edit(saved, created=(now - KEEP + timedelta(minutes=1)).isoformat())
    found = usable(store)
    assert found.expires == found.manifest.created + KEEP
    edit(saved, created=(now - KEEP).isoformat())
    assert obstacle(store).startswith(f"it expired on {now:%Y-%m-%d}: ")


def test_what_was_saved_again_is_as_old_as_its_swarm(store: Store, saved: Path) -> None:
    assert timedelta(days=90) > CERTIFIED
    now = datetime.now(UTC)
    edit(saved, formed=(now - CERTIFIED + timedelta(days=1)).isoformat())
    assert usable(store).expires == now + timedelta(days=1)
    edit(saved, formed=(now - CERTIFIED).isoformat())
    assert obstacle(store).startswith(f"it expired on {now:%Y-%m-%d}: ")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_an_interrupted_save_leaves_nothing(
    store: Store, contents: Contents, error: BaseException
) -> None:
    with pytest.raises(type(error)):
        make(store, contents, error=error)
    assert store.find("mine", NOW) is None
    assert [path.name for path in store.root.iterdir()] == [".mine.lock"]


def test_what_a_killed_save_left_is_no_snapshot_and_goes_with_the_next(
    store: Store, contents: Contents
) -> None:
    for name in ("mine", "yours"):
        partial = store.root / f".saving-{name}"
        partial.mkdir(parents=True)
        fill(partial)
    assert store.find("mine", NOW) is None
    assert store.names() == ()
    with store.saving("mine", contents) as directory:
        assert list(directory.iterdir()) == []
        fill(directory)
    left = {path.name for path in store.root.iterdir()}
    assert {name for name in left if not name.endswith(".lock")} == {"mine"}


def test_two_do_not_save_under_one_name_at_the_same_time(store: Store, contents: Contents) -> None:
    with store.saving("mine", contents) as directory:
        with (
            pytest.raises(Conflict, match="Another command is saving the snapshot mine") as caught,
            store.saving("mine", contents),
        ):
            raise AssertionError("the body must not run")
        assert caught.value.details == f"it holds {store.root}/.mine.lock"
        make(store, contents, "yours")
        assert directory.is_dir(), "the other did not clear away what is being saved"
    assert store.names() == ("mine", "yours")


def test_an_earlier_snapshot_stays_until_its_successor_is_complete(
    store: Store, contents: Contents
) -> None:
    path = make(store, contents)
    first = usable(store)
    with pytest.raises(KeyboardInterrupt):
        make(store, contents, error=KeyboardInterrupt())
    assert usable(store) == first
    with store.saving("mine", replace(contents, lab="other")) as directory:
        fill(directory, {"id_ed25519": b"another"})
        assert usable(store) == first
    assert usable(store).manifest.lab == "other"
    assert not (path / "manager").exists()
    assert (path / "id_ed25519").read_bytes() == b"another"


def test_an_earlier_snapshot_comes_back_if_its_successor_does_not_get_the_name(
    store: Store, contents: Contents, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = usable(store)
    rename = Path.rename

    def interrupted(path: Path, target: Path) -> Path:
        if path.name.startswith(".saving-"):
            raise KeyboardInterrupt
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", interrupted)
        with pytest.raises(KeyboardInterrupt):
            make(store, contents)
    assert usable(store) == before
    assert [p.name for p in store.root.iterdir() if p.is_dir()] == ["mine"]


@pytest.mark.parametrize("replaced", [True, False])
def test_a_save_that_was_killed_while_it_replaced_another_loses_none(
    store: Store, contents: Contents, saved: Path, *, replaced: bool
) -> None:
    before = usable(store)
    saved.rename(store.root / ".replaced-mine")
    if replaced:
        # Made elsewhere and moved here, so that saving it did not tidy up.
        other = Store(store.root.with_name("other"))
        make(other, contents).rename(saved)
    store.clear()
    assert (usable(store) == before) == (not replaced)
    assert [p.name for p in store.root.iterdir() if p.is_dir()] == ["mine"]


def test_memory_that_was_never_written_to_takes_no_room(store: Store, contents: Contents) -> None:
    with store.saving("mine", contents) as directory:
        (directory / "ram").touch()
        os.truncate(directory / "ram", 2**26)
        (directory / "disk").write_bytes(os.urandom(2**20))
    found = usable(store)
    assert 1 <= found.disk_mib < 2
    (found.path / "disk").unlink()
    assert found.disk_mib < 1


def test_what_a_killed_save_left_is_cleared_away(store: Store, saved: Path) -> None:
    leftover = store.root / ".saving-other"
    leftover.mkdir()
    (leftover / "ram").write_bytes(b"half" * 2**20)
    assert store.names() == ("mine",)
    assert store.disk_mib > 4
    store.clear()
    assert not leftover.exists()
    assert store.disk_mib < 1
    assert usable(store).path == saved


def test_what_somebody_is_saving_is_left_alone(store: Store, contents: Contents) -> None:
    with store.saving("mine", contents) as directory:
        fill(directory)
        store.clear()
    assert usable(store).name == "mine"


def test_a_store_that_is_not_there_is_not_made(store: Store) -> None:
    store.clear()
    assert (store.disk_mib, store.root.exists()) == (0, False)


def test_a_key_is_short_and_stable(article: Topology) -> None:
    key = key_of(article, Stage.NODES, NOW)
    assert len(key) == 16
    assert set(key) <= set("0123456789abcdef")
    assert key == key_of(article, Stage.NODES, dict(reversed(NOW.items())))


def test_every_part_changes_the_key(
    article: Topology, four_nodes: Topology, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "code" / "part" / "a.py"
    program.parent.mkdir(parents=True)
    monkeypatch.setattr(snapshot, "CODE", tmp_path / "code")
    keys = []

    def note(
        topology: Topology = article,
        reached: Stage = Stage.NODES,
        circumstances: Mapping[str, str] = NOW,
    ) -> None:
        snapshot._code.cache_clear()
        keys.append(key_of(topology, reached, circumstances))

    try:
        program.write_text("a = 1\n")
        note()
        note(four_nodes)
        note(reached=Stage.SWARM)
        note(circumstances={**NOW, "qemu": "10.0.3"})
        note(circumstances={**NOW, "processor": ""})
        note(circumstances={"qemu": NOW["qemu"]})
        note(circumstances={"qemu": NOW["image"], "image": NOW["qemu"]})
        program.write_text("a = 2\n")
        note()
        program.rename(program.with_name("b.py"))
        note()
        (tmp_path / "code" / "c.py").touch()
        note()
        assert len(set(keys)) == len(keys)
        (tmp_path / "code" / "c.txt").touch()
        note()
        assert keys[-1] == keys[-2]
    finally:
        snapshot._code.cache_clear()


@pytest.mark.parametrize("name", ["a", "before-the-join", "7", "a" * 24])
def test_names_people_may_give(name: str) -> None:
    assert expect_name(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "-a", "A", "a b", "a" * 25, "a\n", "old", "start", "machine"]
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a snapshot") as caught:
        expect_name(name)
    assert caught.value.details.endswith("none of old, start, machine"), "they mean several"


def test_without_room_nothing_is_begun(tmp_path: Path) -> None:
    expect_room(tmp_path / "new", 0)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    with pytest.raises(PreflightFailed, match="not enough room for a snapshot") as caught:
        expect_room(tmp_path, 2.0**50)
    assert caught.value.details.startswith(f"{tmp_path}: ")
    assert caught.value.details.endswith(f" MiB free, up to {2**50} MiB needed")
    assert caught.value.hint == "invoke lab.snapshot --remove old"
