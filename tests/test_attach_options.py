"""The options that point at somebody's own hosts: alone, together, and wrong."""

import subprocess
import sys
from pathlib import Path

import pytest

from lab.attached import Wish
from lab.cli.options import attach_wish
from lab.errors import UsageError
from tests.invoking import Invoke, expect_checks_refused

ROOT = Path(__file__).parent.parent


def test_without_an_inventory_a_lab_is_meant() -> None:
    assert attach_wish("", "", "", "mine") is None


def test_an_inventory_is_a_path_of_the_users() -> None:
    home = Path("~").expanduser()
    assert attach_wish("~/prod.yaml", "web", "443", None) == Wish(home / "prod.yaml", "web", "443")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (("", "web", "", None), "--service and --port are for --inventory"),
        (("", "", "443", None), "--service and --port are for --inventory"),
        (("prod.yaml", "web", "", "mine"), "--name and --inventory contradict each other"),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    values: tuple[str, str, str, str | None], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        attach_wish(*values)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--inventory", "none.yaml"), "the inventory none.yaml cannot be read"),
        (("--inventory", "none.yaml", "--changes-lab"), "--inventory looks only"),
        (("--inventory", "none.yaml", "-m", "changes_lab"), "--inventory looks only"),
        (("--port", "443"), "--service and --port are for --inventory"),
    ],
)
def test_checks_refuse_in_one_line_and_as_wrong_usage(words: tuple[str, ...], said: str) -> None:
    expect_checks_refused(*words, said=said)


def test_commands_refuse_as_wrong_usage() -> None:
    done = subprocess.run(
        (sys.executable, "-m", "invoke", "lab.diagnose", "--inventory", "none.yaml"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == UsageError.exit_code
    assert "Error: the inventory none.yaml cannot be read" in done.stderr


def test_no_request_is_sent_to_a_service_of_ones_own(invoke: Invoke) -> None:
    done = invoke("lab.trace", "--live", "--inventory", "none.yaml", "--service", "web")
    assert done.exit_code == UsageError.exit_code
    assert "--live and --inventory contradict each other" in done.stderr
