"""A running lab as faults see it: its nodes' shells, its facts, and what its users see."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lab.errors import UsageError
from lab.facts.gather import gather
from lab.faults.journal import Command
from lab.faults.model import Answers, Client, Requests, Shown, Step
from lab.faults.place import Place
from lab.faults.watching import Request, fits, sent_from_here, sent_from_node, told
from lab.home import LabHome, LabState
from lab.hops.situation import Blocked, Situation
from lab.openssh import OpenSshShell
from lab.parallel import on_all
from lab.shell import CommandResult, Shell, succeed
from lab.wait import Deadlines, wait_until

STEP_S = 30.0
"""Deadline of one command on real hardware: `docker service update` waits for new tasks."""
BITE_S = 15.0
"""Deadline for a symptom to show, and for it to be gone, on real hardware."""
PATIENCE_S = 0.5
"""How long a request may take on real hardware before it is said to hang."""

Shells = Callable[[LabHome, LabState], Mapping[str, Shell]]
"""What `shells_of` is: a test gives shells that have no machine."""


def shells_of(home: LabHome, state: LabState) -> Mapping[str, Shell]:
    """Return a shell for each node, by name, over the connections the lab keeps."""
    nodes = state.topology.nodes
    return {node.name: OpenSshShell(node.name, home.ssh_config) for node in nodes}


def ready(place: Place, step: Step) -> Command:
    """Return a step as it is run here.

    Raises:
        UsageError: The lab, as it is now, lacks something the step is about.
    """
    try:
        node, command = place.command(step)
    except Blocked as blocked:
        raise UsageError(
            f"This cannot be done on {place.node} as it is now",
            details=blocked.found,
            hint="invoke lab.faults, invoke lab.heal or invoke lab.reset",
        ) from blocked
    return Command(node=node, command=command)


@dataclass(frozen=True, slots=True)
class Patient:
    """A lab that runs, and the shells to its nodes."""

    home: LabHome
    state: LabState
    shells: Mapping[str, Shell]

    @property
    def deadline(self) -> Deadlines:
        """Scales a deadline to the machines' speed."""
        return Deadlines(self.state.pace)

    def look(self) -> Situation:
        """Return the facts of all nodes; errors as ``lab.facts.gather``."""
        topology = self.state.topology
        facts = gather(
            tuple(self.shells.values()),
            service=topology.service.name,
            timeout_s=max(30.0, self.deadline(8)),
        )
        return Situation(facts, topology)

    def run(self, command: Command) -> CommandResult:
        """Run a command; any exit code is a result."""
        return self.shells[command.node].run(command.command, timeout_s=self.deadline(STEP_S))

    def do(self, command: Command) -> str:
        """Run a command that must succeed; return what it printed."""
        shell = self.shells[command.node]
        return succeed(shell, command.command, timeout_s=self.deadline(STEP_S)).strip()

    def holds(self, command: Command) -> bool:
        """Say whether a condition is met."""
        return self.run(command).exit_code == 0

    def watch(self, place: Place, symptom: Requests | Shown) -> str:
        """Wait until a symptom is seen; return what was seen.

        Raises:
            NotReady: It did not show; the details hold what was seen instead.
        """
        if isinstance(symptom, Requests):
            return self._watch_requests(place, symptom)
        command = ready(place, symptom.step)
        wait_until(
            lambda: self.holds(command),
            bool,
            what=f"this to be so: {symptom.says}",
            timeout_s=self.deadline(BITE_S),
            hint="invoke lab.heal",
        )
        return symptom.says

    def await_answers(self) -> None:
        """Wait until every request through every node is answered.

        Raises:
            NotReady: One was not; the details tell what became of the last ones.
        """
        names = tuple(self.state.access)
        wait_until(
            lambda: on_all(names, lambda name: self._sent(name, Client.HERE)),
            lambda rounds: all(fits(Answers.ALL, requests) for requests in rounds),
            what="every request through every node to be answered",
            timeout_s=self.deadline(BITE_S),
            successes=2,
            hint="pytest checks/, or back to how it was made: invoke lab.reset",
        )

    def _watch_requests(self, place: Place, symptom: Requests) -> str:
        name = place.named(symptom.through)
        large = symptom.answers is Answers.SMALL
        seen = wait_until(
            lambda: self._sent(name, symptom.client, large=large),
            lambda requests: fits(symptom.answers, requests),
            what=f"this to be so through {name}: {symptom.answers}",
            timeout_s=self.deadline(BITE_S),
            hint="invoke lab.heal",
        )
        return f"from {symptom.client} through {name}: {told(seen)}"

    def _sent(self, name: str, client: Client, *, large: bool = False) -> tuple[Request, ...]:
        service = self.state.topology.service
        count = 2 * max(2, service.replicas)
        patience_s = max(2.0, self.deadline(PATIENCE_S))
        if client is Client.NODE:
            shell = self.shells[name]
            return sent_from_node(shell, service.published_port, count, patience_s=patience_s)
        entry = self.state.access[name].entry
        small = sent_from_here(entry, count, patience_s=patience_s)
        if not large:
            return small
        return (*small, *sent_from_here(entry, count, patience_s=patience_s, large=True))
