import io
import os
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.errors import CommandFailed, Conflict, UsageError
from lab.image.build import Built
from lab.image.store import (
    FILES,
    MACHINE,
    Image,
    ensure_image,
    find_image,
    list_images,
    remove_image,
    remove_unused,
)
from lab.steps import Steps
from tests.conftest import Dirs

KEY = "0123456789abcdef"
OLD = "fedcba9876543210"


class Builder:
    """Makes the files of an image at once, and counts how often."""

    def __init__(self, *, fails_after: int = len(FILES)) -> None:
        self.times = 0
        self._files = FILES[:fails_after]

    def __call__(self, directory: Path, steps: Steps) -> Built:
        self.times += 1
        for name in self._files:
            (directory / name).write_bytes(name.encode() * 100)
        if len(self._files) < len(FILES):
            raise CommandFailed("mmdebstrap failed with exit code 25")
        return Built((("docker.io", "26.1.5"),), "6.12.57", "sha256:1234")


def ensure(build: Builder, key: str = KEY, *, anew: bool = False) -> Image:
    return ensure_image(Steps(io.StringIO()), key=key, anew=anew, build=build)


def remove(which: str) -> str:
    """Remove images; return what is shown meanwhile."""
    shown = io.StringIO()
    remove_unused(which, KEY, Steps(shown))
    return shown.getvalue()


def left(dirs: Dirs) -> list[str]:
    """Return the directories in the cache."""
    return [path.name for path in (dirs.cache / "images").iterdir() if path.is_dir()]


def test_an_image_is_built_once_for_all_labs(dirs: Dirs) -> None:
    build = Builder()
    first = ensure(build)
    assert ensure(build) == first
    assert build.times == 1
    assert first.path == dirs.cache / "images" / KEY
    assert {path.name for path in first.path.iterdir()} == {*FILES, "manifest.json"}
    assert first.manifest.packages == {"docker.io": "26.1.5"}


def test_nobody_else_may_change_an_image(dirs: Dirs) -> None:
    path = ensure(Builder()).path
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_an_unknown_image_is_not_there(dirs: Dirs) -> None:
    assert find_image(KEY) is None
    assert list_images() == ()


def cut_short(path: Path) -> None:
    found = path.stat()
    with path.open("r+b") as file:
        file.truncate(found.st_size - 1)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def touched(path: Path) -> None:
    os.utime(path, (1, 1))


@pytest.mark.parametrize("damage", [cut_short, touched, Path.unlink])
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_image_is_not_used_but_built_again(
    dirs: Dirs, damage: Callable[[Path], None], name: str
) -> None:
    build = Builder()
    path = ensure(build).path
    damage(path / name)
    assert find_image(KEY) is None
    assert list_images() == ()
    again = ensure(build)
    assert (build.times, find_image(KEY)) == (2, again)


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"version": 2}'])
def test_a_damaged_manifest_is_no_manifest(dirs: Dirs, content: bytes) -> None:
    path = ensure(Builder()).path
    (path / "manifest.json").write_bytes(content)
    assert find_image(KEY) is None


def test_an_image_under_another_name_is_not_that_image(dirs: Dirs) -> None:
    ensure(Builder()).path.rename(dirs.cache / "images" / OLD)
    assert find_image(OLD) is None


@pytest.mark.parametrize("files", range(len(FILES)))
def test_an_interrupted_build_leaves_nothing_that_looks_complete(dirs: Dirs, files: int) -> None:
    with pytest.raises(CommandFailed):
        ensure(Builder(fails_after=files))
    assert find_image(KEY) is None
    assert list_images() == ()
    build = Builder()
    assert ensure(build).manifest.key == KEY
    assert left(dirs) == [KEY]


@pytest.mark.parametrize("error", [CommandFailed("no mirror"), KeyboardInterrupt()])
def test_what_was_built_goes_when_a_build_ends_early(dirs: Dirs, error: BaseException) -> None:
    def build(directory: Path, steps: Steps) -> Built:
        (directory / "rootfs.tar").write_bytes(b"half")
        raise error

    with pytest.raises(type(error)):
        ensure_image(Steps(io.StringIO()), key=KEY, build=build)
    assert left(dirs) == []


def test_an_image_that_is_built_anew_stays_until_the_new_one_is_complete(dirs: Dirs) -> None:
    first = ensure(Builder())
    with pytest.raises(CommandFailed):
        ensure(Builder(fails_after=2), anew=True)
    assert find_image(KEY) == first
    build = Builder()
    second = ensure(build, anew=True)
    assert build.times == 1
    assert second.manifest.created > first.manifest.created
    assert find_image(KEY) == second
    assert left(dirs) == [KEY]


@pytest.mark.parametrize("sweep", [lambda: ensure(Builder()), lambda: remove("old")])
def test_what_a_killed_build_left_is_cleared_away(dirs: Dirs, sweep: Callable[[], object]) -> None:
    partial = dirs.cache / "images" / f".building-{OLD}"
    partial.mkdir(parents=True)
    (partial / "rootfs.tar").write_bytes(b"half")
    sweep()
    assert not partial.exists()


