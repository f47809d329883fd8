"""libvirt's daemons where nobody else starts them: on a machine without systemd, when told to."""

import shutil
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from lab.errors import CommandFailed, Conflict, PreflightFailed
from lab.paths import private_dir, state_dir, write_private
from lab.process import ProcessId, end, find_program, identify, is_alive, missing, run
from lab.providers.libvirt import POOL, URI, active_pools, virsh
from lab.providers.noted import read_noted
from lab.steps import Steps
from lab.wait import wait_until

DAEMONS = ("virtlogd", "libvirtd")
SYSTEMD = Path("/run/systemd/system")
POOL_DIRECTORY = "/var/lib/libvirt/images"
START_S = 60.0


class Started(BaseModel):
    """What was started or made here, and is therefore stopped or removed here.

    ``processes`` holds a process id and start time for every daemon.
    """

    model_config = ConfigDict(frozen=True)

    processes: dict[str, tuple[int, int]] = {}
    pool: bool = False


def start(steps: Steps) -> None:
    """Start the daemons and the storage pool, as far as they do not run.

    Raises:
        PreflightFailed: This machine has systemd, whose business it is, or a program is missing,
            or this user may not.
        NotReady: libvirt does not answer.
    """
    if not _answers():
        _start_daemons(steps)
    if POOL not in active_pools():
        with steps.step(f"Making the storage pool {POOL} in {POOL_DIRECTORY}"):
            _make_pool()


def stop(steps: Steps) -> bool:
    """Stop what ``start`` started; return whether there was anything.

    Raises:
        Conflict: Machines run.
        LabError: What was started was noted, and the note cannot be read.
    """
    started = _started()
    alive = [p for p in (ProcessId(*pair) for pair in started.processes.values()) if is_alive(p)]
    if alive and _answers():
        if machines := virsh("list", "--name").split():
            raise Conflict(
                "libvirt is still needed",
                details=f"machines that run: {', '.join(machines)}",
                hint="invoke lab.list, then invoke lab.down --name NAME",
            )
        if started.pool and POOL in active_pools():
            virsh("pool-destroy", POOL)
            virsh("pool-undefine", POOL)
    if alive:
        with steps.step(f"Stopping {', '.join(started.processes)}"):
            end(alive)
    shutil.rmtree(_directory(), ignore_errors=True)
    return bool(alive)


def _start_daemons(steps: Steps) -> None:
    if SYSTEMD.exists():
        raise PreflightFailed(
            "libvirt does not answer, and starting it is systemd's business here",
            hint="sudo systemctl start libvirtd",
        )
    directory = private_dir(_directory())
    for daemon in DAEMONS:
        program = find_program(daemon)
        if program is None:
            raise missing(daemon)
        with steps.step(f"Starting {daemon}"):
            pid_file = directory / f"{daemon}.pid"
            try:
                run((program, "--daemon", "--pid-file", pid_file), timeout_s=START_S)
            except CommandFailed as error:
                raise PreflightFailed(
                    f"{daemon} does not start", details=error.details, hint="do it as root"
                ) from error
            process = identify(int(pid_file.read_text()))
            known = _started()
            processes = {**known.processes, daemon: (process.pid, process.started)}
            _save(known.model_copy(update={"processes": processes}))
    with steps.step("Waiting for libvirt to answer"):
        wait_until(
            lambda: virsh("version"),
            bool,
            what=f"libvirt at {URI}",
            timeout_s=START_S,
            every_s=0.5,
        )


def _make_pool() -> None:
    if POOL not in virsh("pool-list", "--all", "--name").split():
        _save(_started().model_copy(update={"pool": True}))
        virsh("pool-define-as", POOL, "dir", "--target", POOL_DIRECTORY)
    Path(POOL_DIRECTORY).mkdir(mode=0o711, parents=True, exist_ok=True)
    virsh("pool-start", POOL)


def _answers() -> bool:
    try:
        virsh("version")
    except CommandFailed:
        return False
    return True


def _started() -> Started:
    file = _directory() / "started.json"
    found = read_noted(
        file,
        Started,
        what="What was noted of libvirt's daemons, which were started here,",
        hint=f"pgrep -a 'virtlogd|libvirtd', then kill those that shall end; then: rm {file}",
    )
    return found or Started()


def _save(started: Started) -> None:
    private_dir(_directory())
    write_private(_directory() / "started.json", started.model_dump_json() + "\n")


def _directory() -> Path:
    return state_dir() / ".libvirt"
