"""A write-up as one page without anything from elsewhere."""

from lab.diagnosis.words import Typed, one_by_one
from lab.pages import page
from lab.trace.html import parts
from lab.writeup.model import Writeup


def render(writeup: Writeup, typed: Typed) -> str:
    """Return the page; ``typed`` says how commands are typed here."""
    shown = parts(writeup.trace) if writeup.trace is not None else {"trace": None}
    return page("writeup.html", writeup=writeup, typed=typed, one_by_one=one_by_one, **shown)
