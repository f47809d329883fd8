"""What Vagrant and this program tell each other: settings, environment, a lab's record."""

import os
from collections.abc import Mapping
from functools import cache
from ipaddress import IPv4Network
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict

from lab.errors import UsageError
from lab.home import LabHome
from lab.paths import private_dir, write_private
from lab.providers.noted import read_noted
from lab.topology import Topology

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
VARIABLE = "VAGRANT_DEFAULT_PROVIDER"
DOTFILES = "VAGRANT_DOTFILE_PATH"
Hypervisor = Literal["libvirt", "virtualbox"]
"""What Vagrant makes machines with, of what it could; in its own words, a provider."""

HYPERVISORS: tuple[Hypervisor, ...] = get_args(Hypervisor)


class Settings(BaseModel):
    """What the Vagrantfile and this program both need to know (``ruby/settings.json``).

    ``topology`` is the one a lab has when nobody names another, ``management`` the network of the
    first NIC, which libvirt knows under the name ``shared_network``. ``own_box`` is built by
    ``lab.box``, ``public_box`` comes from Vagrant's registry.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    topology: str
    management: IPv4Network
    shared_network: str
    own_box: str
    public_box: str


class Record(BaseModel):
    """What is remembered of a lab; written before Vagrant is called for the first time.

    ``box_version`` is ``None`` for the public box. ``pool`` is where libvirt keeps the disks.
    """

    model_config = ConfigDict(frozen=True)

    hypervisor: Hypervisor
    box_version: str | None
    accelerator: str
    pace: float
    remark: str
    pool: Path | None = None


@cache
def settings() -> Settings:
    """Return the shared settings."""
    return Settings.model_validate_json((HERE / "ruby" / "settings.json").read_bytes())


def load(home: LabHome) -> Record | None:
    """Return what is remembered of a lab, ``None`` if nothing is.

    Raises:
        LabError: It cannot be read.
    """
    file = home.path / "vagrant.json"
    return read_noted(
        file,
        Record,
        what=f"What was noted of the machines of lab {home.name}",
        hint=f"virsh undefine --remove-all-storage (or VBoxManage unregistervm --delete) each "
        f"machine whose name begins with {prefix(home)}; then: rm {file}",
    )


def save(home: LabHome, topology: Topology, record: Record) -> None:
    """Remember a lab, and what the Vagrantfile reads: the lab's topology as it is today."""
    private_dir(dotfiles(home))
    # YAML can be written as JSON, and plain JSON means the same to every reader of YAML.
    write_private(topology_file(home), topology.model_dump_json(indent=2, exclude_none=True))
    write_private(home.path / "vagrant.json", record.model_dump_json(indent=2) + "\n")


def dotfiles(home: LabHome) -> Path:
    """Where Vagrant keeps what it knows of a lab's machines, and the Vagrantfile their key."""
    return home.path / "vagrant"


def topology_file(home: LabHome) -> Path:
    """Return the topology file the Vagrantfile reads."""
    return dotfiles(home) / "topology.yaml"


def key_file(home: LabHome) -> Path:
    """Return the private key to a lab's machines: see ``Lab#key`` in ruby/lab.rb."""
    return dotfiles(home) / "id_ed25519"


def prefix(home: LabHome) -> str:
    """Return how the names of everything begin that a lab has at the hypervisor's."""
    return f"sil-{home.runtime.name}-"


def machine_id(home: LabHome, record: Record, node: str) -> str | None:
    """Return the hypervisor's UUID of a machine that Vagrant made, ``None`` if it did not."""
    file = dotfiles(home) / "machines" / node / record.hypervisor / "id"
    try:
        return file.read_text().strip() or None
    except OSError:
        return None


def environment(home: LabHome, record: Record) -> dict[str, str]:
    """Return the environment in which Vagrant works on this lab and on no other."""
    box = {"LAB_BOX": "public"} if record.box_version is None else own_box(record.box_version)
    return {
        **base_environment(),
        **box,
        DOTFILES: str(dotfiles(home)),
        VARIABLE: record.hypervisor,
        "LAB_ID": home.runtime.name,
        "LAB_TOPOLOGY": str(topology_file(home)),
        "LAB_ACCEL": record.accelerator,
    }


def own_box(version: str) -> dict[str, str]:
    """Return the variables that choose one version of our box."""
    return {"LAB_BOX": "own", "LAB_BOX_VERSION": version}


def base_environment() -> dict[str, str]:
    """Return the environment of a Vagrant that asks nobody whether there is a newer one.

    Vagrant reads the Vagrantfile for every command. With ``LAB_BOX`` it looks for none of our
    boxes, and so lets one be added that is missing and one be removed that is damaged.
    """
    fixed = {"VAGRANT_CWD": str(ROOT), "VAGRANT_CHECKPOINT_DISABLE": "1", "LAB_BOX": "public"}
    return dict(os.environ) | fixed


def vagrant_home(env: Mapping[str, str] = os.environ) -> Path:
    """Return the directory in which Vagrant keeps boxes."""
    return Path(env.get("VAGRANT_HOME") or Path.home() / ".vagrant.d")


def hypervisor() -> Hypervisor:
    """Return which hypervisor is asked for: ``VAGRANT_DEFAULT_PROVIDER``, else libvirt.

    Raises:
        UsageError: It is one on which the lab does not run.
    """
    word = os.environ.get(VARIABLE) or "libvirt"
    for known in HYPERVISORS:
        if word == known:
            return known
    raise UsageError(
        f"The lab does not run on Vagrant's provider {word}",
        details=f"{VARIABLE} is {word}, expected libvirt or virtualbox",
        hint=f"unset {VARIABLE}",
    )


def wants_own_box(hypervisor: Hypervisor) -> bool:
    """Say which box is asked for: ``LAB_BOX``, else our own where there is one, for libvirt.

    Raises:
        UsageError: It is neither ``own`` nor ``public``, or there is no such box.
    """
    word = os.environ.get("LAB_BOX") or ("own" if hypervisor == "libvirt" else "public")
    if word not in ("own", "public"):
        raise UsageError(f"LAB_BOX is {word!r}", details="expected own or public")
    if word == "own" and hypervisor != "libvirt":
        raise UsageError(
            f"Our own box is one for libvirt, not for {hypervisor}", hint="unset LAB_BOX"
        )
    return word == "own"
