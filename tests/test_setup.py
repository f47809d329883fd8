"""`make setup-dev` in a made-up project, on a made-up system that has only what is put there."""

import hashlib
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
COMMON = "awk cat chmod date dirname env flock grep mktemp rm sed sh sha256sum sleep tail"
"""What every system has; the real ones."""
LAB = "qemu-system-x86_64 qemu-img mmdebstrap mke2fs zstd curl ssh ssh-keygen"
IS_THERE = "#!/bin/sh\nexit 0\n"
ID = '#!/bin/sh\n[ "$1" = -u ] && echo 0 || echo root\n'
APT = """#!/bin/sh
echo "apt-get $*" >> "$NOTES"
case $1 in install) for name; do :>> "$PROGRAMS/$name"; chmod +x "$PROGRAMS/$name"; done ;; esac
"""
INSTALL = "apt-get install --yes --no-install-recommends"


@dataclass(frozen=True, slots=True)
class System:
    """A machine with a checkout whose .venv is complete."""

    project: Path
    programs: Path

    def has(self, *names: str) -> None:
        for name in names:
            self._put(name, IS_THERE)

    def is_a(self, release: str) -> None:
        (self.project / "os-release").write_text(release)

    def setup(self, requirements: str = "requirements-dev.txt") -> tuple[str, list[str]]:
        """Return what is said, and what the package manager was told to do."""
        notes = self.project / "notes"
        done = subprocess.run(
            ["sh", "scripts/setup.sh", requirements],
            cwd=self.project,
            env={
                "PATH": str(self.programs),
                "NOTES": str(notes),
                "PROGRAMS": str(self.programs),
                "TMPDIR": str(self.project),
            },
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        assert not list(self.project.glob("swarm-ingress-lab-setup.*"))
        return done.stderr, notes.read_text().splitlines() if notes.exists() else []

    def _put(self, name: str, text: str) -> None:
        file = self.programs / name
        file.write_text(text)
        file.chmod(0o755)


@pytest.fixture
def system(tmp_path: Path) -> System:
    project, programs = tmp_path / "project", tmp_path / "programs"
    shutil.copytree(ROOT / "scripts", project / "scripts")
    (project / ".venv" / "bin").mkdir(parents=True)
    programs.mkdir()
    made = System(project, programs)
    for name in COMMON.split():
        real = shutil.which(name)
        assert real is not None
        (programs / name).symlink_to(real)
    made.has(*LAB.split())
    made._put("id", ID)
    made._put("apt-get", APT)
    script = project / "scripts" / "setup.sh"
    text = script.read_text()
    assert "/etc/os-release" in text
    script.write_text(
        text.replace("/etc/os-release", str(project / "os-release")).replace(
            "/usr/share/keyrings/debian-archive-keyring.gpg", str(project / "os-release")
        )
    )
    made.is_a("ID=debian\n")
    _complete(project)
    return made


def _complete(project: Path) -> None:
    """Make a .venv that setup.sh finds ready."""
    for name in ("requirements.txt", "requirements-dev.txt"):
        shutil.copy(ROOT / name, project / name)
    (project / ".venv" / "bin" / "python").write_text(IS_THERE)
    (project / ".venv" / "bin" / "python").chmod(0o755)
    for name in ("requirements.txt", "requirements-dev.txt"):
        read = b"".join((project / f).read_bytes() for f in ("requirements.txt", name))
        key = f"{project} {hashlib.sha256(read).hexdigest()}  -\n"
        (project / ".venv" / f"ready-{name}").write_text(key)


def test_what_tests_start_is_installed_and_said(system: System) -> None:
    said, done = system.setup()
    assert (
        said.splitlines()[0] == "==> Installing with apt: shellcheck cpio ruby chromium (as root)"
    )
    assert done == ["apt-get update", f"{INSTALL} shellcheck cpio ruby chromium"]


def test_nothing_is_said_nor_done_a_second_time(system: System) -> None:
    system.setup()
    (system.project / "notes").unlink()
    assert system.setup() == ("", [])


def test_a_lab_needs_nothing_of_it(system: System) -> None:
    assert system.setup("requirements.txt") == ("", [])


@pytest.mark.parametrize("browser", ["chromium", "chromium-browser", "google-chrome"])
def test_a_browser_that_is_there_is_good_enough(system: System, browser: str) -> None:
    system.has(browser)
    assert system.setup()[1][1:] == [f"{INSTALL} shellcheck cpio ruby"]


@pytest.mark.parametrize(
    "release", ["ID=ubuntu\nID_LIKE=debian\n", 'ID=x\nID_LIKE="ubuntu debian"\n']
)
def test_a_browser_that_is_a_snap_is_left_out_and_said(system: System, release: str) -> None:
    system.is_a(release)
    said, done = system.setup()
    assert said.startswith("==> Leaving out the tests that need a browser: ")
    assert done[1:] == [f"{INSTALL} shellcheck cpio ruby"]


def test_a_system_without_a_browser_is_complete(system: System) -> None:
    system.is_a("ID=ubuntu\n")
    system.has("shellcheck", "cpio", "ruby")
    assert system.setup() == ("", [])
