"""Readers that have gone, as in ``invoke lab.status | head -1``: the rest is for nobody.

Python ignores SIGPIPE and raises BrokenPipeError instead, once more when it ends and flushes what
is left (https://docs.python.org/3/library/signal.html#note-on-sigpipe).
"""

import atexit
import os
import sys
from types import TracebackType


def let_readers_go() -> None:
    """Make the whole program end without a word when its reader has gone, Invoke's part too."""
    atexit.register(forget_readers)
    sys.excepthook = _show_unless_nobody_reads


def forget_readers() -> None:
    """Throw away what nobody reads: what is still to be written, and what may follow."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _show_unless_nobody_reads(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if not issubclass(kind, BrokenPipeError):
        sys.__excepthook__(kind, error, trace)
