"""This machine, as it is told beside what was measured on it."""

import os
import platform
from pathlib import Path

from lab.errors import CommandFailed
from lab.process import memory_mib
from lab.providers.qemu_command import QEMU
from lab.version import version_of


def describe() -> dict[str, str | int]:
    """Return its processor, memory in MiB, kernel, and the programs that matter.

    Raises:
        CommandFailed: The kernel names no processor.
        PreflightFailed: QEMU is not installed.
    """
    return {
        "processor": _processor(),
        "cpus": os.cpu_count() or 1,
        "memory_mib": round(memory_mib()[0]),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "qemu": version_of(QEMU),
    }


def crowding() -> float:
    """Return how much longer than usual emulated nodes may take now, 1 to 3.

    Measured on two processors: at an average load of 23 (eight labs, all checks of all of them at
    once) a node took more than 7.5 s to answer a ping that usually takes some milliseconds.
    """
    runnable = os.getloadavg()[0] / (os.cpu_count() or 1)
    return min(3.0, max(1.0, runnable / 2))


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    raise CommandFailed("/proc/cpuinfo names no processor")
