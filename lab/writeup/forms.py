"""The forms a write-up has, by the end of its file's name."""

import json
from collections.abc import Callable, Mapping
from pathlib import PurePath

from lab.diagnosis.words import Typed
from lab.errors import UsageError
from lab.redact import redacted
from lab.writeup import content, html, markdown
from lab.writeup.model import Writeup

Form = Callable[[Writeup, Typed], str]


def _html(writeup: Writeup, typed: Typed) -> str:
    return redacted(html.render(writeup, typed))


def _markdown(writeup: Writeup, typed: Typed) -> str:
    return redacted(markdown.render(writeup, typed))


def _json(writeup: Writeup, typed: Typed) -> str:
    return json.dumps(_clean(content.content(writeup, typed)), indent=2) + "\n"


def _clean(value: object) -> object:
    """Return a document whose every text is without secrets; it stays a document that way."""
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, dict):
        return {key: _clean(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_clean(inner) for inner in value]
    return value


FORMS: Mapping[str, Form] = {".html": _html, ".md": _markdown, ".json": _json}
"""None of them lets a secret out."""


def form_of(file: PurePath) -> Form:
    """Return what makes the form that a file's name asks for.

    Raises:
        UsageError: The name ends otherwise.
    """
    form = FORMS.get(file.suffix)
    if form is None:
        raise UsageError(
            f"--lab-report cannot write {file.name}", details=f"expected {', '.join(FORMS)}"
        )
    return form
