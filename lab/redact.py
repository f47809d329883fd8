"""Secrets, and texts without them: whatever is written down to be handed on goes through here.

The lab reads no secret it does not need (never ``/swarm``, whose answer holds the join tokens),
but a log, a console or a command line may hold one all the same.
"""

import re
from collections.abc import Iterable
from functools import partial

_PATTERNS = (
    # What a swarm hands out: join tokens, and the key that unlocks a manager.
    (re.compile(r"SWM(?:TKN|KEY)-\d+-[\w+/=-]+"), "join token or unlock key"),
    (
        re.compile(
            # One that was cut short has no end: then what looks like its lines goes.
            r"-----BEGIN (?P<what>[A-Z0-9 ]*PRIVATE KEY)-----"
            r"(?:[^-]*-----END (?P=what)-----|[\w+/=\s\\]*)"
        ),
        "private key",
    ),
    (re.compile(r"(?i)\b(?:basic|bearer)\s+[A-Za-z0-9+/._~=-]{8,}"), "credentials"),
    (re.compile(r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"), "credentials"),
    (
        re.compile(
            r"""(?i)(?P<name>["']?[\w.-]*(?:passw(?:or)?d|secret|token|api[_-]?key|private[_-]?key)"""
            r"""[\w.-]*["']?\s*[=:]\s*)(?P<quote>["']?)(?P<value>[^\s"',;&]{3,})(?P=quote)"""
        ),
        "secret",
    ),
)


def redacted(text: str, secrets: Iterable[str] = ()) -> str:
    """Return a text with every secret replaced by what it was, in brackets.

    Args:
        text: What is to be handed on.
        secrets: Values that are known to be secret, in addition to what looks like one.
    """
    for secret in sorted(set(secrets), key=len, reverse=True):
        if len(secret.strip()) >= SHORTEST:
            text = text.replace(secret, "[removed: secret]")
    for pattern, what in _PATTERNS:
        text = pattern.sub(partial(_instead, what=what), text)
    return text


SHORTEST = 6
"""A known secret that is shorter would take ordinary words away."""


def _instead(match: re.Match[str], *, what: str) -> str:
    groups = match.groupdict()
    if "value" not in groups:
        return f"[removed: {what}]"
    return f"{groups['name']}{groups['quote']}[removed: {what}]{groups['quote']}"
