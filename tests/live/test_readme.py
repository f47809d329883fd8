"""What README.md shows is what happens: every command in it is run, here or by ``make test``."""

import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import saved
from lab.cli.seeing import SOMETHING_IS_BROKEN
from lab.session import LabSession

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 120.0
BY_MAKE_TEST = {
    # scripts/test.sh runs these, with names of its own
    "make up",
    "make test",
    "pytest checks/",
    "pytest checks/ --changes-lab",
    "invoke lab.up --until nodes --name mine",
    "invoke lab.down",
}
HERE = (
    ("invoke --list", "lab.doctor"),
    ("invoke lab.status", "hello-a.1"),
    ("invoke lab.trace", "firewall mark"),
    ("invoke lab.trace --live", "ANSWERED: slot-"),
    ("invoke lab.ssh worker", "worker"),
    ("invoke lab.exec manager -- docker node ls", "Leader"),
    ("invoke lab.break mark-lost", "Injected mark-lost into worker"),
    ("invoke lab.diagnose", "BROKEN: B1-mark on worker"),
    (
        "invoke lab.exec worker -- nsenter --net=/var/run/docker/netns/ingress_sbox "
        "iptables -t mangle -A PREROUTING -p tcp -m tcp --dport 5000 -j MARK --set-mark 0x102",
        "",
    ),
    ("invoke lab.diagnose", "WHOLE: every hop holds"),
    ("invoke lab.heal", "Healed: mark-lost on worker"),
    ("invoke lab.bundle", "nodes/worker/facts.txt"),
    ("invoke lab.reset", "has reached: service"),
    ("invoke lab.snapshot lesson-1", "lesson-1"),
    ("invoke lab.restore lesson-1", "has reached: service"),
)
"""Commands and a piece of what each shows, in an order in which it does."""

FOLLOW = "invoke lab.logs --follow"

pytestmark = pytest.mark.live


def shown() -> Iterator[str]:
    """Yield the commands of README's console blocks, without prompts and remarks."""
    for block in re.findall(r"```console\n(.*?)```", (ROOT / "README.md").read_text(), re.S):
        for line in block.splitlines():
            if line.startswith("$ "):
                yield re.sub(r"\s+#.*", "", line.removeprefix("$ "))


def argv(command: str) -> list[str]:
    """Return the words of a command, its program taken from the environment that runs us."""
    program, *words = command.split()
    return [sys.executable, "-m", program, *words]


def environment(lab: LabSession) -> dict[str, str]:
    """Return our environment with the lab under test as the one that is meant."""
    return dict(os.environ) | {"LAB_NAME": lab.name}


def test_every_command_shown_is_known_and_the_other_way_round() -> None:
    assert set(shown()) == BY_MAKE_TEST | {command for command, _ in HERE} | {FOLLOW}


@pytest.fixture(scope="module")
def what_stays(lab: LabSession) -> Iterator[None]:
    """Take away the snapshot and the bundle the README makes."""
    yield
    saved.remove("lesson-1")
    for file in ROOT.glob(f"lab-bundle-{lab.name}-*.tar.gz"):
        file.unlink()


@pytest.mark.usefixtures("what_stays")
@pytest.mark.parametrize(("command", "piece"), HERE)
def test_command_shows_what_it_is_for(command: str, piece: str, lab: LabSession) -> None:
    done = subprocess.run(
        argv(command),
        cwd=ROOT,
        env=environment(lab),
        input="hostname\n",
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    is_broken = piece.startswith("BROKEN")
    assert done.returncode == (SOMETHING_IS_BROKEN if is_broken else 0), done.stderr
    assert piece in done.stdout


def test_followed_log_shows_a_request_and_ends_with_ctrl_c(lab: LabSession) -> None:
    request = urllib.request.Request(  # noqa: S310 - a lab's own http address
        next(iter(lab.published.values())), headers={"X-Request-Id": "readme-follow"}
    )
    with subprocess.Popen(
        argv(FOLLOW), cwd=ROOT, env=environment(lab), stdout=subprocess.PIPE, text=True
    ) as following:
        urllib.request.urlopen(request, timeout=30).close()  # noqa: S310
        assert following.stdout is not None
        for line in following.stdout:
            if "readme-follow" in line:
                following.send_signal(signal.SIGINT)
                break
        try:
            assert following.wait(timeout=TIMEOUT_S) == 130
        finally:
            following.kill()
