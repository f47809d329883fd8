"""Programs on this machine: the only place that starts, inspects and ends them."""

import logging
import os
import shlex
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import psutil

from lab.errors import CommandFailed, PreflightFailed

log = logging.getLogger(__name__)

PACKAGE_OF = {
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "mmdebstrap": "mmdebstrap",
    "mke2fs": "e2fsprogs",
    "zstd": "zstd",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "newuidmap": "uidmap",
}
"""Debian package of each program we start, for the error that says it is missing."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A program that ended with exit code 0: what it wrote."""

    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True)
class ProcessId:
    """One process, told from a later one with the same number by its start time.

    ``started`` is seconds since the epoch as psutil gives it (proc(5), field 22 of ``stat``).
    """

    pid: int
    started: float


def run(
    argv: Sequence[str | Path],
    *,
    timeout_s: float,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
) -> Finished:
    """Run a program to its end and return what it wrote.

    Raises:
        PreflightFailed: The program is not installed.
        CommandFailed: It ended with another exit code than 0, or the time was up.
    """
    words = [str(word) for word in argv]
    log.debug("+ %s", shlex.join(words))
    try:
        done = subprocess.run(
            words,
            input=stdin,
            stdin=None if stdin is not None else subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            env=env,
            check=False,
        )
    except FileNotFoundError as error:
        raise missing(words[0]) from error
    except subprocess.TimeoutExpired as error:
        raise CommandFailed(
            f"{words[0]} did not end within {timeout_s:.0f} s", details=f"+ {shlex.join(words)}"
        ) from error
    if done.returncode:
        raise CommandFailed(
            f"{words[0]} failed with exit code {done.returncode}",
            details=f"+ {shlex.join(words)}\n{last_lines(done.stderr or done.stdout, 12)}",
        )
    return Finished(done.stdout, done.stderr)


def become(argv: Sequence[str]) -> NoReturn:
    """Replace this process by a program that talks to the user itself, such as ssh."""
    try:
        os.execvp(argv[0], list(argv))  # noqa: S606 - no shell, that is the point
    except FileNotFoundError as error:
        raise missing(argv[0]) from error


def missing(program: str) -> PreflightFailed:
    """Return the error that says a program is not installed and how to get it."""
    package = PACKAGE_OF.get(program, program)
    return PreflightFailed(
        f"{program} is not installed", hint=f"sudo apt-get install {package}   (or: make up)"
    )


def last_lines(text: str, count: int) -> str:
    """Return the last ``count`` lines that are not blank."""
    return "\n".join([line for line in text.splitlines() if line.strip()][-count:])


def identify(pid: int) -> ProcessId:
    """Return the identity of a running process; raises CommandFailed when it is gone."""
    try:
        return ProcessId(pid, psutil.Process(pid).create_time())
    except psutil.NoSuchProcess as error:
        raise CommandFailed(f"process {pid} ended right after its start") from error


def is_alive(identity: ProcessId) -> bool:
    """Say whether this very process still runs (a zombie does not)."""
    process = _find(identity)
    return process is not None and process.status() != psutil.STATUS_ZOMBIE


def resident_mib(identity: ProcessId) -> float:
    """Return the memory of a process in MiB, shared pages counted by share (PSS); 0 if gone."""
    process = _find(identity)
    if process is None:
        return 0.0
    return float(process.memory_full_info().pss) / 2**20


def memory_mib() -> tuple[float, float]:
    """Return this machine's memory in MiB: all of it, and what a new program may use."""
    found = psutil.virtual_memory()
    return found.total / 2**20, found.available / 2**20


def end(identities: Sequence[ProcessId], *, grace_s: float = 5.0) -> None:
    """End processes: SIGTERM, and SIGKILL for those still there after ``grace_s`` seconds."""
    processes = [found for found in map(_find, identities) if found is not None]
    for process in processes:
        _signal(process, signal.SIGTERM)
    _, alive = psutil.wait_procs(processes, timeout=grace_s)
    for process in alive:
        _signal(process, signal.SIGKILL)
    psutil.wait_procs(alive, timeout=grace_s)


def using(path: Path) -> tuple[ProcessId, ...]:
    """Return our own processes whose command line names ``path``.

    This is how ``lab.down`` finds what an ``up`` that was killed did not live to record.
    """
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "create_time", "uids"]):
        words = process.info["cmdline"] or []
        own = process.info["uids"] and process.info["uids"].real == psutil.Process().uids().real
        if own and process.pid != psutil.Process().pid and any(str(path) in w for w in words):
            found.append(ProcessId(process.pid, process.info["create_time"]))
    return tuple(found)


def _find(identity: ProcessId) -> psutil.Process | None:
    try:
        process = psutil.Process(identity.pid)
        # psutil derives the start time from ticks and boot time: equal to the hundredth.
        return process if abs(process.create_time() - identity.started) < 1 else None
    except psutil.NoSuchProcess:
        return None


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        log.debug("process %s ended by itself", process.pid)
