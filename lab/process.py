"""Programs on this machine: the only place that starts, inspects and ends them."""

import logging
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import psutil

from lab.errors import CommandFailed, NotReady, PreflightFailed

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

OTHER_PACKAGES = {
    "debugfs": "e2fsprogs",
    "libvirtd": "libvirt-daemon-system",
    "ssh-keyscan": "openssh-client",
    "vagrant": "vagrant vagrant-libvirt libvirt-daemon-system",
    "virsh": "libvirt-clients",
    "virtlogd": "libvirt-daemon-system",
}
"""The same for programs that only some providers need: ``make up`` does not install them."""

CLEANING_UP_S = 15.0
"""How long a program that is ended before its time may take to remove its temporary files."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A program that ended with exit code 0: what it wrote."""

    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True)
class Sign:
    """What a program must have written after some seconds; otherwise it is given up."""

    text: str
    within_s: float


@dataclass(frozen=True, slots=True)
class ProcessId:
    """One process, told from a later one with the same number by its start time.

    ``started`` is in clock ticks since the machine booted.
    """

    pid: int
    started: int


def run(
    argv: Sequence[str | Path],
    *,
    timeout_s: float,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
    sign: Sign | None = None,
) -> Finished:
    """Run a program to its end and return what it wrote.

    It gets a process group of its own. When the time is up or we are interrupted, the whole group
    is asked to end, so that it can clean up, and whatever it started ends with it.

    Raises:
        PreflightFailed: The program is not installed.
        CommandFailed: It ended with another exit code than 0, or the time was up.
        NotReady: It gave no ``sign`` of being on its way in time.
    """
    words = [str(word) for word in argv]
    log.debug("+ %s", shlex.join(words))
    try:
        program = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=env,
            process_group=0,
        )
    except FileNotFoundError as error:
        raise missing(words[0]) from error
    try:
        with program, _ending_its_group(program.pid):
            if sign is not None:
                _expect_sign(program, sign, stdin)
                stdin = None
            stdout, stderr = program.communicate(stdin, timeout=timeout_s)
    except subprocess.TimeoutExpired as error:
        raise CommandFailed(
            f"{words[0]} did not end within {timeout_s:g} s", details=f"+ {shlex.join(words)}"
        ) from error
    if program.returncode:
        raise CommandFailed(
            f"{words[0]} failed with exit code {program.returncode}",
            details=f"+ {shlex.join(words)}\n{last_lines(stderr or stdout, 12)}",
        )
    return Finished(stdout, stderr)


def _expect_sign(program: "subprocess.Popen[str]", sign: Sign, stdin: str | None) -> None:
    """Wait for a program's sign of life; what it wrote so far is not lost by that.

    Raises:
        NotReady: It has not given it in time.
    """
    try:
        program.communicate(stdin, timeout=sign.within_s)
    except subprocess.TimeoutExpired as error:
        if sign.text.encode() not in (error.stdout or b""):
            raise NotReady(f"nothing came back within {round(sign.within_s, 1):g} s") from error


def become(argv: Sequence[str]) -> NoReturn:
    """Replace this process by a program that talks to the user itself, such as ssh."""
    try:
        os.execvp(argv[0], list(argv))  # noqa: S606 - no shell, that is the point
    except FileNotFoundError as error:
        raise missing(argv[0]) from error


def find_program(program: str) -> str | None:
    """Return where a program is, ``None`` if it is nowhere.

    The system's directories are looked at as well: Debian keeps mke2fs in /usr/sbin, which is not
    on every user's PATH.
    """
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
    return shutil.which(program, path=path)


def missing(program: str) -> PreflightFailed:
    """Return the error that says a program is not installed and how to get it."""
    if program not in PACKAGE_OF:  # not of those that `make up` installs
        package = OTHER_PACKAGES.get(program, program)
        return PreflightFailed(
            f"{program} is not installed", hint=f"sudo apt-get install {package}"
        )
    return PreflightFailed(
        f"{program} is not installed",
        hint=f"sudo apt-get install {PACKAGE_OF[program]}   (or: make up)",
    )


def last_lines(text: str, count: int) -> str:
    """Return the last ``count`` lines that are not blank."""
    return "\n".join([line for line in text.splitlines() if line.strip()][-count:])


def identify(pid: int) -> ProcessId:
    """Return the identity of a running process; raises CommandFailed when it is gone."""
    try:
        return ProcessId(pid, _start_tick(pid))
    except psutil.NoSuchProcess as error:
        raise CommandFailed(f"process {pid} ended right after its start") from error


def is_alive(identity: ProcessId) -> bool:
    """Say whether this very process still runs (a zombie does not)."""
    process = _find(identity)
    return process is not None and _runs(process)


