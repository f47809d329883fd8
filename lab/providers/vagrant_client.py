"""Vagrant, through python-vagrant: the only place for that library.

It is imported late, because the library complains aloud where there is no Vagrant.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import vagrant

from lab.errors import ProviderFailed
from lab.process import run

ANSWER_S = 60.0
UP_S = 3600.0
"""Long enough for a public box to come over a slow line; machines have deadlines of their own."""

DESTROY_S = 300.0
LIMITS = {"up": UP_S, "destroy": DESTROY_S}


@dataclass(frozen=True, slots=True)
class Reached:
    """Where Vagrant reaches a machine by ssh."""

    host: str
    port: int


class Client(vagrant.Vagrant):
    """Vagrant for one lab. Its programs are started, limited and ended as all of ours are.

    Args:
        env: The whole environment; ``VAGRANT_CWD`` says where the Vagrantfile is.
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        # The library has no types.
        super().__init__(root=env["VAGRANT_CWD"], env=dict(env))  # type: ignore[no-untyped-call]

    def reached(self) -> Mapping[str, Reached]:
        """Return where every machine's ssh is, by name.

        Raises:
            ProviderFailed: Vagrant does not say.
        """
        return {name: self._reached(name, text) for name, text in _blocks(self.ssh_config())}

    def has_plugin(self, name: str) -> bool:
        """Say whether a plugin is installed."""
        return any(plugin.name == name for plugin in self.plugin_list())

    def _reached(self, name: str, text: str) -> Reached:
        # With both given nothing is asked anew: one call of Vagrant is enough for all machines.
        found = self.conf(ssh_config=text, vm_name=name)
        try:
            return Reached(found["HostName"], int(found["Port"]))
        except (KeyError, ValueError) as error:
            raise ProviderFailed(
                f"vagrant ssh-config does not say where {name} is", details=text
            ) from error

    def _call_vagrant_command(self, args: Sequence[str | None]) -> None:
        self._run_vagrant_command(args)

    def _run_vagrant_command(self, args: Sequence[str | None]) -> str:
        words = self._make_vagrant_command(args)
        return run(words, timeout_s=LIMITS.get(str(args[0]), ANSWER_S), env=self.env).stdout


def _blocks(ssh_config: str) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of every part of an ssh_config.

    ::

        Host manager
          HostName 192.168.120.87
          User root
          Port 22
    """
    for block in ("\n" + ssh_config).split("\nHost ")[1:]:
        yield block.split()[0], f"Host {block}"
