import pytest

from lab.faults.model import Answers
from lab.faults.watching import Outcome, Request, fits, sent_from_here, sent_from_node, told
from lab.shell import CommandResult
from tests.faults.world import answering

A, B = Request(Outcome.ANSWERED, "a"), Request(Outcome.ANSWERED, "b")
NO, HANGS = Request(Outcome.REFUSED), Request(Outcome.SILENT)
LARGE = Request(Outcome.ANSWERED, "a", large=True)
LARGE_HANGS = Request(Outcome.SILENT, large=True)


@pytest.mark.parametrize(
    ("requests", "what"),
    [
        ((A, B), {Answers.ALL}),
        ((A, A), {Answers.ALL, Answers.ONE}),
        ((A, HANGS), {Answers.SOME}),
        ((A, NO), {Answers.SOME}),
        ((NO, NO), {Answers.NONE, Answers.REFUSED}),
        ((HANGS, HANGS), {Answers.NONE, Answers.SILENT}),
        ((HANGS, NO), {Answers.NONE}),
        ((A, B, LARGE, LARGE_HANGS), {Answers.ALL, Answers.SMALL}),
        ((A, B, LARGE, LARGE), {Answers.ALL}),
        ((A, HANGS, LARGE_HANGS), {Answers.SOME}),
        ((), set()),
    ],
)
def test_what_became_of_requests_fits_some_answers(
    requests: tuple[Request, ...], what: set[Answers]
) -> None:
    assert {answers for answers in Answers if fits(answers, requests)} == what


def test_what_became_of_requests_is_told() -> None:
    assert told((A, B, HANGS, NO)) == "2 of 4 answered by 2 replicas, 1 hanging, 1 refused"
    assert told((HANGS, HANGS)) == "0 of 2 answered, 2 hanging"
    assert (
        told((A, LARGE_HANGS)) == "1 of 1 answered by 1 replica, 0 of 1 large answered, 1 hanging"
    )


def test_requests_of_this_machine() -> None:
    with answering() as entry:
        found = sent_from_here(entry, 3, patience_s=5)
        assert found == (Request(Outcome.ANSWERED, "4fc0c085cbc1"),) * 3
        (large,) = sent_from_here(entry, 1, patience_s=5, large=True)
        assert large.large
    with answering(well=False) as entry:
        assert sent_from_here(entry, 1, patience_s=5) == (Request(Outcome.REFUSED),)
    assert sent_from_here("127.0.0.1:1", 1, patience_s=5) == (Request(Outcome.REFUSED),)


class NodeShell:
    """A node whose curl prints what it is told."""

    node = "worker"

    def __init__(self, printed: str) -> None:
        self.printed = printed

    def run(self, command: str, *, timeout_s: float = 60.0) -> CommandResult:
        assert "curl -s --max-time 2 http://127.0.0.1:5000/" in command
        return CommandResult(command, 0, self.printed, "")


def test_requests_of_a_node() -> None:
    shell = NodeShell('{"hostname":"a"}\n\ncurl 28\ncurl 7\nhello\n')
    found = sent_from_node(shell, 5000, 4, patience_s=2)
    assert found == (A, HANGS, NO, Request(Outcome.ANSWERED, "somebody else"))
