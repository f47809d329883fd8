"""Hosts that are there already, lent to a lab: nothing is started, and all is given back.

The one provider that has to know of Docker: a host is refused when it belongs to a swarm, and is
left as it was found. What was there before is noted before anything is changed.
"""

import shlex
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.access import close_connections, render_ssh_config
from lab.errors import CommandFailed, LabError, NotRunning, ProviderFailed
from lab.home import LabHome, LabState, lab_home
from lab.image.recipe import NODE_TEST_ARCHIVE
from lab.image.store import ensure_image
from lab.openssh import OpenSshShell
from lab.parallel import on_all
from lab.paths import private_dir, write_private
from lab.process import find_program, last_lines, missing, run
from lab.providers import Machines, MachineState
from lab.providers.existing_hosts import LEFT_ALONE, Lent, Record, giving_back
from lab.providers.existing_look import access_to, look_at, look_first
from lab.providers.noted import read_noted
from lab.settings import pace
from lab.shell import CommandResult, succeed
from lab.steps import Steps
from lab.topology import Topology
from lab.wait import wait_until

PROGRAMS = ("ssh", "scp")
CONNECT_S = 3.0
GIVE_BACK_S = 60.0


@dataclass(frozen=True, slots=True)
class _Ended:
    """What came of giving a host back; ``done`` if there is nothing more to do on it."""

    name: str
    said: str
    done: bool


class ExistingProvider:
    """Somebody's hosts as a lab's machines; see ``lab.providers.Provider``."""

    name = "existing"
    snapshots = None

    def preflight(self, topology: Topology, lab: LabState | None = None) -> None:
        """Raise for what is missing.

        The hosts are looked at here, so that nothing is written down for hosts that cannot be
        lent. A lab that has them is not in its own way: it gives them back first.

        Raises:
            PreflightFailed: A program is not installed.
            UsageError: The hosts are not named, or are not the topology's nodes.
            Conflict: A host cannot be lent.
            NotRunning: A host does not let us in.
        """
        for program in PROGRAMS:
            if find_program(program) is None:
                raise missing(program)
        if lab is None:
            return
        access = access_to(lab.inventory, topology)
        if lab.inventory is not None and _load(lab_home(lab.name)) is None:
            look_first(access, lab.inventory, topology)

    def prepare(self, steps: Steps) -> None:
        """Build the image: its archive of node-test is what the hosts get."""
        ensure_image(steps)

    def create(self, home: LabHome, topology: Topology, steps: Steps) -> Machines:
        """Look at all hosts, refuse or note what is there, and hand the archive over.

        Raises:
            Conflict: A host belongs to a swarm, or is not what the topology says.
        """
        inventory = home.load().inventory
        access = access_to(inventory, topology)
        private_dir(home.runtime)
        write_private(home.ssh_config, render_ssh_config(access, home.runtime, pace()))
        names = ", ".join(access)
        if inventory is not None and _load(home) is None:
            with steps.step(f"Looking at {len(access)} hosts: {names}"):
                found = look_at(inventory, topology, home.ssh_config)
            lent = {name: Lent.of(one) for name, one in found.items()}
            record = Record(
                access=access,
                lent=lent,
                service=topology.service.name,
                addresses=tuple(str(node.address) for node in topology.nodes),
            )
            _save(home, record)
        image = ensure_image(steps)  # after the look: it may take minutes
        with steps.step(f"Copying node-test to {names}"):
            on_all(tuple(access), lambda name: _hand_over(home, name, image.path))
        return Machines(access, pace(), f"existing hosts: {names}")

    def destroy(self, home: LabHome) -> None:
        """Give the hosts back: out of the lab's swarm, without what the lab made there.

        One that has gone to another swarm is left alone, which is said, and is done with.

        Raises:
            ProviderFailed: A host could not be given back; the next call tries again.
        """
        record = _load(home)
        if record is None:
            return
        private_dir(home.runtime)
        write_private(home.ssh_config, render_ssh_config(record.access, home.runtime, pace()))
        ended = on_all(tuple(record.lent), lambda name: _give_back(home, record, name))
        close_connections(home.ssh_config, home.runtime)
        steps = Steps()
        for one in ended:
            if one.done and one.said:
                steps.note(f"{one.name}: {one.said}")
        if failed := [f"{one.name}: {one.said}" for one in ended if not one.done]:
            raise ProviderFailed(
                "not all hosts could be given back",
                details="\n".join(failed),
                hint=f"invoke lab.down --name {home.name}   (again, when they answer)",
            )
        _file(home).unlink(missing_ok=True)

    def states(self, home: LabHome, topology: Topology) -> Mapping[str, MachineState]:
        """Return which hosts answer ssh; what they have of memory and disk is not ours."""
        record = _load(home)
        names = [node.name for node in topology.nodes]

        def look(name: str) -> MachineState:
            return MachineState(_answers(record, name), resident_mib=0.0, disk_mib=0.0)

        return dict(zip(names, on_all(names, look), strict=True))

    def console(self, home: LabHome, node: str) -> Path | None:  # noqa: ARG002 - there is none
        """Return nothing: a host's console is its owner's."""
        return None


def _give_back(home: LabHome, record: Record, name: str) -> _Ended:
    """Give one host back, trying for some time: its Docker may be busy or starting."""
    shell = OpenSshShell(name, home.ssh_config)
    script = giving_back(record.lent[name], record.service, record.addresses)

    def attempt() -> CommandResult:
        try:
            done = shell.run(script)
        except NotRunning as error:  # its advice is for a lab that goes on
            raise NotRunning(error.brief, details=error.details) from error
        if done.exit_code in (0, LEFT_ALONE):
            return done
        raise CommandFailed(
            f"exit code {done.exit_code}", details=last_lines(done.stderr or done.stdout, 3)
        )

    try:
        done = wait_until(
            attempt,
            lambda _: True,
            what=f"{name} to be as it was",
            timeout_s=GIVE_BACK_S * pace(),
            every_s=1,
        )
    except LabError as error:
        return _Ended(name, error.details or error.brief, done=False)
    return _Ended(name, last_lines(done.stderr, 1) if done.exit_code else "", done=True)


def _hand_over(home: LabHome, name: str, image: Path) -> None:
    folder = str(Path(NODE_TEST_ARCHIVE).parent)
    succeed(OpenSshShell(name, home.ssh_config), f"mkdir -p {shlex.quote(folder)}")
    archive = image / "node-test.tar"
    try:
        run(
            ("scp", "-q", "-F", home.ssh_config, archive, f"{name}:{NODE_TEST_ARCHIVE}"),
            timeout_s=120 * pace(),
        )
    except CommandFailed as error:
        raise ProviderFailed(
            f"node-test could not be copied to {name}", details=str(error)
        ) from error


def _answers(record: Record | None, name: str) -> bool:
    access = record.access.get(name) if record else None
    if access is None:
        return False
    try:
        with socket.create_connection((access.host, access.port), timeout=CONNECT_S):
            return True
    except OSError:
        return False


def _load(home: LabHome) -> Record | None:
    file = _file(home)
    return read_noted(
        file,
        Record,
        what=f"What was noted of the hosts lent to lab {home.name}",
        hint=f"on each of them: docker swarm leave --force; then here: rm {file}",
    )


def _save(home: LabHome, record: Record) -> None:
    private_dir(home.path)
    write_private(_file(home), record.model_dump_json(indent=2) + "\n")


def _file(home: LabHome) -> Path:
    return home.path / "existing.json"
