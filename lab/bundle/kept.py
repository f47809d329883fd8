"""Parts of a bundle that lie in a lab's directory: its state, what was done to it, its consoles.

Only files that are named here are opened. Keys lie beside them and are not.
"""

from collections.abc import Iterator
from pathlib import Path

from lab import events, lifecycle, report
from lab.bundle.machine import as_json
from lab.bundle.model import Part, part
from lab.errors import LabError
from lab.home import LabHome

CONSOLE = "console.log"
CONSOLE_BYTES = 256 * 1024
"""How much of the end of a console is taken: a boot writes some ten KiB."""
ABOUT = {
    "state.json": "what is known of the lab between two commands",
    "faults.json": "what lab.break has put into it",
}


def kept_parts(home: LabHome) -> Iterator[Part]:
    """Yield what this machine has of a lab, whether or not its machines run."""
    yield part(
        "lab/timeline.txt",
        "what was done to the lab, step by step, and what came of it",
        lambda: _timeline(home),
    )
    yield part(
        "lab/status.json",
        "its machines as they are now (lab.status/v1, without the swarm)",
        lambda: as_json(
            {
                "schema": "lab.status/v1",
                **report.status_content(lifecycle.status(home.name), None),
            }
        ),
    )
    yield part(
        "lab/topology.json",
        "what it should be",
        lambda: home.load().topology.model_dump_json(indent=2) + "\n",
    )
    for file in _documents(home):
        about = ABOUT.get(file.name, "what the provider remembers of its machines")
        yield part(f"lab/{file.name}", about, lambda file=file: file.read_text(errors="replace"))  # type: ignore[misc]
    yield from _consoles(home)


def _documents(home: LabHome) -> list[Path]:
    """Return the JSON files of a lab; that state.json is not there is worth saying."""
    return sorted({home.path / "state.json", *home.path.glob("*.json")})


def _timeline(home: LabHome) -> str:
    found = events.read(home)
    if not found:
        raise LabError("nothing was written down", details=f"there is no {events.file_of(home)}")
    return "".join(f"{event}\n" for event in found)


def _consoles(home: LabHome) -> Iterator[Part]:
    """Yield the consoles of all machines, that of one that was to be copied too."""
    files = sorted(home.path.rglob(CONSOLE))
    for file in files:
        machine = "-".join(
            word for word in file.parent.relative_to(home.path).parts if word != "nodes"
        )
        yield part(
            f"lab/consoles/{machine}.log",
            f"the end of the serial console of {machine}; a copy of a saved machine says little",
            lambda file=file: tail_of(file, CONSOLE_BYTES),  # type: ignore[misc]
        )
    if not files:
        yield Part(
            "lab/consoles/",
            "the serial consoles",
            missing="no machine has left any console output",
        )


def tail_of(file: Path, most: int) -> str:
    """Return the last ``most`` bytes of a file as text, from the beginning of a line on."""
    with file.open("rb") as opened:
        size = opened.seek(0, 2)
        opened.seek(max(0, size - most))
        data = opened.read(most)
    if size > most:
        data = data.partition(b"\n")[2]
    return data.decode(errors="replace")
