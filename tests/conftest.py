"""What tests of several modules share."""

import shutil
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.topology import Topology
from lab.topology_file import load_named_topology


@dataclass(frozen=True, slots=True)
class Dirs:
    """A user's directories that only this test has."""

    cache: Path
    state: Path
    runtime: Path


def pytest_configure() -> None:
    """Let the programs under test notice Ctrl-C.

    A shell that runs us in the background, as scripts/test.sh does, has us ignore it, and what is
    ignored stays ignored in the programs we start.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def dirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dirs]:
    """Directories of our own; that of sockets is short, as it has to be."""
    for name in ("cache", "state", "home"):
        (tmp_path / name).mkdir()
    runtime = Path(tempfile.mkdtemp(prefix="sil-"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("LAB_RUNTIME_DIR", str(runtime))
    app = "swarm-ingress-lab"
    yield Dirs(tmp_path / "cache" / app, tmp_path / "state" / app, runtime)
    shutil.rmtree(runtime, ignore_errors=True)


@pytest.fixture(scope="session")
def article() -> Topology:
    """The topology of the walk-through: a manager and a worker."""
    return load_named_topology(None)


@pytest.fixture(scope="session")
def four_nodes() -> Topology:
    """A manager and three workers."""
    return load_named_topology("four-nodes")
