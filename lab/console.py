"""The console all our text goes to, tables and progress."""

from rich.console import Console


class PatientConsole(Console):
    """A console that falls silent when its reader has gone, as in ``invoke lab.status | head -1``.

    Rich's own would end the program with exit code 1, and ``lab.up`` half-way.
    """

    def on_broken_pipe(self) -> None:
        """Show nothing any more, and go on."""
        self.quiet = True
