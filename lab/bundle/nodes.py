"""Parts of a bundle that the nodes tell: facts, journals, the service's log, the diagnosis.

Everything has its time limit, and a node that lets one pass is not asked again: a bundle of a lab
whose machines hang comes about as well.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from lab.bundle.machine import as_json
from lab.bundle.model import Part, part, reason_of
from lab.diagnosis import content, text
from lab.diagnosis.examine import diagnose
from lab.diagnosis.model import Diagnosis
from lab.errors import FactUnavailable, LabError, NotRunning
from lab.evidence import Depth, Place, look_at_what_answers
from lab.facts.batch import Batch, parse_batch
from lab.facts.commands import EVERYTHING, HOST, Command, Plan, script
from lab.lifecycle import LabStatus
from lab.logs import written_log
from lab.look import manager_engine, patience_s
from lab.parallel import on_all
from lab.session import LabSession, place_of, typed_for
from lab.shell import CommandResult

LOG_LINES = 200
"""Lines of the service's log per replica."""
FACTS_S, JOURNALS_S = 8.0, 4.0
"""How long facts and journals may take on real hardware."""


def _journal(section: str, options: str, lines: int) -> Command:
    by_hand = f"journalctl --no-pager -o short-precise -n {lines} {options}".rstrip()
    return Command(section, f"{by_hand} | tail -c 400000", by_hand)


JOURNALS: Mapping[str, Command] = {
    "dockerd": _journal("docker", "-u docker", 1500),
    "containerd": _journal("containerd", "-u containerd", 500),
    "kernel": _journal("kernel", "-k", 800),
    "everything, in order": _journal("journal", "", 800),
    "load, memory, disks, clock and failed units": Command(
        "system",
        "uptime; free -m; df -h; chronyc -n tracking; systemctl --failed --no-pager; "
        "ps -eo pid,ppid,stat,etimes,rss,comm",
        "uptime; free -m; df -h; chronyc -n tracking; systemctl --failed",
        tolerated=tuple(range(126)),
    ),
}
"""What is asked of each node besides its facts, by what it tells of."""
PLAN = Plan(host=tuple(JOURNALS.values()), sandbox=(), overlay=(), container=())


Answer = CommandResult | LabError


@dataclass(frozen=True, slots=True)
class Told:
    """A shell that says once more what a node has said, or why it did not."""

    node: str
    answer: Answer

    def run(self, command: str, *, timeout_s: float = 60.0) -> CommandResult:  # noqa: ARG002 - a Shell's
        """Return the answer to any command; see ``lab.shell.Shell.run``."""
        if isinstance(self.answer, LabError):
            raise self.answer
        return self.answer


def service_log(lab: LabSession) -> str:
    """Return the end of the service's log, as far as it can be read.

    Raises:
        LabError: Nothing of it can be.
    """
    lines: list[str] = []
    service, patience = lab.topology.service.name, patience_s(lab.state)
    with manager_engine(lab.home, lab.state) as engine:
        try:
            lines += written_log(engine, service, tail=LOG_LINES, timeout_s=patience)
        except FactUnavailable as error:
            if not lines:
                raise
            lines.append(f"({reason_of(error)})")
    if not lines:
        raise FactUnavailable(f"no task of {service} has written anything")
    return "\n".join(lines) + "\n"


def node_parts(
    found: LabStatus,
    *,
    reach: Callable[[LabSession], Place] = place_of,
    read_log: Callable[[LabSession], str] = service_log,
) -> Iterator[Part]:
    """Yield what the nodes of a lab tell, and for each that does not, why.

    Args:
        found: The lab.
        reach: Says how its nodes are reached.
        read_log: Reads the service's log through the manager.
    """
    lab = LabSession(found.home, found.state)
    place = reach(lab)
    silent = dict(_unreachable(found))
    told = _asked(place, silent, script(EVERYTHING), max(30.0, place.deadline(FACTS_S)))
    for node, answer in told.items():
        yield _facts(node, answer)
    yield from _diagnosis(lab, replace(place, shells={n: Told(n, a) for n, a in told.items()}))
    silent |= {node: answer for node, answer in told.items() if isinstance(answer, LabError)}
    more = _asked(place, silent, script(PLAN), max(20.0, place.deadline(JOURNALS_S)))
    for node, answer in more.items():
        yield from _journals(node, answer)
    about = f"the last {LOG_LINES} requests that each replica answered"
    manager = lab.topology.manager.name
    if manager in silent:
        yield Part("service.log", about, missing=reason_of(silent[manager]))
    else:
        yield part("service.log", about, lambda: read_log(lab))


def _unreachable(found: LabStatus) -> Iterator[tuple[str, LabError]]:
    """Yield the nodes that need not be asked, and why."""
    for node in found.state.topology.nodes:
        if not found.machines[node.name].running:
            yield node.name, NotRunning(f"the machine {node.name} does not run")
        elif node.name not in found.state.access:
            yield node.name, NotRunning(f"{node.name} was not made far enough to be reached")


def _asked(
    place: Place, silent: Mapping[str, LabError], command: str, timeout_s: float
) -> Mapping[str, Answer]:
    """Return what each node answers to a script, all asked at once, or why it does not."""

    def ask(node: str) -> Answer:
        if node in silent:
            return silent[node]
        try:
            return place.shells[node].run(command, timeout_s=timeout_s)
        except LabError as error:
            return error

    nodes = tuple(place.shells)
    return dict(zip(nodes, on_all(nodes, ask), strict=True))


def _facts(node: str, answer: Answer) -> Part:
    name, about = f"nodes/{node}/facts.txt", "all answers of the node, as lab/facts reads them"
    if isinstance(answer, LabError):
        return Part(name, about, missing=reason_of(answer))
    complaints = f"\n(complained: {answer.stderr})\n" if answer.stderr.strip() else ""
    return Part(name, about, f"{answer.stdout}{complaints}")


def _diagnosis(lab: LabSession, told: Place) -> Iterator[Part]:
    def found() -> Diagnosis:
        situation, silent = look_at_what_answers(told, Depth.RULES)
        if not situation.cluster.nodes:
            why = "\n".join(f"{node}: {error.brief}" for node, error in silent.items())
            raise FactUnavailable("no node could be looked at", details=why)
        return diagnose(situation, silent)

    yield part(
        "diagnosis.txt",
        "the first broken hop, by rules, tables and settings; nothing was sent",
        lambda: text.render(found(), typed_for(lab)) + "\n",
    )
    yield part(
        "diagnosis.json",
        f"the same ({content.SCHEMA})",
        lambda: as_json({"schema": content.SCHEMA, **content.content(found(), typed_for(lab))}),
    )


def _journals(node: str, answer: Answer) -> Iterator[Part]:
    read: Batch | LabError
    try:
        read = answer if isinstance(answer, LabError) else parse_batch(answer.stdout, node=node)
    except LabError as error:
        read = error
    for about, command in JOURNALS.items():
        yield _journal_part(node, f"{about}: {command.by_hand}", command, read)


def _journal_part(node: str, about: str, command: Command, read: Batch | LabError) -> Part:
    name = f"nodes/{node}/{command.section}.log"
    if isinstance(read, LabError):
        return Part(name, about, missing=reason_of(read))
    section = read.section(HOST, command)
    if section is None or section.exit_code not in command.tolerated or not section.stdout:
        seen = section.stderr if section is not None else ""
        return Part(name, about, missing=seen or "the command printed nothing")
    complaints = "".join(f"\n(complained: {line})" for line in section.stderr.splitlines())
    return Part(name, about, f"{section.stdout}{complaints}\n")
