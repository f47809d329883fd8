"""Changing a lab on purpose, waiting until it has settled, and putting it back."""

import shlex
from collections.abc import Iterable
from dataclasses import dataclass

from checks.evidence import Evidence
from lab.consoles import with_consoles
from lab.facts.model import ClusterFacts
from lab.hops.sandbox import backends_are_the_tasks, backends_weigh_the_same
from lab.hops.service import gossip_tells_the_same, replicas_run
from lab.hops.situation import Situation
from lab.hops.verdict import Verdict
from lab.shell import succeed
from lab.wait import wait_until

SETTLED_S = 40.0
"""How long a change may take on real hardware: a lost node alone is noticed after about 15 s
(swarmkit: heartbeat every 5 s, three may be missed)."""


@dataclass(frozen=True, slots=True)
class Changer:
    """Changes the service and the nodes of a lab through their shells."""

    evidence: Evidence

    @property
    def service(self) -> str:
        """The name of the service."""
        return self.evidence.lab.topology.service.name

    @property
    def replicas(self) -> int:
        """How many replicas the service has when nobody changed it."""
        return self.evidence.lab.topology.service.replicas

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names of all nodes."""
        return tuple(self.evidence.shells)

    def on_manager(self, *words: str) -> str:
        """Run a program on the manager; return what it wrote.

        Raises:
            CommandFailed: It ended with another exit code than 0.
        """
        return self.on(self.evidence.lab.topology.manager.name, *words)

    def on(self, node: str, *words: str) -> str:
        """Run a program on a node; see ``on_manager``."""
        timeout_s = self.evidence.lab.deadline(10)
        return succeed(self.evidence.shells[node], shlex.join(words), timeout_s=timeout_s)

    def scale(self, replicas: int) -> None:
        """Ask for another number of replicas; return at once."""
        self.on_manager("docker", "service", "scale", "--detach", f"{self.service}={replicas}")

    def settle(
        self,
        *,
        replicas: int | None = None,
        nodes: Iterable[str] | None = None,
        unlike: ClusterFacts | None = None,
        looks: int = 2,
    ) -> Situation:
        """Wait until replicas run and IPVS holds exactly them; return what was seen last.

        Args:
            replicas: How many are wanted; the topology's number when not given.
            nodes: Where the replicas must run, and whose IPVS is looked at; all nodes when not
                given. A lost node is believed to run its tasks until its heartbeats are missed.
            unlike: Facts from before: the running tasks must have become other ones.
            looks: How many looks in a row must be good: gossip may go back and forth.

        Raises:
            NotReady: It did not come about; the details hold the verdicts that failed, and the
                ends of the machines' consoles.
        """
        wanted = self.replicas if replicas is None else replicas
        names = tuple(nodes or self.nodes)
        seen: list[Situation] = []

        def look() -> tuple[str, ...]:
            situation = self._situation(wanted)
            seen.append(situation)
            failed = [str(v) for v in _verdicts(situation, names) if not v.ok]
            failed += _misplaced(situation.cluster, names)
            if unlike is not None and situation.cluster.running_tasks == unlike.running_tasks:
                failed.append("the same tasks run as before")
            return tuple(failed)

        lab = self.evidence.lab
        with with_consoles(lab.home, lab.state):
            wait_until(
                look,
                lambda failed: not failed,
                what=f"{wanted} replicas, and IPVS to hold exactly them on {', '.join(names)}",
                timeout_s=lab.deadline(SETTLED_S),
                successes=looks,
                hint=f"docker service ps {self.service}",
            )
        return seen[-1]

    def _situation(self, replicas: int) -> Situation:
        topology = self.evidence.lab.topology
        service = topology.service.model_copy(update={"replicas": replicas})
        changed = topology.model_copy(update={"service": service})
        return Situation(self.evidence.look_again(), changed)


def _misplaced(cluster: ClusterFacts, nodes: tuple[str, ...]) -> list[str]:
    homes = {task.slot: cluster.node_of(task) for task in cluster.running_tasks}
    return [
        f"slot {slot} runs on {home.node if home else 'a node that is not in the lab'}"
        for slot, home in homes.items()
        if home is None or home.node not in nodes
    ]


def _verdicts(situation: Situation, nodes: tuple[str, ...]) -> tuple[Verdict, ...]:
    manager = situation.topology.manager.name
    judges = (gossip_tells_the_same, backends_are_the_tasks, backends_weigh_the_same)
    return (
        replicas_run(situation, manager),
        *(judge(situation, node) for node in nodes for judge in judges),
    )
