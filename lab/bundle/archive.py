"""From a bundle to one file: secrets out, a list in front, always in the same order."""

import gzip
import io
import re
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from lab.bundle.model import Bundle, Part
from lab.redact import redacted

MOST_BYTES = 4 * 2**20
"""Of a longer part only the end is kept."""
README = "README.txt"


def cleaned(bundle: Bundle, home: Path) -> Bundle:
    """Return a bundle without secrets, ready to be handed on, its parts by name.

    Args:
        bundle: What was collected.
        home: The user's own directory, which is called ``~`` where this machine tells of itself.
    """
    own = re.compile(rf"(?<![\w./-]){re.escape(str(home))}(?![\w.-])")

    def clean(text: str) -> str:
        return own.sub("~", redacted(text))

    return replace(
        bundle,
        parts=tuple(
            replace(
                part,
                content=_end_of(
                    redacted(part.content)
                    if part.name.startswith("nodes/")
                    else clean(part.content)
                ),
                missing=clean(part.missing).strip(),
            )
            for part in sorted(bundle.parts, key=lambda part: part.name)
        ),
    )


def packed(bundle: Bundle) -> bytes:
    """Return a bundle as a compressed tar archive of one directory; the same gives the same."""
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(filename="", fileobj=buffer, mode="wb", mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name, content in _files(bundle):
            data = content.encode()
            entry = tarfile.TarInfo(f"{bundle.name}/{name}")
            entry.size = len(data)
            entry.mode = 0o600
            entry.mtime = int(bundle.made.timestamp())
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def readme(bundle: Bundle) -> str:
    """Return what tells a reader what each file is, and why some are not there."""
    lines = [
        f"Lab {bundle.lab}, {bundle.made:%Y-%m-%d %H:%M:%S} UTC, {bundle.version}",
        "",
        "Collected by `invoke lab.bundle`. Keys and join tokens were never read; what looks like",
        "a secret in a log or a console was replaced by [removed: ...]. The user's own directory",
        "is called ~. Names, addresses and the requests in service.log are as they were.",
        "",
    ]
    lines += [f"{part.name}\n    {part.about}" for part in bundle.present]
    if bundle.absent:
        lines += ["", "Not in it:", ""]
        lines += [
            f"{part.name} ({part.about})\n{_indented(part.missing)}" for part in bundle.absent
        ]
    return "\n".join(lines) + "\n"


def _files(bundle: Bundle) -> Iterator[tuple[str, str]]:
    yield README, readme(bundle)
    for part in bundle.present:
        yield part.name, part.content


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


def _end_of(text: str) -> str:
    data = text.encode()
    if len(data) <= MOST_BYTES:
        return text
    kept = data[-MOST_BYTES:].partition(b"\n")[2].decode(errors="replace")
    return f"(the first {len(data) - MOST_BYTES} bytes are left out)\n{kept}"


def size_of(part: Part) -> int:
    """Return how many bytes a part has in the bundle."""
    return len(part.content.encode())
