"""Somebody's own hosts under examination: ``pytest checks/ --inventory FILE --service NAME``."""

from checks.looking import Looking
from lab import evidence
from lab.attached import Attached
from lab.diagnosis.words import Typed


class HostsEvidence(Looking):
    """Evidence of hosts that are only looked at: nothing is changed there, and nothing is sent."""

    def __init__(self, hosts: Attached) -> None:
        super().__init__()
        self.hosts = hosts
        self._kept["facts"] = hosts.facts

    @property
    def name(self) -> str:
        """The inventory's file name."""
        return self.hosts.name

    @property
    def provider(self) -> str:
        """They were there before us."""
        return "existing hosts"

    @property
    def remark(self) -> str:
        """What has to be known to read the rest."""
        return "; ".join(self.hosts.notes)

    @property
    def place(self) -> evidence.Place:
        """Where the evidence is looked for."""
        return self.hosts.place

    @property
    def typed(self) -> Typed:
        """How commands for the hosts are typed here."""
        return self.hosts.typed

    def open_connections(self) -> None:
        """They are open: the hosts were looked at to know what can be asked."""
