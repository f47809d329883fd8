"""What is read of a swarm when it is first needed, and then kept: facts, ways, requests."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from lab import evidence
from lab.diagnosis.examine import diagnose
from lab.diagnosis.model import Diagnosis
from lab.diagnosis.words import Typed
from lab.errors import LabError
from lab.facts.model import ClusterFacts
from lab.hops.observations import Reach, Traffic
from lab.hops.situation import Situation

T = TypeVar("T")


class Looking(ABC):
    """Each kind of evidence is read once; so is the failure to read it."""

    def __init__(self) -> None:
        self._kept: dict[str, object] = {}

    @property
    @abstractmethod
    def name(self) -> str:
        """What is looked at, as a report calls it."""

    @property
    @abstractmethod
    def provider(self) -> str:
        """Where the machines come from."""

    @property
    @abstractmethod
    def remark(self) -> str:
        """What is unusual about the machines; empty when nothing is."""

    @property
    @abstractmethod
    def place(self) -> evidence.Place:
        """Where the evidence is looked for."""

    @property
    @abstractmethod
    def typed(self) -> Typed:
        """How commands for the nodes are typed here."""

    @abstractmethod
    def open_connections(self) -> None:
        """Connect to all nodes at once; what does not answer is told within seconds.

        Raises:
            LabError: A node does not answer ssh.
        """

    def facts(self) -> ClusterFacts:
        """Return what all nodes say; read once."""
        return self._once("facts", self.look_again)

    def look_again(self) -> ClusterFacts:
        """Return what all nodes say now."""
        return evidence.look(self.place)

    def situation(self) -> Situation:
        """Return the situation as the facts tell it, nothing tried."""
        return self.place.situation(self.facts())

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
        situation = replace(
            self.place.situation(facts), reach=self._read("reach"), traffic=self._read("traffic")
        )
        return situation, diagnose(situation)

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
