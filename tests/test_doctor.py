from pathlib import Path

import pytest

from lab.doctor import Finding, examine, is_healthy
from lab.process import PACKAGE_OF
from lab.report import print_findings
from lab.topology import Topology
from tests.conftest import Dirs


@pytest.fixture
def programs(dirs: Dirs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH on which every program is there and does nothing but tell its version."""
    directory = tmp_path / "bin"
    directory.mkdir()
    for name in (*PACKAGE_OF, "true"):
        program = directory / name
        program.write_text("#!/bin/sh\necho version 1\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(directory))
    monkeypatch.delenv("LAB_ACCEL", raising=False)
    return directory


def found(topology: Topology) -> dict[str, Finding]:
    return {finding.what: finding for finding in examine(topology)}


@pytest.mark.usefixtures("programs")
def test_everything_is_looked_at(article: Topology) -> None:
    findings = found(article)
    assert set(findings) >= {
        "Python",
        "processor",
        "mmdebstrap",
        "user namespaces",
        "node image",
        "acceleration",
        "memory",
        "cache directory",
        "state directory",
        "snapshots",
        "socket directory",
        "ports",
    }
    assert findings["node image"].seen.endswith("not built yet; the first lab.up takes longer")
    assert findings["acceleration"].seen.startswith("not tried yet")
    assert findings["socket directory"].verdict == "ok"


@pytest.mark.usefixtures("programs")
def test_looking_changes_nothing(article: Topology, dirs: Dirs) -> None:
    examine(article)
    assert not dirs.cache.exists()
    assert not dirs.state.exists()


def test_a_missing_program_comes_with_its_package(article: Topology, programs: Path) -> None:
    (programs / "qemu-img").unlink()
    finding = found(article)["qemu-img"]
    assert (finding.verdict, finding.seen) == ("bad", "not installed")
    assert finding.fix == "sudo apt-get install qemu-utils"


def test_what_depends_on_missing_programs_is_not_tried(article: Topology, programs: Path) -> None:
    for program in programs.iterdir():
        program.unlink()
    findings = examine(article)
    assert not is_healthy(findings)
    assert "node image" not in {finding.what for finding in findings}


@pytest.mark.usefixtures("programs")
def test_a_wrong_word_in_the_environment_is_found(
    article: Topology, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_ACCEL", "hvf")
    finding = found(article)["acceleration"]
    assert (finding.verdict, finding.fix) == ("bad", "unset LAB_ACCEL")
    monkeypatch.setenv("LAB_ACCEL", "tcg")
    finding = found(article)["acceleration"]
    assert finding.verdict == "warning"
    assert "software emulation" in finding.seen


@pytest.mark.usefixtures("programs")
def test_a_directory_that_cannot_be_written_is_found(
    article: Topology, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null/state")
    finding = found(article)["state directory"]
    assert finding.verdict == "bad"
    assert "cannot write in /dev/null" in finding.seen


@pytest.mark.usefixtures("programs")
def test_a_long_socket_directory_is_found(
    article: Topology, dirs: Dirs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_RUNTIME_DIR", str(dirs.runtime / ("long" * 20)))
    finding = found(article)["socket directory"]
    assert finding.verdict == "bad"
    assert "LAB_RUNTIME_DIR" in finding.fix


@pytest.mark.usefixtures("programs")
def test_too_little_memory_is_found(article: Topology) -> None:
    giant = tuple(node.model_copy(update={"memory_mib": 2**22}) for node in article.nodes)
    finding = found(article.model_copy(update={"nodes": giant}))["memory"]
    assert finding.verdict == "bad"
    assert "together 8388608 MiB" in finding.seen


@pytest.mark.usefixtures("programs")
def test_the_room_snapshots_take_is_told(article: Topology, dirs: Dirs) -> None:
    for kept in (dirs.cache / "snapshots" / "0123", dirs.state / ".snapshots" / "mine"):
        kept.mkdir(parents=True)
        (kept / "ram").write_bytes(bytes(3 * 2**20))
    finding = found(article)["snapshots"]
    assert finding.verdict == "ok"
    assert finding.seen.startswith("2 take 6 MiB; ")
    assert finding.seen.endswith(" MiB free, 2648 MiB wanted for another")


@pytest.mark.usefixtures("programs")
def test_a_lab_that_cannot_be_saved_is_a_lab_all_the_same(article: Topology) -> None:
    giant = tuple(node.model_copy(update={"memory_mib": 2**30}) for node in article.nodes)
    finding = found(article.model_copy(update={"nodes": giant}))["snapshots"]
    assert (finding.verdict, finding.fix) == ("warning", "invoke lab.snapshot --remove old")


def test_a_warning_stands_in_nobodys_way() -> None:
    fine = Finding("a", "ok", "")
    assert is_healthy((fine, Finding("b", "warning", "")))
    assert not is_healthy((fine, Finding("b", "bad", "")))


def test_what_was_seen_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    said = "[/x] dial [red]unix[/red]: usage: ssh [user@]host"
    print_findings((Finding("ssh://[a]", "bad", said, fix="ssh -J [b] host"),))
    shown = " ".join(capsys.readouterr().out.split())
    assert "ssh://[a]" in shown
    assert said in shown
    assert "Fix: ssh -J [b] host" in shown
