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


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    raise CommandFailed("/proc/cpuinfo names no processor")
