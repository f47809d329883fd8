"""The scripts, run by a real shell with programs that only pretend to capture."""

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.errors import CommandFailed, UnreadableOutput
from lab.facts.commands import HOST
from lab.live.points import Hop, Point
from lab.live.scripts import (
    Kind,
    Look,
    abandon_script,
    read_collected,
    read_started,
    start_script,
    stop_script,
)

TCPDUMP = """#!/bin/sh
case $* in *"-i deaf0"*) echo 'tcpdump: deaf0: No such device exists' >&2; exit 1 ;; esac
while [ $# -gt 1 ]; do [ "$1" != -w ] || file=$2; shift; done
echo $$ >>{notes}
sleep 60 &
trap 'kill $!; printf packets >"$file"; echo "2 packets dropped by kernel" >&2; exit 0' TERM
echo "listening on $1" >&2
wait $!
"""
POINTS = (
    Point(Hop.BRIDGE, "worker", HOST, "docker_gwbridge", "tcp port 5000"),
    Point(Hop.LINK, "worker", HOST, "eth1", "udp port 4789"),
)
DEAF = Point(Hop.ENTRY, "worker", HOST, "deaf0", "tcp port 5000")
LOOKS = (Look(HOST, "", Kind.RULES), Look(HOST, "", Kind.CONNTRACK))


class Node:
    """A directory for the files, and stand-ins for what a node has in its PATH."""

    def __init__(self, tmp: Path) -> None:
        self.directory = tmp / "capture"
        self.programs = tmp / "programs"
        self.programs.mkdir()
        self.notes = tmp / "pids"
        self.give("tcpdump", TCPDUMP.format(notes=self.notes))
        self.give("iptables-save", "#!/bin/sh\necho '# rules'\n")
        self.give("conntrack", "#!/bin/sh\necho 'no such table' >&2\nexit 1\n")
        self.give("ipvsadm", "#!/bin/sh\n")

    def give(self, name: str, text: str) -> None:
        file = self.programs / name
        file.write_text(text)
        file.chmod(0o755)

    def run(self, script: str) -> str:
        mine = script.replace("export PATH=", f"export PATH={self.programs}:")
        done = subprocess.run(
            ["sh", "-c", mine], capture_output=True, text=True, timeout=30, check=False
        )
        self.complaint = done.stderr
        return done.stdout

    def start(self, *points: Point, life_s: float = 30) -> str:
        return self.run(
            start_script(
                str(self.directory), points or POINTS, LOOKS, life_s=life_s, patience_s=20
            )
        )

    def running(self) -> list[str]:
        pids = self.notes.read_text().split() if self.notes.exists() else []
        return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 15
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def gone(node: Node) -> bool:
    return not node.running() and not node.directory.exists()


def test_a_capture_starts_listens_and_brings_back_what_it_wrote(node: Node) -> None:
    started = read_started(node.start(), "worker")
    assert (started.missing, started.deaf) == ((), {})
    assert started.tables[HOST, Kind.RULES].text.strip() == "# rules"
    assert len(node.running()) == 2
    assert oct(node.directory.stat().st_mode)[-3:] == "700"
    came = read_collected(node.run(stop_script(str(node.directory), POINTS, LOOKS)), "worker")
    assert came.captures == {"worker-bridge": b"packets", "worker-link": b"packets"}
    assert came.dropped == {"worker-bridge": 2, "worker-link": 2}
    assert came.tables[HOST, Kind.CONNTRACK].trouble == "conntrack -L -p tcp: no such table"
    assert gone(node)


def test_a_capture_nobody_comes_back_for_ends_by_itself(node: Node) -> None:
    node.start(life_s=0.5)
    wait_for(lambda: gone(node))
    assert node.run(stop_script(str(node.directory), POINTS, LOOKS)) == ""
    assert "ended by themselves" in node.complaint


def test_a_capture_can_be_abandoned_at_any_time(node: Node) -> None:
    node.start()
    for _ in range(2):
        node.run(abandon_script(str(node.directory)))
        assert gone(node)


def test_a_stop_whose_reader_went_away_clears_up(node: Node) -> None:
    node.start()
    script = stop_script(str(node.directory), POINTS, LOOKS).replace(
        "export PATH=", f"export PATH={node.programs}:"
    )
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        subprocess.run(["sh", "-c", script], stdout=pipe, stderr=pipe, timeout=30, check=False)
    wait_for(lambda: gone(node))


def test_an_interface_that_is_not_there_is_told_and_the_others_listen(node: Node) -> None:
    started = read_started(node.start(*POINTS, DEAF), "worker")
    assert started.deaf == {"worker-entry": "tcpdump: deaf0: No such device exists"}
    assert len(node.running()) == 2
    node.run(abandon_script(str(node.directory)))


def test_missing_programs_are_named_and_nothing_is_left(node: Node) -> None:
    script = start_script(str(node.directory), POINTS, LOOKS, life_s=1, patience_s=1)
    script = script.replace("tcpdump conntrack ipvsadm", "tcpdump no-such-a no-such-b")
    assert read_started(node.run(script), "worker").missing == ("no-such-a", "no-such-b")
    assert not node.directory.exists()


def test_a_second_capture_does_not_take_the_directory_of_the_first(node: Node) -> None:
    node.start()
    with pytest.raises(CommandFailed, match="not all captures started"):
        read_started(node.start(), "worker")
    node.run(abandon_script(str(node.directory)))


def test_what_was_cut_short_is_an_error() -> None:
    with pytest.raises(CommandFailed, match="not all that was captured came back"):
        read_collected("@@@ file worker-bridge\nAAAA\n", "worker")
    with pytest.raises(CommandFailed):
        read_started("", "worker")
    with pytest.raises(UnreadableOutput, match="worker-bridge cannot be read"):
        read_collected("@@@ file worker-bridge\nA*AA\n@@@ done\n", "worker")
