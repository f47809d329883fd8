"""The commands that show a node's facts, and the script that runs them all."""

import shlex
from dataclasses import dataclass

HOST = "host"
"""The name of the node's own network namespace."""
NETNS_DIRECTORY = "/var/run/docker/netns"
DOCKER_SOCKET = "/var/run/docker.sock"
API_PATHS = (
    "/networks/docker_gwbridge",
    "/networks/ingress?verbose=true",
    "/networks",
    "/info",
    "/containers/json?all=true",
    "/images/json",
    "/nodes",
    "/services",
    "/tasks",
)
"""What is asked of every engine; the last three answer 503 unless it is a manager.

Never ``/swarm``: its answer holds the join tokens.
"""


@dataclass(frozen=True, slots=True)
class Command:
    """One command of the script; ``by_hand`` is what a person types to see the same.

    ``tolerated`` are the exit codes that still mean "this was read": ``grep`` ends with 2 when
    one of many settings does not exist, and a refused ``ip route get`` is a finding.
    """

    section: str
    line: str
    by_hand: str
    tolerated: tuple[int, ...] = (0,)


def enter_by_hand(namespace: str) -> str:
    """Return what to type before a command, as root on the node, to run it in a namespace."""
    return "" if namespace == HOST else f"nsenter --net={NETNS_DIRECTORY}/{namespace} "


def _settings(*names: str) -> Command:
    """Return a command that prints ``path:value`` for every setting that exists."""
    paths = " ".join(f"/proc/sys/net/{name}" for name in names)
    return Command("settings", f"grep -H '' {paths}", "sysctl -a", tolerated=(0, 2))


def _ask_docker() -> str:
    """Return one ``curl`` for all API paths; every answer ends with its HTTP status.

    ``/services`` and ``/tasks`` tell the environment variables of every service of the swarm:
    they are taken out before anything leaves the node.
    """
    urls = " ".join(shlex.quote(f"http://localhost{path}") for path in API_PATHS)
    # url_effective, because curl knows "url" and "errormsg" from 7.75 on only; an older one says
    # so on stderr, which nobody needs: a curl that fails without a word has its exit code.
    form = shlex.quote("\\n@@@ http %{http_code} %{url_effective} %{errormsg}\\n")
    curl = f"curl -s --max-time 30 --unix-socket {DOCKER_SOCKET} -w {form} {urls}"
    text = r'"([^"\\]|\\.)*"'
    cut = shlex.quote(rf's/"Env":\[({text},?)*\]/"Env":[]/g')
    return (
        f"api=$({curl} 2>/dev/null)\napi_status=$?\n"
        f"api=$(printf '%s\\n' \"$api\" | sed -E {cut})\n"
    )


def _where_ipvs_is(line: str) -> str:
    return f"if [ -e /proc/net/ip_vs ]; then {line}; else echo '{NO_IPVS}'; fi"


