"""Injecting faults and healing them, so that whatever is interrupted can be healed."""

from dataclasses import replace
from datetime import UTC, datetime

from lab import lifecycle
from lab.errors import Conflict, NotReady, UsageError
from lab.faults import journal
from lab.faults.catalogue import FAULTS
from lab.faults.journal import Command, Entry, Progress
from lab.faults.lent import expect_own_machines
from lab.faults.model import Fault, Injected, Leftover
from lab.faults.patient import Patient, Shells, ready, shells_of
from lab.faults.place import Place, fitting
from lab.home import LabHome, LabState, lab_home
from lab.hops.situation import Situation
from lab.parallel import on_all
from lab.steps import Steps


def inject(
    name: str, fault: Fault, where: Place | str | None, steps: Steps, *, shells: Shells = shells_of
) -> Injected:
    """Put a fault into a running lab and watch it bite.

    Args:
        name: The lab.
        fault: What to break.
        where: A node; one that fits, workers first, when not given; or a place of which all was
            seen just now, so that it need not be looked at.
        steps: Shows progress.
        shells: Opens the shells to the nodes.

    Raises:
        UsageError: There is no such node, the fault cannot be there, or the hosts are lent.
        NotRunning: There is no such lab, or a machine of it is down.
        Conflict: An earlier injection was cut short and only a reset heals it.
        NotReady: It was done, and is not seen to bite.
    """
    found = lifecycle.require_running(name)
    expect_own_machines(found.state)
    _expect_node(found.state, where.node if isinstance(where, Place) else where)
    with found.home.lock():
        patient = Patient(found.home, found.state, shells(found.home, found.state))
        with steps.step("Looking at the lab"):
            place = where if isinstance(where, Place) else _found(patient, fault, where)
            present = ready(place, fault.change.present)
            is_there = patient.holds(present)
        earlier = _entry(patient, fault, place.node)
        if earlier is not None and is_there and earlier.progress is Progress.INJECTED:
            return Injected(fault, place.node, "")
        if earlier is not None:
            _undo(patient, earlier, steps)
            is_there = False
        entry = Entry(
            fault=fault.id,
            node=place.node,
            since=datetime.now(UTC),
            progress=Progress.INJECTING,
            present=present,
            heal=tuple(ready(place, step) for step in fault.change.heal),
        )
        journal.record(patient.home, entry)
        with steps.step(f"Injecting {entry}"):
            if not is_there:
                _carry_out(patient, fault, place)
        journal.record(patient.home, entry.model_copy(update={"progress": Progress.INJECTED}))
        with steps.step("Watching it bite"):
            return Injected(fault, place.node, _watched(patient, fault, place))


def heal(
    name: str,
    fault: Fault | None,
    node: str | None,
    steps: Steps,
    *,
    shells: Shells = shells_of,
) -> tuple[str, ...]:
    """Heal one fault, or all that are in the journal; return what was healed.

    A fault that is not in the journal is looked for in the nodes, and healed if it is there. One
    that no command heals resets the lab, and with it heals all the others; those the lab goes back
    to are healed then.

    Raises:
        UsageError: There is no such node.
        Conflict: The lab goes back to a fault that no command heals.
        NotRunning: There is no such lab, or a machine of it is down.
        NotReady: It is still there, or requests still fail.
    """
    home = lab_home(name)
    home.load()
    if any(not entry.heal for entry in _meant(home, fault, node)):
        return _heal_by_reset(home, fault, node, steps, shells)
    if fault is None and not journal.read(home):
        return ()
    found = lifecycle.require_running(name)
    _expect_node(found.state, node)
    with found.home.lock():
        patient = Patient(found.home, found.state, shells(found.home, found.state))
        entries = _meant(home, fault, node)
        if not entries and fault is not None:
            with steps.step(f"Looking for {fault.id}, which is not in the journal"):
                entries = _by_hand(patient, fault, node)
        for entry in reversed(entries):
            _undo(patient, entry, steps)
        if entries and not journal.read(home):
            with steps.step("Verifying: requests through every node are answered"):
                patient.await_answers()
        return tuple(map(str, entries))


def _heal_by_reset(
    home: LabHome, fault: Fault | None, node: str | None, steps: Steps, shells: Shells
) -> tuple[str, ...]:
    before = journal.read(home)
    lifecycle.reset(home.name, steps)
    left = _meant(home, fault, node)
    if stuck := [str(entry) for entry in left if not entry.heal]:
        raise Conflict(
            f"No command takes {', '.join(stuck)} back, and the lab goes back to it",
            details="it was injected when the snapshot was saved that the lab was restored from",
            hint="invoke lab.down, then invoke lab.up; or invoke lab.restore another",
        )
    if left:
        heal(home.name, fault, node, steps, shells=shells)
    still = journal.read(home)
    return tuple(str(entry) for entry in before if entry not in still)


