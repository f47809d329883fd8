import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from lab.errors import CommandFailed, NotReady, PreflightFailed
from lab.process import (
    Finished,
    ProcessId,
    Sign,
    become,
    end,
    identify,
    is_alive,
    last_lines,
    resident_mib,
    run,
    using,
)

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True)"


@contextmanager
def running(*argv: str | Path) -> Iterator[subprocess.Popen[str]]:
    """A program in the background, gone and reaped afterwards."""
    with subprocess.Popen(
        [str(word) for word in argv], stdout=subprocess.PIPE, text=True
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def wait_for(path: Path) -> str:
    deadline = time.monotonic() + 5
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < deadline, f"{path} was never written"
        time.sleep(0.01)
    return path.read_text()


def is_gone(pid: int) -> bool:
    try:
        return not is_alive(identify(pid))
    except CommandFailed:
        return True


def test_what_a_program_wrote_comes_back() -> None:
    assert run(["sh", "-c", "echo out; echo err >&2"], timeout_s=5) == Finished("out\n", "err\n")


def test_a_program_that_gives_no_sign_is_given_up() -> None:
    began = time.monotonic()
    with pytest.raises(NotReady, match=r"nothing came back within 0\.2 s"):
        run(["sh", "-c", "echo other; exec sleep 30"], timeout_s=60, sign=Sign("begun", 0.2))
    assert time.monotonic() - began < 10


def test_a_sign_is_part_of_what_a_program_wrote() -> None:
    slow = ["sh", "-c", "read word; echo begun; sleep 0.5; echo $word"]
    sign = Sign("begun", 0.2)
    assert run(slow, timeout_s=9, stdin="end\n", sign=sign).stdout == "begun\nend\n"
    assert run(["echo", "at once"], timeout_s=9, sign=sign).stdout == "at once\n"


def test_a_program_reads_what_it_is_given_and_nothing_else() -> None:
    assert run(["cat"], timeout_s=5, stdin="given").stdout == "given"
    assert run(["cat"], timeout_s=5).stdout == ""


def test_a_program_sees_the_given_environment_only() -> None:
    assert run(["/bin/sh", "-c", "echo $A$HOME"], timeout_s=5, env={"A": "b"}).stdout == "b\n"


def test_bytes_that_are_no_text_do_no_harm() -> None:
    assert run(["printf", r"\377ok"], timeout_s=5).stdout == "\ufffdok"


def test_words_are_passed_as_they_are() -> None:
    words: list[str | Path] = ["a b", "$HOME", "'", "*", Path("/a path")]
    assert run(["printf", "<%s>", *words], timeout_s=5).stdout == "<a b><$HOME><'><*></a path>"


def test_a_failure_shows_code_command_and_last_words() -> None:
    with pytest.raises(CommandFailed) as caught:
        run(["sh", "-c", "seq 20 >&2; exit 3"], timeout_s=5)
    assert caught.value.brief == "sh failed with exit code 3"
    first, *rest = caught.value.details.splitlines()
    assert first == "+ sh -c 'seq 20 >&2; exit 3'"
    assert rest == [str(number) for number in range(9, 21)]


def test_a_failure_without_error_output_shows_the_output() -> None:
    with pytest.raises(CommandFailed, match="said here"):
        run(["sh", "-c", "echo said here; false"], timeout_s=5)


def test_a_program_that_was_killed_failed() -> None:
    with pytest.raises(CommandFailed, match="exit code -9"):
        run(["sh", "-c", "kill -9 $$"], timeout_s=5)


def test_a_missing_program_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(PreflightFailed, match="qemu-img is not installed") as caught:
        run(["qemu-img"], timeout_s=5)
    assert "apt-get install qemu-utils" in caught.value.hint
    with pytest.raises(PreflightFailed, match="ssh is not installed"):
        become(["ssh", "manager"])


def test_when_the_time_is_up_nothing_is_left_running(tmp_path: Path) -> None:
    """Not even what the program started, and it had the chance to clean up."""
    script = f"trap 'echo cleaned > {tmp_path}/cleaned; exit' TERM; sleep 60 & echo $! > "
    with pytest.raises(CommandFailed, match=r"sh did not end within 0.3 s") as caught:
        run(["sh", "-c", f"{script}{tmp_path}/grandchild; wait"], timeout_s=0.3)
    assert "sleep 60" in caught.value.details
    assert (tmp_path / "cleaned").exists()
    assert is_gone(int((tmp_path / "grandchild").read_text()))


def test_an_interrupt_ends_the_program_too(tmp_path: Path) -> None:
    code = (
        "import signal, sys; from lab.process import run\n"
        "signal.signal(signal.SIGTERM, signal.default_int_handler)\n"
        # Not at once: run() must have begun to wait, or nobody ends the program.
        f"run(['sh', '-c', 'sleep 0.1; echo $$ > {tmp_path}/pid; exec sleep 60'], timeout_s=60)"
    )
    with running(sys.executable, "-c", code) as parent:
        pid = int(wait_for(tmp_path / "pid"))
        parent.send_signal(signal.SIGTERM)
        assert parent.wait(10) != 0
    assert is_gone(pid)


def test_ctrl_c_reaches_us_and_not_the_program_behind_our_back() -> None:
    group = run(["sh", "-c", "cut -d' ' -f5 /proc/$$/stat"], timeout_s=5).stdout
    assert int(group) != os.getpgrp()


def test_a_process_is_told_from_a_later_one_with_its_number() -> None:
    with running("sleep", "60") as child:
        found = identify(child.pid)
        assert is_alive(found)
        assert not is_alive(replace(found, started=found.started - 5))
        assert resident_mib(found) > 0
    assert not is_alive(found)
    assert resident_mib(found) == 0


def test_the_identity_of_nobody_is_an_error() -> None:
    with running("true") as child:
        child.wait(5)
    with pytest.raises(CommandFailed, match=str(child.pid)):
        identify(child.pid)


def test_a_zombie_is_not_alive() -> None:
    with running("true") as child:
        found = identify(child.pid)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not is_alive(found)


def test_end_asks_before_it_kills() -> None:
    with running(
        "sh", "-c", "trap 'echo asked; exit' TERM; echo; while :; do sleep .05; done"
    ) as child:
        assert child.stdout
        child.stdout.readline()
        end([identify(child.pid)], grace_s=5)
        assert child.stdout.read() == "asked\n"


def test_end_kills_who_does_not_listen() -> None:
    with running(sys.executable, "-Sc", f"{STUBBORN}; time.sleep(60)") as child:
        assert child.stdout
        child.stdout.readline()
        found = identify(child.pid)
        end([found], grace_s=0.2)
        assert not is_alive(found)


def test_end_leaves_what_is_not_ours_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """What sudo started; waiting for it would take the grace twice."""

    def refuse(self: psutil.Process, number: int) -> None:
        raise psutil.AccessDenied(self.pid)

    monkeypatch.setattr(psutil.Process, "send_signal", refuse)
    started = time.monotonic()
    with running("sleep", "60") as child:
        end([identify(child.pid)], grace_s=5)
        assert child.poll() is None
    assert time.monotonic() - started < 4


def test_end_does_not_wait_for_somebody_to_reap_the_dead() -> None:
    started = time.monotonic()
    with running("sh", "-c", "sleep 60 & echo $!; wait") as parent:
        assert parent.stdout
        orphan = identify(int(parent.stdout.readline()))
        parent.send_signal(signal.SIGSTOP)
        end([orphan], grace_s=5)
        assert not is_alive(orphan)
    assert time.monotonic() - started < 4


def test_end_leaves_a_later_process_with_the_same_number_alone() -> None:
    with running("sleep", "60") as child:
        found = identify(child.pid)
        end([replace(found, started=found.started - 60), ProcessId(2**22 + 1, 0)], grace_s=0.1)
        assert child.poll() is None


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("{lab}", True),
        ("{lab}/nodes/manager/pid", True),
        ("file,id=console,path={lab}/console.log", True),
        ("ssh: {lab}/manager.ssh [mux]", True),
        ("{lab}-2/nodes/manager/pid", False),
        ("{lab}.old/pid", False),
        ("/elsewhere{lab}/pid", False),
        ("unrelated", False),
    ],
)
def test_processes_that_use_a_path_are_found(tmp_path: Path, word: str, *, found: bool) -> None:
    lab = tmp_path / "my labs" / "a"
    with (
        running("sleep", "60") as bystander,
        running(
            sys.executable,
            "-Sc",
            "import time; print(flush=True); time.sleep(60)",
            word.format(lab=lab),
        ) as child,
    ):
        assert child.stdout
        child.stdout.readline()
        program = Path(f"/proc/{child.pid}/comm").read_text().strip()
        assert [one.pid for one in using(program, tmp_path / "other", lab)] == (
            [child.pid] if found else []
        )
        assert using("qemu-system-x86_64", lab) == ()
        assert bystander.poll() is None


def test_last_lines_leaves_out_blank_ones() -> None:
    assert last_lines("one\n\ntwo\n  \nthree\n\n", 2) == "two\nthree"
    assert last_lines("", 3) == ""
