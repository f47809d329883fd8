"""A diagnosis as text for a terminal of 100 columns: one thing first."""

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator

from lab.diagnosis.model import BrokenHop, Diagnosis, Silent, Thread, Walk, name_of
from lab.diagnosis.words import Typed, enumerated, folded, one_by_one
from lab.hops.situation import NOT_YET
from lab.hops.verdict import Hop, Verdict

WIDTH = 100
LABEL = 14
SHOWN_LINES = 6
"""How many lines of evidence of one kind are shown; JSON and the report have them all."""
SHOWN_THREADS = 3
"""How many threads are shown; again, JSON and the report have them all."""
FEW = 30
"""More consequences than these are counted, not named."""


def render(diagnosis: Diagnosis, typed: Typed) -> str:
    """Return the whole diagnosis.

    Args:
        diagnosis: What is the matter.
        typed: How commands are typed here.
    """
    blocks = [headline(diagnosis)]
    blocks += [_silent(node) for node in diagnosis.silent]
    blocks += [_hop(hop, typed) for hop in diagnosis.broken]
    blocks.append(_walks(diagnosis.walks))
    blocks += filter(None, (_promises(diagnosis), _rest(diagnosis)))
    return "\n\n".join(blocks)


def headline(diagnosis: Diagnosis) -> str:
    """Return the one thing that is said first."""
    broken = [hop.name for hop in diagnosis.broken]
    silent = [f"{node.node} (cannot be looked at)" for node in diagnosis.silent]
    places = [*silent, *broken]
    if not places:
        entries = enumerated([walk.entry for walk in diagnosis.walks])
        asked = "as far as was asked, " if diagnosis.unasked else ""
        return _filled(f"WHOLE: {asked}every hop holds, whichever way in: {entries}")
    if broken and not silent and diagnosis.broken[0].verdict.found.startswith(NOT_YET):
        step = diagnosis.broken[0].verdict.found.removeprefix(NOT_YET)
        return _filled(
            f"NOT YET: the next step is on {diagnosis.broken[0].verdict.see_on}: {step}"
        )
    if len(places) == 1:
        return f"BROKEN: {places[0]}"
    rest = ", ".join(places[1:])
    return _filled(f"BROKEN at {len(places)} places. First: {places[0]}. Then: {rest}")


def _silent(node: Silent) -> str:
    lines = [f"{node.node} could not be looked at: nothing is known of it"]
    lines += _labelled("seen", [node.reason])
    lines += _labelled("try", [node.hint] if node.hint else [])
    return "\n".join(lines)


def _hop(hop: BrokenHop, typed: Typed) -> str:
    verdict = hop.verdict
    lines = [_filled(f"{hop.name}: {verdict.title}")]
    lines += _labelled("expected", [verdict.expected])
    lines += _labelled("found", [verdict.found])
    lines += _labelled("raw lines", _few(verdict.evidence) or ["none"], fold=False)
    lines += _labelled("together", [str(hop.agreement)])
    lines += _labelled("packets", _few(hop.packets))
    lines += _labelled("likely cause", hop.causes)
    lines += _labelled("others met it", _met(hop.threads))
    looks = [
        typed(verdict.see_on if number == 0 else verdict.node, one)
        for number, look in enumerate(hop.look)
        for one in one_by_one(look)
    ]
    lines += _commands("see it", looks)
    lines += _commands("repair", _repairs(hop, typed))
    lines += _labelled("blocks", _blocks(hop.blocks))
    return "\n".join(lines)


def _met(threads: tuple[Thread, ...]) -> Iterator[str]:
    for thread in threads[:SHOWN_THREADS]:
        yield f"{thread.about}:"
        yield f"  {thread.url}"
    if len(threads) > SHOWN_THREADS:
        yield f"and {len(threads) - SHOWN_THREADS} more"


def _repairs(hop: BrokenHop, typed: Typed) -> Iterator[str]:
    for repair in hop.repairs:
        if repair.note:
            yield f"# {repair.note}"
        yield typed(repair.node, repair.command)


def _blocks(blocked: tuple[Verdict, ...]) -> Iterator[str]:
    """Yield what is only a consequence, by the node or slot it is about."""
    if not blocked:
        return
    subjects = dict.fromkeys(v.subject for v in blocked)
    checks = "1 check" if len(blocked) == 1 else f"{len(blocked)} checks"
    yield f"{checks} that cannot hold before this one does:"
    for subject in subjects:
        if len(blocked) > FEW:
            yield f"{subject}: {sum(v.subject == subject for v in blocked)} checks"
            continue
        yield f"{subject}: {', '.join(v.check for v in blocked if v.subject == subject)}"


def _walks(walks: tuple[Walk, ...]) -> str:
    first = max([len("request enters at"), *(len(walk.entry) for walk in walks)]) + 2
    lines = ["request enters at".ljust(first) + "".join(f"{hop:<10}" for hop in Hop).rstrip()]
    for walk in walks:
        states = "".join(f"{state:<10}" for _, state in walk.hops)
        lines.append(f"{walk.entry:<{first}}{states}".rstrip())
    return "\n".join(lines)


def _promises(diagnosis: Diagnosis) -> str:
    if not diagnosis.promises:
        return ""
    lines = ["Not as the topology promises, which no packet minds:"]
    for verdict in diagnosis.promises:
        text = f"{name_of(verdict)}: {verdict.found}, not {verdict.expected}"
        lines += textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent="    ")
    return "\n".join(lines)


def _rest(diagnosis: Diagnosis) -> str:
    asked = len(diagnosis.verdicts)
    good = sum(verdict.ok for verdict in diagnosis.verdicts)
    text = f"{good} of {asked} checks hold"
    reasons = Counter(one.reason for one in diagnosis.unasked)
    for why, count in reasons.items():
        text += f"; {count} {'was' if count == 1 else 'were'} not asked: {why}"
    return _filled(f"{text}.")


def _few(lines: tuple[str, ...]) -> list[str]:
    shown = list(lines[:SHOWN_LINES])
    if len(lines) > SHOWN_LINES:
        shown.append(f"and {len(lines) - SHOWN_LINES} more")
    return shown


def _labelled(label: str, texts: Iterable[str], *, fold: bool = True) -> list[str]:
    lines: list[str] = []
    for text in texts:
        inner = text[: len(text) - len(text.lstrip())]
        wrapped = textwrap.wrap(
            text,
            WIDTH - LABEL - 2,
            subsequent_indent=f"{inner}  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        lines += wrapped if fold else [text]
    return _beside(label, lines)


def _commands(label: str, commands: Iterable[str]) -> list[str]:
    lines = [line for one in commands for line in folded(one, WIDTH - LABEL - 2)]
    return _beside(label, lines)


def _beside(label: str, lines: list[str]) -> list[str]:
    labels = [label, *("" for _ in lines[1:])]
    return [f"  {word:<{LABEL}}{line}" for word, line in zip(labels, lines, strict=False)]


def _filled(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_on_hyphens=False)
