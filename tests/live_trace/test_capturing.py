"""Capturing around something that is sent: in order, and cleared up whatever happens."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from lab.errors import CommandFailed, NotRunning
from lab.evidence import Place
from lab.live.capturing import capture
from lab.shell import CommandResult
from lab.topology_file import default_topology_path, load_topology
from lab.wait import Deadlines
from tests.facts.captures import captured
from tests.live_trace.scenes import catch, places


@dataclass
class Recorded:
    """A node that answers the scripts of a capture as one really did."""

    node: str
    told: list[str]
    spoiled: dict[str, str | Exception] = field(default_factory=dict)

    def run(self, command: str, *, timeout_s: float = 60.0) -> CommandResult:
        kind = "start" if "setsid" in command else "stop" if "base64" in command else "abandon"
        self.told.append(f"{kind} {self.node}")
        answer = self.spoiled.get(kind, "")
        if isinstance(answer, Exception):
            raise answer
        if kind != "abandon" and not answer:
            answer = captured(f"live/across-{self.node}-{kind}")
        return CommandResult(command, 0, answer, "")


def place(told: list[str], **spoiled: str | Exception) -> Place:
    shells = {
        n: Recorded(n, told, spoiled if n == "worker" else {}) for n in ("manager", "worker")
    }
    return Place(load_topology(default_topology_path()), shells, {}, Deadlines(1.0))


def sending(told: list[str]) -> Callable[[], str]:
    def send() -> str:
        told.append("send")
        return "sent"

    return send


def test_all_listen_before_anything_is_sent() -> None:
    told: list[str] = []
    found, sent = capture(place(told), places(), sending(told), sending_s=1)
    assert (found, sent) == (catch("across"), "sent")
    assert sorted(told[:2]) == ["start manager", "start worker"]
    assert told[2] == "send"
    assert sorted(told[3:]) == ["stop manager", "stop worker"]


@pytest.mark.parametrize(
    "spoiled",
    [
        {"start": NotRunning("worker does not answer ssh")},
        {"start": "cut short"},
        {"stop": "cut short"},
        {"stop": CommandFailed("too late"), "abandon": NotRunning("gone for good")},
    ],
)
def test_after_any_failure_all_nodes_are_cleared_up(spoiled: dict[str, str | Exception]) -> None:
    told: list[str] = []
    with pytest.raises((NotRunning, CommandFailed)):
        capture(place(told, **spoiled), places(), sending(told), sending_s=1)
    assert sorted(told[-2:]) == ["abandon manager", "abandon worker"]


def test_after_ctrl_c_all_nodes_are_cleared_up() -> None:
    told: list[str] = []

    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        capture(place(told), places(), interrupted, sending_s=1)
    assert sorted(told[-2:]) == ["abandon manager", "abandon worker"]


def test_a_missing_program_is_named_with_what_to_type() -> None:
    told: list[str] = []
    spoiled = place(told, start="@@@ missing tcpdump conntrack\n")
    with pytest.raises(CommandFailed, match="worker has no tcpdump, no conntrack") as caught:
        capture(spoiled, places(), sending(told), sending_s=1)
    assert caught.value.hint == ("invoke lab.exec worker -- apt-get install -y tcpdump conntrack")
    assert "send" not in told


def test_nodes_without_places_are_left_alone() -> None:
    told: list[str] = []
    mine = [point for point in places() if point.node == "manager"]
    found, _ = capture(place(told), mine, sending(told), sending_s=1)
    assert told == ["start manager", "send", "stop manager"]
    assert list(found.packets) == mine