def leftovers(name: str, *, shells: Shells = shells_of) -> tuple[Leftover, ...]:
    """Look into the nodes for traces of every fault, whoever put it there; changes nothing.

    Raises:
        NotRunning: There is no such lab, or a machine of it is down.
    """
    found = lifecycle.require_running(name)
    patient = Patient(found.home, found.state, shells(found.home, found.state))
    situation = patient.look()
    conditions = {
        (fault.id, node): condition
        for fault in FAULTS
        for node in fitting(fault, situation)
        if (condition := _condition(fault, Place(situation, node))) is not None
    }
    there = _which_hold(patient, conditions)
    known = {(e.fault, e.node) for e in journal.read(found.home)}
    return tuple(Leftover(f, n, (f, n) in known) for f, n in conditions if (f, n) in there)


def _meant(home: LabHome, fault: Fault | None, node: str | None) -> tuple[Entry, ...]:
    return tuple(
        entry
        for entry in journal.read(home)
        if (fault is None or entry.fault == fault.id) and node in (None, entry.node)
    )


def _expect_node(state: LabState, node: str | None) -> None:
    if node is not None and node not in state.access:
        raise UsageError(
            f"Lab {state.name} has no node named {node}",
            details=f"its nodes: {', '.join(state.access)}",
        )


def _found(patient: Patient, fault: Fault, node: str | None) -> Place:
    situation = patient.look()
    return Place(situation, _where(fault, node, situation))


def _where(fault: Fault, node: str | None, situation: Situation) -> str:
    nodes = fitting(fault, situation)
    if not nodes or (node is not None and node not in nodes):
        raise UsageError(
            f"{fault.id} cannot be put into {node or 'any node'}",
            details=f"it needs {fault.role}; here: {', '.join(nodes) or 'none'}",
        )
    return node or nodes[0]


def _entry(patient: Patient, fault: Fault, node: str) -> Entry | None:
    entries = journal.read(patient.home)
    return next((e for e in entries if (e.fault, e.node) == (fault.id, node)), None)


def _carry_out(patient: Patient, fault: Fault, place: Place) -> None:
    for step in fault.change.inject:
        printed = patient.do(ready(place, step))
        if step.keep:
            place = replace(place, kept={**place.kept, step.keep: printed})


def _watched(patient: Patient, fault: Fault, place: Place) -> str:
    """Return what is seen; another fault may hide this one's symptom, but not the fault."""
    if len(journal.read(patient.home)) == 1:
        return patient.watch(place, fault.bites)
    if not patient.holds(ready(place, fault.change.present)):
        raise NotReady(f"{fault.id} was injected and is not there", hint="invoke lab.faults")
    return "it is there; what it shows depends on the other faults as well"


def _undo(patient: Patient, entry: Entry, steps: Steps) -> None:
    if not entry.heal:
        raise Conflict(
            f"No command takes {entry} back, as addresses or marks would be others",
            hint="invoke lab.reset",
        )
    with steps.step(f"Healing {entry}"):
        for command in entry.heal:
            patient.run(command)
        if patient.holds(entry.present):
            raise NotReady(
                f"{entry} is still there",
                details="\n".join(f"on {c.node}: {c.command}" for c in entry.heal),
                hint="invoke lab.reset",
            )
        journal.strike(patient.home, entry)


def _by_hand(patient: Patient, fault: Fault, node: str | None) -> tuple[Entry, ...]:
    """Return what healing takes where a fault is that nobody journaled."""
    situation = patient.look()
    nodes = [n for n in fitting(fault, situation) if node in (None, n)]
    entries = []
    for place in (Place(situation, name) for name in nodes):
        present = _condition(fault, place)
        if present is not None and patient.holds(present):
            entries.append(
                Entry(
                    fault=fault.id,
                    node=place.node,
                    since=datetime.now(UTC),
                    progress=Progress.INJECTED,
                    present=present,
                    heal=tuple(ready(place, step) for step in fault.change.heal),
                )
            )
    return tuple(entries)


def _condition(fault: Fault, place: Place) -> Command | None:
    """Return how to tell that a fault is there; ``None`` where it cannot be."""
    try:
        return ready(place, fault.change.present)
    except UsageError:
        return None


def _which_hold(
    patient: Patient, conditions: dict[tuple[str, str], Command]
) -> frozenset[tuple[str, str]]:
    """Ask each node once for everything that is to be known there."""
    nodes = tuple(patient.shells)

    def ask(name: str) -> list[tuple[str, str]]:
        here = [(key, c.command) for key, c in conditions.items() if c.node == name]
        lines = [
            f"( {command} ) >/dev/null 2>&1 && echo {number}\n"
            for number, (_, command) in enumerate(here)
        ]
        done = patient.run(Command(node=name, command="".join([*lines, "true\n"])))
        return [here[int(number)][0] for number in done.stdout.split()]

    return frozenset(key for keys in on_all(nodes, ask) for key in keys)