RULES = Command("rules", "iptables-save -c", "iptables-save -c")
NO_IPVS = "the kernel has not loaded ip_vs"
"""Printed where there is no table: ipvsadm would load the module only to look, whatever is asked
of it (ipvsadm.c, main: modprobe_ipvs)."""
IPVS = Command("ipvs", _where_ipvs_is("ipvsadm -Ln"), "ipvsadm -Ln")
IPVS_TRAFFIC = Command(
    "ipvs-traffic",
    _where_ipvs_is("ipvsadm -Ln --stats --exact"),
    "ipvsadm -Ln --stats --exact",
)
IPVS_PROC = Command(
    "ipvs-proc",
    "command -v ipvsadm >/dev/null || cat /proc/net/ip_vs",
    "cat /proc/net/ip_vs",
)
"""The same table from the kernel itself, for a node without ipvsadm; without traffic counters."""
IPVS_TIMEOUTS = Command(
    "ipvs-timeouts", _where_ipvs_is("ipvsadm -l --timeout"), "ipvsadm -l --timeout"
)
ADDRESSES = Command(
    "addresses",
    "printf '%s show\\n' addr route rule neigh | ip -json -details -batch -",
    "sh -c 'ip addr; ip route; ip rule; ip neigh'",
)
FORWARDING = Command("forwarding", "bridge -json fdb show", "bridge fdb show")
LISTENERS = Command("listeners", "ss -Hltunp", "ss -ltunp")
LISTENERS_GENTLY = Command(
    "listeners",
    "[ -e /sys/module/tcp_diag ] && [ -e /sys/module/udp_diag ] || export PROC_ROOT=/proc; "
    "ss -Hltunp",
    "ss -ltunp",
)
"""Without loading tcp_diag, udp_diag and inet_diag, as ss does to ask the kernel (measured, kernel
6.12): with ``PROC_ROOT`` it reads /proc/net. That does not tell an IPv6 socket that takes no IPv4
from one that does."""
HOST_SETTINGS = _settings(
    "ipv4/ip_forward",
    "ipv4/conf/*/forwarding",
    "ipv4/conf/*/rp_filter",
    "ipv4/conf/*/route_localnet",
    # Docker 26.1 tunes IPVS in here by mistake when ip_vs was loaded late: addLBBackend calls
    # ApplyOSTweaks outside of the sandbox (libnetwork/service_linux.go).
    "ipv4/vs/*",
    "bridge/bridge-nf-call-iptables",
    "netfilter/nf_conntrack_count",
    "netfilter/nf_conntrack_max",
)
SANDBOX_SETTINGS = _settings(
    "ipv4/ip_forward", "ipv4/conf/*/forwarding", "ipv4/conf/*/rp_filter", "ipv4/vs/*"
)
CONTAINER_SETTINGS = _settings("ipv4/ip_forward", "ipv4/conf/*/rp_filter")
DOCKER = Command(
    "docker",
    """printf '%s\\n' "$api"; (exit "$api_status")""",
    f"curl --unix-socket {DOCKER_SOCKET} http://localhost/info",
    # A transfer that failed has status 000 and its reason in a line of its own; only a curl
    # that did not start at all (126, 127) leaves nothing to read.
    tolerated=tuple(range(126)),
)
ROUTE_TO_SANDBOX = Command(
    "route-to-sandbox",
    'ip -json route get "$sandbox"',
    "ip route get <address of ingress-sbox>",
    tolerated=(0, 1, 2),
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run: on the host, in namespaces that balance, in overlays, in containers."""

    host: tuple[Command, ...]
    sandbox: tuple[Command, ...]
    overlay: tuple[Command, ...]
    container: tuple[Command, ...]


EVERYTHING = Plan(
    host=(DOCKER, RULES, ADDRESSES, LISTENERS, HOST_SETTINGS),
    sandbox=(
        RULES,
        IPVS,
        IPVS_TRAFFIC,
        IPVS_PROC,
        IPVS_TIMEOUTS,
        ADDRESSES,
        SANDBOX_SETTINGS,
    ),
    overlay=(ADDRESSES, FORWARDING),
    container=(RULES, ADDRESSES, LISTENERS, CONTAINER_SETTINGS),
)
GENTLY = Plan(
    host=(DOCKER, RULES, ADDRESSES, LISTENERS_GENTLY, HOST_SETTINGS),
    sandbox=EVERYTHING.sandbox,
    overlay=EVERYTHING.overlay,
    container=(RULES, ADDRESSES, LISTENERS_GENTLY, CONTAINER_SETTINGS),
)
"""The same for hosts that are somebody's own: not even a kernel module is loaded."""
COUNTERS = Plan(
    host=(RULES,),
    sandbox=(RULES, IPVS, IPVS_TRAFFIC, IPVS_PROC),
    overlay=(),
    container=(RULES,),
)
"""Only what traffic moves: to look before and after sending some."""

_LOOK = """\
exec 3>&1
look() {
    printf '@@@ begin %s %s\\n' "$1" "$2"
    complaint=$(eval "$3" 2>&1 >&3)
    printf '\\n@@@ end %s\\n' "$?"
    complain
}
complain() {
    [ -z "$complaint" ] || printf '%s\\n' "$complaint" |
        while IFS= read -r line; do printf '@@! %s\\n' "$line"; done
}
"""
# Shell built-ins only, and the bridge is asked for first: cutting a long text is slow in dash.
_ROUTE_TO_SANDBOX = f"""\
case $api in *'"gateway_ingress-sbox"'*'"IPv4Address":"'*)
    sandbox=${{api#*'"gateway_ingress-sbox"'}}
    sandbox=${{sandbox#*'"IPv4Address":"'}}
    sandbox=${{sandbox%%/*}}
    look host {ROUTE_TO_SANDBOX.section} {shlex.quote(ROUTE_TO_SANDBOX.line)}
esac
"""
# Only mounted names are namespaces: dockerd leaves empty files behind when it is killed.
_NAMESPACES = """\
while read -r kind path rest; do
    name=${path##*/}
    case $kind,$path in
        nsfs,*/docker/netns/default) continue ;;
        nsfs,*/docker/netns/ingress_sbox | nsfs,*/docker/netns/lb_*) commands=$in_sandbox ;;
        nsfs,*/docker/netns/[0-9]*-*) commands=$in_overlay ;;
        nsfs,*/docker/netns/*) commands=$in_container ;;
        *) continue ;;
    esac
    [ -n "$commands" ] || continue
    complaint=$(nsenter --net="$path" sh -c "$functions $commands" sh "$name" 2>&1 >&3 </dev/null)
    entered=$?
    [ "$entered" != 0 ] && [ -e "$path" ] || continue
    printf '@@@ begin %s enter\\n\\n@@@ end %s\\n' "$name" "$entered"
    complain
done </proc/self/mounts
echo '@@@ done'
"""


def script(plan: Plan) -> str:
    """Return the POSIX shell script that carries out a plan, as root, in a second or two.

    It changes nothing on the node. A namespace that goes away meanwhile is left out, as if it
    had gone before.
    """
    parts = ["export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin\n"]
    parts += [f"functions={shlex.quote(_LOOK)}\n", 'eval "$functions"\n']
    for kind in ("sandbox", "overlay", "container"):
        looks = _looks('"$1"', getattr(plan, kind))
        parts.append(f"in_{kind}={shlex.quote(looks)}\n")
    if DOCKER in plan.host:
        parts += [_ask_docker(), _ROUTE_TO_SANDBOX]
    parts.append(_looks("host", plan.host))
    return "".join([*parts, _NAMESPACES])


def _looks(namespace: str, commands: tuple[Command, ...]) -> str:
    return "".join(f"look {namespace} {c.section} {shlex.quote(c.line)}\n" for c in commands)
