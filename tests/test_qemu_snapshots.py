import io
import socket
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from lab.access import Access
from lab.errors import CommandFailed, Conflict
from lab.home import lab_home
from lab.image.build import Built
from lab.image.store import FILES, current_key, ensure_image, find_image, remove_image
from lab.paths import private_dir
from lab.providers import acceleration, qemu_mold, qemu_snapshots
from lab.providers.acceleration import remembered
from lab.providers.identity import LAB_KEY
from lab.providers.qemu_command import CONSOLE
from lab.providers.qemu_machines import Record, monitor_socket, save
from lab.providers.qemu_mold import KEPT
from lab.providers.qemu_snapshots import QemuSnapshots
from lab.steps import Steps
from lab.topology import Topology
from tests.conftest import Dirs
from tests.fake_qmp import Refusal, qmp_server

SNAPSHOTS = QemuSnapshots()


@pytest.fixture
def programs(dirs: Dirs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with the programs that are asked for their versions; no hardware acceleration."""
    directory = tmp_path / "bin"
    directory.mkdir()
    for name in ("mmdebstrap", "qemu-system-x86_64"):
        tell(directory / name, f"{name} 1.0")
    monkeypatch.setenv("PATH", str(directory))
    monkeypatch.delenv("LAB_ACCEL", raising=False)
    monkeypatch.setattr(acceleration, "KVM", tmp_path / "no-kvm")
    return directory


def tell(program: Path, version: str) -> None:
    program.write_text(f"#!/bin/sh\necho {version}\n")
    program.chmod(0o755)


def build_image() -> None:
    def build(directory: Path, steps: Steps) -> Built:
        for name in FILES:
            (directory / name).touch()
        return Built((), "6.12.57", "sha256:1234")

    ensure_image(Steps(io.StringIO()), build=build)


def circumstances(topology: Topology) -> Mapping[str, str]:
    found = SNAPSHOTS.circumstances(topology)
    assert found is not None
    return found


def test_without_an_image_nothing_fits(programs: Path, dirs: Dirs, article: Topology) -> None:
    assert SNAPSHOTS.circumstances(article) is None
    assert not dirs.cache.exists()


def test_what_a_saved_state_depends_on(programs: Path, article: Topology) -> None:
    build_image()
    found = circumstances(article)
    assert set(found) == {"qemu", "image", "machine", "processor"}
    assert found["qemu"] == "qemu-system-x86_64 1.0"
    assert found["image"].startswith(f"{current_key()}, built ")
    assert circumstances(article) == found


def test_everything_a_saved_state_depends_on_is_looked_at(
    programs: Path, article: Topology, four_nodes: Topology, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_image()
    first = circumstances(article)

    def differ(topology: Topology = article) -> set[str]:
        now = circumstances(topology)
        return {what for what in now if now[what] != first[what]}

    assert differ(four_nodes) == {"machine"}
    giants = tuple(node.model_copy(update={"memory_mib": 4096}) for node in article.nodes)
    assert differ(article.model_copy(update={"nodes": giants})) == {"machine"}
    monkeypatch.setenv("LAB_ACCEL", "kvm")
    assert differ() == {"machine", "processor"}
    monkeypatch.delenv("LAB_ACCEL")
    tell(programs / "qemu-system-x86_64", "qemu-system-x86_64 1.0.1")
    assert differ() == {"qemu"}


def test_an_image_that_was_built_again_is_another_one(programs: Path, article: Topology) -> None:
    """A saved disk holds what differs from the image's: over another one it is no file system."""
    build_image()
    first = circumstances(article)
    remove_image(current_key())
    build_image()
    now = circumstances(article)
    assert {what for what in now if now[what] != first[what]} == {"image"}


def test_machines_over_an_earlier_build_are_not_saved(
    programs: Path, article: Topology, tmp_path: Path
) -> None:
    """What would be saved is what differs from a disk that is not there any more."""
    build_image()
    home = lab_home("old")
    ports = {node.name: (1, 2) for node in article.nodes}
    image = find_image(current_key())
    assert image is not None
    record = Record(
        image=image.path,
        built=image.manifest.created - timedelta(days=1),
        accelerator="tcg",
        pace=1,
        remark="",
        ports=ports,
    )
    private_dir(home.path)
    save(home, record)
    with pytest.raises(Conflict, match="lab old cannot be saved"):
        SNAPSHOTS.save(home, article, tmp_path)
    assert not (tmp_path / "manager").exists()


def test_after_a_new_start_of_this_machine_snapshots_still_fit(
    programs: Path, dirs: Dirs, article: Topology
) -> None:
    """How machines run is found out anew then; that must not make every snapshot useless."""
    build_image()
    first = circumstances(article)
    verdict = remembered()
    assert verdict is not None
    later = verdict.model_copy(update={"circumstances": "another boot"})
    (dirs.cache / "acceleration.json").write_text(later.model_dump_json())
    assert circumstances(article) == first
    assert remembered() == verdict


PAUSED: Mapping[str, Sequence[object]] = {
    "query-status": [{"status": "paused", "running": False}],
    "stop": [{}],
}


def test_all_machines_go_on_even_if_one_refuses(
    programs: Path, article: Topology, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_image()
    home = lab_home("mine")
    image = find_image(current_key())
    assert image is not None
    record = Record(
        image=image.path,
        built=image.manifest.created,
        accelerator="tcg",
        pace=1,
        remark="",
        ports={node.name: (1, 2) for node in article.nodes},
    )
    private_dir(home.path)
    private_dir(home.runtime)
    save(home, record)
    monkeypatch.setattr(qemu_snapshots, "save_machine", lambda *args: None)
    manager = {**PAUSED, "cont": [Refusal("Resetting the Virtual Machine is required")]}
    with (
        qmp_server(monitor_socket(home, "manager"), manager),
        qmp_server(monitor_socket(home, "worker"), {**PAUSED, "cont": [{}]}) as worker,
    ):
        with pytest.raises(CommandFailed, match="the QEMU of manager refused cont"):
            SNAPSHOTS.save(home, article, tmp_path)
        assert worker.asked[-1][0] == "cont"
        worker.asked.clear()
        with pytest.raises(CommandFailed, match="the QEMU of manager refused cont"):
            SNAPSHOTS.wake(home, article)
        assert worker.asked[-1][0] == "cont"


def test_a_copy_keeps_what_its_machine_wrote_on_the_console(
    programs: Path, article: Topology, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It never boots itself: else its console would say nothing when something is too late."""
    build_image()
    image = find_image(current_key())
    assert image is not None
    (golden, lab), node = map(lab_home, ("golden", "lab")), article.manager
    for home in (golden, lab):
        private_dir(home.runtime)
        own = private_dir(home.node_dir(node.name))
        for name in (*KEPT, "disk.qcow2"):
            (own / name).touch()
    (golden.node_dir(node.name) / CONSOLE).write_text("Started docker.service\n")
    record = Record(
        image=image.path,
        built=image.manifest.created,
        accelerator="tcg",
        pace=1,
        remark="",
        ports={node.name: (1, 2) for node in article.nodes},
    )
    saved = tmp_path / node.name

    def launch(what: str, argv: Sequence[str], directory: Path) -> None:
        for name in ("pid", "disk.qcow2", CONSOLE):
            (directory / name).touch()

    monkeypatch.setattr(qemu_mold, "run", lambda *_, **__: None)
    monkeypatch.setattr(qemu_mold, "launch", launch)
    monkeypatch.setattr(qemu_mold, "_pour", lambda *_: None)
    monkeypatch.setattr(qemu_mold, "end", lambda _: None)
    machine: Any = None
    qemu_mold.save_machine(golden, article, record, node, machine, tmp_path)
    assert not (saved / "pid").exists()
    qemu_snapshots._prepare_copy(lab, article, record, node, saved)
    console = lab.node_dir(node.name) / CONSOLE
    assert console.read_text() == "Started docker.service\n"
    assert console.stat().st_mode & 0o777 == 0o600


def test_a_port_of_before_that_is_taken_is_said_before_a_machine_starts(
    programs: Path, article: Topology, tmp_path: Path
) -> None:
    build_image()
    home = lab_home("mine")
    private_dir(home.path)
    saved = tmp_path / "saved"
    for node in article.nodes:
        (saved / node.name).mkdir(parents=True)
        for name in KEPT:
            (saved / node.name / name).touch()
    for name in (LAB_KEY, f"{LAB_KEY}.pub"):
        (saved / name).touch()
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        access = Access(
            host="127.0.0.1",
            port=port,
            user="root",
            identity_file=tmp_path,
            known_hosts=tmp_path,
            entry=f"127.0.0.1:{port}",
        )
        earlier = {node.name: access for node in article.nodes}
        with pytest.raises(Conflict, match=f"Port {port} of this machine"):
            SNAPSHOTS.restore(home, article, saved, earlier, Steps(quiet=True))
    assert not home.runtime.exists(), "nothing was started"
