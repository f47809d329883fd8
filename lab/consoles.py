"""What the machines of a lab said last on their consoles, for errors about something too late."""

from collections.abc import Iterator
from contextlib import contextmanager

from lab.errors import NotReady, NotRunning
from lab.home import LabHome, LabState
from lab.providers import Provider, provider_named
from lab.serial_console import last_words

CONSOLE_LINES = 12


@contextmanager
def with_consoles(home: LabHome, state: LabState) -> Iterator[None]:
    """Add the end of every console to an error that says something did not come in time."""
    provider = provider_named(state.provider)
    try:
        yield
    except (NotReady, NotRunning) as error:
        consoles = [console_end(home, provider, node) for node in state.access]
        raise type(error)(
            error.brief, details="\n".join([error.details, *consoles]), hint=error.hint
        ) from error


def console_end(home: LabHome, provider: Provider, node: str) -> str:
    """Return the last lines of a node's console, and where the rest is."""
    return last_words(provider.console(home, node), node, lines=CONSOLE_LINES)
