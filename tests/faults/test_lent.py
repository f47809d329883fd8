"""Hosts that are lent to a lab are never broken: they stay when the lab goes."""

import socket
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lab import lifecycle
from lab.access import Access
from lab.errors import UsageError
from lab.faults import acting, journal
from lab.home import LabState, Stage, lab_home
from lab.lifecycle import require_running
from lab.matrix.ground import ground
from lab.providers import EXISTING
from lab.providers.existing_hosts import Lent, Record
from lab.steps import Steps
from lab.topology import Topology
from tests.conftest import Dirs
from tests.faults.world import fault, make_world
from tests.invoking import expect_checks_refused

QUIET = Steps(quiet=True)
REFUSED = "The hosts of lab article are lent: nothing is broken on them"


@pytest.fixture
def lab(dirs: Dirs, article: Topology) -> Iterator[LabState]:
    """A lab of lent hosts that answer."""
    home = lab_home("article")
    with closing(socket.create_server(("127.0.0.1", 0))) as door:
        access = Access(
            host="127.0.0.1",
            port=door.getsockname()[1],
            user="root",
            identity_file=home.path / "id",
            known_hosts=home.path / "known_hosts",
            entry="127.0.0.1:1",
        )
        state = LabState(
            name="article",
            provider=EXISTING,
            topology=article,
            created=datetime(2026, 11, 26, tzinfo=UTC),
            runtime=home.runtime,
            reached=Stage.SERVICE,
            access={node.name: access for node in article.nodes},
        )
        home.save(state)
        lent = Lent(image=False, archive=False, bridge=False)
        record = Record(
            access=state.access,
            lent=dict.fromkeys(state.access, lent),
            service="hello-a",
            addresses=(),
        )
        (home.path / "existing.json").write_text(record.model_dump_json())
        yield state


def test_no_fault_is_put_into_a_lent_host(lab: LabState) -> None:
    assert require_running("article").running
    with pytest.raises(UsageError, match=REFUSED) as caught:
        acting.inject("article", fault(), "worker", QUIET, shells=lambda *_: {})
    assert caught.value.hint == "invoke lab.up --name mine, and break that lab"
    assert journal.read(lab_home("article")) == ()


def test_no_matrix_is_run_on_lent_hosts(lab: LabState) -> None:
    with pytest.raises(UsageError, match=REFUSED), ground("article", QUIET):
        pytest.fail("the matrix was begun")


@pytest.mark.parametrize("words", [("--changes-lab",), ("-m", "changes_lab"), ("--all-faults",)])
def test_checks_do_not_change_lent_hosts(lab: LabState, words: tuple[str, ...]) -> None:
    expect_checks_refused(*words, said=REFUSED)


@pytest.mark.parametrize("cut_short", [False, True])
def test_a_lab_the_matrix_was_lent_is_reset_in_the_end(
    dirs: Dirs,
    article: Topology,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    cut_short: bool,
) -> None:
    made = make_world(article, tmp_path, "127.0.0.1:1")
    done: list[str] = []
    monkeypatch.setattr(lifecycle, "require_running", lambda name: made.status)
    monkeypatch.setattr(lifecycle, "reset", lambda name, steps: done.append(f"reset {name}"))
    with suppress(KeyboardInterrupt), ground("article", QUIET) as found:
        done.append(found.name)
        if cut_short:
            raise KeyboardInterrupt
    assert done == ["article", "reset article"]
