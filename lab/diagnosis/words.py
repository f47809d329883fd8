"""Commands as a person types them: from this machine, and folded so that they can be pasted."""

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence

Typed = Callable[[str, str], str]
"""Turns a node and a command for its root shell into what a person types here."""

A_JOIN_TOKEN = "TOKEN"  # noqa: S105 - the word that stands for one
_FOR_A_SHELL = re.compile(r"[$`*?]|^for ")
_PUNCTUATION = set("();<>|&")


def through_invoke(node: str, command: str, *, manager: str = "manager", option: str = "") -> str:
    """Return what to type in the checkout: ``invoke lab.exec worker -- ip route``.

    What only a shell understands goes to the node as one word. A token is asked for by the
    command itself, because nobody may read it here.

    Args:
        node: Whose root shell it is for.
        command: What that shell is to run.
        manager: The node that hands out tokens.
        option: What names the lab, such as `` --name mine``.
    """
    if _needs_a_shell(command):
        return f"invoke lab.exec {node}{option} -- {shlex.quote(command)}"
    asking = f"$(invoke lab.exec {manager}{option} -- docker swarm join-token -q worker)"
    words = [asking if word == A_JOIN_TOKEN else word for word in command.split(" ")]
    return f"invoke lab.exec {node}{option} -- {' '.join(words)}"


def as_root_on(node: str, command: str) -> str:
    """Return what to type where no lab is known: ``on worker: ip route``."""
    return f"on {node}: {command}"


def enumerated(names: Sequence[str]) -> str:
    """Return names as in a sentence: ``manager, worker1 and worker2``."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def one_by_one(command: str) -> tuple[str, ...]:
    """Split commands that are joined with ``;``, as those to look with are; keep a loop whole."""
    return (command,) if command.startswith("for ") else tuple(command.split("; "))


def folded(command: str, width: int, indent: str = "    ") -> Iterator[str]:
    r"""Yield a command in lines of a width, continued with ``\``, which can be pasted whole.

    It is folded before an option, which stays with its value, or before a program's name.
    """
    line = ""
    for unit in _units(_words(command)):
        longer = f"{line} {unit}" if line else unit
        if len(longer) > width - 2 and line:
            yield f"{line} \\"
            longer = f"{indent}{unit}"
        line = longer
    yield line


def _units(words: Iterable[str]) -> Iterator[str]:
    """Yield words, but an option together with the value that follows it."""
    option = ""
    for word in words:
        # --net=PATH has its value: a program's name follows.
        if option and not word.startswith("-") and "=" not in option:
            yield f"{option} {word}"
            option = ""
            continue
        if option:
            yield option
        option = word if word.startswith("-") else ""
        if not option:
            yield word
    if option:
        yield option


def _needs_a_shell(command: str) -> bool:
    if _FOR_A_SHELL.search(re.sub(r"'[^']*'", "", command)):
        return True
    lexer = shlex.shlex(command, posix=False, punctuation_chars=True)
    lexer.whitespace_split = True
    return any(set(token) <= _PUNCTUATION for token in lexer)


def _words(command: str) -> list[str]:
    """Split at blanks outside of quotes, and keep the quotes."""
    return re.findall(r"""(?:'[^']*'|"[^"]*"|\$\([^)]*\)|\\.|\S)+""", command)
