"""Making a node of a plain Debian machine, from the inside: what ``build`` makes of nothing.

Runs as root on the machine itself, where nothing of ours is but this package, ``lab.errors`` and
the service; lab/providers/ruby/machines.rb puts them there and says who the node is, in the
environment. Repeating it changes nothing.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

from lab.image.container_image import build_archive
from lab.image.recipe import (
    NODE_TEST,
    NODE_TEST_ARCHIVE,
    PACKAGES,
    SUITE,
    Entry,
    name_service,
    settings,
)

TAG = "node-test:latest"
NEEDED = ("bin", "etc", "lib", "lib64", "sbin", "usr", "var/lib/dpkg/info")
"""Where the files lie that the container image is cut out of."""

USELESS = (
    "etc/shadow*",
    "etc/ssh",
    "usr/lib/firmware",
    "usr/lib/modules",
    "usr/share/*",
    "usr/src",
)


def main() -> None:
    """Set this machine up as the node that the environment describes."""
    release = Path("/etc/os-release").read_text()
    if f"VERSION_CODENAME={SUITE}" not in release.splitlines():
        sys.exit(f"This machine is no Debian {SUITE}; /etc/os-release says:\n{release}")
    for entry in settings():
        _write(entry)
    _identify(os.environ)
    _install()
    make_archive(Path(NODE_TEST_ARCHIVE))
    _write(name_service())
    # Would restore a saved IPVS table: swarm's is dockerd's business alone.
    _run("systemctl", "mask", "--quiet", "ipvsadm.service")
    _run("systemctl", "daemon-reload")
    _run("systemctl", "restart", "systemd-modules-load", "systemd-sysctl", "chrony", "ssh")


def own_files(environment: Mapping[str, str]) -> tuple[Entry, ...]:
    """Return the files in which a node differs from every other one.

    They are those of ``lab.providers.node_files``, without the host key: the machine has one.
    """
    hosts = f"127.0.0.1 localhost\n{environment['NODE_HOSTS']}\n"
    key = f"{environment['NODE_KEY']}\n"
    files = (
        Entry("etc/hosts", content=hosts.encode()),
        Entry("root/.ssh", mode=0o700),
        Entry("root/.ssh/authorized_keys", content=key.encode(), mode=0o600),
    )
    manager = environment["NODE_MANAGER"]
    if not manager:
        return files
    server = f"server {manager} iburst minpoll -2 maxpoll 4\n"
    return (*files, Entry("etc/chrony/sources.d/manager.sources", content=server.encode()))


def _identify(environment: Mapping[str, str]) -> None:
    for entry in own_files(environment):
        _write(entry)


def _install() -> None:
    asked = subprocess.run(
        ("dpkg-query", "--show", "--showformat=${db:Status-Status} ${Package}\\n", *PACKAGES),
        check=False,
        capture_output=True,
        text=True,
    )
    there = {line.split()[1] for line in asked.stdout.splitlines() if line.startswith("inst")}
    if missing := [package for package in PACKAGES if package not in there]:
        os.environ["DEBIAN_FRONTEND"] = "noninteractive"
        _run("apt-get", "--quiet=2", "update")
        _run(
            *("apt-get", "--quiet=2", "install", "--yes", "--no-install-recommends"),
            "--option=Dpkg::Options::=--force-confold",  # our files are there already
            *missing,
        )


def make_archive(archive: Path) -> None:
    """Write the service's container image, cut out of this machine's own files."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        rootfs = Path(directory, "rootfs.tar")
        left_out = [f"--exclude=./{path}" for path in USELESS]
        there = [f"./{path}" for path in NEEDED if Path("/", path).exists()]
        _run("tar", "--create", "--file", str(rootfs), "--directory=/", *left_out, *there)
        with tarfile.open(rootfs) as tar:
            build_archive(tar, NODE_TEST.read_bytes(), archive, tag=TAG)


def _write(entry: Entry) -> None:
    path = Path("/", entry.path)
    if entry.content is None:
        path.mkdir(parents=True, exist_ok=True)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink():  # resolv.conf may lead to a file that is not ours
            path.unlink()
        path.write_bytes(entry.content)
    path.chmod(entry.mode)


def _run(*words: str) -> None:
    print("+", shutil.which(words[0]) or words[0], *words[1:], flush=True)
    subprocess.run(words, check=True)


if __name__ == "__main__":
    main()
