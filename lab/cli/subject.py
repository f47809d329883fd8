"""What a command looks at: a lab of ours, or somebody's own hosts."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

from lab.attached import Wish, attached
from lab.diagnosis.words import Typed
from lab.errors import LabError
from lab.evidence import Depth, look_at_what_answers, try_on
from lab.hops.situation import Situation
from lab.session import open_lab, place_of, typed_for
from lab.steps import Steps
from lab.topology_outline import Outline

Seen = tuple[Situation, Mapping[str, LabError]]
"""The situation, and why hosts could not be looked at, by name."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Something that can be looked at.

    Attributes:
        name: What it is called.
        topology: What is known of it beforehand.
        typed: How commands for its nodes are typed here.
        look: Looks, as far as is asked for.
        notes: What has to be known to read what is seen.
        statement: Why there is nothing to judge; empty when there is.
    """

    name: str
    topology: Outline
    typed: Typed
    look: Callable[[Depth], Seen]
    notes: tuple[str, ...] = ()
    statement: str = ""


@contextmanager
def subject(lab_name: str, wish: Wish | None) -> Iterator[Subject]:
    """Yield the lab of that name, or the hosts that are wished for.

    Raises:
        LabError: It cannot be looked at.
    """
    steps = Steps()
    if wish is None:
        lab = open_lab(lab_name)
        place = place_of(lab)

        def look_here(depth: Depth) -> Seen:
            trying = ", and trying the way" if depth > Depth.RULES else ""
            with steps.step(f"Looking at all nodes{trying}"):
                return look_at_what_answers(place, depth, partial(_tell_silent, steps))

        yield Subject(lab.name, lab.topology, typed_for(lab), look_here)
        return
    with ExitStack() as stack:
        with steps.step(f"Looking at the hosts of {wish.inventory}"):
            hosts = stack.enter_context(attached(wish))
        for note in hosts.notes:
            steps.note(note)

        def look(depth: Depth) -> Seen:
            # No request is sent to a service of somebody's own.
            return try_on(hosts.place, hosts.facts, min(depth, Depth.TRIED)), hosts.silent

        yield Subject(
            hosts.name, hosts.place.topology, hosts.typed, look, hosts.notes, hosts.statement
        )


def _tell_silent(steps: Steps, silent: Mapping[str, LabError]) -> None:
    """Say on stderr at once who cannot be looked at: trying the others takes its time."""
    for node, error in silent.items():
        steps.note(f"{node} cannot be looked at: {error.brief}; going on without it")
