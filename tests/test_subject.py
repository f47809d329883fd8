import pytest

from lab import evidence
from lab.cli import subject as looking
from lab.cli.subject import subject
from lab.diagnosis.words import through_invoke
from lab.errors import LabError, NotRunning
from lab.evidence import Depth, Place
from lab.facts.model import ClusterFacts
from lab.wait import Deadlines
from tests.hops.healthy import healthy


class Lab:
    """As much of a running lab as is asked for."""

    name = "article"
    topology = healthy().topology


def test_a_node_that_does_not_answer_is_named_before_anything_is_tried(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    silent: dict[str, LabError] = {"worker": NotRunning("worker does not answer ssh")}
    said = ""

    def gathered(*_: object, **__: object) -> tuple[ClusterFacts, dict[str, LabError]]:
        return healthy().cluster, silent

    def tried(*_: object) -> object:
        nonlocal said
        said = capsys.readouterr().err
        return healthy()

    monkeypatch.setattr(looking, "open_lab", lambda name: Lab)
    monkeypatch.setattr(looking, "typed_for", lambda lab: through_invoke)
    place = Place(Lab.topology, {}, {}, Deadlines(1))
    monkeypatch.setattr(looking, "place_of", lambda lab: place)
    monkeypatch.setattr(evidence, "gather_willing", gathered)
    monkeypatch.setattr(evidence, "try_on", tried)
    with subject("article", None) as found:
        assert found.look(Depth.SENT) == (healthy(), silent)
    assert "==> Looking at all nodes, and trying the way" in said
    assert "worker cannot be looked at: worker does not answer ssh; going on without it" in said
    capsys.readouterr()
    with subject("article", None) as found:
        found.look(Depth.RULES)
    assert "trying the way" not in said
