"""What no start can be faster than: the image's kernel, alone, until it runs its first program."""

import shutil
import time
from pathlib import Path

from lab.errors import ProviderFailed
from lab.image.store import current_key, find_image
from lab.paths import private_dir
from lab.process import end, run, using
from lab.providers.acceleration import settled_for
from lab.providers.qemu_command import QEMU, kernel_argv
from lab.wait import wait_until

DEADLINE_S = 60.0
REACHED = "Run /init as init process"


def seconds_to_init(parent: Path) -> float:
    """Boot the kernel without a disk; return the seconds until it starts ``/init``.

    Args:
        parent: Where a directory for it may be made; it is removed again.
    """
    image = find_image(current_key())
    acceleration = None if image is None else settled_for(image)
    if image is None or acceleration is None:
        raise ProviderFailed("There is no image to boot", hint="invoke lab.image")
    directory = private_dir(parent / "floor")
    started = time.monotonic()
    try:
        run(kernel_argv(image.path, directory, acceleration.accelerator), timeout_s=DEADLINE_S)
        wait_until(
            lambda: (directory / "console").read_text(errors="replace"),
            lambda text: REACHED in text,
            what="the kernel alone",
            timeout_s=DEADLINE_S,
            every_s=0.02,
        )
        return time.monotonic() - started
    finally:
        end(using(QEMU, directory), grace_s=1)
        shutil.rmtree(directory)
