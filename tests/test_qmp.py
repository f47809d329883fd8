import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from lab.errors import CommandFailed, NotReady, NotRunning, ProviderFailed
from lab.providers import qmp
from lab.providers.qmp import ANSWER_S, Monitor, await_migration, monitor
from tests.conftest import Dirs
from tests.fake_qmp import FakeQmp, HangUp, Noise, Refusal, Silence, qmp_server

SOON_S = 0.05
"""For answers that never come."""

ANSWERS: Mapping[str, Sequence[object]] = {
    "query-status": [{"status": "running", "running": True}],
    "migrate": [Refusal("Migration is disabled when VirtFS export path is mounted")],
    "stop": [Silence(), {}],
    "cont": [HangUp()],
    "query-version": [Noise(b"Segmentation fault\r\n")],
}


@pytest.fixture
def path(dirs: Dirs) -> Path:
    return dirs.runtime / "manager.qmp"


@pytest.fixture
def qemu(path: Path) -> Iterator[FakeQmp]:
    with qmp_server(path, ANSWERS) as fake:
        yield fake


@pytest.fixture
def machine(qemu: FakeQmp, path: Path) -> Iterator[Monitor]:
    with monitor(path, "the QEMU of manager") as machine:
        yield machine


def test_an_answer_is_what_was_returned(qemu: FakeQmp, machine: Monitor) -> None:
    assert machine.execute("query-status") == {"status": "running", "running": True}
    assert qemu.asked == [("query-status", {})]


def test_arguments_arrive_as_they_are(qemu: FakeQmp, machine: Monitor) -> None:
    arguments = {"capabilities": [{"capability": "x-ignore-shared", "state": True}]}
    with pytest.raises(CommandFailed):
        machine.execute("migrate", arguments)
    assert qemu.asked == [("migrate", arguments)]


def test_a_refusal_keeps_its_words(machine: Monitor) -> None:
    with pytest.raises(CommandFailed, match="the QEMU of manager refused migrate") as caught:
        machine.execute("migrate")
    assert caught.value.details == "Migration is disabled when VirtFS export path is mounted"
    with pytest.raises(CommandFailed, match="refused fly") as caught:
        machine.execute("fly")
    assert caught.value.details == "The command fly has not been found"
    assert machine.execute("query-status"), "the connection is as good as before"


def test_silence_ends_with_the_time(qemu: FakeQmp, machine: Monitor) -> None:
    started = time.monotonic()
    with pytest.raises(CommandFailed) as caught:
        machine.execute("stop", timeout_s=SOON_S)
    assert time.monotonic() - started < ANSWER_S / 2
    assert caught.value.brief == "the QEMU of manager did not answer stop within 0.05 s"
    assert machine.execute("stop") == {}
    assert machine.execute("query-status") == {"status": "running", "running": True}


@pytest.mark.parametrize("command", ["cont", "query-version"])
def test_who_goes_away_is_not_running(path: Path, qemu: FakeQmp, command: str) -> None:
    with monitor(path, "the QEMU of manager") as machine:
        for _ in range(2):
            with pytest.raises(NotRunning, match="the QEMU of manager went away") as caught:
                machine.execute(command)
            assert caught.value.details.startswith(f"{command}: ")


