"""A trace as one page without anything from elsewhere: picture, evidence on click, tables."""

from lab.pages import drawn, page
from lab.trace.model import Trace
from lab.trace.svg import WORDS
from lab.trace.svg import render as picture
from lab.trace.text import MARKS


def render(trace: Trace) -> str:
    """Return the page."""
    return page("trace.html", **parts(trace))


def parts(trace: Trace) -> dict[str, object]:
    """Return what a page needs that shows a trace with ``trace-parts.html``."""
    drawing = drawn(picture(trace, link=True))
    return {"trace": trace, "picture": drawing, "marks": MARKS, "words": WORDS}
