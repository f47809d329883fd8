"""docs/reference.md says what there is: every command, option and variable, and no others."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from invoke.parser.argument import Argument

from tasks import namespace

ROOT = Path(__file__).parent.parent
COMMANDS = sorted(namespace.task_names)
# Invoke forgets an option's help when it has been asked for it once: ask before other tests do.
ARGUMENTS = {command: namespace[command].get_arguments() for command in COMMANDS}


def rows(first: str) -> Iterator[list[str]]:
    """Yield the rows of the tables whose first column has this heading, as lists of cells."""
    inside = False
    for line in (ROOT / "docs" / "reference.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            inside = False
        elif inside and set(cells[0]) != {"-"}:
            yield cells
        elif cells[0] == first:
            inside = True


@cache
def documented() -> dict[str, set[str]]:
    """Return the options of every command in the table."""
    return {
        match.group(1): set(re.findall(r"`(--[a-z]+)`", options))
        for command, options, _ in rows("command")
        if (match := re.match(r"`invoke (\S+?)[ `]", command))
    }


def options(command: str) -> dict[str, Argument]:
    """Return the real options of a command by their long names."""
    found = ARGUMENTS[command]
    return {
        f"--{argument.name.strip('_')}": argument for argument in found if not argument.positional
    }


def test_every_command_is_documented_and_no_other() -> None:
    assert sorted(documented()) == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_has_the_options_that_are_documented(command: str) -> None:
    assert documented()[command] == set(options(command))


def test_every_option_is_explained_and_no_other() -> None:
    explained = [cells[0].strip("`").split()[0] for cells in rows("option")]
    assert len(explained) == len(set(explained))
    assert set(explained) == set().union(*documented().values())


def test_help_and_reference_tell_the_same_of_variables_and_defaults() -> None:
    table = {cells[0].strip("`").split()[0]: cells for cells in rows("option")}
    for command in COMMANDS:
        for name, argument in options(command).items():
            _, variable, default, _ = table[name]
            said = re.search(r"\((LAB_[A-Z]+)(?:, default: (.*))?\)", argument.help or "")
            assert variable.strip("`") == (said.group(1) if said else ""), (command, name)
            if said and said.group(2):
                assert default == f"`{said.group(2)}`", (command, name)


def test_every_variable_we_read_is_documented() -> None:
    sources = [*ROOT.glob("lab/**/*.py"), *ROOT.glob("checks/**/*.py"), ROOT / "tasks.py"]
    read = {name for path in sources for name in re.findall(r'"(LAB_[A-Z_]+)"', path.read_text())}
    told = {cells[1].strip("`") for cells in rows("option")} - {""}
    told |= {
        name for cells in rows("environment") for name in re.findall(r"LAB_[A-Z_]+", cells[0])
    }
    assert read <= told
    assert len(read) > 4


def test_every_schema_is_named_with_its_number_and_no_other() -> None:
    sources = [*ROOT.glob("lab/**/*.py"), ROOT / "tasks.py"]
    schema = r"\blab\.[a-z-]+/v\d+\b"
    written = {name for path in sources for name in re.findall(f'"({schema})"', path.read_text())}
    assert written == set(re.findall(schema, (ROOT / "docs" / "reference.md").read_text()))