def test_two_labs_do_not_build_at_the_same_time(dirs: Dirs) -> None:
    entered, go_on = threading.Event(), threading.Event()
    shown = io.StringIO()
    made: list[Image] = []

    class Slow(Builder):
        def __call__(self, directory: Path, steps: Steps) -> Built:
            entered.set()
            assert go_on.wait(10)
            return super().__call__(directory, steps)

    slow, other = Slow(), Builder()
    first = threading.Thread(target=lambda: made.append(ensure(slow)))
    second = threading.Thread(
        target=lambda: made.append(ensure_image(Steps(shown), key=KEY, build=other))
    )
    first.start()
    assert entered.wait(10)
    second.start()
    second.join(0.1)
    assert made == []
    go_on.set()
    first.join(10)
    second.join(10)
    assert made[0] == made[1]
    assert (slow.times, other.times) == (1, 0)
    assert "another command is building an image" in shown.getvalue()


def test_nothing_is_removed_while_somebody_builds(dirs: Dirs) -> None:
    ensure(Builder(), OLD)
    seen: list[list[str]] = []
    remover = threading.Thread(target=lambda: remove("old"))

    class Watched(Builder):
        def __call__(self, directory: Path, steps: Steps) -> Built:
            remover.start()
            remover.join(0.1)
            seen.append(left(dirs))
            return super().__call__(directory, steps)

    ensure(Watched())
    remover.join(10)
    assert sorted(seen[0]) == [f".building-{KEY}", OLD]
    assert left(dirs) == [KEY]


@pytest.fixture
def machine(dirs: Dirs, tmp_path: Path) -> Iterator[None]:
    """A program of QEMU's name that names the kernel of the image OLD."""
    ensure(Builder(), OLD)
    program = tmp_path / MACHINE
    program.symlink_to("/usr/bin/tail")
    kernel = dirs.cache / "images" / OLD / "vmlinux"
    with subprocess.Popen((program, "-f", kernel), stdout=subprocess.DEVNULL) as process:
        yield
        process.kill()


@pytest.mark.usefixtures("machine")
def test_an_image_that_machines_run_on_is_not_removed(dirs: Dirs) -> None:
    ensure(Builder())
    with pytest.raises(Conflict, match=f"Image {OLD} is in use") as caught:
        remove(OLD)
    assert "machines run on it, processes " in caught.value.details
    assert f"image {OLD} stays: machines run on it" in remove("old")
    assert sorted(left(dirs)) == [KEY, OLD]


def test_an_image_that_saved_machines_need_is_not_removed(dirs: Dirs) -> None:
    ensure(Builder())
    ensure(Builder(), OLD)
    needed = {OLD: ("before-join", "after-join")}
    with pytest.raises(Conflict, match=f"Image {OLD} is in use") as caught:
        remove_unused(OLD, KEY, Steps(quiet=True), needed)
    assert caught.value.details.endswith("worth nothing without it: before-join, after-join")
    assert caught.value.hint == "invoke lab.snapshot --remove before-join"
    shown = io.StringIO()
    remove_unused("old", KEY, Steps(shown), needed)
    assert f"image {OLD} stays: the disks of saved machines" in shown.getvalue()
    assert sorted(left(dirs)) == [KEY, OLD]
    remove_unused("old", KEY, Steps(quiet=True), {KEY: ("other",)})
    assert left(dirs) == [KEY]


def test_images_are_listed_newest_first(dirs: Dirs) -> None:
    ensure(Builder(), OLD)
    ensure(Builder(), KEY)
    assert [image.manifest.key for image in list_images()] == [KEY, OLD]
    assert all(image.disk_bytes > 0 for image in list_images())


def test_old_images_are_removed_damaged_ones_too(dirs: Dirs) -> None:
    ensure(Builder())
    (ensure(Builder(), OLD).path / "disk").unlink()
    assert remove("old") == ""
    assert find_image(KEY)
    assert not (dirs.cache / "images" / OLD).exists()


def test_one_image_is_removed_by_its_key(dirs: Dirs) -> None:
    ensure(Builder())
    ensure(Builder(), OLD)
    remove(KEY)
    assert [image.manifest.key for image in list_images()] == [OLD]
    remove_image(KEY)


@pytest.mark.parametrize("which", ["", ".", "..", "../..", "/", "0123", ".lock", "{home}"])
def test_only_images_can_be_removed(dirs: Dirs, tmp_path: Path, which: str) -> None:
    image = ensure(Builder())
    with pytest.raises(UsageError, match="There is no image") as caught:
        remove(which.format(home=tmp_path / "home"))
    assert caught.value.details == f"cached: {KEY}"
    assert find_image(KEY) == image
    assert (tmp_path / "home").is_dir()
