"""A lab under examination: what the checks look at, through testinfra."""

from checks.looking import Looking
from checks.transport import ShellOverTestinfra, shell_to
from lab import evidence, lifecycle
from lab.diagnosis.words import Typed
from lab.hops.situation import Situation
from lab.parallel import on_all
from lab.session import LabSession, open_lab, place_of, typed_for
from lab.shell import succeed
from lab.steps import Steps
from lab.wait import Deadlines


class Evidence(Looking):
    """Evidence of a running lab, which may be changed and reset.

    Attributes:
        lab: The running lab.
        shells: One shell per node, by name, in the topology's order.
    """

    def __init__(self, lab: LabSession) -> None:
        super().__init__()
        self.lab = lab
        config = str(lab.ssh_config)
        self.shells: dict[str, ShellOverTestinfra] = {
            node.name: shell_to(node.name, config) for node in lab.topology.nodes
        }

    @property
    def name(self) -> str:
        """The lab's name."""
        return self.lab.name

    @property
    def provider(self) -> str:
        """The lab's provider."""
        return self.lab.state.provider

    @property
    def remark(self) -> str:
        """How the machines run, when they are slow."""
        pace = self.lab.state.pace
        return "" if pace <= 1 else f"machines emulated in software, deadlines times {pace:g}"

    @property
    def place(self) -> evidence.Place:
        """Where the evidence is looked for."""
        lab = self.lab
        return evidence.Place(lab.topology, self.shells, lab.published, lab.deadline)

    @property
    def typed(self) -> Typed:
        """How commands for the lab's nodes are typed here."""
        return typed_for(self.lab)

    def open_connections(self) -> None:
        """Connect to all nodes at once; see ``Looking.open_connections``."""
        place = place_of(self.lab)
        on_all(tuple(place.shells.values()), lambda shell: succeed(shell, "true"))

    def reset(self) -> None:
        """Put the lab back to how it was made, and forget what was read of it.

        Raises:
            LabError: It did not come up again.
        """
        lifecycle.reset(self.lab.name, Steps(quiet=True))
        self.lab = open_lab(self.lab.name)
        self._kept.clear()
        self.open_connections()

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
