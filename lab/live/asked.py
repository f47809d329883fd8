"""What was sent, and what the program says of it. Pure."""

from dataclasses import dataclass

from lab.hops.observations import Answer, Round


@dataclass(frozen=True, slots=True)
class Asked:
    """Requests with ids of their own, and what became of them.

    Attributes:
        sent: The requests and what came back.
        logged: The program's log lines of them, read when not all were answered.
        log_trouble: Why its log could not be read, empty when it was, or needed not be.
    """

    sent: Round
    logged: tuple[Answer, ...] = ()
    log_trouble: str = ""
