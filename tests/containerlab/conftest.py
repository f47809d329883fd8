"""What tests of the containerlab provider share."""

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lab.home import LabHome, LabState, lab_home
from lab.steps import Steps
from lab.topology import Topology
from tests.conftest import Dirs
from tests.containerlab.stand_ins import StandIns, standing_in
from tests.vagrant.conftest import image_in

HOST = "ssh://root@lab1"


@pytest.fixture
def stand_ins(tmp_path: Path, dirs: Dirs, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIns]:
    """A host on which everything is there, and an image that is built."""
    with standing_in(tmp_path / "machine", monkeypatch) as found:
        image = image_in(tmp_path / "image")
        for module in ("containerlab", "containerlab_image"):
            monkeypatch.setattr(f"lab.providers.{module}.ensure_image", lambda *_: image)
        pack = tmp_path / "pack.sh"
        pack.write_text('cat "$1" > "$2"\n')
        monkeypatch.setattr("lab.providers.containerlab_image.PACK", pack)
        yield found


@pytest.fixture
def lab(dirs: Dirs, article: Topology) -> LabHome:
    """A lab on another machine whose state is written, as it is before a provider is called."""
    return saved(lab_home("unit-test"), article, HOST)


@pytest.fixture
def here(dirs: Dirs, article: Topology) -> LabHome:
    """The same on this machine."""
    return saved(lab_home("unit-here"), article, None)


@pytest.fixture
def steps() -> Steps:
    return Steps(io.StringIO())


def saved(home: LabHome, topology: Topology, host: str | None) -> LabHome:
    """Write the state of a new lab."""
    home.save(
        LabState(
            name=home.name,
            provider="containerlab",
            topology=topology,
            created=datetime.now(UTC),
            runtime=home.runtime,
            host=host,
        )
    )
    return home
