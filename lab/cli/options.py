"""What the options that many commands share mean."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.config import Config
from invoke.context import Context

from lab.advice import CHECKOUT
from lab.errors import UsageError
from lab.settings import Output, choice, setting, user_path

if TYPE_CHECKING:
    from lab.attached import Wish
    from lab.steps import Steps

INVENTORY = "look at your own hosts instead: an inventory file, read-only"
SERVICE = "with --inventory: which service"
PORT = "with --inventory: which of its published ports, such as 443 or 53/udp"
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


def lab_name_for_pytest(given: str | None) -> str:
    """Return the name of the lab that pytest's ``--name`` means: the one our commands mean."""
    config = Config(project_location=CHECKOUT)  # reads the invoke.yaml of system and user
    config.load_project()
    return lab_name(Context(config), given)


def wants_json(c: Context, given: str) -> bool:
    """Say whether ``-o json`` is asked for."""
    word = option_value(c, "output", given, Output.TEXT)
    return choice("output", word, Output) is Output.JSON


def expect_new(path: Path) -> None:
    """Refuse a file that could not be written, or is there already: before anything is done.

    Raises:
        UsageError: Why not, and what to type instead.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a directory", hint=f"--file {path / 'NAME'}")
    if path.exists():
        raise UsageError(f"{path} exists already", hint="give --file another name, or remove it")
    expect_room(path.parent)


def expect_room(directory: Path) -> None:
    """Refuse a directory in which nothing could be written; errors as ``expect_new``."""
    if not directory.is_dir():
        raise UsageError(f"There is no directory {directory}", hint=f"mkdir -p {directory}")
    if not os.access(directory, os.W_OK | os.X_OK):
        raise UsageError(
            f"Nothing can be written in {directory.resolve()}", hint="--file elsewhere/NAME"
        )


def recorded_steps(lab: str, command: str) -> "Steps":
    """Return steps that are shown, and written down as what a command did to a lab."""
    from lab.events import recorder
    from lab.home import lab_home
    from lab.steps import Steps

    return Steps(record=recorder(lab_home(lab), command))


def attach_wish(inventory: str, service: str, port: str, name: str | None) -> "Wish | None":
    """Return what is to be looked at on somebody's own hosts; None when a lab is meant.

    Raises:
        UsageError: The options contradict each other.
    """
    if not inventory:
        if service or port:
            raise UsageError("--service and --port are for --inventory: a lab has one of each")
        return None
    from lab.attached import Wish

    if name is not None:
        raise UsageError("--name and --inventory contradict each other")
    return Wish(user_path(inventory), service, port)
