"""The cache of built images: one directory per recipe, shared by all labs of this user."""

import fcntl
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from lab.errors import Conflict, UsageError
from lab.image.build import Built, build
from lab.image.recipe import recipe_key
from lab.paths import cache_dir, private_dir, write_private
from lab.process import using
from lab.steps import Steps
from lab.version import version_of

FILES = ("vmlinux", "initrd", "disk", "node-test.tar")
PARTIAL = ".building-"
"""How the name begins of a directory that is not, or no longer, an image."""

MACHINE = "qemu-system-x86_64"
"""The program that boots an image; it names the kernel's path on its command line."""


class Manifest(BaseModel):
    """What is known of a built image.

    ``files`` maps each file to its size in bytes and its modification time in nanoseconds: they
    are compared before every use, so that a file that was cut short or touched is not booted.
    """

    model_config = ConfigDict(frozen=True)

    version: Literal[1] = 1
    key: str
    created: datetime
    kernel: str
    node_test_id: str
    packages: dict[str, str]
    files: dict[str, tuple[int, int]]


class Image(BaseModel):
    """A usable image: where its files are and what it holds."""

    model_config = ConfigDict(frozen=True)

    path: Path
    manifest: Manifest

    @property
    def disk_bytes(self) -> int:
        """Bytes the image really takes on disk; its disk file has holes."""
        return sum((self.path / name).stat().st_blocks * 512 for name in FILES)


def ensure_image(
    steps: Steps,
    *,
    key: str | None = None,
    anew: bool = False,
    build: Callable[[Path, Steps], Built] = build,
) -> Image:
    """Return the image of today's recipe, building it if it is not there or not whole.

    Args:
        steps: Shows progress.
        key: The image's key; today's by default.
        anew: Build it in any case; what was there goes when the new one is complete.
        build: Makes the files of ``FILES`` in a directory.
    """
    key = key or current_key()
    found = None if anew else find_image(key)
    if found is not None:
        return found
    with _locked(steps):
        found = find_image(key)
        if found is not None and not anew:  # somebody else has just built it
            return found
        if found is None and (_root() / key).exists():
            steps.note(f"image {key} is damaged or incomplete: building it again")
            remove_image(key)
        return _build(key, steps, build)


def find_image(key: str) -> Image | None:
    """Return the cached image ``key``, or ``None`` if it is missing, damaged or incomplete."""
    path = _root() / key
    try:
        manifest = Manifest.model_validate_json((path / "manifest.json").read_bytes())
        whole = all(_stamp(path / name) == manifest.files.get(name) for name in FILES)
    except (OSError, ValidationError):
        return None
    return Image(path=path, manifest=manifest) if whole and manifest.key == key else None


def list_images() -> tuple[Image, ...]:
    """Return all usable images in the cache, newest first."""
    usable = [image for image in map(find_image, _keys()) if image is not None]
    return tuple(sorted(usable, key=lambda image: image.manifest.created, reverse=True))


def remove_image(key: str) -> None:
    """Delete one image; not being there is fine."""
    shutil.rmtree(_root() / key, ignore_errors=True)


def remove_unused(
    which: str, current: str, steps: Steps, snapshots: Mapping[str, Sequence[str]] | None = None
) -> None:
    """Delete an image by its key, or with ``old`` all but the current one and those in use.

    What an interrupted build left goes as well.

    Args:
        which: The key, or ``old``.
        current: The key of the image that ``lab.up`` uses.
        steps: Shows which images stay.
        snapshots: For the keys of images the names of the snapshots that need them.

    Raises:
        UsageError: There is no such image.
        Conflict: Machines run on it, or a snapshot needs it.
    """
    with _locked(steps):
        keys = _keys()
        if which not in ("old", *keys):
            raise UsageError(
                f"There is no image {which}",
                details=f"cached: {', '.join(keys) or 'none'}",
                hint="invoke lab.image",
            )
        for key in [key for key in keys if key != current] if which == "old" else [which]:
            reason, way_out = _use(key, (snapshots or {}).get(key, ()))
            if reason and which != "old":
                raise Conflict(f"Image {key} is in use", details=reason, hint=way_out)
            if reason:
                steps.note(f"image {key} stays: {reason}")
            else:
                remove_image(key)


def current_key() -> str:
    """Return the key of the image that today's recipe and tools would build."""
    return recipe_key(version_of("mmdebstrap"))


def _build(key: str, steps: Steps, build: Callable[[Path, Steps], Built]) -> Image:
    path = _root() / key
    partial = private_dir(_root() / f"{PARTIAL}{key}")
    try:
        built = build(partial, steps)
        manifest = Manifest(
            key=key,
            created=datetime.now(UTC),
            kernel=built.kernel,
            node_test_id=built.node_test_id,
            packages=dict(built.packages),
            files={name: _stamp(partial / name) for name in FILES},
        )
        write_private(partial / "manifest.json", manifest.model_dump_json(indent=2) + "\n")
        if path.exists():
            path.rename(_root() / f"{PARTIAL}{key}.old")
        partial.rename(path)
    finally:
        _clear()
    return Image(path=path, manifest=manifest)


@contextmanager
def _locked(steps: Steps) -> Iterator[None]:
    """Let one process change the cache at a time, and clear away what a killed one left."""
    root = private_dir(_root())
    with (root / ".lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            steps.note("another command is building an image: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        _clear()
        yield


def _clear() -> None:
    for leftover in _root().glob(f"{PARTIAL}*"):
        shutil.rmtree(leftover, ignore_errors=True)


def _use(key: str, snapshots: Sequence[str]) -> tuple[str, str]:
    """Return why an image must stay, and what to type to change that; empty if it need not.

    Machines count whoever's lab they are.
    """
    machines = using(MACHINE, _root() / key)
    if machines:
        numbers = ", ".join(str(machine.pid) for machine in machines)
        reason = f"machines run on it, processes {numbers}"
        return reason, "invoke lab.list, then invoke lab.down --name NAME"
    if snapshots:
        reason = (
            f"the disks of saved machines are worth nothing without it: {', '.join(snapshots)}"
        )
        return reason, f"invoke lab.snapshot --remove {snapshots[0]}"
    return "", ""


def _keys() -> list[str]:
    """Return the keys of all cached images, damaged ones included."""
    return sorted(path.name for path in _root().glob("[0-9a-f]*"))


def _root() -> Path:
    return cache_dir() / "images"


def _stamp(file: Path) -> tuple[int, int]:
    found = file.stat()
    return found.st_size, found.st_mtime_ns
