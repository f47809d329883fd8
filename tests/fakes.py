"""Stand-ins that implement the real protocols; mypy checks that they do."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from lab.shell import CommandResult


@dataclass
class FakeShell:
    """A node that knows the answers to some commands, and fails on any other.

    An answer is standard output (exit code 0), a whole result, or the error to raise.
    """

    node: str
    answers: Mapping[str, str | CommandResult | Exception]
    asked: list[str] = field(default_factory=list)

    def run(self, command: str, *, timeout_s: float = 60.0) -> CommandResult:
        self.asked.append(command)
        if command not in self.answers:
            raise AssertionError(f"{self.node} was asked something unexpected:\n{command}")
        answer = self.answers[command]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, CommandResult):
            return answer
        return CommandResult(command, 0, answer, "")
