"""`lab.trace --live` and `lab.capture` on a real lab: true when something is broken, and tidy.

    pytest tests/live/test_live_trace.py -m live --name NAME

The lab is as it was before, except for what its counters count.
"""

import io
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import dpkt
import pytest

from lab.cli.seeing import SOMETHING_IS_BROKEN
from lab.faults import acting
from lab.faults.catalogue import find
from lab.live.scripts import DIRECTORY
from lab.parallel import on_all
from lab.session import LabSession, place_of
from lab.shell import succeed
from lab.wait import wait_until
from tests import wireshark
from tests.live.test_looking import LIVE_SHOWS, QUIET, ROOT, typed

pytestmark = pytest.mark.live

WORKER = "worker"
LEFT = f"ls -d {DIRECTORY}.* 2>/dev/null; pgrep -a tcpdump; pgrep -af '[l]ab-capture'; true"
"""Prints whatever a capture has on a node."""


def left(lab: LabSession) -> list[str]:
    """Return what captures have on the nodes at this moment."""
    shells = tuple(place_of(lab).shells.values())
    said = on_all(shells, lambda shell: succeed(shell, LEFT, timeout_s=lab.deadline(5)))
    return [line for text in said for line in text.splitlines() if "pgrep" not in line]


def traced(lab: LabSession, origin: str) -> tuple[int, dict[str, object]]:
    """Return the exit code and the document of a live trace."""
    done = typed(lab, f"invoke lab.trace --live --from {origin} -o json")
    assert done.stdout, done.stderr
    document: dict[str, object] = json.loads(done.stdout)
    return done.returncode, document


def outcomes(document: dict[str, object]) -> dict[str, str]:
    """Return what is known at each station, by its id."""
    stations = document["stations"]
    assert isinstance(stations, list)
    return {station["station"]: station["outcome"] for station in stations}


@pytest.mark.parametrize("line", LIVE_SHOWS)
def test_a_command_shows_what_it_is_for(line: str, lab: LabSession, tmp_path: Path) -> None:
    done = typed(lab, line, tmp_path)
    assert done.returncode == 0, done.stderr
    written = "".join(f.read_bytes().decode(errors="replace") for f in tmp_path.iterdir())
    assert LIVE_SHOWS[line] in done.stdout + written
    assert left(lab) == []


@pytest.mark.parametrize("origin", ["manager", WORKER, "host"])
def test_an_answered_request_is_seen_everywhere(origin: str, lab: LabSession) -> None:
    code, document = traced(lab, origin)
    assert (code, document["answered"]) == (0, True)
    assert set(outcomes(document).values()) == {"seen"}
    assert document["recognised_by"] == "its id in the payload"


def test_a_capture_is_read_by_another_reader(lab: LabSession, tmp_path: Path) -> None:
    done = typed(lab, "invoke lab.capture --requests 2 --file all.pcapng -o json", tmp_path)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    data = (tmp_path / "all.pcapng").read_bytes()
    read = list(dpkt.pcapng.Reader(io.BytesIO(data)))
    assert len(read) == sum(place["packets"] for place in document["places"]) > 60
    assert [time for time, _ in read] == sorted(time for time, _ in read)
    for request_id in document["request_ids"]:
        assert data.count(request_id.encode()) > 6  # at each place it passed, and in the remark
    if wireshark.IS_HERE:
        seen = {place["name"]: place["packets"] for place in document["places"]}
        found = wireshark.places_in(tmp_path / "all.pcapng")
        assert found == {name: packets for name, packets in seen.items() if packets}
    again = typed(lab, "invoke lab.capture --file all.pcapng", tmp_path)
    assert (again.returncode, "exists already" in again.stderr) == (2, True)


def is_lost(station: str, *, odd: str = "") -> Callable[[dict[str, object]], None]:
    """Return what to expect: the way ends at a station, and one before it was odd."""

    def expect(document: dict[str, object]) -> None:
        found = outcomes(document)
        assert found[station] in ("not seen", "no further"), document
        ended = list(found).index(station)
        assert set(list(found.values())[:ended]) <= {"seen", "odd", "not observed"}
        if odd:
            assert found[odd] == "odd", document

    return expect


def is_lost_in_the_tunnel(document: dict[str, object]) -> None:
    """Expect that the tunnel swallowed the answer, which the worker's vxlan0 did not see."""
    assert "not at worker's vxlan0" in str(document["headline"]), document


def is_lost_in_a_program(document: dict[str, object]) -> None:
    """Expect that the request came to a program that does nothing with it."""
    assert list(outcomes(document).values())[-1] == "no further", document
    assert "neither answered nor logged" in str(document["headline"])


@pytest.mark.parametrize(
    ("fault", "expect"),
    [
        ("dnat-lost", is_lost("worker-dnat", odd="worker-port")),
        ("mark-lost", is_lost("worker-mark")),
        ("snat-lost", is_lost("slot-2-program", odd="worker-snat")),
        ("vxlan-blocked", is_lost_in_the_tunnel),
        ("app-frozen", is_lost_in_a_program),
    ],
)
def test_a_broken_lab_is_told_as_it_is(
    fault: str, expect: Callable[[dict[str, object]], None], lab: LabSession
) -> None:
    acting.inject(lab.name, find(fault), None, QUIET)
    try:
        for _ in range(4):  # one of two backends may be well: its turn comes, and goes
            code, document = traced(lab, WORKER)
            assert document["answered"] is (code == 0)
            backend = document["backend"]
            away = isinstance(backend, dict) and backend["node"] != WORKER
            if code and (fault != "snat-lost" or away):
                break
        assert code == SOMETHING_IS_BROKEN
        expect(document)
    finally:
        acting.heal(lab.name, find(fault), None, QUIET)
    assert left(lab) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_capture_leaves_nothing_behind(
    number: signal.Signals, lab: LabSession, tmp_path: Path
) -> None:
    """As soon as a node captures, the command is ended: whatever it has done by then."""
    program = subprocess.Popen(
        (sys.executable, "-m", "invoke", "-r", ROOT, "lab.capture", "--name", lab.name),
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_until(lambda: left(lab), bool, what="a capture to begin", timeout_s=lab.deadline(15))
    finally:
        program.send_signal(number)
    _, said = program.communicate(timeout=lab.deadline(30))
    assert "Traceback" not in said
    if number is signal.SIGKILL:
        # Nobody ends it: it ends by itself.
        wait_until(
            lambda: left(lab),
            lambda found: not found,
            what="the captures to end by themselves",
            timeout_s=lab.deadline(20),
        )
    else:
        assert program.returncode == 130
        assert left(lab) == []
    assert list(tmp_path.iterdir()) == []
