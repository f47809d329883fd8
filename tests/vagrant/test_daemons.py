"""libvirt's daemons: started where nobody else does it, and only those stopped."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.errors import Conflict, LabError, NotReady, PreflightFailed
from lab.paths import state_dir
from lab.process import ProcessId, end, identify, is_alive
from lab.providers import libvirt_daemons as daemons
from lab.steps import Steps
from tests.vagrant.stand_ins import VIRSH, StandIns

DAEMON = """\
#!/bin/sh
# --daemon --pid-file FILE: leaves a process behind that only waits.
echo "start $(basename "$0")" >> "$WORLD/log"
[ "$(basename "$0")" = libvirtd ] && touch "$WORLD/answers"
(exec sleep 600) > /dev/null 2>&1 &
echo $! > "$3"
"""
ANSWERS = VIRSH.replace(
    "shift 3", '[ -e "$WORLD/answers" ] || { echo "error: no socket" >&2; exit 1; }\nshift 3'
)


@pytest.fixture(autouse=True)
def machine(
    stand_ins: StandIns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[StandIns]:
    """A machine without systemd on which libvirt does not run."""
    for name in ("basename", "sleep", "touch"):
        (stand_ins.bin / name).symlink_to(f"/usr/bin/{name}")
    for name in daemons.DAEMONS:
        stand_ins.program(name, DAEMON)
    stand_ins.program("virsh", ANSWERS)
    monkeypatch.setattr(daemons, "SYSTEMD", tmp_path / "none")
    monkeypatch.setattr(daemons, "POOL_DIRECTORY", str(tmp_path / "images"))
    yield stand_ins
    end([ProcessId(*pair) for pair in daemons._started().processes.values()])


def started() -> list[ProcessId]:
    return [ProcessId(*pair) for pair in daemons._started().processes.values()]


def test_both_are_started_and_stopped(machine: StandIns, steps: Steps) -> None:
    daemons.start(steps)
    both = started()
    assert len(both) == 2
    assert all(is_alive(process) for process in both)
    assert [line for line in machine.log if line.startswith("start")] == [
        "start virtlogd",
        "start libvirtd",
    ]
    assert daemons.stop(steps)
    assert not any(is_alive(process) for process in both)
    assert not (state_dir() / ".libvirt").exists()
    assert not daemons.stop(steps), "there is nothing left to stop"


def test_a_second_start_does_nothing(machine: StandIns, steps: Steps) -> None:
    daemons.start(steps)
    machine.forget()
    daemons.start(steps)
    assert not [line for line in machine.log if line.startswith("start")]


def test_what_runs_already_is_nobodys_to_stop(machine: StandIns, steps: Steps) -> None:
    (machine.directory / "answers").touch()
    daemons.start(steps)
    assert started() == []
    assert not daemons.stop(steps)
    assert not any("pool-destroy" in line for line in machine.log)


def test_a_pool_is_made_and_unmade(machine: StandIns, steps: Steps) -> None:
    machine.say("pools")
    daemons.start(steps)
    assert "virsh pool-start default" in machine.log
    machine.say("pools", "default")
    machine.forget()
    daemons.stop(steps)
    assert {"virsh pool-destroy default", "virsh pool-undefine default"} <= set(machine.log)


def test_a_pool_that_was_there_stays(machine: StandIns, steps: Steps) -> None:
    daemons.start(steps)
    daemons.stop(steps)
    assert not any("pool-undefine" in line for line in machine.log)


def test_nothing_is_taken_away_from_running_machines(machine: StandIns, steps: Steps) -> None:
    daemons.start(steps)
    machine.say("domains", "sil-1234-manager")
    with pytest.raises(Conflict, match="libvirt is still needed") as caught:
        daemons.stop(steps)
    assert "sil-1234-manager" in caught.value.details
    assert all(is_alive(process) for process in started())


def test_systemd_is_left_alone(
    machine: StandIns, steps: Steps, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemons, "SYSTEMD", tmp_path)
    with pytest.raises(PreflightFailed, match="systemd's business") as caught:
        daemons.start(steps)
    assert caught.value.hint == "sudo systemctl start libvirtd"
    assert started() == []


def test_a_daemon_that_does_not_start_is_told(machine: StandIns, steps: Steps) -> None:
    machine.program("libvirtd", "#!/bin/sh\necho 'cannot open /run' >&2\nexit 1\n")
    with pytest.raises(PreflightFailed, match="libvirtd does not start") as caught:
        daemons.start(steps)
    assert "cannot open /run" in caught.value.details
    assert daemons.stop(steps), "the other one was started"


def test_a_libvirt_that_never_answers_can_be_stopped(
    machine: StandIns, steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemons, "START_S", 0.2)
    machine.program("libvirtd", DAEMON.replace("touch", "true"))
    with pytest.raises(NotReady, match="for libvirt at qemu:///system"):
        daemons.start(steps)
    both = started()
    assert daemons.stop(steps)
    assert not any(is_alive(process) for process in both)


def test_a_note_that_cannot_be_read_is_not_forgotten(machine: StandIns, steps: Steps) -> None:
    daemons.start(steps)
    both = started()
    file = state_dir() / ".libvirt" / "started.json"
    note = file.read_text()
    file.write_text(note[:20])
    for _ in range(2):
        with pytest.raises(LabError, match=r"libvirt's daemons.* cannot be read") as caught:
            daemons.stop(steps)
        assert caught.value.hint.endswith(f"rm {file}")
    assert file.read_text() == note[:20]
    assert all(is_alive(process) for process in both)
    file.write_text(note)
    assert daemons.stop(steps)


def test_a_number_that_belongs_to_somebody_else_by_now_is_left_alone(steps: Steps) -> None:
    daemons.start(steps)
    both = started()
    other = identify(1)
    daemons._save(daemons.Started(processes={"libvirtd": (other.pid, other.started + 1)}))
    assert not daemons.stop(steps)
    end(both)
