"""What tests of several modules share."""

import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from lab import providers
from lab.providers import Provider
from lab.topology import Topology
from lab.topology_file import load_named_topology
from tests.fake_lab import FakeProvider, Servers, serving
from tests.invoking import Invoke, invoking
from tests.world import World


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


@pytest.fixture
def invoke(
    dirs: Dirs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Invoke]:
    """Run a command line as Invoke does, in this process: `invoke("lab.list", "-o", "json")`."""
    yield from invoking(monkeypatch, capsys)


@pytest.fixture(scope="session")
def article() -> Topology:
    """The topology of the walk-through: a manager and a worker."""
    return load_named_topology(None)


@pytest.fixture(scope="session")
def four_nodes() -> Topology:
    """A manager and three workers."""
    return load_named_topology("four-nodes")


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    """What a lab without machines answers with."""
    with serving() as servers:
        yield servers


@pytest.fixture
def world(
    dirs: Dirs, servers: Servers, article: Topology, monkeypatch: pytest.MonkeyPatch
) -> World:
    """A user who starts labs of the fake provider."""
    provider = FakeProvider(servers)
    known: dict[str, Callable[[], Provider]] = dict.fromkeys(("fake", "qemu"), lambda: provider)
    monkeypatch.setattr(providers, "PROVIDERS", known)
    # What answers is on this machine: a proxy could not reach it, and this one is not there.
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    # Nobody has to read the same file two hundred times; test_topology does it properly.
    read = {None: article}
    monkeypatch.setattr(
        "lab.lifecycle.load_named_topology",
        lambda name: read[name] if name in read else load_named_topology(name),
    )
    hurried = SimpleNamespace(monotonic=time.monotonic, sleep=lambda s: time.sleep(s / 20))
    monkeypatch.setattr("lab.wait.time", hurried)
    return World(provider)
