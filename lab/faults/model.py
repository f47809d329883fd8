"""What a fault is: a frozen entry of the catalogue. Pure.

Its commands are templates, see ``lab.faults.place``; ``lab.faults.acting`` carries them out.
"""

from dataclasses import dataclass
from enum import StrEnum

from lab.hops.verdict import Hop


class Role(StrEnum):
    """Which nodes a fault can be put into."""

    MANAGER = "manager"
    WORKER = "worker"
    ANY = "any node"
    TASK = "a node that runs a task"


class On(StrEnum):
    """Which node is meant, seen from the fault: its own, the next one, or the manager."""

    NODE = "the node"
    OTHER = "another node"
    MANAGER = "the manager"


@dataclass(frozen=True, slots=True)
class Step:
    """One shell command, as root.

    ``keep`` names what it prints, for the commands of later steps; it is never written down.
    """

    command: str
    on: On = On.NODE
    keep: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """What a fault does to a lab.

    Attributes:
        inject: Breaks it.
        present: Ends with exit code 0 as long as it is broken.
        heal: Puts back exactly what was there, from whatever part of ``inject`` was done, and
            does no harm where nothing is broken. Empty when no command can do that, because
            addresses or marks would be others: then the whole lab is reset.
    """

    inject: tuple[Step, ...]
    present: Step
    heal: tuple[Step, ...] = ()

    @property
    def is_exact(self) -> bool:
        """Whether commands put back what was there; otherwise the lab has to be reset."""
        return bool(self.heal)


class Answers(StrEnum):
    """What becomes of some requests that are sent at once."""

    ALL = "every request is answered"
    NONE = "no request is answered"
    REFUSED = "no request is answered, and each is told so at once"
    SILENT = "every request hangs"
    SOME = "some requests are answered, others are not"
    ONE = "one and the same replica answers every request"
    SMALL = "small answers come, some of the large ones do not"


class Client(StrEnum):
    """Who sends the requests."""

    HERE = "this machine"
    NODE = "the node itself"


@dataclass(frozen=True, slots=True)
class Requests:
    """A symptom a user of the service sees.

    ``through`` is the node whose published port is asked.
    """

    answers: Answers
    client: Client = Client.HERE
    through: On = On.NODE


@dataclass(frozen=True, slots=True)
class Shown:
    """A symptom a command shows: ``says`` is what it means, exit code 0 that it is so."""

    says: str
    step: Step


@dataclass(frozen=True, slots=True)
class Fault:
    """One broken thing.

    Attributes:
        id: Stable name, in kebab-case.
        title: What is the matter, in a user's words.
        symptom: What a user sees.
        hop: The station that is broken.
        first: The verdict the diagnosis is to name first, as "CHECK[subject]". The subject is a
            template; where it stands for several, the first one in path order is meant.
        tie: Why any of several may be named first; empty where only the first one is right.
        also: Further verdicts on facts that fail with it, because they look at the same thing.
        later: Checks on facts that fail as well once something has given up that nothing ends
            at a set time, so that both is right; where there are any, ``because`` says what.
        felt: Checks that try something and fail because of it.
        role: Where it can be.
        level: 1 shows at once to one command, 2 takes a look at the right place, 3 is subtle.
        change: What it does.
        bites: How one sees that it is really there.
        source: The thread that tells of it, or how it was found.
    """

    id: str
    title: str
    symptom: str
    hop: Hop
    first: str
    role: Role
    level: int
    change: Change
    bites: Requests | Shown
    source: str
    also: tuple[str, ...] = ()
    later: tuple[str, ...] = ()
    because: str = ""
    felt: tuple[str, ...] = ()
    tie: str = ""

    @property
    def check(self) -> str:
        """The id of the check that names it."""
        return self.first.partition("[")[0]


@dataclass(frozen=True, slots=True)
class Injected:
    """A fault that is in a lab; ``seen`` is empty when there was nothing to do."""

    fault: Fault
    node: str
    seen: str


@dataclass(frozen=True, slots=True)
class Leftover:
    """A fault whose traces are in a node; ``journaled`` tells whether we put it there."""

    fault: str
    node: str
    journaled: bool
