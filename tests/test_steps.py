import io
import re

import pytest

from lab.errors import CommandFailed
from lab.steps import Steps


@pytest.fixture
def screen() -> io.StringIO:
    """What is no terminal: a pipe, the log of a CI job."""
    return io.StringIO()


def shown(screen: io.StringIO) -> str:
    return re.sub(r"\([0-9.]+(ms|s)\)", "(T)", screen.getvalue())


def test_without_a_terminal_every_event_is_one_plain_line(screen: io.StringIO) -> None:
    steps = Steps(screen)
    with steps.step("Starting 2 machines"):
        steps.note("with software emulation")
    assert shown(screen) == (
        "==> Starting 2 machines\n   with software emulation\n    done: Starting 2 machines (T)\n"
    )


def test_what_is_to_be_said_once_is_not_said_again(screen: io.StringIO) -> None:
    steps = Steps(screen)
    for text in ("slow", "slow", "fast"):
        steps.note(text, once=True)
    steps.note("slow")
    assert screen.getvalue() == "   slow\n   fast\n   slow\n"


def test_a_step_that_fails_says_so_and_passes_the_error_on(screen: io.StringIO) -> None:
    steps = Steps(screen)
    with pytest.raises(CommandFailed), steps.step("Trying"):
        raise CommandFailed("no")
    assert shown(screen).endswith("    failed: Trying (T)\n")


def test_an_interrupt_is_no_failure(screen: io.StringIO) -> None:
    steps = Steps(screen)
    with pytest.raises(KeyboardInterrupt), steps.step("Waiting"):
        raise KeyboardInterrupt
    assert shown(screen).endswith("    interrupted: Waiting (T)\n")


def test_text_is_shown_as_it_is(screen: io.StringIO) -> None:
    """Square brackets, long lines and numbers are not markup."""
    title = "Loading [bold]image[/] of " + "x" * 200 + " 1234"
    steps = Steps(screen)
    with steps.step(title):
        steps.note("[red]note[/]")
    assert screen.getvalue().count(title) == 2
    assert "[red]note[/]" in screen.getvalue()
    assert "\x1b" not in screen.getvalue()


def test_durations_are_remembered_in_the_order_steps_end(screen: io.StringIO) -> None:
    steps = Steps(screen)
    with steps.step("outer"), steps.step("inner"):
        pass
    assert [phase.title for phase in steps.phases] == ["inner", "outer"]
    assert all(0 <= phase.seconds < 1 for phase in steps.phases)


def test_quiet_steps_are_remembered_only(screen: io.StringIO) -> None:
    steps = Steps(screen, quiet=True)
    with steps.step("silent"):
        steps.note("nothing")
    assert screen.getvalue() == ""
    assert len(steps.phases) == 1


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_only_the_finished_step_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    screen = Terminal()
    steps = Steps(screen)
    with steps.step("Loading [bold]"):
        steps.note("a [note]")
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue()).splitlines()
    assert "   a [note]" in lines
    assert lines[-1].startswith(" ✓ Loading [bold] ")
