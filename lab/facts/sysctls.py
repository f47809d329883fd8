"""Kernel settings as read from ``/proc/sys``."""

from dataclasses import dataclass

from lab.errors import FactUnavailable, UnreadableOutput


@dataclass(frozen=True, slots=True)
class Sysctls:
    """The settings of one network namespace, by dotted name ("net.ipv4.ip_forward").

    A name that was not read is an error, never a default: ``by_hand`` is the prefix that
    makes the command to type on the node.
    """

    node: str
    namespace: str
    by_hand: str
    values: tuple[tuple[str, str], ...]

    def text(self, name: str) -> str:
        """Return the setting as the kernel prints it.

        Raises:
            FactUnavailable: The kernel has no such setting there, or it was not asked for.
        """
        for key, value in self.values:
            if key == name:
                return value
        raise FactUnavailable(
            f"{self.node}: the setting {name} could not be read in {self.namespace}",
            details=f"{len(self.values)} other settings were read there",
            hint=f"on {self.node}: {self.by_hand}cat /proc/sys/{name.replace('.', '/')}",
        )

    def integer(self, name: str) -> int:
        """Return the setting as a number.

        Raises:
            FactUnavailable: It could not be read, or is not one number.
        """
        value = self.text(name)
        try:
            return int(value)
        except ValueError as error:
            raise FactUnavailable(
                f"{self.node}: the setting {name} in {self.namespace} is not a number",
                details=repr(value),
                hint=f"on {self.node}: {self.by_hand}cat /proc/sys/{name.replace('.', '/')}",
            ) from error


def parse_settings(text: str) -> tuple[tuple[str, str], ...]:
    """Return the settings by dotted name, as ``grep -H '' /proc/sys/...`` prints them.

    Reads, for example::

        /proc/sys/net/ipv4/vs/conntrack:1
        /proc/sys/net/ipv4/vs/sync_threshold:3	50

    Raises:
        UnreadableOutput: A line of another form.
    """
    values: list[tuple[str, str]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        path, colon, value = line.partition(":")
        if not path.startswith("/proc/sys/") or not colon:
            raise UnreadableOutput(
                "a line that is no setting", details=f"line {number}: {line}", hint="sysctl -a"
            )
        values.append((path.removeprefix("/proc/sys/").replace("/", "."), value))
    return tuple(values)
