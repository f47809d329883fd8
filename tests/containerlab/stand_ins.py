"""Programs that take the place of ssh, Docker and containerlab: they note questions, and answer.

What they answer is kept in files below one directory, which a test may change: ``containers``
holds a container's name, state, lab and owner on every line, ``images`` and ``network`` what
Docker has, ``fail`` the first word of what is refused.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.stand_ins import Programs

SSH = """\
#!/bin/sh
{ printf 'ssh %s' "$*" | tr '\\n' ' '; echo; } >> "$WORLD/log"
[ ! -e "$WORLD/unreachable" ] || { cat "$WORLD/unreachable" >&2; exit 255; }
for word; do
    [ "$word" = -O ] && exit 0
done
exec sh -c "$word"
"""

DOCKER = """\
#!/bin/sh
echo "docker $*" >> "$WORLD/log"
grep -qx "$1" "$WORLD/fail" 2> /dev/null && { echo "docker: $1 is refused" >&2; exit 1; }
case "$1 $2" in
"version --format") cat "$WORLD/docker" ;;
"info --format") echo /var ;;
"ps --all" | "ps --no-trunc")
    for word; do case $word in label=*) label=${word#label=} ;; esac; done
    case $label in
    containerlab=*) field=3 ;;
    *) field=4 ;;
    esac
    while read -r name state lab owner; do
        case $field in 3) value=$lab ;; *) value=$owner ;; esac
        case $* in *.Label*) shown="$name $owner" ;; *) shown=$name ;; esac
        [ "$value" != "${label#*=}" ] || echo "$shown"
    done < "$WORLD/containers" ;;
"image inspect") grep -qx "$3" "$WORLD/images" ;;
"images --format") cat "$WORLD/images" ;;
"network inspect") [ -e "$WORLD/network" ] && echo "0 0123456789ab" ;;
"network rm") rm "$WORLD/network" ;;
"rm --force")
    shift 3
    for name; do sed -i "/^$name /d" "$WORLD/containers"; done ;;
import*)
    for name; do :; done
    cat > "$WORLD/imported"
    echo "$name" >> "$WORLD/images" ;;
rmi*) sed -i "\\#^$2\\$#d" "$WORLD/images" ;;
esac
"""

CONTAINERLAB = """\
#!/bin/sh
echo "containerlab $*" >> "$WORLD/log"
grep -qx "$1" "$WORLD/fail" 2> /dev/null && { echo "Error: $1 is refused" >&2; exit 1; }
case $1 in
version) echo "    version: $(cat "$WORLD/containerlab")" ;;
deploy)
    file=$3
    cp "$file" "$WORLD/deployed"
    cp -R nodes "$WORLD/nodes-$$"
    lab=$(sed -n 's/^name: "\\(.*\\)"/\\1/p' "$file")
    owner=$(sed -n 's/^      swarm-ingress-lab: "\\(.*\\)"/\\1/p' "$file")
    : > "$WORLD/containers"
    : > "$WORLD/network"
    sed -n -e 's/^    "\\(.*\\)":$/\\1/p' -e 's/^    \\(the_switch\\):$/\\1/p' "$file" |
        while read -r node; do
        echo "clab-$lab-$node running $lab $owner" >> "$WORLD/containers"
    done ;;
inspect)
    [ -s "$WORLD/containers" ] || { echo "no containers found" >&2; exit 0; }
    echo '{"containers": ['
    number=1
    while read -r name state _; do
        number=$((number + 1))
        [ "$number" = 2 ] || echo ,
        echo "{\\"name\\": \\"$name\\", \\"state\\": \\"$state\\","
        echo "\\"ipv4_address\\": \\"172.20.20.$number/24\\"}"
    done < "$WORLD/containers"
    echo ']}' ;;
destroy)
    : > "$WORLD/containers"
    case $* in *--keep-mgmt-net*) ;; *) rm -f "$WORLD/network" ;; esac ;;
graph)
    mkdir -p "clab-$(sed -n 's/^name: "\\(.*\\)"/\\1/p' "$3")/graph"
    echo "manager---worker" > clab-*/graph/lab.mermaid ;;
esac
"""

IP = """\
#!/bin/sh
[ ! -e "$WORLD/no-link" ] || exit 1
case "$1 $2 $*" in
"-n clab-"*"-the_switch "*master*) cat "$WORLD/switch" ;;
"-n clab-"*)
    address=$(sed -n "/^    \\"${2##*-}\\":/,/ip address/s/.*address add \\(.*\\) dev.*/\\1/p" \\
        "$WORLD/deployed")
    echo "2: eth1    inet $address scope global eth1" ;;
esac
"""

UNAME = """\
#!/bin/sh
case $1 in -s) echo Linux ;; -r) echo 6.12 ;; *) echo x86_64 ;; esac
"""

MODPROBE = """\
#!/bin/sh
echo "modprobe $*" >> "$WORLD/log"
for module; do :; done
! grep -qx "$module" "$WORLD/absent"
"""


class StandIns(Programs):
    """A machine whose Docker and containerlab are ours."""

    __slots__ = ()

    def asked(self, words: str) -> list[str]:
        """Return the lines of the log that begin so."""
        return [line for line in self.log if line.startswith(words)]


@contextmanager
def standing_in(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIns]:
    """Let our programs be found before those of the machine."""
    world = StandIns(directory)
    world.bin.mkdir(parents=True)
    scripts = {
        "ssh": SSH,
        "docker": DOCKER,
        "containerlab": CONTAINERLAB,
        "ip": IP,
        "modprobe": MODPROBE,
        "id": "#!/bin/sh\necho 0\n",
        "uname": UNAME,
        "stat": "#!/bin/sh\necho cgroup2fs\n",
        "df": "#!/bin/sh\necho header\necho /dev/vda 0 0 9000000 0% /\n",
        "iptables": "#!/bin/sh\n",
        "mmdebstrap": "#!/bin/sh\necho mmdebstrap 1.4.3\n",
        "mke2fs": "#!/bin/sh\n",
        "debugfs": "#!/bin/sh\n",
    }
    for name, script in scripts.items():
        world.program(name, script)
    for empty in ("containers", "images", "fail", "absent"):
        world.say(empty)
    world.say("docker", "26.1.5+dfsg1")
    world.say("containerlab", "0.60.0")
    monkeypatch.setenv("WORLD", str(directory))
    monkeypatch.setenv("PATH", f"{world.bin}:{os.environ['PATH']}")
    for name in ("LAB_SSH_CONFIG", "LAB_PACE", "LAB_CONTAINER_IMAGE"):
        monkeypatch.delenv(name, raising=False)
    for module in ("records", "scripts"):
        root = str(directory / "var")
        monkeypatch.setattr(f"lab.providers.containerlab_{module}.ROOT", root)
    yield world
