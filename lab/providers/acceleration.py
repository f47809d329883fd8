"""Choosing how QEMU runs the machines: by booting something real, not by looking at /dev/kvm.

On a cloud machine /dev/kvm may exist, open and even run firmware while a Linux guest never
prints a line (a PVM host does that). So the verdict comes from booting our own kernel; it is
cached until the host's kernel, QEMU, our kernel or the device changes. That a kernel did not boot
is taken for an hour only: this machine may just have been busy.
"""

import os
import platform
import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from lab.errors import CommandFailed, NotReady, UsageError
from lab.image.store import Image
from lab.paths import cache_dir, private_dir, write_private
from lab.process import end, run, using
from lab.providers.qemu_command import QEMU, kernel_argv
from lab.steps import Steps
from lab.version import version_of
from lab.wait import wait_until

KVM = Path("/dev/kvm")
PROBE = "probe-"
PROBE_S = 4.0
DOUBTED_AFTER = timedelta(hours=1)
PACE = {"kvm": 1.0, "tcg": 8.0}
"""Factor on every deadline. Emulation is 8 to 20 times slower; base deadlines are ample."""


class Acceleration(BaseModel):
    """The verdict: how machines run, why, and under which circumstances that was found.

    ``until`` is when it is to be tried again, ``None`` if nothing but other circumstances can
    change it.
    """

    model_config = ConfigDict(frozen=True)

    accelerator: Literal["kvm", "tcg"]
    reason: str
    circumstances: str = ""
    until: datetime | None = None

    @property
    def pace(self) -> float:
        """Factor on every deadline."""
        return PACE[self.accelerator]

    def __str__(self) -> str:
        kind = "hardware acceleration" if self.accelerator == "kvm" else "software emulation"
        return f"{kind} ({self.accelerator}): {self.reason}"


def forced() -> Acceleration | None:
    """Return what ``LAB_ACCEL`` asks for, if it is set.

    Raises:
        UsageError: It is neither ``kvm`` nor ``tcg``.
    """
    word = os.environ.get("LAB_ACCEL", "")
    if word == "kvm" or word == "tcg":
        return Acceleration(accelerator=word, reason="forced by LAB_ACCEL")
    if word:
        raise UsageError(f"LAB_ACCEL is {word!r}", details="expected kvm or tcg")
    return None


def choose(image: Image, steps: Steps) -> Acceleration:
    """Return the accelerator to use: forced, remembered, or found by a probe of up to 4 s."""
    settled = settled_for(image)
    if settled is not None:
        return settled
    _clear_away()
    obstacle, until = _obstacle(), None
    if obstacle is None:
        with steps.step("Trying hardware acceleration with a real kernel"):
            obstacle = _try_kvm(image)
        until = datetime.now(UTC) + DOUBTED_AFTER if obstacle else None
    verdict = Acceleration(
        accelerator="tcg" if obstacle else "kvm",
        reason=obstacle or "a Linux kernel booted on /dev/kvm",
        circumstances=_circumstances(image),
        until=until,
    )
    private_dir(cache_dir())
    write_private(cache_file(), verdict.model_dump_json() + "\n")
    return verdict


def settled_for(image: Image) -> Acceleration | None:
    """Return the accelerator if it is known without a probe: forced, or remembered."""
    asked = forced()
    if asked is not None:
        return asked
    known = remembered()
    if known is None or known.circumstances != _circumstances(image):
        return None
    return known if known.until is None or datetime.now(UTC) < known.until else None


def remembered() -> Acceleration | None:
    """Return the cached verdict, whatever it was found under; ``None`` if there is none."""
    try:
        return Acceleration.model_validate_json(cache_file().read_bytes())
    except (OSError, ValidationError):
        return None


def _obstacle() -> str | None:
    """Return why /dev/kvm cannot work, from what a look tells; ``None`` if it may."""
    if not KVM.exists():
        return "there is no /dev/kvm"
    if Path("/sys/module/kvm_pvm").is_dir():
        return "this host offers PVM, which does not run Debian's kernel"
    if not os.access(KVM, os.R_OK | os.W_OK):
        return "/dev/kvm may not be opened by this user (sudo usermod -aG kvm USER)"
    return None


def _try_kvm(image: Image) -> str | None:
    """Boot the image's kernel under KVM; return what went wrong, ``None`` if it reached init."""
    directory = private_dir(cache_dir() / f"{PROBE}{os.getpid()}")
    console = directory / "console"
    argv = kernel_argv(image.path, directory, "kvm")
    started = time.monotonic()
    try:
        run(argv, timeout_s=PROBE_S)
        wait_until(
            lambda: console.read_text(errors="replace"),
            lambda text: "Run /init as init process" in text,
            what="a kernel under KVM",
            timeout_s=PROBE_S,
            every_s=0.05,
        )
    except (CommandFailed, OSError) as error:
        return f"QEMU did not start with KVM: {error}"
    except NotReady:
        return f"a Linux kernel did not boot on /dev/kvm within {time.monotonic() - started:.0f} s"
    finally:
        # A QEMU that hangs before it says it is ready has left run's process group already.
        end(using(QEMU, directory), grace_s=1)
        shutil.rmtree(directory)
    return None


def _clear_away() -> None:
    """End and delete what killed probes left."""
    for left in cache_dir().glob(f"{PROBE}*"):
        if not Path("/proc", left.name.removeprefix(PROBE)).exists():
            end(using(QEMU, left), grace_s=1)
            shutil.rmtree(left, ignore_errors=True)


def _circumstances(image: Image) -> str:
    try:
        device = KVM.stat()
        seen = f"{device.st_rdev}:{device.st_mode:o}:{os.access(KVM, os.R_OK | os.W_OK)}"
    except OSError:
        seen = "absent"
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return "|".join((boot, platform.release(), version_of(QEMU), image.manifest.kernel, seen))


def cache_file() -> Path:
    """Return where the verdict is remembered."""
    return cache_dir() / "acceleration.json"
