"""Pages made from templates: the only place for Jinja2. Whatever is put in is escaped."""

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

TEMPLATES = Path(__file__).parent / "templates"


def page(template: str, **values: object) -> str:
    """Return a template with values in it; a value it wants and does not get is an error."""
    return _templates().get_template(template).render(**values)


def drawn(made: str) -> Markup:
    """Return a picture or a part of a page of our own, which is not to be escaped once more."""
    return Markup(made)  # noqa: S704 - who made it has escaped every word


@cache
def _templates() -> Environment:
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
