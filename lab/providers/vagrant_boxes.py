"""Our own boxes as Vagrant has them: which there are, adding today's, removing earlier ones."""

import shutil
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from lab.errors import CommandFailed, PreflightFailed
from lab.image.box import Boot, box_key, build_box, catalogue
from lab.image.store import Image, ensure_image
from lab.paths import cache_dir, private_dir
from lab.process import run
from lab.providers import libvirt
from lab.providers.qemu_command import CPU, KERNEL_ARGUMENTS
from lab.providers.vagrant_places import base_environment, settings, vagrant_home
from lab.steps import Steps

ADD_S = 600.0
BOOT = Boot(KERNEL_ARGUMENTS, CPU["tcg"])


class About(BaseModel):
    """What stands in a box about itself; see ``lab.image.box``."""

    model_config = ConfigDict(frozen=True)

    version: str
    key: str
    kernel_arguments: str
    emulated_cpu: str


@dataclass(frozen=True, slots=True)
class AddedBox:
    """A box that Vagrant has: its directory and what it says of itself."""

    directory: Path
    about: About

    @property
    def version(self) -> str:
        """Its version: when it was built, UTC."""
        return self.about.version

    @property
    def name(self) -> str:
        """Its name, as Vagrant knows it."""
        return settings().own_box

    @property
    def disk_bytes(self) -> int:
        """Bytes it takes in Vagrant's directory."""
        return sum(file.stat().st_size for file in self.directory.iterdir())

    def content(self, current: str | None) -> dict[str, object]:
        """Return it as JSON-able data (part of schema ``lab.box/v1``).

        Args:
            current: The key of the box that would be built now, if that is known.
        """
        return {
            "name": self.name,
            "version": self.version,
            "disk_bytes": self.disk_bytes,
            "current": self.about.key == current,
            "path": str(self.directory),
        }


def added() -> tuple[AddedBox, ...]:
    """Return our boxes that Vagrant has, the newest first."""
    found = []
    for file in _directory().glob("*/**/lab.json"):
        with suppress(OSError, ValidationError):
            found.append(AddedBox(file.parent, About.model_validate_json(file.read_bytes())))
    return tuple(sorted(found, key=lambda box: box.version, reverse=True))


def _directory() -> Path:
    return vagrant_home() / "boxes" / settings().own_box.replace("/", "-VAGRANTSLASH-")


def _versions() -> frozenset[str]:
    """Return the version of every box of ours, also of those that are damaged."""
    directory = _directory()
    files = directory.glob("*/**/lab.json")
    return frozenset(file.relative_to(directory).parts[0] for file in files)


def current_key(image: Image) -> str:
    """Return the key of the box that would be built of an image now."""
    return box_key(image, BOOT)


def ensure_box(steps: Steps, *, anew: bool = False) -> AddedBox:
    """Return the box of today's image, building and adding it if it is not there.

    Earlier ones go, unless machines need them.

    Raises:
        PreflightFailed: Vagrant, or something the image needs, is missing.
        CommandFailed: Vagrant refused the box.
    """
    image = ensure_image(steps)
    key = current_key(image)
    found = next((box for box in added() if box.about.key == key), None)
    if found is not None and not anew:
        return found
    version = f"{datetime.now(UTC):%Y%m%d.%H%M%S}"
    directory = private_dir(cache_dir() / f".box-{version}")
    try:
        with steps.step("Packing the image as a box"):
            box = build_box(image, BOOT, version, directory)
            metadata = directory / "box.json"
            metadata.write_text(catalogue(settings().own_box, version, box))
        with steps.step(f"Adding it to Vagrant: {settings().own_box} {version}"):
            _vagrant("box", "add", str(metadata))
    finally:
        shutil.rmtree(directory)
    remove(keep=version, steps=steps)
    return next(box for box in added() if box.version == version)


def remove(steps: Steps, *, keep: str = "") -> None:
    """Remove all our boxes but one, and the disks libvirt keeps of them.

    Those that machines are over stay, and are named.
    """
    name = settings().own_box
    try:
        disks, used = libvirt.box_disks(name), libvirt.used_disks()
    except (CommandFailed, PreflightFailed):  # no libvirt, no machines
        disks, used = {}, frozenset[str]()
    there = _versions()
    for version in sorted({*there, *disks} - {keep}):
        if disks.get(version) in used:
            steps.note(f"box {name} {version} stays: machines are over its disk")
            continue
        if version in there:
            _vagrant(
                *("box", "remove", name, "--provider", "libvirt", "--box-version", version),
                "--force",
            )
        if version in disks:
            libvirt.delete_disk(disks[version])


def _vagrant(*words: str) -> None:
    run(("vagrant", *words), timeout_s=ADD_S, env=base_environment())
