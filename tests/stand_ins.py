"""Programs that take the place of a machine's own, note what they are asked, and say what we say.

What each of them does is in the directory of the provider whose tests need it.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Programs:
    """A machine whose programs are ours, as far as they matter."""

    directory: Path

    @property
    def bin(self) -> Path:
        """Where the programs are."""
        return self.directory / "bin"

    @property
    def log(self) -> list[str]:
        """What was asked of those that take notes, in order."""
        file = self.directory / "log"
        return file.read_text().splitlines() if file.exists() else []

    def say(self, file: str, *lines: str) -> None:
        """Let a program answer something else."""
        (self.directory / file).write_text("".join(f"{line}\n" for line in lines))

    def known(self, file: str) -> list[str]:
        """Return what a program would answer."""
        return (self.directory / file).read_text().splitlines()

    def program(self, name: str, script: str) -> None:
        """Put a program there."""
        (self.bin / name).unlink(missing_ok=True)
        (self.bin / name).write_text(script)
        (self.bin / name).chmod(0o755)
