"""One machine of ours that carries the containers of containerlab: the same image, more memory."""

import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.access import close_connections, render_ssh_config
from lab.home import LabHome, lab_home
from lab.openssh import OpenSshShell
from lab.paths import private_dir, write_private
from lab.providers import provider_named
from lab.shell import succeed
from lab.steps import Steps
from lab.topology_file import load_named_topology
from lab.wait import wait_until
from tests.live.commands import ROOT

NAME = "carrier"
URL = f"ssh://{NAME}"
MEMORY_MIB = 4096
BUILD = ROOT / "tests" / "live" / "containerlab" / "build.sh"
BUILD_S = 1200.0
PROGRAM = "/usr/local/bin/containerlab"
LEFT = """\
docker ps --all --format '{{.Names}}'
docker network ls --format '{{.Name}} {{.Driver}}'
docker volume ls --quiet
ip -br link show | cut -d ' ' -f 1
for folder in /run/netns /etc/ssh/ssh_config.d /var/lib/swarm-ingress-lab; do
    ls -A $folder 2>/dev/null
done
cat /etc/hosts
iptables-save | grep -v '^[#:]'
"""
"""Everything a lab may leave on its host, but for the image, kernel modules and settings."""


@dataclass(frozen=True, slots=True)
class Carrier:
    """A running machine that is reached as ``ssh://carrier`` with an ssh_config of its own."""

    home: LabHome
    pace: float

    @property
    def ssh_config(self) -> Path:
        """How it is reached."""
        return self.home.ssh_config

    def on(self, command: str) -> str:
        """Run a command on it as root."""
        shell = OpenSshShell(NAME, self.ssh_config)
        return succeed(shell, command, timeout_s=60 * self.pace)

    def left(self) -> list[str]:
        """Return what a lab may leave, in a stable order."""
        return sorted(self.on(LEFT).splitlines())

    def put(self, file: Path, path: str) -> None:
        """Copy a program onto it."""
        words = ("scp", "-q", "-F", str(self.ssh_config), str(file), f"{NAME}:{path}")
        subprocess.run(words, check=True, timeout=120 * self.pace)
        self.on(f"chmod 755 {path}")

    def say(self, path: str, script: str) -> None:
        """Put a short script there."""
        self.on(f"printf %s {shlex.quote(script)} > {path}; chmod 755 {path}")


@contextmanager
def running(name: str) -> Iterator[Carrier]:
    """Start a machine with the default provider, and take it away again."""
    article = load_named_topology(None)
    node = article.manager.model_copy(update={"name": NAME, "memory_mib": MEMORY_MIB})
    alone = article.model_copy(update={"nodes": (node,)})
    home, provider = lab_home(name), provider_named("qemu")
    private_dir(home.path)
    private_dir(home.runtime)
    try:
        machines = provider.create(home, alone, Steps())
        config = render_ssh_config(machines.access, home.runtime, machines.pace)
        write_private(home.ssh_config, config)
        carrier = Carrier(home, machines.pace)
        wait_until(
            lambda: carrier.on("docker version"),
            bool,
            what="Docker on the carrier",
            timeout_s=30 * carrier.pace,
            every_s=1,
        )
        yield carrier
    finally:
        close_connections(home.ssh_config, home.runtime)
        provider.destroy(home)
        home.remove()


def built_containerlab() -> Path:
    """Return the program, built through the Go module proxy unless that was done before."""
    done = subprocess.run(
        ("sh", str(BUILD)), check=False, capture_output=True, text=True, timeout=BUILD_S
    )
    assert done.returncode == 0, f"containerlab could not be built:\n{done.stderr[-2000:]}"
    return Path(done.stdout.strip())
