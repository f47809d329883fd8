"""The shell scripts that capture on a node, and what they print. Pure.

A capture begins and ends in two commands, because the request is sent in between. What runs
meanwhile is one process with children of its own: it ends by itself when nobody comes back, and
takes its files with it.
"""

import base64
import binascii
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from lab.errors import CommandFailed, UnreadableOutput
from lab.live.points import Point

DIRECTORY = "/run/lab-capture"
"""How the directories begin that a capture keeps its files in."""
PROGRAMS = ("tcpdump", "conntrack", "ipvsadm")
MOST_PACKETS = 20_000
"""At one place; then a capture stops, so that it cannot fill the node's memory."""
_MARK = "@@@"
_DROPPED = re.compile(r"(\d+) packets? dropped by kernel")
_BEGIN = "export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C\nd={directory}\n"
_LOOK = f"""\
look() {{
    printf '{_MARK} table %s %s\\n' "$1" "$2"
    shift 2
    "$@" 2>"$d/complaint" && return
    printf '{_MARK} failed %s %s\\n' "$?" "$(tr '\\n' ' ' <"$d/complaint")"
}}
"""
_HAS_ENDED = """\
has_ended() {
    [ -s "$d/$1.pid" ] && ! kill -0 "$(cat "$d/$1.pid")"
}
"""
_LISTEN = f"""\
for name in {{names}}; do
    until grep -q 'listening on' "$d/$name.said"; do
        tries=$((tries - 1))
        if [ $tries -lt 0 ] || has_ended "$name"; then
            printf '{_MARK} deaf %s %s\\n' "$name" "$(tail -n 1 "$d/$name.said")"
            break
        fi
        sleep 0.1
    done
done 2>/dev/null
"""
# Its number may be taken by another process once it has ended: then it has left a file, or the
# whole directory is gone.
_END = """\
end() {
    [ ! -d "$d" ] || [ -e "$d/ended" ] || kill -TERM "$(cat "$d/pid")"
    tries=200
    while [ -d "$d" ] && [ ! -e "$d/ended" ] && [ $tries -gt 0 ]; do
        tries=$((tries - 1)); sleep 0.05
    done
}
"""


class Kind(StrEnum):
    """The tables of a network namespace that tell of a connection."""

    RULES = "rules"
    CONNTRACK = "conntrack"
    IPVS = "ipvs"


COMMANDS: Mapping[Kind, str] = {
    Kind.RULES: "iptables-save -c",
    Kind.CONNTRACK: "conntrack -L -p tcp",
    Kind.IPVS: "ipvsadm -Lnc",
}


@dataclass(frozen=True, slots=True)
class Look:
    """A table to be read: of which namespace, and how it is entered."""

    namespace: str
    enter: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Table:
    """What was read; ``trouble`` is empty, or why it could not be read to its end."""

    text: str
    trouble: str = ""


Tables = Mapping[tuple[str, Kind], Table]


@dataclass(frozen=True, slots=True)
class Started:
    """A capture that runs: which places cannot be heard and why, and the rules before."""

    missing: tuple[str, ...]
    deaf: Mapping[str, str]
    tables: Tables


@dataclass(frozen=True, slots=True)
class Collected:
    """What came back: captured files, packets the kernel dropped, and tables."""

    captures: Mapping[str, bytes]
    dropped: Mapping[str, int]
    tables: Tables


def start_script(
    directory: str,
    points: Sequence[Point],
    looks: Iterable[Look],
    *,
    life_s: float,
    patience_s: float,
) -> str:
    """Return the script that starts a capture at each place and waits until all of them listen.

    Args:
        directory: A new one, for the files.
        points: Places of one node.
        looks: Tables to read before the request is sent.
        life_s: After this time the captures end by themselves.
        patience_s: How long all of them may take to begin.
    """
    names = " ".join(point.name for point in points)
    return "".join(
        (
            _BEGIN.format(directory=directory),
            # Whoever started us may be gone: what is begun here is ended by its own process.
            "trap '' HUP PIPE\nmissing=\n",
            f"for program in {' '.join(PROGRAMS)}; do\n",
            '    command -v "$program" >/dev/null || missing="$missing $program"\ndone\n',
            f"if [ -n \"$missing\" ]; then echo '{_MARK} missing'$missing; exit; fi\n",
            'umask 077\nmkdir "$d" || exit 1\n',
            _LOOK,
            f'setsid sh -c {shlex.quote(_guardian(points, life_s))} sh "$d" ',
            '</dev/null >/dev/null 2>&1 &\necho $! >"$d/pid"\n',
            *(_look(look) for look in looks),
            f"tries={max(1, round(patience_s / 0.1))}\n",
            _HAS_ENDED,
            _LISTEN.format(names=names),
            f"echo '{_MARK} done'\n",
        )
    )


