"""From facts and their diagnosis to a trace."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address

from lab.diagnosis.model import PROMISED, Diagnosis, State, is_among
from lab.diagnosis.needs import SCOPES
from lab.diagnosis.text import headline
from lab.diagnosis.words import one_by_one
from lab.errors import FactUnavailable
from lab.hops import clients, flows
from lab.hops.judge import slot_name
from lab.hops.situation import Blocked, Situation
from lab.hops.surroundings import gateway
from lab.hops.verdict import Scope, Verdict
from lab.trace import sayings
from lab.trace.kinds import ENTRANCE, IN_A_TASK, KINDS, OF_REQUESTS, OF_THE_SWARM
from lab.trace.model import HERE, Branch, Key, Side, Station, Step, Task, Trace, Tuple
from lab.trace.sayings import Said

READ = "docs/walkthrough.md"
OWN_FILTER = "H7-local-pass"

_SAY: Mapping[Key, Callable[[Situation, str], Said]] = {
    Key.PORT: sayings.port,
    Key.DNAT: sayings.dnat,
    Key.FILTER: sayings.filtered,
    Key.BRIDGE: sayings.bridge,
    Key.MARK: sayings.mark,
    Key.IPVS: sayings.ipvs,
    Key.SNAT: sayings.snat,
    Key.OVERLAY: sayings.overlay,
    Key.REDIRECT: sayings.redirect,
    Key.PROGRAM: sayings.program,
}


@dataclass(frozen=True, slots=True)
class Request:
    """The request to be traced: made on ``origin``, a node or ``host``; it enters at ``entry``."""

    origin: str
    entry: str


def trace(
    situation: Situation, diagnosis: Diagnosis, request: Request, *, lab: str, made: str
) -> Trace:
    """Return the way of a request, and every station on every node.

    Args:
        situation: What all nodes say.
        diagnosis: What is the matter with it.
        request: Which request.
        lab: Name of the lab.
        made: When the nodes were looked at.

    Raises:
        FactUnavailable: Nothing is known of the node it enters at.
    """
    builder = _Builder(situation, request, diagnosis)
    here = {node.node for node in situation.cluster.nodes}
    sides = tuple(builder.side(n.name) for n in situation.topology.nodes if n.name in here)
    tasks = tuple(builder.tasks())
    entry = next((side for side in sides if side.node == request.entry), None)
    if entry is None:
        raise FactUnavailable(
            f"{request.entry} could not be looked at, so nothing can be traced through it",
            details=next((s.reason for s in diagnosis.silent if s.node == request.entry), ""),
            hint=next((s.hint for s in diagnosis.silent if s.node == request.entry), ""),
        )
    walker = _Walker(situation, request, sides, tasks)
    trunk, last = walker.trunk(entry)
    node = situation.cluster.node(request.entry)
    return Trace(
        lab=lab,
        service=situation.topology.service.name,
        protocol=situation.protocol,
        port=situation.port,
        origin=request.origin,
        entry=request.entry,
        client=walker.client,
        trunk=trunk,
        branches=tuple(walker.branches(entry, last)),
        sides=sides,
        tasks=tasks,
        swarm=builder.state(builder.about(OF_THE_SWARM)),
        requests=tuple((side.node, builder.requests(side.node)) for side in sides),
        headline=headline(diagnosis),
        made=made,
        enter="invoke lab.ssh NODE" if situation.is_lab else "with ssh",
        environment=(
            ("engine", node.engine_version),
            ("kernel", node.kernel),
            ("iptables", node.iptables_backend or "no rules"),
        ),
    )


@dataclass(frozen=True, slots=True)
class _Builder:
    """Makes stations, each with the verdicts about it."""

    situation: Situation
    request: Request
    diagnosis: Diagnosis

    def side(self, node: str) -> Side:
        spec = self.situation.spec(node)
        stations = tuple(self._station(key, node, "") for key in ENTRANCE)
        return Side(node, str(spec.role), spec.address, stations)

    def tasks(self) -> Iterator[Task]:
        cluster = self.situation.cluster
        for task in sorted(cluster.running_tasks, key=lambda t: t.slot or 0):
            node = cluster.node_of(task)
            if node is None or task.ingress_address is None:
                continue
            slot = slot_name(task.slot or 0)
            stations = tuple(self._station(key, node.node, slot) for key in IN_A_TASK)
            yield Task(slot, node.node, task.ingress_address, stations)

    def _station(self, key: Key, node: str, slot: str) -> Station:
        kind = KINDS[key]
        said = _SAY[key](self.situation, slot or node)
        verdicts = tuple(
            v
            for check in kind.checks
            for v in self.diagnosis.verdicts
            if v.check == check and self._is_about(v, node, slot)
        )
        if self.request.origin != HERE:  # what its own filter does to it comes first then
            verdicts = tuple(sorted(verdicts, key=lambda v: v.check != OWN_FILTER))
        lines = tuple(line.rstrip() for line in said.lines)
        proofs = (line.rstrip() for v in verdicts for line in v.evidence)
        service = self.situation.topology.service.name
        return Station(
            key=key,
            node=node,
            slot=slot,
            place=f"{service}.{slot.removeprefix('slot-')}" if slot else kind.place,
            title=kind.title,
            does=said.does,
            brief=said.brief,
            lines=lines,
            evidence=tuple(dict.fromkeys((*lines, *proofs))),
            see=_commands(verdicts, node),
            read=f"{READ}#{kind.read}",
            state=self.state(verdicts),
            verdicts=verdicts,
        )

    def _is_about(self, verdict: Verdict, node: str, slot: str) -> bool:
        if slot:
            return verdict.subject == slot
        return verdict.subject == node or SCOPES[verdict.check] is Scope.SWARM

    def about(self, beginnings: tuple[str, ...]) -> tuple[Verdict, ...]:
        return tuple(
            v for v in self.diagnosis.verdicts if v.check.partition("-")[0].startswith(beginnings)
        )

    def requests(self, node: str) -> State:
        return self.state(tuple(v for v in self.about(OF_REQUESTS) if v.node == node))

    def state(self, verdicts: tuple[Verdict, ...]) -> State:
        """Return how something fares of which these verdicts are all there is."""
        if not verdicts:
            return State.UNSEEN
        failed = [v for v in verdicts if not v.ok]
        broken = [hop for hop in self.diagnosis.broken if is_among(hop.verdict, tuple(failed))]
        if any(not hop.is_beside for hop in broken):
            return State.BROKEN
        if broken or any(is_among(v, self.diagnosis.promises) for v in failed):
            return State.ODD
        blocked = [v for v in failed if not v.check.endswith(PROMISED)]
        return State.BLOCKED if blocked else State.OK


@dataclass(frozen=True, slots=True)
class _Walker:
    """Follows the request: what its addresses are after each station."""

    situation: Situation
    request: Request
    sides: tuple[Side, ...]
    tasks: tuple[Task, ...]

    @property
    def client(self) -> Tuple:
        return Tuple(*sayings.client(self.situation, self.request.origin, self.request.entry))

    def trunk(self, entry: Side) -> tuple[tuple[Step, ...], Tuple | None]:
        """Return the steps up to IPVS, and the addresses there; None when it got lost before."""
        at: Tuple | None = self.client
        steps = []
        for key in (Key.PORT, Key.DNAT, Key.FILTER, Key.BRIDGE, Key.MARK, Key.IPVS):
            if at is None:
                break
            at = self._after(key, entry.node, at)
            step = Step(entry.station(key), at)
            if key is Key.FILTER:
                step = self._filtered(step)
                at = step.after
            steps.append(step)
        return tuple(steps), at

    def _filtered(self, step: Step) -> Step:
        """Return the step through the host's filter with the fate of this very request."""
        passage = self._passage(step.station.node)
        if passage is None:
            return step
        if clients.is_owners_to_say(self.situation, step.station.node, passage):
            said = f"{passage}, as the host's owner says; the way goes on for whom they let in"
            return Step(step.station, step.after, said, passage.fate.lines)
        after = step.after if passage.ok else None
        return Step(step.station, after, str(passage), passage.fate.lines)

    def _passage(self, node: str) -> flows.Passage | None:
        """Return how the host's filter treats this very request: from outside, or made here."""
        try:
            sandbox = self.situation.sandbox_address(node)
        except Blocked:
            return None
        door = flows.door(self.situation)
        if self.request.origin != HERE:
            stages = flows.local_request(sandbox, door)
        else:
            entrance = sayings.outer_entrance(self.situation, node)
            if entrance is None:
                return None
            stages = flows.outside_request(entrance, sandbox, door)
        return flows.pass_all(self.situation.cluster.node(node).host.rules, stages)

    def _after(self, key: Key, node: str, at: Tuple) -> Tuple | None:
        if key is Key.DNAT:
            target = sayings.dnat_target(self.situation, node)
            return Tuple(at.source, f"{target.address}:{target.port}") if target else None
        if key is Key.BRIDGE and self.request.origin != HERE:
            return Tuple(str(gateway(self.situation, node)), at.destination)
        if key is Key.MARK and sayings.balancer(self.situation, node) is None:
            return None
        return at

    def branches(self, entry: Side, at: Tuple | None) -> Iterator[Branch]:
        service = sayings.balancer(self.situation, entry.node)
        if service is None or at is None:
            return
        source = sayings.snat_source(self.situation, entry.node)
        for backend in service.backends:
            if not backend.weight:
                continue
            inner = Tuple(str(source or at.source), f"{backend.address}:{self.situation.port}")
            task = next((t for t in self.tasks if t.address == backend.address), None)
            unseen = task is None and backend.address in self.situation.cluster.backend_addresses
            steps = [Step(entry.station(Key.SNAT), inner)]
            if unseen:
                steps.append(self._out(entry, backend.address, inner, ", a member not looked at"))
            else:
                steps += self._over(entry, task, inner)
            yield Branch(backend.address, task, tuple(steps), unseen)

    def _over(self, entry: Side, task: Task | None, inner: Tuple) -> Iterator[Step]:
        here = entry.station(Key.OVERLAY)
        if task is None:
            yield Step(here, None, "no task has this address: nobody answers")
            return
        if task.node == entry.node:
            yield Step(here, inner, "the task is on this node: br0 hands the packet over")
        else:
            there = next(side for side in self.sides if side.node == task.node)
            yield self._out(entry, task.address, inner)
            overlay = self.situation.cluster.node(task.node).overlay
            yield Step(
                there.station(Key.OVERLAY),
                inner,
                "unwrapped, and handed over by br0 here",
                sayings.device_lines(overlay) if overlay else (),
            )
        redirect, program = task.stations
        port = sayings.redirected_port(self.situation, task.slot)
        inside = Tuple(inner.source, f"{task.address}:{port}") if port else None
        yield Step(redirect, inside)
        yield Step(program, inside)

    def _out(self, entry: Side, task: IPv4Address, inner: Tuple, who: str = "") -> Step:
        """Return the step out to another node, as the tunnel's tables say."""
        station = entry.station(Key.OVERLAY)
        overlay = self.situation.cluster.node(entry.node).overlay
        end = sayings.tunnel_end(overlay, task) if overlay else None
        tunnel = overlay.vxlan if overlay else None
        if overlay is None or tunnel is None or end is None:
            return Step(station, None, f"the tunnel does not know where {task} is")
        return Step(
            station,
            inner,
            f"wrapped into VXLAN id {tunnel.vni} and sent to {end}{who}",
            sayings.tunnel_lines(overlay, task),
            Tuple(str(entry.address), f"{end}:{tunnel.port}"),
        )


def _commands(verdicts: tuple[Verdict, ...], node: str) -> tuple[str, ...]:
    lines = (
        line
        for verdict in verdicts
        if verdict.see_on == node or verdict.check == "S4-port"
        for line in one_by_one(verdict.see)
    )
    return tuple(dict.fromkeys(lines))
