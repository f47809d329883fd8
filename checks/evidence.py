"""What the checks look at, read from a running lab when it is first needed, and then kept."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from checks.transport import ShellOverTestinfra, shell_to
from lab import evidence, lifecycle
from lab.diagnosis.examine import diagnose
from lab.diagnosis.model import Diagnosis
from lab.errors import CommandFailed, LabError, NotRunning
from lab.facts.model import ClusterFacts
from lab.hops.observations import Reach, Traffic
from lab.hops.situation import Situation
from lab.parallel import on_all
from lab.process import run
from lab.session import LabSession, open_lab
from lab.steps import Steps
from lab.wait import Deadlines

T = TypeVar("T")


@dataclass
class Evidence:
    """A lab under examination. Each kind of evidence is read once; so is the failure to read it.

    Attributes:
        lab: The running lab.
        shells: One shell per node, by name, in the topology's order.
    """

    lab: LabSession
    shells: dict[str, ShellOverTestinfra] = field(init=False)
    _kept: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        config = str(self.lab.ssh_config)
        self.shells = {n.name: shell_to(n.name, config) for n in self.lab.topology.nodes}

    @property
    def place(self) -> evidence.Place:
        """Where the evidence is looked for."""
        lab = self.lab
        return evidence.Place(lab.topology, self.shells, lab.published, lab.deadline)

    def open_connections(self) -> None:
        """Connect to all nodes at once; what does not answer is told within seconds.

        Raises:
            NotRunning: A node does not answer ssh.
        """

        def connect(node: str) -> None:
            try:
                run(
                    ("ssh", "-F", self.lab.ssh_config, node, "true"),
                    timeout_s=max(10.0, self.lab.deadline(2)),
                )
            except CommandFailed as error:
                raise NotRunning(
                    f"{node} of lab {self.lab.name} does not answer ssh",
                    details=str(error),
                    hint="invoke lab.status; invoke lab.up",
                ) from error

        on_all(tuple(self.shells), connect)

    def reset(self) -> None:
        """Put the lab back to how it was made, and forget what was read of it.

        Raises:
            LabError: It did not come up again.
        """
        lifecycle.reset(self.lab.name, Steps(quiet=True))
        self.lab = open_lab(self.lab.name)
        self._kept.clear()
        self.open_connections()

    def facts(self) -> ClusterFacts:
        """Return what all nodes say; read once."""
        return self._once("facts", self.look_again)

    def look_again(self) -> ClusterFacts:
        """Return what all nodes say now."""
        return evidence.look(self.place)

    def situation(self) -> Situation:
        """Return the situation as the facts tell it, nothing tried."""
        return Situation(self.facts(), self.lab.topology)

    def tried(self) -> Situation:
        """Return the situation with what every node can reach."""
        situation = self.situation()
        return replace(situation, reach=self._once("reach", lambda: self.try_again(situation)))

    def sent(self) -> Situation:
        """Return the situation with requests sent through every node."""
        tried = self.tried()
        return replace(tried, traffic=self._once("traffic", lambda: self.send(tried)))

    def kept(self) -> tuple[Situation, Diagnosis] | None:
        """Return all that was read so far and what it says; None when nothing was.

        Nodes are asked again only when some of them did not answer: then for what the others say.
        """
        facts = self._kept.get("facts")
        if facts is None:
            return None
        if not isinstance(facts, ClusterFacts):
            seen, silent = evidence.look_at_what_answers(self.place, evidence.Depth.RULES)
            return seen, diagnose(seen, silent)
        situation = Situation(
            facts, self.lab.topology, reach=self._read("reach"), traffic=self._read("traffic")
        )
        return situation, diagnose(situation)

    @property
    def name(self) -> str:
        """The lab's name."""
        return self.lab.name

    @property
    def deadline(self) -> Deadlines:
        """Scales a deadline to the machines' speed."""
        return self.lab.deadline

    def see(self) -> Situation:
        """Return all that can be seen now; the machines may have been made anew since.

        Raises:
            LabError: A node could not be looked at.
        """
        self.lab = open_lab(self.lab.name)
        self.open_connections()
        return evidence.see_everything(self.place)

    def send(self, situation: Situation) -> Traffic:
        """Send requests through every node's published port."""
        return evidence.send(self.place, situation)

    def try_again(self, situation: Situation) -> tuple[Reach, ...]:
        """Return what every node can reach now, given what is there to be reached."""
        return evidence.try_ways(self.place, situation)

    def _read(self, name: str) -> Any:
        found = self._kept.get(name)
        return None if isinstance(found, LabError) else found

    def _once(self, name: str, read: Callable[[], T]) -> T:
        if name not in self._kept:
            try:
                self._kept[name] = read()
            except LabError as error:
                self._kept[name] = error
        found = self._kept[name]
        if isinstance(found, LabError):
            raise found
        return found  # type: ignore[return-value]  # what was kept under a name is what it reads
