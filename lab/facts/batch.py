"""One shell script per look at a node, with the answer of every command in it.

Starting a program costs 25 to 100 ms on an emulated node, a round trip as much again, so a
node is asked once: one ``curl`` for the whole Docker API, one ``nsenter`` and one ``ip`` per
namespace. The script prints each answer between two markers, then one ``@@!`` line for each
line of the command's standard error::

    @@@ begin ingress_sbox ipvs
    IP Virtual Server version 1.2.1 (size=4096)
    @@@ end 0

The last line is ``@@@ done``: an answer without it was cut short.
"""

import re
from dataclasses import dataclass

from lab.errors import FactUnavailable, UnreadableOutput
from lab.facts.commands import HOST, Command, enter_by_hand

ENTER = Command("enter", "", "true")
"""Not run by itself: the section that says why a namespace could not be entered."""


NOT_FOUND = 127
"""The exit code of a shell that found no such program (POSIX, "Exit Status for Commands")."""
_PACKAGES = {
    "bridge": "iproute2",
    "curl": "curl",
    "ip": "iproute2",
    "iptables-save": "iptables",
    "ipvsadm": "ipvsadm",
    "nsenter": "util-linux",
    "ss": "iproute2",
}
"""Package of each program a look needs: the same name on Debian, and but for iproute on Fedora."""
_MISSING = re.compile(r"(?:^|[\s:])([\w./-]+): (?:command )?not found", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Section:
    """What one command answered in one namespace."""

    namespace: str
    name: str
    exit_code: int
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True)
class Batch:
    """All answers of one node, in the order they were given."""

    node: str
    sections: tuple[Section, ...]

    @property
    def namespaces(self) -> tuple[str, ...]:
        """The Docker namespaces that were looked into, "host" not among them."""
        names = dict.fromkeys(section.namespace for section in self.sections)
        return tuple(name for name in names if name != HOST)

    def section(self, namespace: str, command: Command) -> Section | None:
        """Return a command's section, or None when it was not run there."""
        for section in self.sections:
            if section.namespace == namespace and section.name == command.section:
                return section
        return None

    def answer(self, namespace: str, command: Command) -> str:
        """Return what a command printed.

        Raises:
            FactUnavailable: It failed or was not run there; names the command to type.
        """
        section = self.section(namespace, command)
        if section is not None and section.exit_code in command.tolerated:
            return section.stdout
        entering = self.section(namespace, ENTER)
        failed = section or entering
        if failed is not None and failed.exit_code == NOT_FOUND:
            raise self._missing(failed, command)
        seen = "it was not run"
        if failed is not None:
            seen = f"exit code {failed.exit_code}: {failed.stderr or failed.stdout}".rstrip(" :")
        raise FactUnavailable(
            f"{self.node}: `{command.by_hand}` could not be read in {namespace}",
            details=seen,
            hint=f"on {self.node}: {enter_by_hand(namespace)}{command.by_hand}",
        )

    def _missing(self, failed: Section, command: Command) -> FactUnavailable:
        named = _MISSING.search(failed.stderr)
        program = named[1] if named else command.by_hand.split()[0]
        package = _PACKAGES.get(program, program)
        return FactUnavailable(
            f"{self.node}: {program} is not installed",
            details=f"`{command.by_hand}` in {failed.namespace} needs it",
            hint=f"on {self.node}: apt-get install {package}, or dnf install {package}",
        )


def parse_batch(text: str, *, node: str) -> Batch:
    """Read the script's output; see this module's description for its form.

    Raises:
        UnreadableOutput: A line outside every section, or an answer that was cut short.
    """
    sections: list[Section] = []
    opened: tuple[str, str] | None = None
    body: list[str] = []
    lines = text.splitlines()
    for number, line in enumerate(lines, start=1):
        if opened is not None:
            if not line.startswith("@@@ end "):
                body.append(line)
                continue
            # The marker starts with a newline of its own, so that it always begins a line.
            stdout = "\n".join(body[:-1] if body and not body[-1] else body)
            sections.append(Section(*opened, int(line.split()[2]), stdout, ""))
            opened, body = None, []
        elif line.startswith("@@@ begin "):
            _, _, namespace, name = line.split()
            opened = (namespace, name)
        elif line.startswith("@@!") and sections:
            sections[-1] = _with_complaint(sections[-1], line[4:])
        elif line == "@@@ done" and number == len(lines):
            return Batch(node, tuple(sections))
        else:
            raise UnreadableOutput(
                f"{node}: the answer holds a line that belongs to no command",
                details=f"line {number}: {line[:200]}",
            )
    where = f" inside {' '.join(opened)}" if opened else ""
    raise UnreadableOutput(
        f"{node}: the answer was cut short{where}",
        details=f"{len(lines)} lines, the last one: {lines[-1][:200] if lines else 'none'}",
        hint="ask again; if it stays so, look at the node's console",
    )


def _with_complaint(section: Section, line: str) -> Section:
    stderr = f"{section.stderr}\n{line}" if section.stderr else line
    return Section(section.namespace, section.name, section.exit_code, section.stdout, stderr)
