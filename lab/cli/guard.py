"""Around every command: foreseeable trouble becomes a message and a documented exit code."""

import contextlib
import functools
import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import ParamSpec

from lab.advice import typed_here
from lab.errors import LabError
from lab.readers import forget_readers

P = ParamSpec("P")
INTERRUPTED = 130


def command(body: Callable[P, None]) -> Callable[P, None]:
    """Turn foreseeable trouble into a message on stderr and a documented exit code."""

    @functools.wraps(body)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        # Whoever ends us (a closing terminal, a CI time-out) gets the clean-up Ctrl-C gets.
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup invoke lab.up
                signal.signal(number, signal.default_int_handler)
        if os.environ.get("LAB_DEBUG"):
            logging.basicConfig(level=logging.DEBUG)
        lab = str(kwargs.get("name") or "") or None
        try:
            body(*args, **kwargs)
        except LabError as error:
            complain(message(error), lab)
            sys.exit(error.exit_code)
        except KeyboardInterrupt:
            complain("\nInterrupted. Typing the same command again is safe.", lab)
            sys.exit(INTERRUPTED)
        except BrokenPipeError:  # `invoke lab.logs | head`
            forget_readers()
        except OSError as error:  # a full disk, a home directory that cannot be written
            place = f": {error.filename}" if error.filename is not None else ""
            brief = f"{error.strerror or error}{place}"
            complain(message(LabError(brief, hint="invoke lab.doctor")), lab)
            sys.exit(LabError.exit_code)

    return guarded


def message(error: LabError) -> str:
    """Return an error as a user reads it: what failed, what was seen, what to type."""
    lines = [f"Error: {error.brief}", *(f"  {line}" for line in error.details.splitlines())]
    if error.hint:
        lines.append(f"Try: {error.hint}")
    return "\n".join(lines)


def complain(text: str, lab: str | None) -> None:
    """Print a text on stderr, its commands as they work here and for this lab."""
    with contextlib.suppress(BrokenPipeError):
        print(typed_here(text, lab), file=sys.stderr)
