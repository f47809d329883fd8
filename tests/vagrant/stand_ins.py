"""Programs that take the place of Vagrant and libvirt: they note what they are told, and answer.

What they answer is kept in files below one directory, which a test may change: ``domains``,
``networks``, ``pools`` and ``volumes`` hold a name on every line, ``fail`` the first word of what
is refused.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.stand_ins import Programs

VAGRANT = """\
#!/bin/sh
echo "vagrant $*" >> "$WORLD/log"
grep -qx "$1" "$WORLD/fail" 2> /dev/null && { echo "vagrant: $1 is refused" >&2; exit 1; }
case "$1 $2" in
"plugin list") echo "1424145521,,plugin-name,$(cat "$WORLD/plugin")"
    echo "1424145521,vagrant-libvirt,plugin-version,0.11.2%!(VAGRANT_COMMA) system" ;;
"up --provider=libvirt")
    env | grep -E '^(LAB|VAGRANT)_' | sort > "$WORLD/environment"
    for node in manager worker; do
        mkdir -p "$VAGRANT_DOTFILE_PATH/machines/$node/libvirt"
        echo "uuid-$node" > "$VAGRANT_DOTFILE_PATH/machines/$node/libvirt/id"
        echo "uuid-$node" >> "$WORLD/running"
    done ;;
"destroy --force") : > "$WORLD/running" ;;
"ssh-config ") cat "$WORLD/ssh-config" ;;
"box add")
    version=$(sed -n 's/.*"version": "\\([0-9.]*\\)".*/\\1/p' "$3")
    boxes="$VAGRANT_HOME/boxes/swarm-ingress-lab-VAGRANTSLASH-node/$version/libvirt"
    mkdir -p "$boxes" && tar -xf "$(dirname "$3")/node.box" -C "$boxes" ;;
"box remove")
    rm -r "$VAGRANT_HOME/boxes/swarm-ingress-lab-VAGRANTSLASH-node/$7" ;;
esac
"""

VIRSH = """\
#!/bin/sh
shift 3  # --quiet --connect URI
echo "virsh $*" >> "$WORLD/log"
grep -qx "$1" "$WORLD/fail" 2> /dev/null && { echo "error: $1 is refused" >&2; exit 1; }
case "$1" in
version) echo "Running hypervisor: QEMU 7.2.22" ;;
list) cat "$WORLD/domains" ;;
net-list) cat "$WORLD/networks" ;;
net-dumpxml) cat "$WORLD/network" ;;
pool-list) cat "$WORLD/pools" ;;
pool-dumpxml) echo "<pool type='dir'><target><path>$WORLD/pool</path></target></pool>" ;;
vol-list) sed "s#.*# & $WORLD/pool/&#" "$WORLD/volumes" ;;
vol-dumpxml) cat "$WORLD/backing-$4" 2> /dev/null || echo "<volume/>" ;;
destroy) ;;
undefine) sed -i "/^$2\\$/d" "$WORLD/domains" ;;
net-undefine) sed -i "/^$2\\$/d" "$WORLD/networks" ;;
vol-delete) sed -i "/^$4\\$/d" "$WORLD/volumes" ;;
esac
"""

KEYSCAN = """\
#!/bin/sh
for host; do :; done
echo "$host ssh-ed25519 AAAAhostkey"
"""

IP = """\
#!/bin/sh
cat "$WORLD/routes"
"""

SSH_CONFIG = """\
Host manager
  HostName 192.168.120.87
  User root
  Port 22
  UserKnownHostsFile /dev/null
  StrictHostKeyChecking no
  PasswordAuthentication no
  IdentityFile "/a place/id_ed25519"
  IdentitiesOnly yes
  LogLevel FATAL

Host worker
  HostName 192.168.120.31
  User root
  Port 2200
  UserKnownHostsFile /dev/null
  StrictHostKeyChecking no
  PasswordAuthentication no
  IdentityFile "/a place/id_ed25519"
  IdentitiesOnly yes
  LogLevel FATAL

"""


class StandIns(Programs):
    """A machine whose Vagrant and libvirt are ours."""

    __slots__ = ()

    @property
    def changes(self) -> list[str]:
        """What was asked that was no question."""
        asking = ("list", "dumpxml", "version", "ssh-config", "plugin")
        return [line for line in self.log if not any(word in line for word in asking)]

    def forget(self) -> None:
        """Begin a new log."""
        (self.directory / "log").unlink(missing_ok=True)

    def without(self, *names: str) -> None:
        """Take programs away."""
        for name in names:
            (self.bin / name).unlink()

    def environment(self) -> Mapping[str, str]:
        """Return in which environment Vagrant last brought machines up, ours only."""
        return dict(line.split("=", 1) for line in self.known("environment"))


@contextmanager
def standing_in(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIns]:
    """Let nothing but our programs, and those of any shell, be found."""
    world = StandIns(directory)
    world.bin.mkdir(parents=True)
    (directory / "pool").mkdir()
    for name, script in {"vagrant": VAGRANT, "virsh": VIRSH, "ip": IP}.items():
        world.program(name, script)
    world.program("ssh-keyscan", KEYSCAN)
    for name in ("qemu-system-x86_64", "qemu-img", "mmdebstrap", "mke2fs", "zstd", "ssh"):
        world.program(name, "#!/bin/sh\necho version 1\n")
    world.program("ssh-keygen", "#!/bin/sh\n")
    for name in ("sh", "cat", "env", "grep", "mkdir", "rm", "sed", "sort", "tar", "dirname"):
        real = next(p for p in ("/usr/bin", "/bin") if os.access(f"{p}/{name}", os.X_OK))
        (world.bin / name).symlink_to(f"{real}/{name}")
    world.say("plugin", "vagrant-libvirt")
    world.say("pools", "default")
    world.say("routes", "default via 10.0.2.2 dev eth0", "10.0.2.0/24 dev eth0 proto kernel")
    world.say("network", "<network><bridge name='virbr7' stp='on'/></network>")
    for empty in ("domains", "networks", "volumes", "fail"):
        world.say(empty)
    (directory / "ssh-config").write_text(SSH_CONFIG)
    monkeypatch.setenv("WORLD", str(directory))
    monkeypatch.setenv("PATH", str(world.bin))
    monkeypatch.setenv("VAGRANT_HOME", str(directory / "vagrant.d"))
    monkeypatch.setenv("LAB_ACCEL", "tcg")
    for name in ("VAGRANT_DEFAULT_PROVIDER", "LAB_BOX", "LAB_BOX_VERSION", "LAB_TOPOLOGY"):
        monkeypatch.delenv(name, raising=False)
    assert sys.executable  # our own Python needs no PATH
    yield world
