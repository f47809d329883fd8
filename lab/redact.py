"""Secrets, and texts without them: whatever is written down to be handed on goes through here.

The lab reads no secret it does not need (never ``/swarm``, whose answer holds the join tokens),
but a log, a console or a command line may hold one all the same. A secret need not be whole, nor
in one piece: a log gives every line a time, a terminal folds them, a file is cut short.
"""

import re
from collections.abc import Iterable
from functools import partial

SHORTEST = 6
"""A known secret that is shorter would take ordinary words away."""
WHOLE = {"TKN": 76, "KEY": 43}
"""Characters after ``SWMTKN-1-`` and ``SWMKEY-1-`` (moby, swarmkit ca.GenerateJoinToken and
encryption.HumanReadableKey): a token that was folded goes on until it has as many."""
LONGEST_KEY = 20_000
"""Characters from the beginning of a private key to its end, what a log adds to them included."""

_FOLD = r"(?:[ \t]*\\?\r?\n[ \t]*|\\r?\\?n[ \t]*)"
"""A new line, as it is or as JSON writes it."""
_SWARM = re.compile(
    rf"S{_FOLD}?W{_FOLD}?M{_FOLD}?(?P<what>T{_FOLD}?K{_FOLD}?N|K{_FOLD}?E{_FOLD}?Y){_FOLD}?-"
    rf"{_FOLD}?\d+{_FOLD}?-{_FOLD}?(?P<first>[\w+/=-]+)"
)
_GOES_ON = re.compile(rf"{_FOLD}([\w+/=-]+)")
_QUOTE = r"\\*[\"']"
"""With backslashes before it in JSON that is a text in JSON, as a container's log lines are."""
_SHORT_FORM = r"(?<!by)(?<!com)(?<!sur)(?<!tres)(?<!over)(?<!under)pass"
"""An end of a name that means password; not that of bypass, nor of its like."""
_KEY = r"(?<!mon)(?<!don)(?<!tur)(?<!hoc)(?<!joc)(?<!whis)(?<!public)(?<!public[_.-])keys?"
"""An end of a name that says key; not that of monkey, and public keys are no secret."""
_NAMED = (
    r"[\w.-]*(?:passw(?:or)?d|passphrase|secret|token|credential|(?:api|private|access)[_-]?key)"
    r"[\w.-]*"
    # "key" alone names an entry of some table more often than a secret.
    rf"|[\w.-]+{_KEY}|(?-i:KEY)"
    # A shell calls the directory it is in so.
    rf"|(?!(?-i:(?:OLD)?PWD)=/)[\w.-]*(?:{_SHORT_FORM}|pwd)"
    r"|(?:[\w-]+-)?auth(?:orization)?|(?:set-)?cookie"
)
_OPTION = rf"--[\w-]*(?:passw(?:or)?d|passphrase|{_SHORT_FORM}|pwd|token|-secret|-key)"
_WORD = r"(?:[^\s\"'\\]|\\\\|\\(?![nrt\"'\\]))"
"""One character of an unquoted value, which ends at white space or a quote, JSON's too."""
_PATTERNS = (
    # A token that begins on an earlier line, which somebody cut away.
    (re.compile(r"\b[0-9a-z]{50}-[0-9a-z]{25}\b"), "join token or unlock key"),
    (
        re.compile(
            r"-----BEGIN (?P<what>[A-Z0-9 ]*PRIVATE KEY)-----"
            rf"(?:(?:(?!-----BEGIN ).){{0,{LONGEST_KEY}}}?-----END (?P=what)-----"
            # One that was cut short has no end: then what looks like its lines goes.
            r"|[\w+/=\s\\]*)",
            re.S,
        ),
        "private key",
    ),
    (re.compile(r"(?i)\b(?:basic|bearer)\s+[A-Za-z0-9+/._~=-]{8,}"), "credentials"),
    (
        re.compile(
            r"(?i)\b(?:(?:proxy-)?authorization\s*[:=]|(?:set-)?cookie\s*:)\s*"
            r"(?!\[removed: )[^\s\"'][^\n\"']*"
        ),
        "credentials",
    ),
    # A user's name alone may be a token; over ssh it is only a name.
    (
        re.compile(rf"(?<=://)(?:[^\s\"'\\/:@]*:|(?<!ssh://))(?:(?!/){_WORD})+(?=@)"),
        "credentials",
    ),
    (
        re.compile(
            rf"(?i)(?P<name>(?<![\w.-])(?:{_QUOTE})?(?:{_NAMED})(?:{_QUOTE})?\s*[=:]\s*"
            rf"|--password[ \t]+)(?P<quote>{_QUOTE})"
            r"(?P<value>(?:(?!(?P=quote))(?:[^\n\\]|\\.)){3,})(?P=quote)"
        ),
        "secret",
    ),
    # A list of texts: all of them, up to its end.
    (
        re.compile(
            rf"(?i)(?P<name>(?<![\w.-]){_QUOTE}(?:{_NAMED}){_QUOTE}\s*[=:]\s*\[\s*)"
            rf"(?P<quote>{_QUOTE})(?P<value>(?:(?!(?P=quote)\s*\])(?:[^\\]|\\.)){{1,4000}})"
            r"(?P=quote)(?=\s*\])"
        ),
        "secret",
    ),
    # The arguments of a command, as a list of texts.
    (
        re.compile(
            rf"(?i)(?P<name>{_QUOTE}{_OPTION}{_QUOTE}\s*,\s*)(?P<quote>{_QUOTE})"
            r"(?P<value>(?:(?!(?P=quote))(?:[^\n\\]|\\.))+)(?P=quote)"
        ),
        "secret",
    ),
    # A text that was cut short, so that its quote does not end.
    (
        re.compile(
            rf"(?i)(?P<name>(?<![\w.-])(?:{_QUOTE})?(?:{_NAMED})(?:{_QUOTE})?\s*[=:]\s*"
            rf"{_QUOTE})(?P<quote>)(?P<value>(?!\[removed: )[^\n\"']{{3,}})(?=\n|\Z)"
        ),
        "secret",
    ),
    (
        re.compile(
            rf"(?i)(?P<name>(?<![\w.-])(?:{_NAMED})\s*[=:]\s*"
            rf"|{_OPTION}[ \t]+"
            # The word our own texts have for it.
            r"(?!(?-i:TOKEN)\b|-))"
            rf"(?P<quote>)(?P<value>(?!\[removed: ){_WORD}{{3,}})"
        ),
        "secret",
    ),
    # A number in JSON, which stays JSON.
    (
        re.compile(rf"""(?i)(?P<name>(?P<quote>")(?:{_NAMED})"\s*:\s*)(?P<value>\d{{3,}})"""),
        "secret",
    ),
)
_BASE64 = re.compile(
    # In JSON a line follows the two characters of its escape, which are not part of it.
    r"(?P<escape>\\[nrt]|(?<![A-Za-z0-9+/]))(?P<line>[A-Za-z0-9+/]{60,}={0,2})"
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
    text = _without_tokens(text)
    for pattern, what in _PATTERNS:
        text = pattern.sub(partial(_instead, what=what), text)
    return _BASE64.sub(_without_line_of_a_key, text)


def _instead(match: re.Match[str], *, what: str) -> str:
    groups = match.groupdict()
    if "value" not in groups:
        return f"[removed: {what}]"
    return f"{groups['name']}{groups['quote']}[removed: {what}]{groups['quote']}"


def _without_tokens(text: str) -> str:
    """Remove join tokens and unlock keys, with what of them stands on the lines that follow."""
    kept, place = [], 0
    for found in _SWARM.finditer(text):
        if found.start() < place:
            continue
        kept += [text[place : found.start()], "[removed: join token or unlock key]"]
        place = found.end()
        kind = "TKN" if found["what"].startswith("T") else "KEY"
        missing = WHOLE[kind] - len(found["first"])
        while missing > 0 and (rest := _rest_of_token(text, place, missing)):
            kept.append(text[rest.start() : rest.start(1)])
            missing -= len(rest[1])
            place = rest.end()
    return "".join([*kept, text[place:]])


def _rest_of_token(text: str, place: int, missing: int) -> re.Match[str] | None:
    """Return what a folded token lacks: a word of this length on the next line, or its beginning.

    Before that word there may be whatever a log writes before each line: the last one counts.
    """
    last = re.compile(rf"{_FOLD}[^\n]{{0,120}}(?<![\w+/=-])([\w+/=-]{{{missing}}})(?![\w+/=-])")
    found = last.match(text, place) or _GOES_ON.match(text, place)
    return found if found and len(found[1]) <= missing else None


def _without_line_of_a_key(match: re.Match[str]) -> str:
    """Remove what can be a line of a key that lost its beginning; digests and paths stay."""
    found = match["line"]
    kinds = (str.isupper, str.islower, str.isdigit)
    is_mixed = all(any(is_kind(char) for char in found) for is_kind in kinds)
    is_path = found.count("/") > len(found) // 8
    return f"{match['escape']}[removed: base64]" if is_mixed and not is_path else match[0]
