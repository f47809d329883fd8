"""Which version of a program is installed; remembered, because asking takes as long as we do."""

import json
import tomllib
from contextlib import suppress
from pathlib import Path

from lab.advice import CHECKOUT
from lab.errors import CommandFailed
from lab.paths import cache_dir, write_private
from lab.process import find_program, missing, run

ASK_S = 20.0


def our_version() -> str:
    """Return the version of this program."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
    return str(project["project"]["version"])


def version_of(program: str) -> str:
    """Return the first line of ``PROGRAM --version``.

    The answer is kept for as long as the program's file is the same, by path, size and time; not
    before there is a cache directory, which nobody makes by asking.

    Raises:
        PreflightFailed: The program is not installed.
        CommandFailed: It does not say.
    """
    where = find_program(program)
    if where is None:
        raise missing(program)
    path = Path(where)
    found = path.stat()
    key = f"{path} {found.st_size} {found.st_mtime_ns}"
    known = _known()
    if key not in known:
        lines = run((path, "--version"), timeout_s=ASK_S).stdout.splitlines()
        if not lines:
            raise CommandFailed(f"{program} --version prints nothing", details=str(path))
        others = {k: v for k, v in known.items() if not k.startswith(f"{path} ")}
        known = others | {key: lines[0].strip()}
        with suppress(OSError):  # then it is asked again
            write_private(cache_dir() / "versions.json", json.dumps(known, indent=2) + "\n")
    return known[key]


def _known() -> dict[str, str]:
    try:
        found = json.loads((cache_dir() / "versions.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}
