"""How to reach a node: what a provider hands over, and the ssh_config made from it.

The ssh_config is the contract between us, plain ``ssh -F``, testinfra and the Docker API forward:
a check that fails can be repeated by hand with the same file.
"""

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from lab.errors import CommandFailed, NotRunning
from lab.process import end, run, using

CONNECT_S = 5
"""How long real hardware may take to begin a connection, in seconds; ssh waits 10 at least."""


class Access(BaseModel):
    """Where a node's ssh answers and where its published port is reached from this machine.

    ``entry`` is ``host:port`` on this machine; a request to it enters the ingress through this
    very node. ``further_identity_files`` and ``further_known_hosts`` are tried after the first.
    """

    model_config = ConfigDict(frozen=True)

    host: str
    port: int
    user: str
    identity_file: Path
    known_hosts: Path
    entry: str
    further_identity_files: tuple[Path, ...] = ()
    further_known_hosts: tuple[Path, ...] = ()

    @property
    def identity_files(self) -> tuple[Path, ...]:
        """All private keys, in the order in which they are offered."""
        return (self.identity_file, *self.further_identity_files)

    @property
    def all_known_hosts(self) -> tuple[Path, ...]:
        """All lists of host keys."""
        return (self.known_hosts, *self.further_known_hosts)


def render_ssh_config(nodes: Mapping[str, Access], control_dir: Path, pace: float) -> str:
    """Return an ssh_config text for all nodes of a lab whose deadlines are ``pace`` times as long.

    One multiplexed connection per node (a new one costs a second under emulation), strict host
    keys, nobody who is asked for a passphrase, and nothing of the user's own configuration.
    """
    blocks = [
        "# Written by swarm-ingress-lab. Use it with: ssh -F THIS_FILE NODE",
        "Host *",
        "  BatchMode yes",
        "  IdentitiesOnly yes",
        "  StrictHostKeyChecking yes",
        "  PasswordAuthentication no",
        f"  ConnectTimeout {max(10, round(CONNECT_S * pace))}",
        "  ServerAliveInterval 15",
        "  LogLevel ERROR",
        "  ControlMaster auto",
        f'  ControlPath "{_quoted(control_dir)}/%n.ssh"',
        "  ControlPersist yes",
        "  StreamLocalBindUnlink yes",
    ]
    for name, access in nodes.items():
        blocks += [
            f"Host {name}",
            f"  HostName {access.host}",
            f"  Port {access.port}",
            f"  User {access.user}",
            *(f'  IdentityFile "{_quoted(path)}"' for path in access.identity_files),
            "  UserKnownHostsFile "
            + " ".join(f'"{_quoted(path)}"' for path in access.all_known_hosts),
        ]
    return "\n".join(blocks) + "\n"


def _quoted(path: Path) -> str:
    """Return a path as it stands between double quotes where ssh_config(5) expands % tokens."""
    return str(path).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")


def forward_socket(config: Path, node: str, *, remote: str, local: Path, timeout_s: float) -> None:
    """Make the node's unix socket ``remote`` available here as ``local``, through ssh.

    Rides on the node's multiplexed connection, which is opened within ``timeout_s`` seconds if it
    is not there. The connection's own end is on this machine: it answers at once, even if the
    node does not any more.

    Raises:
        NotRunning: The node cannot be reached.
    """
    ssh = ("ssh", "-F", config)
    try:
        run((*ssh, "-O", "check", node), timeout_s=5)
    except CommandFailed:
        try:
            run((*ssh, "-f", "-N", node), timeout_s=timeout_s)
        except CommandFailed as error:
            raise NotRunning(
                f"{node} does not answer ssh",
                details=str(error),
                hint="invoke lab.status, and if it stays so: invoke lab.down; invoke lab.up",
            ) from error
    run((*ssh, "-O", "forward", "-L", f"{local}:{remote}", node), timeout_s=10)


def close_connections(config: Path, control_dir: Path) -> None:
    """End every ssh of a lab: the multiplexed connections and whoever uses them."""
    end(using("ssh", config, control_dir))


def ssh_advice(said: str, by_hand: str) -> tuple[str, str]:
    """Return what is the matter with somebody's host, by ssh's own words, and what to type.

    Args:
        said: The last lines that ssh wrote.
        by_hand: What a person types to get there.
    """
    if "HOST IDENTIFICATION HAS CHANGED" in said or "Host key verification failed" in said:
        known = "is not the known one" if "CHANGED" in said.upper() else "is not known"
        return (
            f"the host key {known}, so ssh goes no further",
            f"{by_hand}   (compare the key with the host's own before you accept it)",
        )
    if "Permission denied" in said:
        return "ssh accepts none of our keys", f"{by_hand} true   (it must ask for nothing)"
    return "does not answer ssh", f"{by_hand} true"
