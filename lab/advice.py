"""The commands we tell people to type, as they work from where they are and for the lab they mean.

Hints are written as one types them in the checkout, for the default lab. Whoever shows them turns
them into what works here; nobody else has to think of it.
"""

import re
import shlex
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
_ABOUT_A_LAB = re.compile(
    r"\b(invoke lab\.(?:break|bundle|capture|diagnose|down|exec|faults|heal|logs|reset|scale|ssh"
    r"|status|trace|up)\b"
    r"|pytest checks/\S*)"
    r"(?!.* --(?:name|all)\b)"
)


def typed_here(text: str, lab: str | None = None) -> str:
    """Return a text whose commands can be typed in the current directory.

    Outside the checkout ``invoke`` does not find our commands by itself: it has to be told where
    they are (``invoke -r DIR``), and so do pytest and make.

    Args:
        text: What is to be shown, such as ``Try: invoke lab.up``.
        lab: The lab that was named by ``--name``; ``None`` if the commands mean the same lab
            without it.
    """
    if lab is not None:
        text = _ABOUT_A_LAB.sub(rf"\1 --name {lab}", text)
    if _is_inside_checkout():
        return text
    place = shlex.quote(str(CHECKOUT))
    text = re.sub(r"\binvoke (?=lab\.|bench\b|--list)", f"invoke -r {place} ", text)
    text = re.sub(r"\bpytest checks/", f"pytest {place}/checks/", text)
    return re.sub(r"\bmake (?=up\b)", f"make -C {place} ", text)


def _is_inside_checkout() -> bool:
    try:
        return Path.cwd().is_relative_to(CHECKOUT)
    except FileNotFoundError:  # somebody has deleted the directory we are in
        return False
