"""The end of what a machine wrote on its serial console, for errors."""

from pathlib import Path

from lab.process import last_lines


def last_words(file: Path | None, node: str, *, lines: int) -> str:
    """Return the last lines of a machine's console, and where the rest is."""
    if file is None or not file.exists():
        return f"{node} left no console output"
    text = last_lines(file.read_text(errors="replace"), lines)
    return f"last lines of its console ({file}):\n{text or '(nothing yet)'}"
