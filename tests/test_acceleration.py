"""The verdict on hardware acceleration: what is remembered of it, and for how long."""

import io
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lab import doctor
from lab.image.build import Built
from lab.image.store import FILES, Image, ensure_image
from lab.providers import acceleration
from lab.providers.acceleration import DOUBTED_AFTER, choose, remembered
from lab.steps import Steps
from lab.topology import Topology
from tests.conftest import Dirs

QUIET = Steps(quiet=True)


@pytest.fixture
def image(dirs: Dirs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Image:
    """An image, a /dev/kvm that opens, and a QEMU that can do nothing with it."""
    directory = tmp_path / "bin"
    directory.mkdir()
    for name, body in (
        ("mmdebstrap", "echo mmdebstrap 1.0"),
        ("qemu-system-x86_64", 'test "$1" = --version && echo QEMU 1.0 || exit 1'),
    ):
        (directory / name).write_text(f"#!/bin/sh\n{body}\n")
        (directory / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:/usr/bin:/bin")
    monkeypatch.delenv("LAB_ACCEL", raising=False)
    monkeypatch.setattr(acceleration, "KVM", tmp_path / "kvm")
    (tmp_path / "kvm").touch()

    def build(directory: Path, steps: Steps) -> Built:
        for name in FILES:
            (directory / name).touch()
        return Built((), "6.12.57", "sha256:1234")

    return ensure_image(Steps(io.StringIO()), build=build)


@pytest.fixture
def tries(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str | None]]:
    """What the next probes end with."""
    ends: list[str | None] = []
    monkeypatch.setattr(acceleration, "_obstacle", lambda: None)
    monkeypatch.setattr(acceleration, "_try_kvm", lambda image: ends.pop(0))
    yield ends
    assert ends == [], "it was not tried so often"


def grow_old(by: timedelta) -> None:
    """Let time go by for what is remembered."""
    verdict = remembered()
    assert verdict is not None
    assert verdict.until is not None
    older = verdict.model_copy(update={"until": verdict.until - by})
    acceleration.cache_file().write_text(older.model_dump_json())


def test_a_kernel_that_did_not_boot_is_tried_again_later(
    image: Image, tries: list[str | None]
) -> None:
    tries.append("a Linux kernel did not boot on /dev/kvm within 4 s")
    assert choose(image, QUIET).accelerator == "tcg"
    grow_old(DOUBTED_AFTER - timedelta(minutes=1))
    assert choose(image, QUIET).accelerator == "tcg"
    grow_old(timedelta(minutes=2))
    tries.append(None)
    verdict = choose(image, QUIET)
    assert (verdict.accelerator, verdict.until) == ("kvm", None)
    assert choose(image, QUIET) == verdict == remembered()


def test_what_only_other_circumstances_change_is_not_tried_again(
    image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acceleration, "_obstacle", lambda: "this host offers PVM")
    verdict = choose(image, QUIET)
    assert (verdict.accelerator, verdict.until) == ("tcg", None)
    monkeypatch.setattr(acceleration, "_obstacle", lambda: pytest.fail("it was looked at again"))
    assert choose(image, QUIET) == verdict


def test_the_doctor_tells_how_to_have_it_tried_at_once(
    image: Image, tries: list[str | None], article: Topology, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries.append("QEMU did not start with KVM: it was killed")
    before = datetime.now(UTC)
    verdict = choose(image, QUIET)
    assert verdict.until is not None
    assert verdict.until >= before + DOUBTED_AFTER
    (found,) = (f for f in doctor.examine(article) if f.what == "acceleration")
    assert found.verdict == "warning"
    assert found.fix == f"rm {acceleration.cache_file()}   (the next lab.up tries again)"


def test_what_a_killed_probe_left_is_cleared_away(
    image: Image, dirs: Dirs, tries: list[str | None]
) -> None:
    with subprocess.Popen((sys.executable, "-c", "")) as gone:
        pass
    left, busy = dirs.cache / f"probe-{gone.pid}", dirs.cache / "probe-1"
    for directory in (left, busy):
        directory.mkdir()
        (directory / "console").touch()
    # It is told by its name and by the file it writes to.
    qemu = dirs.cache / "qemu-system-x86_64"
    qemu.symlink_to("/usr/bin/tail")
    tries.append(None)
    with subprocess.Popen((qemu, "-f", f"{left}/console")) as hanging:
        try:
            choose(image, QUIET)
            hanging.wait(timeout=2)  # or it was not ended
        finally:
            hanging.kill()
    assert not left.exists()
    assert busy.exists(), "that process lives"
