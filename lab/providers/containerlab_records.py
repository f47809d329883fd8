"""What is remembered of a lab of containerlab; written before the host is touched."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from lab.home import LabHome
from lab.paths import private_dir, write_private
from lab.providers.containerlab_host import Host
from lab.providers.containerlab_topology import lab_name
from lab.providers.noted import read_noted

FILE = "containerlab.json"
ROOT = "/var/lib/swarm-ingress-lab"
"""Where a lab has its directory on the host."""


class Record(BaseModel):
    """What must be known to find and to remove a lab.

    ``text`` is the topology file: on the host it may be gone. ``had_network`` tells whether
    containerlab's network was there before. ``ports`` maps a node to its ssh port and its entry
    port here, ``addresses`` to its address on that network.
    """

    model_config = ConfigDict(frozen=True)

    lab: str
    owner: str
    host: str | None
    ssh_config: Path | None
    text: str
    had_network: bool
    pace: float
    ports: dict[str, tuple[int, int]] = {}
    addresses: dict[str, str] = {}

    @property
    def directory(self) -> str:
        """The lab's directory on the host."""
        return f"{ROOT}/{self.lab}-{self.owner}"

    @property
    def file(self) -> str:
        """The topology file on the host."""
        return f"{self.directory}/lab.clab.yml"


def load(home: LabHome) -> Record | None:
    """Return what is remembered of a lab, ``None`` if nothing is.

    Raises:
        LabError: It cannot be read.
    """
    file = home.path / FILE
    every = f"docker ps --all --quiet --filter label=containerlab={lab_name(home.name)}"
    return read_noted(
        file,
        Record,
        what=f"What was noted of the containers of lab {home.name}",
        hint=f"on their host: docker rm --force --volumes $({every}); "
        f"rm -r {ROOT}/{lab_name(home.name)}-*; then here: rm {file}",
    )


def save(home: LabHome, record: Record) -> None:
    """Remember a lab."""
    private_dir(home.path)
    write_private(home.path / FILE, record.model_dump_json(indent=2) + "\n")


def forget(home: LabHome) -> None:
    """Remember nothing any more."""
    (home.path / FILE).unlink(missing_ok=True)


def host_of(home: LabHome, record: Record) -> Host:
    """Return the host of a lab, with the connection that all commands of the lab share.

    Its socket is in the lab's own directory of sockets, so its ssh is found by that path
    (``lab.access.close_connections``), even if nobody lived to write its number down.
    """
    socket = private_dir(home.runtime) / "host.ssh"
    return Host(record.host, record.ssh_config, socket, record.pace)