def test_what_is_raised_is_not_logged_as_well(
    path: Path, qemu: FakeQmp, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a handler, warnings go to the user's terminal."""
    with monitor(path, "QEMU") as machine, pytest.raises(NotRunning):
        machine.execute("query-version")
    with pytest.raises(NotRunning), monitor(path.with_name("nobody"), "QEMU"):
        raise AssertionError("the body must not run")
    assert caplog.records == []


def test_the_connection_ends_with_the_body(path: Path, qemu: FakeQmp) -> None:
    """QEMU talks to one at a time: whoever comes next waits for ever otherwise."""
    for _ in range(2):
        with monitor(path, "the QEMU of manager") as machine:
            machine.execute("query-status")
    with pytest.raises(KeyError), monitor(path, "the QEMU of manager"):
        raise KeyError("an error of the body is the body's")
    with monitor(path, "the QEMU of manager") as machine:
        machine.execute("query-status")
    assert len(qemu.asked) == 3


def test_nobody_there_is_not_running(path: Path) -> None:
    with (
        pytest.raises(NotRunning, match="the QEMU of manager does not listen") as caught,
        monitor(path, "the QEMU of manager"),
    ):
        raise AssertionError("the body must not run")
    assert caught.value.details.startswith(f"{path}: ")
    assert "No such file or directory" in caught.value.details


def test_a_socket_of_the_dead_is_not_running(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    with pytest.raises(NotRunning, match="does not listen"), monitor(path, "QEMU"):
        raise AssertionError("the body must not run")


@pytest.mark.parametrize(
    "greeting", [{}, {"QMP": {}}, {"error": {"class": "GenericError", "desc": "no"}}]
)
def test_who_greets_otherwise_is_not_qemu(path: Path, greeting: object) -> None:
    with (
        qmp_server(path, {}, greeting=greeting),
        pytest.raises(NotRunning, match="QEMU does not listen"),
        monitor(path, "QEMU"),
    ):
        raise AssertionError("the body must not run")


def test_a_qemu_that_talks_to_somebody_else_does_not_listen(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It accepts one connection at a time and greets when it does."""
    monkeypatch.setattr(qmp, "ANSWER_S", SOON_S)
    with (
        qmp_server(path, ANSWERS, greeting=None),
        pytest.raises(NotRunning, match="QEMU does not listen") as caught,
        monitor(path, "QEMU"),
    ):
        raise AssertionError("the body must not run")
    assert caught.value.details == f"{path}: no greeting"


def test_several_machines_are_told_from_several_threads(dirs: Dirs) -> None:
    """Saving stops all machines at the same moment, over connections that one thread made."""
    paths = [dirs.runtime / name for name in ("manager.qmp", "worker.qmp")]
    with (
        qmp_server(paths[0], ANSWERS),
        qmp_server(paths[1], ANSWERS),
        monitor(paths[0], "manager") as manager,
        monitor(paths[1], "worker") as worker,
    ):
        found: list[object] = []
        threads = [
            threading.Thread(target=lambda m=m: found.append(m.execute("query-status")))
            for m in (manager, worker)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert found == [*ANSWERS["query-status"]] * 2


def migrate(path: Path, *answers: object, timeout_s: float = 10) -> None:
    with (
        qmp_server(path, {"query-migrate": answers}),
        monitor(path, "the QEMU of manager") as machine,
    ):
        await_migration(machine, "manager", timeout_s=timeout_s)


def test_a_state_is_moved_when_qemu_says_so(path: Path) -> None:
    """Before it began there is no status at all."""
    migrate(path, {}, {"status": "setup"}, {"status": "active"}, {"status": "completed"})


@pytest.mark.parametrize(
    ("answer", "details"),
    [
        ({"status": "failed", "error-desc": "Unknown ramblock pc.ram"}, "Unknown ramblock pc.ram"),
        ({"status": "failed"}, "failed"),
        ({"status": "cancelled"}, "cancelled"),
    ],
)
def test_a_state_that_was_not_moved_is_an_error(path: Path, answer: object, details: str) -> None:
    with pytest.raises(CommandFailed, match="state of manager could not be moved") as caught:
        migrate(path, {"status": "active"}, answer)
    assert caught.value.details == details


def test_a_state_that_never_arrives_is_waited_for_no_longer_than_is_said(path: Path) -> None:
    with pytest.raises(NotReady, match="Waited 50ms for the state of manager to be moved") as c:
        migrate(path, {"status": "active"}, timeout_s=SOON_S)
    assert c.value.details == "last seen: {'status': 'active'}"


def test_a_machine_that_ends_over_a_state_is_not_waited_for(path: Path) -> None:
    """QEMU ends when it cannot read an incoming state: starting cold must not wait for it."""
    with pytest.raises(ProviderFailed, match="the QEMU of manager went away"):
        migrate(path, {"status": "active"}, HangUp(), timeout_s=5)
