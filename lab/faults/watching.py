"""Seeing what a user sees: some requests at once, and what became of each."""

import http.client
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from lab.faults.model import Answers
from lab.hops.requesting import LARGE_BYTES
from lab.parallel import on_all
from lab.shell import Shell

CURL_TIMED_OUT = 28
"""curl(1), exit codes."""


class Outcome(StrEnum):
    """What became of one request."""

    ANSWERED = "answered"
    REFUSED = "refused"
    SILENT = "hanging"


@dataclass(frozen=True, slots=True)
class Request:
    """One request and its end; ``host`` is who answered."""

    outcome: Outcome
    host: str = ""
    large: bool = False


def sent_from_here(
    entry: str, count: int, *, patience_s: float, large: bool = False
) -> tuple[Request, ...]:
    """Send requests at once from this machine to ``host:port``, each on its own connection."""

    def ask(_: int) -> Request:
        connection = http.client.HTTPConnection(entry, timeout=patience_s)
        try:
            connection.request("GET", _path(large=large), headers={"Connection": "close"})
            body = connection.getresponse().read()
        except TimeoutError:
            return Request(Outcome.SILENT, large=large)
        except (OSError, http.client.HTTPException):
            return Request(Outcome.REFUSED, large=large)
        finally:
            connection.close()
        return _answered(body.decode(errors="replace"), large=large)

    return on_all(range(count), ask)


def sent_from_node(
    shell: Shell, port: int, count: int, *, patience_s: float
) -> tuple[Request, ...]:
    """Send small requests at once from a node to itself, each on its own connection."""
    url = f"http://127.0.0.1:{port}/"
    one = f'curl -s --max-time {patience_s:g} {url} || echo "curl $?"'
    script = f"for i in $(seq {count}); do ({one}) & done; wait"
    done = shell.run(script, timeout_s=4 * patience_s)
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    return tuple(map(_from_curl, lines))


def fits(answers: Answers, requests: Sequence[Request]) -> bool:
    """Say whether that is what became of the requests."""
    outcomes = Counter(r.outcome for r in requests if not r.large)
    large = Counter(r.outcome for r in requests if r.large)
    answered, all_of_them = outcomes[Outcome.ANSWERED], outcomes.total()
    match answers:
        case Answers.ALL:
            return answered == all_of_them > 0
        case Answers.NONE:
            return answered == 0 < all_of_them
        case Answers.REFUSED:
            return outcomes[Outcome.REFUSED] == all_of_them > 0
        case Answers.SILENT:
            return outcomes[Outcome.SILENT] == all_of_them > 0
        case Answers.SOME:
            return 0 < answered < all_of_them
        case Answers.ONE:
            hosts = {r.host for r in requests if r.outcome is Outcome.ANSWERED}
            return answered == all_of_them and len(hosts) == 1
        case Answers.SMALL:
            lost = large.total() - large[Outcome.ANSWERED]
            return answered == all_of_them and lost > 0


def told(requests: Sequence[Request]) -> str:
    """Return in words what became of requests: "2 of 4 answered by 1 replica, 2 hanging"."""
    words = []
    for large in sorted({r.large for r in requests}):
        some = [r for r in requests if r.large is large]
        outcomes = Counter(r.outcome for r in some)
        size = " large" if large else ""
        hosts = {r.host for r in some if r.host}
        by = f" by {len(hosts)} replica{'s' if len(hosts) > 1 else ''}" if hosts else ""
        words.append(f"{outcomes.pop(Outcome.ANSWERED, 0)} of {len(some)}{size} answered{by}")
        words += [f"{count} {outcome}" for outcome, count in sorted(outcomes.items())]
    return ", ".join(words)


def _path(*, large: bool) -> str:
    return f"/?bytes={LARGE_BYTES}" if large else "/"


def _answered(body: str, *, large: bool = False) -> Request:
    try:
        host = str(json.loads(body)["hostname"])
    except (ValueError, KeyError, TypeError):
        host = "somebody else"
    return Request(Outcome.ANSWERED, host, large=large)


def _from_curl(line: str) -> Request:
    if not line.startswith("curl "):
        return _answered(line)
    return Request(Outcome.SILENT if line == f"curl {CURL_TIMED_OUT}" else Outcome.REFUSED)
