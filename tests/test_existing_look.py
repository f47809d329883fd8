"""The look at hosts before they are lent, where a program of ours plays ssh."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lab.errors import Conflict, LabError, NotRunning, UsageError
from lab.home import LabState, Stage, lab_home, lab_names
from lab.inventory import HostSpec, Inventory
from lab.lifecycle import Wish, up
from lab.paths import private_dir
from lab.providers import existing
from lab.providers.existing import ExistingProvider
from lab.steps import Steps
from lab.topology_file import load_named_topology
from tests.conftest import Dirs
from tests.test_existing_provider import noted

TOPOLOGY = load_named_topology(None)
INVENTORY = Inventory(
    apiVersion="swarm-ingress-lab/v1",
    hosts=(HostSpec(name="manager", ssh="ops@web1"), HostSpec(name="worker")),
)
SSH = """\
#!/bin/sh
case " $* " in *" -G "*) cat "$WORLD/config"; exit ;; esac
[ ! -e "$WORLD/$3.refusal" ] || { cat "$WORLD/$3.refusal" >&2; exit 255; }
echo '@@@ begun'; cat "$WORLD/$3.look"; printf '\\n@@@ ended 0\\n'
"""
UNKNOWN = """\
No ED25519 host key is known for 10.0.0.7 and you have requested strict checking.
Host key verification failed.
"""
CHANGED = """\
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
Add correct host key in /home/me/.ssh/known_hosts to get rid of this message.
Offending ED25519 key in /home/me/.ssh/known_hosts:3
Host key for 10.0.0.7 has changed and you have requested strict checking.
Host key verification failed.
"""
DENIED = "root@10.0.0.7: Permission denied (publickey).\n"


@dataclass(frozen=True, slots=True)
class Hosts:
    """The two hosts of the article, as ssh shows them."""

    world: Path

    def refuse(self, name: str, said: str) -> None:
        """Let ssh not get into a host."""
        (self.world / f"{name}.refusal").write_text(said)

    def show(self, name: str, **change: str) -> None:
        """Let a host look as it does when it can be lent, but for what is given."""
        address = next(str(node.address) for node in TOPOLOGY.nodes if node.name == name)
        lines = {
            "uid": "0",
            "hostname": name,
            "swarm": "inactive",
            "missing": "",
            "image": "absent",
            "archive": "absent",
            "bridge": "",
            "addresses": f"127.0.0.1 {address}",
        } | change
        said = "".join(f"{key} {value}\n" for key, value in lines.items())
        (self.world / f"{name}.look").write_text(said)


@pytest.fixture
def hosts(dirs: Dirs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hosts:
    world = tmp_path / "world"
    world.mkdir()
    (world / "ssh").write_text(SSH.replace("$WORLD", str(world)))
    (world / "ssh").chmod(0o755)
    for name in ("key", "known"):
        (world / name).touch()
    (world / "config").write_text(
        "hostname 10.0.0.7\nport 22\nuser root\n"
        f"identityfile {world}/key\nuserknownhostsfile {world}/known\n"
    )
    monkeypatch.setenv("PATH", f"{world}:/usr/bin:/bin")
    monkeypatch.setattr(existing, "find_program", lambda program: f"/usr/bin/{program}")
    found = Hosts(world)
    for name in ("manager", "worker"):
        found.show(name)
    return found


def refused() -> LabError:
    """Return why ``lab.up`` refuses the hosts; nothing may be left of the lab."""
    wish = Wish("mine", "existing", None, Stage.SERVICE, inventory=INVENTORY)
    with pytest.raises(LabError) as caught:
        up(wish, Steps(quiet=True))
    assert lab_names() == ()
    assert not lab_home("mine").exists()
    return caught.value


def plan() -> LabState:
    return LabState(
        name="mine",
        provider="existing",
        topology=TOPOLOGY,
        created=datetime.now(UTC),
        runtime=lab_home("mine").runtime,
        inventory=INVENTORY,
    )


def test_good_hosts_are_in_nobodys_way(hosts: Hosts) -> None:
    ExistingProvider().preflight(TOPOLOGY, plan())


def test_all_that_is_bad_is_said_at_once_and_leaves_no_lab(hosts: Hosts) -> None:
    hosts.show("manager", swarm="active")
    hosts.refuse("worker", DENIED)
    error = refused()
    assert isinstance(error, Conflict)
    assert error.brief == "these hosts cannot be lent to a lab; nothing was changed"
    assert error.details.splitlines() == [
        "manager: it belongs to a swarm already (active)",
        "worker: ssh accepts none of our keys",
        f"  {DENIED.strip()}",
        "  try: ssh worker true   (it must ask for nothing)",
    ]


def test_a_changed_host_key_is_told_from_an_unknown_one(hosts: Hosts) -> None:
    hosts.refuse("manager", UNKNOWN)
    hosts.refuse("worker", CHANGED)
    error = refused()
    assert isinstance(error, NotRunning)
    assert "manager: the host key is not known, so ssh goes no further" in error.details
    assert "worker: the host key is not the known one" in error.details
    assert "try: ssh ops@web1   (compare the key" in error.details
    assert "lab.reset" not in str(error)


def test_a_lab_that_has_the_hosts_is_not_in_its_own_way(hosts: Hosts) -> None:
    home = lab_home("mine")
    private_dir(home.path)
    (home.path / "existing.json").write_text(noted(home).model_dump_json())
    hosts.show("manager", swarm="active")
    ExistingProvider().preflight(TOPOLOGY, plan())


def test_all_hosts_that_no_lab_can_reach_are_said_at_once(hosts: Hosts) -> None:
    with (hosts.world / "config").open("a") as config:
        config.write("proxyjump jump\n")
    error = refused()
    assert isinstance(error, UsageError)
    assert "manager is reached through another host" in error.details
    assert "worker is reached through another host" in error.details
    assert error.hint.startswith("ssh -G ops@web1")


def test_nothing_is_built_for_hosts_that_are_refused(
    hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(_: Steps) -> None:
        raise AssertionError("an image is made, which takes minutes")

    monkeypatch.setattr(existing, "ensure_image", build)
    hosts.show("worker", uid="1000")
    home = lab_home("mine")
    home.save(plan())
    with pytest.raises(Conflict, match="cannot be lent"):
        ExistingProvider().create(home, TOPOLOGY, Steps(quiet=True))
