"""The answers of one Docker Engine, one per API path."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from lab.errors import FactUnavailable, UnreadableOutput
from lab.facts.commands import DOCKER_SOCKET

T = TypeVar("T")

_STATUS = re.compile(r"@@@ http (\d{3}) http://localhost(/\S*) ?(.*)")


@dataclass(frozen=True, slots=True)
class ApiAnswer:
    """One answer; ``status`` is 0 when there was none, ``error`` then is curl's reason."""

    path: str
    status: int
    body: str
    error: str


@dataclass(frozen=True, slots=True)
class EngineApi:
    """What one node's engine answered in one look."""

    node: str
    answers: tuple[ApiAnswer, ...]

    def read(self, path: str, parse: Callable[[str], T]) -> T:
        """Return a parsed answer.

        Raises:
            FactUnavailable: The engine did not answer, or refused.
            UnreadableOutput: The parser met something it does not know.
        """
        answer = self._answer(path)
        if answer.status != 200:
            raise self._unavailable(path, _reason(answer))
        try:
            return parse(answer.body)
        except UnreadableOutput as error:
            raise UnreadableOutput(
                f"{self.node}: {error.brief}", details=error.details, hint=self._by_hand(path)
            ) from error

    def read_if(self, path: str, parse: Callable[[str], T]) -> T | None:
        """Return a parsed answer, None when the engine says there is no such thing (404).

        Raises:
            FactUnavailable: The engine did not answer, or refused for another reason.
            UnreadableOutput: The parser met something it does not know.
        """
        return None if self._answer(path).status == 404 else self.read(path, parse)

    def _answer(self, path: str) -> ApiAnswer:
        for answer in self.answers:
            if answer.path == path:
                return answer
        raise self._unavailable(path, "it was not asked")

    def _unavailable(self, path: str, reason: str) -> FactUnavailable:
        return FactUnavailable(
            f"{self.node}: the Docker Engine did not answer {path}",
            details=reason,
            hint=self._by_hand(path),
        )

    def _by_hand(self, path: str) -> str:
        return f"on {self.node}: curl --unix-socket {DOCKER_SOCKET} 'http://localhost{path}'"


def parse_engine_api(text: str, *, node: str) -> EngineApi:
    """Split what one ``curl`` printed into one answer per path.

    Reads each body with the line curl wrote below it, for example::

        {"message":"network ingress not found"}

        @@@ http 404 http://localhost/networks/ingress?verbose=true

    Raises:
        UnreadableOutput: There is text after the last answer: curl was stopped.
    """
    answers: list[ApiAnswer] = []
    body: list[str] = []
    for line in text.splitlines():
        match = _STATUS.fullmatch(line)
        if match is None:
            body.append(line)
            continue
        answers.append(ApiAnswer(match[2], int(match[1]), "\n".join(body).strip(), match[3]))
        body = []
    if any(line.strip() for line in body):
        raise UnreadableOutput(
            f"{node}: the Docker Engine's answers were cut short", details=body[-1][:300]
        )
    return EngineApi(node, tuple(answers))


def _reason(answer: ApiAnswer) -> str:
    """Return the engine's own sentence where it gave one."""
    if answer.status == 0:
        return answer.error or "no answer"
    try:
        message = json.loads(answer.body)["message"]
    except (ValueError, KeyError, TypeError):
        message = answer.body[:300]
    return f"status {answer.status}: {message}"
