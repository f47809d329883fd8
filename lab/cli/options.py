"""What the options that many commands share mean."""

from typing import TYPE_CHECKING

from invoke.context import Context

from lab.errors import UsageError
from lab.settings import Output, choice, setting

if TYPE_CHECKING:
    from lab.steps import Steps

NAME = "which lab (LAB_NAME, default: article)"
OUTPUT = "text or json (LAB_OUTPUT)"


def option_value(c: Context, option: str, given: str, default: str = "") -> str:
    """Return an option: given, in the environment, in an invoke.yaml, or the default."""
    section = c.config.get("lab") or {}
    if not hasattr(section, "get"):
        raise UsageError("The lab: section of invoke.yaml holds no options", details=str(section))
    return setting(option, given, section, default)


def lab_name(c: Context, given: str | None) -> str:
    """Return the name of the lab that is meant; an empty one is refused."""
    from lab.home import DEFAULT_NAME

    if given == "":
        raise UsageError("--name is empty", hint="leave it out for the lab named article")
    return option_value(c, "name", given or "", DEFAULT_NAME)


def wants_json(c: Context, given: str) -> bool:
    """Say whether ``-o json`` is asked for."""
    word = option_value(c, "output", given, Output.TEXT)
    return choice("output", word, Output) is Output.JSON


def recorded_steps(lab: str, command: str) -> "Steps":
    """Return steps that are shown, and written down as what a command did to a lab."""
    from lab.events import recorder
    from lab.home import lab_home
    from lab.steps import Steps

    return Steps(record=recorder(lab_home(lab), command))
