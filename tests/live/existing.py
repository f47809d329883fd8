"""Machines of ours that play somebody's hosts: a swarm formed by hand, with services of theirs."""

import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lab.access import Access
from lab.wait import Deadlines, wait_until
from tests.live.commands import ROOT, OwnLab

MANAGER, WORKER, LATER = "manager", "worker1", "worker2"
SANDBOX = "/run/docker/netns/ingress_sbox"
UNCOUNTED = "sed -e '/^#/d' -e 's/ \\[.*\\]$//'"
"""Rules without the time they were printed at, and without counters."""
ADVERTISED = "192.168.56.10"
PYTHON = "/usr/bin/python3.13"
"""The interpreter in the image node-test."""
UDP_ECHO = """\
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind((b"0.0.0.0", 3000))
while True:
    s.sendto(*s.recvfrom(2048))
"""
CREATE = "docker service create --detach --no-resolve-image --name"
SERVICES = {
    "web": "--replicas 2 --network back -p 8080:3000 -p 9090:3001 node-test",
    "dns": f"--replicas 2 -p 5353:3000/udp node-test {PYTHON} -I -S -c '{UDP_ECHO}'",
    "agent": "--mode global -p 7000:3000 node-test",
    "direct": "--publish published=6000,target=3000,mode=host "
    "--constraint node.role==manager node-test",
    "idle": "--replicas 0 -p 6001:3000 node-test",
}
RUNNING = {"web": 2, "agent": 2, "dns": 2, "direct": 1, "idle": 0}


@dataclass(frozen=True, slots=True)
class Hosts:
    """Three machines with Docker, and the files with which their owner reaches them.

    The owner comes as root to the first and the third, and as ``ops``, who has sudo, to the
    second, which has no ipvsadm.
    """

    lab: OwnLab
    folder: Path

    def deadline(self, seconds: float) -> float:
        """Return a deadline for these machines."""
        return Deadlines(self.lab.state.pace)(seconds)

    def prepare(self) -> None:
        """Make the user ops, and take ipvsadm away."""
        deb = fetched_sudo(self.folder)
        config = str(self.lab.home.ssh_config)
        copy = ("scp", "-q", "-F", config, str(deb), f"{WORKER}:/root/sudo.deb")
        subprocess.run(copy, check=True, timeout=120)
        for line in (
            "dpkg -i /root/sudo.deb",
            "useradd --create-home --password '*' ops",
            "install -d -m 700 -o ops /home/ops/.ssh",
            "install -m 600 -o ops /root/.ssh/authorized_keys /home/ops/.ssh/authorized_keys",
            "echo 'ops ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/ops",
            "mv /usr/sbin/ipvsadm /root/ipvsadm",
        ):
            self.lab.on(WORKER, line)

    def form(self) -> None:
        """Form a swarm of the first two and start the services, as anybody would by hand."""
        # Emulated machines may be late: nobody shall be declared down for that.
        patience = "--dispatcher-heartbeat 60s"
        self.lab.on(MANAGER, f"docker swarm init --advertise-addr {ADVERTISED} {patience}")
        self.join(WORKER)
        self.lab.on(MANAGER, "docker network create --driver overlay back")
        running: dict[str, int] = {}
        for name, words in SERVICES.items():  # one after the other: emulated machines are slow
            self.lab.on(MANAGER, f"{CREATE} {name} {words}")
            running[name] = RUNNING[name]
            self.await_services(running)

    def join(self, node: str) -> None:
        """Let a host join."""
        token = self.lab.on(MANAGER, "docker swarm join-token -q worker").strip()
        self.lab.on(node, f"docker swarm join --token {token} {ADVERTISED}:2377")

    def await_services(self, running: dict[str, int]) -> None:
        """Wait until so many tasks of each service run, three times in a row."""
        wait_until(
            self._running,
            lambda found: found == running,
            what=f"{running} tasks to run",
            timeout_s=self.deadline(60),
            every_s=1,
            successes=3,
        )

    def _running(self) -> dict[str, int]:
        said = self.lab.on(MANAGER, "docker service ls --format '{{.Name}} {{.Replicas}}'")
        pairs = (line.split() for line in said.splitlines())
        return {name: int(replicas.partition("/")[0]) for name, replicas, *_ in pairs}

    def ssh_config(self, name: str, change: Callable[[str, list[str]], list[str]]) -> Path:
        """Write the owner's ssh_config with one host changed."""
        file = self.folder / name
        lines = []
        for node, access in self.lab.state.access.items():
            lines += [f"Host {node}", *change(node, _block(node, access))]
        file.write_text("\n".join(lines) + "\n")
        return file

    def inventory(
        self,
        *nodes: str,
        change: Callable[[str, list[str]], list[str]] = lambda _, lines: lines,
        name: str = "prod",
    ) -> Path:
        """Write an inventory of some hosts, and the ssh_config beside it."""
        self.ssh_config(f"{name}.ssh", change)
        lines = ["apiVersion: swarm-ingress-lab/v1", f"ssh_config: {name}.ssh", "hosts:"]
        for node in nodes:
            lines += [f"- name: {node}", f"  sudo: {'true' if node == WORKER else 'false'}"]
        file = self.folder / f"{name}.yaml"
        file.write_text("\n".join(lines) + "\n")
        return file

    def state_of(self, node: str) -> dict[str, str]:
        """Return what a look must not change: rules, modules, services, containers, images."""
        return {
            what: self.lab.on(node, command)
            for what, command in {
                "modules": "lsmod | cut -d' ' -f1 | sort",
                "rules": f"iptables-save | {UNCOUNTED}",
                "sandbox": f"[ ! -e {SANDBOX} ] || "
                f"nsenter --net={SANDBOX} iptables-save | {UNCOUNTED}",
                "containers": "docker ps --all --quiet --no-trunc",
                "images": "docker images --quiet",
                "networks": "docker network ls --quiet",
                "files": "find /bin/ /boot /etc /home /opt /root /srv /tmp /usr /var/tmp "
                "/var/lib/dpkg -xdev -type f -printf '%p %s %C@\\n' | sort",
            }.items()
        }


def _block(node: str, access: Access) -> list[str]:
    return [
        f"  HostName {access.host}",
        f"  Port {access.port}",
        f"  User {'ops' if node == WORKER else 'root'}",
        "  IdentitiesOnly yes",
        f"  IdentityFile {access.identity_file}",
        f"  UserKnownHostsFile {access.known_hosts}",
    ]


def commands_of(document: str) -> list[str]:
    """Return the commands that a document in docs/ shows."""
    text = (ROOT / "docs" / document).read_text(encoding="utf-8")
    return re.findall(r"^\$ (.+)$", text, re.MULTILINE)


def fetched_sudo(folder: Path) -> Path:
    """Download Debian's sudo, which the nodes do not have and have no network to fetch."""
    subprocess.run(
        ("apt-get", "download", "sudo"), cwd=folder, check=True, capture_output=True, timeout=120
    )
    return next(folder.glob("sudo_*.deb"))
