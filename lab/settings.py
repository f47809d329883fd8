"""What an option means when it is not given: command line, environment, file, default.

``--name`` is ``LAB_NAME`` in the environment and ``name`` under ``lab:`` in an invoke.yaml.
"""

import os
import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from lab.errors import UsageError

E = TypeVar("E", bound=StrEnum)
SSH_URL = re.compile(r"ssh://(\w[\w.-]*@)?\w[\w.-]*(:(\d{1,5}))?", re.ASCII)
"""Not [2001:db8::1]: ssh(1) of OpenSSH 9.2 takes no address in brackets here."""


class Output(StrEnum):
    """What ``-o`` takes."""

    TEXT = "text"
    JSON = "json"


def setting(option: str, given: str, file: Mapping[str, object], default: str = "") -> str:
    """Return the value of an option from the first source that has it.

    Args:
        option: Its long name without dashes, such as ``name``.
        given: What the command line says; empty if it says nothing.
        file: The ``lab`` section of the Invoke configuration.
        default: What holds otherwise.
    """
    return given or os.environ.get(f"LAB_{option.upper()}") or str(file.get(option) or default)


def choice(option: str, value: str, kind: type[E]) -> E:
    """Return the member of ``kind`` that ``value`` names.

    Raises:
        UsageError: It names none.
    """
    try:
        return kind(value)
    except ValueError as error:
        raise UsageError(
            f"--{option} cannot be {value!r}", details=f"expected one of: {', '.join(kind)}"
        ) from error


def count(option: str, value: str, *, least: int) -> int:
    """Return a whole number an option or argument was given as.

    Raises:
        UsageError: It is no number, or less than ``least``.
    """
    try:
        number = int(value)
    except ValueError as error:
        raise UsageError(f"{option} is {value!r}", details="expected a whole number") from error
    if number < least:
        raise UsageError(f"{option} is {number}", details=f"expected {least} or more")
    return number


def ssh_url(option: str, value: str) -> str:
    """Return an option that says how ssh reaches a host.

    Raises:
        UsageError: It does not.
    """
    found = SSH_URL.fullmatch(value)
    if found is None or not 0 < int(found[3] or 22) < 2**16:
        raise UsageError(
            f"{option} is {value!r}",
            details="expected ssh://host, ssh://user@host:port or so; "
            "an IPv6 address needs a name, in DNS or in your ssh_config",
        )
    return value


def user_path(text: str) -> Path:
    """Return a path as a user gave it: ``~`` and ``~somebody`` are homes.

    Raises:
        UsageError: There is no such home.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise UsageError(f"{text} names no file", details=str(error)) from error


def pace() -> float:
    """Return how many times as long as usual the hosts may take: ``LAB_PACE``.

    Raises:
        UsageError: It is no number, or less than 1.
    """
    said = os.environ.get("LAB_PACE") or "1"
    try:
        found = float(said)
    except ValueError:
        found = 0.0
    if not 1 <= found < 1000:
        raise UsageError(f"LAB_PACE is {said!r}", details="expected a number from 1 on")
    return found