def resident_mib(identity: ProcessId) -> float:
    """Return the memory of a process in MiB, shared pages counted by share (PSS); 0 if gone.

    Of a process of somebody else all pages are counted (RSS): who shares them is not told.
    """
    process = _find(identity)
    try:
        return float(process.memory_full_info().pss) / 2**20 if process else 0.0
    except psutil.AccessDenied:
        return float(process.memory_info().rss) / 2**20 if process else 0.0
    except psutil.NoSuchProcess:
        return 0.0


def memory_mib() -> tuple[float, float]:
    """Return this machine's memory in MiB: all of it, and what a new program may use."""
    found = psutil.virtual_memory()
    return found.total / 2**20, found.available / 2**20


def end(identities: Sequence[ProcessId], *, grace_s: float = 5.0) -> None:
    """End processes: SIGTERM, and SIGKILL for those still there after ``grace_s`` seconds.

    Those that are not ours, such as what sudo started, are left to themselves.
    """
    processes = [found for found in map(_find, identities) if found is not None]
    asked = [process for process in processes if _signal(process, signal.SIGTERM)]
    stubborn = _still_running(asked, grace_s)
    killed = [process for process in stubborn if _signal(process, signal.SIGKILL)]
    _still_running(killed, grace_s)


def using(program: str, *paths: Path) -> tuple[ProcessId, ...]:
    """Return our own processes that run ``program`` and name a path, or a file in it.

    This is how ``lab.down`` finds what an ``up`` that was killed did not live to record. The
    program is asked for because an editor or a shell may name the path just as well, and a path
    ends where it ends: ``labs/a`` is not ``labs/a-2``.
    """
    named = re.compile(rf"(?<![\w.-])({'|'.join(re.escape(str(p)) for p in paths)})(?![\w.-])")
    found = []
    for process in psutil.process_iter(["name"]):
        if process.info["name"] != program:
            continue
        try:
            seen = process.as_dict(["cmdline", "uids"])
            ours = seen["uids"] is not None and seen["uids"].real == os.getuid()
            if ours and any(map(named.search, seen["cmdline"] or ())):
                found.append(ProcessId(process.pid, _start_tick(process.pid)))
        except psutil.NoSuchProcess:
            continue
    return tuple(found)


def told(variable: str, value: str) -> tuple[ProcessId, ...]:
    """Return our own processes in whose environment a variable has a value, but not this one."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(variable) == value:
                found.append(ProcessId(process.pid, _start_tick(process.pid)))
        except (psutil.NoSuchProcess, psutil.AccessDenied, OSError):
            continue  # gone, or somebody else's
    return tuple(found)


def naming(program: str, word: str) -> ProcessId | None:
    """Return the process, whoever's, that runs ``program`` and has a word in its command line."""
    for process in psutil.process_iter(["name", "cmdline"]):
        if process.info["name"] == program and any(
            word in argument for argument in process.info["cmdline"] or ()
        ):
            try:
                return ProcessId(process.pid, _start_tick(process.pid))
            except psutil.NoSuchProcess:
                continue
    return None


def _find(identity: ProcessId) -> psutil.Process | None:
    try:
        process = psutil.Process(identity.pid)
        return process if _start_tick(identity.pid) == identity.started else None
    except psutil.NoSuchProcess:
        return None


def _start_tick(pid: int) -> int:
    """Return when a process started: field 22 of its ``stat`` (proc(5)).

    Not psutil's create_time(), which is on the host's clock: when somebody steps the clock, a
    process would become another one.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError as error:
        raise psutil.NoSuchProcess(pid) from error
    return int(fields[22 - 3])  # the first two fields end with the parenthesis


@contextmanager
def _ending_its_group(leader: int) -> Iterator[None]:
    """End the process group of a child if the body is left by an error."""
    try:
        yield
    except BaseException:
        end(tuple(_group(leader)), grace_s=CLEANING_UP_S)
        raise


def _group(leader: int) -> Iterator[ProcessId]:
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == leader:
                yield ProcessId(process.pid, _start_tick(process.pid))
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue


def _still_running(processes: Sequence[psutil.Process], grace_s: float) -> list[psutil.Process]:
    """Return those that still run after ``grace_s`` seconds; return at once when all have ended.

    A process that nobody has reaped yet has ended: in a container that may last for ever.
    """
    deadline = time.monotonic() + grace_s
    left = [process for process in processes if _runs(process)]
    while left and time.monotonic() < deadline:
        psutil.wait_procs(left, timeout=0.05)
        left = [process for process in left if _runs(process)]
    return left


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _signal(process: psutil.Process, number: signal.Signals) -> bool:
    """Say whether a process got a signal."""
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        log.debug("process %s ended by itself", process.pid)
        return False
    except psutil.AccessDenied:
        log.debug("process %s is not ours", process.pid)
        return False
    return True
