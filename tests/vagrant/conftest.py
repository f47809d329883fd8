"""What tests of the Vagrant provider share."""

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lab.home import LabHome, LabState, lab_home
from lab.image.store import FILES, Image, Manifest
from lab.steps import Steps
from lab.topology import Topology
from tests.conftest import Dirs
from tests.vagrant.stand_ins import StandIns, standing_in


@pytest.fixture
def stand_ins(tmp_path: Path, dirs: Dirs, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIns]:
    """A machine on which everything is there, and an image is built."""
    with standing_in(tmp_path / "machine", monkeypatch) as found:
        image = image_in(tmp_path / "image")
        for module in ("vagrant_boxes", "vagrant"):
            monkeypatch.setattr(f"lab.providers.{module}.ensure_image", lambda *_: image)
        found.program("qemu-img", '#!/bin/sh\nfor out; do :; done\necho disk > "$out"\n')
        monkeypatch.setattr("lab.providers.vagrant_needs.KVM", tmp_path / "no-kvm")
        for path in (tmp_path, *tmp_path.parents):
            if path.stat().st_uid != 0 or path.stat().st_mode & 0o001 == 0:
                path.chmod(0o755)
            if path.name.startswith("pytest-of-"):
                break
        yield found


@pytest.fixture
def lab(dirs: Dirs, article: Topology) -> LabHome:
    """A lab whose state is written, as it is before a provider is called."""
    home = lab_home("article")
    state = LabState(
        name=home.name,
        provider="vagrant",
        topology=article,
        created=datetime.now(UTC),
        runtime=home.runtime,
    )
    home.save(state)
    return home


@pytest.fixture
def steps() -> Steps:
    return Steps(io.StringIO())


def image_in(directory: Path) -> Image:
    """Return an image whose files hold their names."""
    directory.mkdir()
    for name in FILES:
        (directory / name).write_text(name)
    manifest = Manifest(
        key="0123456789abcdef",
        created=datetime(2026, 11, 22, 10, 15, tzinfo=UTC),
        kernel="6.12.57",
        node_test_id="sha256:1234",
        packages={},
        files={},
    )
    return Image(path=directory, manifest=manifest)
