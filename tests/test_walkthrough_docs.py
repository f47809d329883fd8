"""``docs/walkthrough*.md`` against the table of the live test: same commands, same facts.

Every fenced block says what it is:

``console``
    Commands of the walk-through and their real output. The live test types them.
``console beyond``
    Extras to try, with real output. Nobody types them again.
``sh``
    Commands on the reader's own machine.
``text``
    No commands.
"""

import re
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import pytest

from tests.live import walk as w

DOCS = Path(__file__).parent.parent / "docs"
WALKTHROUGHS = ("walkthrough.md", "walkthrough.zh-TW.md")
FENCE = re.compile(r"^```(\S[^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROMPT = re.compile(r"root@(manager|worker):~# (.*)")
OWN = re.compile(r"invoke lab\.(up|down|ssh|status)( |$)|pytest (checks/|tests/live/)")
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


@dataclass(frozen=True, slots=True)
class Typed:
    """One command in a block: where it was typed and what it printed."""

    node: str
    command: str
    output: str


def text_of(document: str) -> str:
    return (DOCS / document).read_text(encoding="utf-8")


def blocks(document: str, kind: str) -> list[str]:
    return [body for info, body in FENCE.findall(text_of(document)) if info == kind]


def typed(document: str) -> list[Typed]:
    found: list[Typed] = []
    for body in blocks(document, "console"):
        _, *parts = re.split(r"^(?=root@\w+:~# )", body, flags=re.MULTILINE)
        for part in parts:
            first, _, output = part.partition("\n")
            prompt = PROMPT.fullmatch(first)
            assert prompt, first
            found.append(Typed(prompt[1], prompt[2], output))
    return found


def in_order(document: str) -> list[tuple[w.Step, Typed]]:
    """Return each command with its step; a command is the present step's again or the next's."""
    steps, place = w.WALK, 0
    found: list[tuple[w.Step, Typed]] = []
    for one in typed(document):
        if not (found and steps[place].matches(one.command)):
            place += bool(found)
            assert place < len(steps), f"after the end of the walk: {one.command}"
        assert steps[place].matches(one.command), f"{steps[place].command} or mark: {one.command}"
        found.append((steps[place], one))
    return found


@pytest.mark.parametrize("document", WALKTHROUGHS)
def test_every_block_says_what_it_is(document: str) -> None:
    kinds = {info for info, _ in FENCE.findall(text_of(document))}
    assert kinds <= {"console", "console beyond", "sh", "text"}
    assert text_of(document).count("\n```") == 2 * len(FENCE.findall(text_of(document)))


@pytest.mark.parametrize("document", WALKTHROUGHS)
def test_shows_each_command_the_live_test_types_and_no_other(document: str) -> None:
    steps = [step for step, _ in in_order(document)]
    assert [step for step, _ in groupby(steps)] == list(w.WALK)


@pytest.mark.parametrize("document", WALKTHROUGHS)
def test_output_shows_what_the_live_test_looks_for(document: str) -> None:
    for step, one in in_order(document):
        assert one.node in step.nodes, one.command
        step.shows(one.output)


@pytest.mark.parametrize("document", WALKTHROUGHS)
def test_inspected_containers_are_the_backends(document: str) -> None:
    outputs = [one.output for step, one in in_order(document) if step == w.INSPECT]
    assert {w.ingress_address(output) for output in outputs} == w.BACKENDS


@pytest.mark.parametrize("document", WALKTHROUGHS)
def test_log_and_answers_take_turns(document: str) -> None:
    for step in (w.LOGS, w.CURL):
        screens = [one.output for found, one in in_order(document) if found == step]
        hostnames = re.findall(r'"hostname":"(\w+)"', "".join(screens))
        assert w.alternate(hostnames)


@pytest.mark.parametrize("document", WALKTHROUGHS)
def test_commands_for_the_reader_exist(document: str) -> None:
    for line in "".join(blocks(document, "sh")).splitlines():
        assert OWN.match(line), line


@pytest.mark.parametrize("document", [*WALKTHROUGHS, "student.md", "instructor.md"])
def test_links_lead_somewhere(document: str) -> None:
    missing = [link for link in LINK.findall(text_of(document)) if not (DOCS / link).exists()]
    assert not missing


def test_both_languages_show_the_same() -> None:
    english, chinese = (FENCE.findall(text_of(document)) for document in WALKTHROUGHS)
    assert english == chinese


@pytest.mark.parametrize("document", WALKTHROUGHS)
def test_no_join_token_is_published(document: str) -> None:
    assert not re.search(r"SWMTKN-1-\w", text_of(document))


def test_a_wrong_address_is_noticed() -> None:
    """The claims of the table are not empty words: alter what each is about, and it objects."""
    faults = {
        w.HOST_NAT: ("172.19.0.2:5000", "172.18.0.2:5000"),
        w.IFCONFIG: ("172.19.0.1 ", "172.18.0.1 "),
        w.BRIDGE: ("172.19.0.2/16", "172.19.0.4/16"),
        w.MANGLE: ("0x102", "0x100"),
        w.SANDBOX_NAT: ("ipvs to:10.0.0.3", "to:10.0.0.3"),
        w.IPVS: (
            "10.0.0.6:0                   Masq    1",
            "10.0.0.6:0                   Masq    0",
        ),
        w.PRINTF: ("258", "256"),
        w.INSPECT: ('"IPAddress": "10.0.0.', '"IPAddress": "10.0.1.'),
        w.CURL: ('"client":"10.0.0.3"', '"client":"127.0.0.1"'),
        w.SCALE_UP: ("3 out of 3", "2 out of 3"),
    }
    outputs = {step: one.output for step, one in in_order(WALKTHROUGHS[0])}
    for step, (right, wrong) in faults.items():
        assert right in outputs[step]
        with pytest.raises(AssertionError):
            step.shows(outputs[step].replace(right, wrong))