def _guardian(points: Sequence[Point], life_s: float) -> str:
    """Return what runs while the capture lasts: it ends what it started, and clears up."""
    # A signal may come at any moment: before there is anything to wait for, or just then.
    lines = ["d=$1", "pids= ended=", "trap 'ended=yes; kill $pids' TERM"]
    for point in points:
        listen = (
            f"tcpdump --immediate-mode --time-stamp-precision=nano -n -U -s 0 -Z root "
            f"-c {MOST_PACKETS} -i {shlex.quote(point.interface)} -w $d/{point.name}.pcap "
            f"{shlex.quote(point.filter)}"
        )
        lines += [
            f"{point.enter}{listen} 2>$d/{point.name}.said &",
            f'pids="$pids $!"; echo $! >$d/{point.name}.pid',
        ]
    lines += [
        f"sleep {life_s:g} &",
        'pids="$pids $!"',
        '[ -n "$ended" ] || wait $!',
        "kill $pids",
        "wait",
        '[ ! -e "$d/keep" ] || { : >"$d/ended"; exit; }',
        'rm -rf "$d"',
    ]
    return "\n".join(lines)


def stop_script(directory: str, points: Sequence[Point], looks: Iterable[Look]) -> str:
    """Return the script that ends the captures, prints all that was found, and clears up.

    Args:
        directory: Where they write to.
        points: Places of the node.
        looks: Tables to read.
    """
    lines = [
        _BEGIN.format(directory=directory),
        "[ -d \"$d\" ] || { echo 'the captures have ended by themselves' >&2; exit 1; }\n",
        _END,
        # Also when nobody reads what is printed any more.
        "trap 'end; rm -rf \"$d\"' EXIT\ntrap 'exit 1' HUP INT PIPE TERM\n",
        ': >"$d/keep"\n',
        _LOOK,
        *(_look(look) for look in looks),
        "end\n[ -e \"$d/ended\" ] || { echo 'the captures did not end' >&2; exit 1; }\n",
    ]
    for point in points:
        lines.append(f"echo '{_MARK} file {point.name}'\n[ ! -f $d/{point.name}.pcap ] || ")
        lines.append(f"base64 $d/{point.name}.pcap\necho '{_MARK} said {point.name}'\n")
        lines.append(f"cat $d/{point.name}.said\n")
    return "".join([*lines, f"echo '{_MARK} done'\n"])


def abandon_script(directory: str) -> str:
    """Return the script that ends the captures and takes away whatever they wrote."""
    begin = _BEGIN.format(directory=directory)
    return f'{begin}{_END}[ ! -f "$d/pid" ] || end; rm -rf "$d"\n'


def _look(look: Look) -> str:
    return f"look {look.namespace} {look.kind} {look.enter}{COMMANDS[look.kind]}\n"


def read_started(output: str, node: str) -> Started:
    """Read what the first script printed.

    Raises:
        CommandFailed: It did not come to its end.
    """
    missing = next((line for line in output.splitlines() if line.startswith(f"{_MARK} miss")), "")
    if missing:
        return Started(tuple(missing.split()[2:]), {}, {})
    parts = tuple(_parts(output, node, "not all captures started"))
    deaf = {words[1]: " ".join(words[2:]) for words, _ in parts if words[0] == "deaf"}
    return Started((), deaf, _tables(parts))


def read_collected(output: str, node: str) -> Collected:
    """Read what the second script printed.

    Raises:
        CommandFailed: It did not come to its end.
        UnreadableOutput: A file is not what base64 prints.
    """
    parts = tuple(_parts(output, node, "not all that was captured came back"))
    captures: dict[str, bytes] = {}
    dropped: dict[str, int] = {}
    for words, body in parts:
        if words[0] == "file":
            try:
                captures[words[1]] = base64.b64decode("".join(body.split()), validate=True)
            except binascii.Error as error:
                raise UnreadableOutput(
                    f"{node}: the capture of {words[1]} cannot be read", details=str(error)
                ) from error
        elif words[0] == "said" and (match := _DROPPED.search(body)):
            dropped[words[1]] = int(match[1])
    return Collected(captures, dropped, _tables(parts))


_Part = tuple[list[str], str]


def _parts(output: str, node: str, trouble: str) -> Iterator[_Part]:
    if not output.rstrip().endswith(f"{_MARK} done"):
        raise CommandFailed(f"{node}: {trouble}", details=output[-300:])
    for part in re.split(rf"^{_MARK} ", output, flags=re.MULTILINE)[1:]:
        head, _, body = part.partition("\n")
        yield head.split(), body


def _tables(parts: Sequence[_Part]) -> Tables:
    """Return the tables; a line that says that reading one failed follows it at once."""
    tables: dict[tuple[str, Kind], Table] = {}
    last: tuple[str, Kind] | None = None
    for words, body in parts:
        if words[0] == "table":
            last = words[1], Kind(words[2])
            tables[last] = Table(body)
        elif words[0] == "failed" and last is not None:
            said = " ".join(words[2:]) or f"exit code {words[1]}"
            tables[last] = Table(tables[last].text, f"{COMMANDS[last[1]]}: {said}")
    return tables
