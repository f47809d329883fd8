"""Secrets as they turn up where nobody expects them, and a lab that has them everywhere."""

import json
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO

from lab.bundle.archive import packed
from lab.bundle.collect import collect
from lab.bundle.model import Bundle
from lab.bundle.nodes import JOURNALS, node_parts
from lab.errors import LabError
from lab.evidence import Place
from lab.home import LabHome
from lab.session import LabSession
from lab.shell import CommandResult
from lab.steps import Steps
from lab.wait import Deadlines
from tests.facts.captures import captured
from tests.test_redact import KEY, TOKEN, UNLOCK

STAMP = "Nov 25 23:01:02.281433 manager dockerd[182]: "
LINES = (
    f"docker swarm join --token {TOKEN} 192.168.56.10:2377",
    f"{TOKEN[:60]}\n    {TOKEN[60:]}",
    f"docker swarm unlock: {UNLOCK}",
    KEY,
    "\n".join(f"{STAMP}{line}" for line in KEY.splitlines()),
    "\n".join(KEY.splitlines()[1:-1]),
    json.dumps({"log": KEY}),
    'time="2026-11-25T23:00:58Z" level=info env="[POSTGRES_PASSWORD=sw0rd-f1sh PATH=/bin]"',
    "GET /v2/ Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.e30.x",
    "pulling from https://bob:hunter22@registry.local/v2/",
    "connecting to redis://:hunter23@redis:6379, db_pass=hunter,24 encryption-key: hunter25",
    '"Headers":{"X-Registry-Auth":["eyJ1c2VybmFtZSI6ImJvYiJ9"],"Cookie":["id=hunter26"]}',
)
NEEDLES = (
    TOKEN[12:40],
    TOKEN[-25:],
    UNLOCK[10:],
    *KEY.splitlines()[1:3],
    "sw0rd-f1sh",
    "eyJhbGciOiJIUzI1NiJ9",
    "hunter22",
    "hunter23",
    "hunter,24",
    "hunter25",
    "eyJ1c2VybmFtZSI6ImJvYiJ9",
    "hunter26",
)


def planted(source: str) -> str:
    """Return a text full of secrets, and a word that must survive."""
    return "\n".join([f"planted in {source}", *LINES, "end of it"])


@dataclass
class TellingShell:
    """A node that answers the two scripts of a bundle with captured facts and made-up journals.

    An error in place of facts is raised, as by a node that does not answer.
    """

    node: str
    facts: str | LabError
    asked: list[str] = field(default_factory=list)

    def run(self, command: str, *, timeout_s: float = 60.0) -> CommandResult:
        self.asked.append(command)
        assert timeout_s < 100
        if isinstance(self.facts, LabError):
            raise self.facts
        if "journalctl" not in command:
            return CommandResult(command, 0, self.facts, "")
        return CommandResult(command, 0, "".join(self._journals()) + "@@@ done\n", "")

    def _journals(self) -> Iterator[str]:
        for one in JOURNALS.values():
            text = planted(f"{one.section} of {self.node}")
            yield f"@@@ begin host {one.section}\n{text}\n\n@@@ end 0\n@@! {LINES[0]}\n"


def facts_of(node: str) -> str:
    """Return captured facts with secrets in what a command complained of."""
    complaints = "".join(f"@@! {line}\n" for line in planted(f"facts of {node}").splitlines())
    text = captured(f"batch/{node}-two-replicas")
    assert text.endswith("@@@ done\n")
    return text.removesuffix("@@@ done\n") + complaints + "@@@ done\n"


def collected(
    name: str, facts: Callable[[str], str | LabError] = facts_of, *, log: str = ""
) -> Bundle:
    """Collect a bundle of a lab whose nodes are made up."""

    def reach(lab: LabSession) -> Place:
        shells = {n.name: TellingShell(n.name, facts(n.name)) for n in lab.topology.nodes}
        return Place(lab.topology, shells, lab.published, Deadlines(1.0))

    ask = partial(node_parts, reach=reach, read_log=lambda _: log or planted("service.log"))
    return collect(name, Steps(quiet=True), ask=ask)


def plant_files(home: LabHome) -> None:
    """Put secrets into every file of a lab that a bundle takes, and keys beside them."""
    for node in ("manager", "worker"):
        (home.node_dir(node) / "console.log").write_text(planted(f"console of {node}"))
        (home.node_dir(node) / "ssh_host_ed25519_key").write_text(KEY)
    (home.path / "id_ed25519").write_text(KEY)
    (home.path / "faults.json").write_text(json.dumps({"text": planted("faults.json")}))
    (home.path / "qemu.json").write_text(json.dumps({"text": planted("qemu.json")}))


def members(bundle: Bundle) -> dict[str, str]:
    """Return the files of a packed bundle by their names inside its directory."""
    with tarfile.open(fileobj=BytesIO(packed(bundle))) as tar:
        found = {}
        for entry in tar:
            file = tar.extractfile(entry)
            assert file is not None
            assert entry.name.startswith(f"{bundle.name}/")
            found[entry.name.removeprefix(f"{bundle.name}/")] = file.read().decode()
        return found
