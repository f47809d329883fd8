"""The command that collects what a maintainer would ask for."""

from pathlib import Path

from invoke.context import Context
from invoke.tasks import task

from lab.cli.guard import command
from lab.cli.options import NAME, OUTPUT, expect_new, expect_room, lab_name, wants_json


@task(
    help={
        "name": NAME,
        "file": "where to write it; a name with lab and time in this directory when not given",
        "output": OUTPUT,
    }
)
@command
def bundle(c: Context, name: str | None = None, file: str = "", output: str = "") -> None:
    """Collect facts, logs, consoles, versions and timeline in one file, without secrets."""
    from lab import report
    from lab.bundle import telling
    from lab.bundle.archive import packed
    from lab.bundle.collect import collect
    from lab.paths import write_private
    from lab.steps import Steps

    as_json = wants_json(c, output)
    if file:  # before it takes its time
        expect_new(Path(file))
    else:
        expect_room(Path.cwd())
    found = collect(lab_name(c, name), Steps())
    path = Path(file or f"{found.name}.tar.gz").absolute()
    data = packed(found)
    write_private(path, data)
    if as_json:
        report.print_json(telling.SCHEMA, telling.content(found, path, len(data)))
    else:
        print(telling.lines(found, path, len(data)))
