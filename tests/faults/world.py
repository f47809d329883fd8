"""A lab whose nodes are directories of this machine, with real shells, and a small service."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from lab.access import Access
from lab.faults.model import Change, Fault, On, Role, Shown, Step
from lab.home import LabHome, LabState, Stage, lab_home
from lab.hops.verdict import Hop
from lab.lifecycle import LabStatus
from lab.providers import MachineState
from lab.shell import CommandResult, Shell
from lab.topology import Topology


@dataclass
class DirectoryShell:
    """A shell that works in a directory. ``interrupt_at`` is a command that never gets done."""

    node: str
    directory: Path
    typed: list[str] = field(default_factory=list)
    interrupt_at: str = ""

    def run(self, command: str, *, timeout_s: float = 60.0) -> CommandResult:
        self.typed.append(command)
        if self.interrupt_at and self.interrupt_at in command:
            raise KeyboardInterrupt
        done = subprocess.run(
            ("sh", "-c", command),
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        return CommandResult(command, done.returncode, done.stdout, done.stderr)


@dataclass(frozen=True, slots=True)
class World:
    """A lab that is said to run."""

    home: LabHome
    state: LabState
    shells: Mapping[str, DirectoryShell]

    def open(self, home: LabHome, state: LabState) -> Mapping[str, Shell]:
        """Stand in for ``lab.faults.patient.shells_of``."""
        return self.shells

    @property
    def status(self) -> LabStatus:
        up = MachineState(running=True, resident_mib=300, disk_mib=40)
        return LabStatus(self.home, self.state, dict.fromkeys(self.shells, up))


def make_world(topology: Topology, directory: Path, entry: str) -> World:
    """Save a lab, with a directory for each node and one way in for all."""
    home = lab_home("article")
    access = Access(
        host="127.0.0.1",
        port=1,
        user="root",
        identity_file=home.path / "id",
        known_hosts=home.path / "known_hosts",
        entry=entry,
    )
    state = LabState(
        name="article",
        provider="qemu",
        topology=topology,
        created=datetime(2026, 11, 22, 13, 30, tzinfo=UTC),
        runtime=home.runtime,
        reached=Stage.SERVICE,
        access={node.name: access for node in topology.nodes},
    )
    home.save(state)
    shells = {}
    for node in topology.nodes:
        (directory / node.name).mkdir()
        shells[node.name] = DirectoryShell(node.name, directory / node.name)
    return World(home, state, shells)


@contextmanager
def answering(*, well: bool = True) -> Iterator[str]:
    """Serve as node-test does, or refuse everything, for as long as the body runs."""

    class NodeTest(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not well:
                return
            body = json.dumps({"hostname": "4fc0c085cbc1"}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Nobody wants to read this."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), NodeTest)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def fault(**values: object) -> Fault:
    """Return a fault of two files in a node's directory."""
    known: dict[str, object] = {
        "id": "two-files",
        "title": "two files are there",
        "symptom": "ls shows them",
        "hop": Hop.HOST,
        "first": ("H3-dnat[{node}]",),
        "role": Role.ANY,
        "level": 1,
        "change": Change(
            inject=(Step("touch one-{port}"), Step("touch two-{port}")),
            present=Step("test -e one-{port} || test -e two-{port}"),
            heal=(Step("rm -f one-{port}"), Step("rm -f two-{port}")),
        ),
        "bites": Shown("there are two", Step("test $(ls | wc -l) = 2", On.NODE)),
        "source": "measured",
    }
    return Fault(**{**known, **values})  # type: ignore[arg-type]  # fields by name
