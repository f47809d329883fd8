"""A bundle of a real lab: it is whole, quick, and holds none of the lab's real secrets.

The secrets are put where they do turn up: into a node's kernel log and into its journal.
"""

import tarfile
from dataclasses import dataclass

import pytest

from lab.bundle.nodes import JOURNALS
from lab.node import Node
from lab.session import LabSession
from lab.shell import succeed
from tests.live.test_looking import shown, typed

pytestmark = pytest.mark.live
KEYS = "cat /var/lib/docker/swarm/certificates/*.key /etc/ssh/ssh_host_*_key"
FILE = "/tmp/problem.tar.gz"  # noqa: S108 - what the document shows
DOCUMENT = "how-to/report-a-problem.md"


def secrets_of(lab: LabSession, manager: Node) -> list[str]:
    """Return the lab's join token, and every line of its private keys that is worth something."""
    token = succeed(manager.shell, "docker swarm join-token -q worker").strip()
    assert token.startswith("SWMTKN-1-")
    own = (lab.home.path / "id_ed25519").read_text()
    text = own + succeed(manager.shell, KEYS)
    assert text.count("PRIVATE KEY-----") >= 6, (
        "at least three keys: ours, the host's, the swarm's"
    )
    lines = [line for line in text.splitlines() if len(line) >= 60 and "-----" not in line]
    assert len(lines) >= 6
    return [token, token[-25:], *lines]


def plant(manager: Node, secrets: list[str]) -> None:
    """Let the real secrets be logged, line by line, after a word to recognise them by."""
    lines = "".join(
        f"echo 'planted {secret}' > /dev/kmsg\n" for secret in secrets if len(secret) > 25
    )
    succeed(manager.shell, f"{lines}echo 'planted {secrets[0]}' | systemd-cat -t dockerd\n")


@dataclass(frozen=True, slots=True)
class Made:
    """What the document's commands made: the bundle's files by name, and what was printed last."""

    secrets: list[str]
    files: dict[str, str]
    shown: str


@pytest.fixture(scope="module")
def made(lab: LabSession, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A bundle of the lab, made as the document says after the lab's secrets were logged."""
    with lab.connected() as nodes:
        manager = next(node for node in nodes if node.spec == lab.topology.manager)
        secrets = secrets_of(lab, manager)
        plant(manager, secrets)
    first, *rest = shown(DOCUMENT)
    assert first == "invoke lab.bundle", "the one without a file is typed for the README"
    directory = tmp_path_factory.mktemp("bundle")
    for line in rest:
        done = typed(lab, line.replace(FILE, str(directory / "problem.tar.gz")), directory)
        assert done.returncode == 0, done.stderr
    with tarfile.open(directory / "problem.tar.gz") as tar:
        files = {
            entry.name.partition("/")[2]: opened.read().decode()
            for entry in tar
            if (opened := tar.extractfile(entry)) is not None
        }
    return Made(secrets, files, done.stdout)


def test_every_node_has_told_everything(lab: LabSession, made: Made) -> None:
    for node in lab.topology.nodes:
        assert made.files[f"nodes/{node.name}/facts.txt"].rstrip().endswith("@@@ done")
        for command in JOURNALS.values():
            assert made.files[f"nodes/{node.name}/{command.section}.log"].strip()
    assert made.files["diagnosis.txt"].strip()
    assert made.files["service.log"].strip()


def test_none_of_the_labs_real_secrets_is_in_it(lab: LabSession, made: Made) -> None:
    manager = lab.topology.manager.name
    kernel = made.files[f"nodes/{manager}/kernel.log"]
    assert kernel.count("planted [removed: ") >= len(made.secrets) - 1, "logged, and removed"
    assert "planted [removed: join token" in made.files[f"nodes/{manager}/journal.log"]
    assert not [
        (name, secret[:8])
        for name, text in made.files.items()
        for secret in made.secrets
        if secret in text
    ]


def test_what_the_document_shows_last_is_the_list_of_what_is_in_it(
    lab: LabSession, made: Made
) -> None:
    assert made.shown.startswith(f"Lab {lab.name}, ")
    assert made.shown == made.files["README.txt"]
