"""The record as a page: docs/detection.md. Pure, but for the writing."""

from pathlib import Path

from lab.matrix.record import Record

FILE = Path(__file__).parents[2] / "docs" / "detection.md"


def write(record: Record, file: Path = FILE) -> None:
    """Write the page."""
    file.write_text(render(record))


def render(record: Record) -> str:
    """Return the page in Markdown."""
    return ""
