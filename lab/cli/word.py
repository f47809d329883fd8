"""A word that may be left out: Invoke itself knows only words that must be there.

``invoke lab.heal`` heals everything, ``invoke lab.heal vxlan-blocked`` one fault.
"""

import sys
from collections.abc import Sequence
from typing import Any

from invoke.parser.argument import Argument
from invoke.tasks import Task


class TaskWithOptionalWord(Task[Any]):
    """A task whose positional argument has a default: it is asked for only if a word is there.

    Invoke takes a word for an argument only while the argument has no value at all, and then
    insists on it (invoke 2.2, ``ParserContext.missing_positional_args``).
    """

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """Return the arguments; the positional one lacks its default if it is on the line."""
        arguments: list[Argument] = super().get_arguments(ignore_unknown_help)
        if has_word(sys.argv, self.name):
            for argument in arguments:
                if argument.positional:
                    argument.default = None
        return arguments


def has_word(argv: Sequence[str], command: str) -> bool:
    """Say whether a command is followed by a word that is no option, nor the value of one."""
    names = [n for n, word in enumerate(argv) if word == command or word.endswith(f".{command}")]
    if not names:
        return False
    words = iter(argv[names[0] + 1 :])
    for word in words:
        if word == "--":
            return False
        if not word.startswith("-"):
            return True
        if word.startswith("--") and "=" in word:
            continue
        if word.startswith("--") or len(word) == 2:  # -n NAME, but not -nNAME
            next(words, None)
    return False
