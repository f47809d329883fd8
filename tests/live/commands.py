"""Commands as a user types them, and the labs they make, for tests that need labs of their own."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.home import LabHome, LabState, lab_home
from lab.process import using
from lab.providers.qemu_command import QEMU
from lab.providers.qemu_machines import Record, load
from lab.providers.qemu_snapshots import QemuSnapshots
from lab.service import ask_from_here
from lab.shell import succeed
from lab.wait import Deadlines, wait_until

ROOT = Path(__file__).parents[2]
COLD_S = 600.0
"""How long a command may take that may have to boot machines on a busy host without KVM."""


@dataclass(frozen=True, slots=True)
class Typed:
    """What a command wrote, standard output and error in one, and its exit code."""

    code: int
    screen: str


@dataclass(frozen=True, slots=True)
class OwnLab:
    """A lab that belongs to one test; commands without ``--name`` mean it."""

    name: str

    @property
    def home(self) -> LabHome:
        """Its directory."""
        return lab_home(self.name)

    @property
    def state(self) -> LabState:
        """What is known of it."""
        return self.home.load()

    @property
    def record(self) -> Record:
        """What is remembered of its machines."""
        found = load(self.home)
        assert found is not None
        return found

    def machines(self) -> set[int]:
        """Return the processes of its machines, recorded or not."""
        return {machine.pid for machine in using(QEMU, self.home.path, self.home.runtime)}

    def type(self, command: str, *, code: int = 0, timeout_s: float = COLD_S) -> str:
        """Type a command to its end; return what it wrote.

        Args:
            command: As it is in the documentation; ``--name`` is not needed.
            code: The exit code that is expected.
            timeout_s: How long it may take.
        """
        with self.typing(command) as process:
            screen, _ = process.communicate(timeout=timeout_s)
        assert process.returncode == code, f"$ {command}\n{screen}"
        return screen

    @contextmanager
    def typing(self, command: str) -> Iterator["subprocess.Popen[str]"]:
        """Type a command; the body decides what becomes of it, and at its end it is over."""
        program, *words = shlex.split(command)
        with subprocess.Popen(
            [sys.executable, "-m", program, *words],
            cwd=ROOT,
            env=os.environ | {"LAB_NAME": self.name},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def kill_amid(self, command: str, moment: Callable[[], bool], what: str) -> None:
        """Type a command, and kill it with SIGKILL as soon as the moment has come."""
        with self.typing(command) as process:
            wait_until(
                lambda: moment() or process.poll() is not None,
                bool,
                what=what,
                timeout_s=COLD_S,
                every_s=0.005,
            )
            assert process.poll() is None, f"$ {command} ended before {what}"
            process.send_signal(signal.SIGKILL)

    def on(self, node: str, command: str) -> str:
        """Run a command on a node without ssh: it takes milliseconds."""
        with QemuSnapshots().shell(self.home, node) as shell:
            return succeed(shell, command, timeout_s=Deadlines(self.state.pace)(30))

    def everywhere(self, command: str) -> list[str]:
        """Return what a command writes on each of the nodes."""
        return [self.on(node.name, command).strip() for node in self.state.topology.nodes]

    def expect_answers(self) -> None:
        """Make sure that every replica answers through every node.

        A host that is very busy may lose a worker for a moment; it comes back by itself.
        """
        replicas = self.state.topology.service.replicas
        for node, access in self.state.access.items():
            wait_until(
                lambda node=node, access=access: ask_from_here(  # type: ignore[misc]
                    node, access.entry, 2 * replicas
                ),
                lambda entry: len(set(entry.answered_by)) == replicas,
                what=f"all replicas to answer through {node}",
                timeout_s=Deadlines(self.state.pace)(15),
            )
