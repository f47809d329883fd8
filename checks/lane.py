"""A user overlay of its own, with a service to call and a client container that calls it."""

import json
from ipaddress import IPv4Address, IPv4Interface
from typing import ClassVar

from checks.changing import Changer
from lab.consoles import with_consoles
from lab.wait import Deadlines, wait_until

NETWORK = "checks-lane"
CALLED = "checks-called"
CLIENT = "checks-client"

_RESOLVE = f"import socket; print(socket.gethostbyname(b'{CALLED}'))"
_ASK = """\
import socket
for number in range({count}):
    connection = socket.create_connection((b'{name}', {port}), 10)
    connection.sendall(b'GET / HTTP/1.1\\r\\nHost: {name}\\r\\nConnection: close\\r\\n\\r\\n')
    answer = b''
    while chunk := connection.recv(65536):
        answer += chunk
    print(answer.partition(b'\\r\\n\\r\\n')[2].decode().strip())
"""
"""What the client runs: its image has Python's socket module, and neither curl nor a shell. Names
are bytes, because the codec for names as text is not in it."""


class Lane:
    """The client runs on the manager, so that its container can be entered there.

    It is not removed again: whoever opens it resets the lab.
    """

    REPLICAS: ClassVar[int] = 2

    def __init__(self, changer: Changer) -> None:
        self._changer = changer
        self._client: tuple[str, ...] = ()

    def open(self) -> None:
        """Make the network, the service and the client; wait until it is answered."""
        image = self._changer.evidence.lab.topology.service.image
        docker = self._docker
        docker("network", "create", "--driver", "overlay", NETWORK)
        create = ("service", "create", "--detach", "--no-resolve-image", "--network", NETWORK)
        docker(*create, "--name", CALLED, "--replicas", str(self.REPLICAS), image)
        docker(*create, "--name", CLIENT, "--constraint", "node.role==manager", image)
        lab = self._changer.evidence.lab
        with with_consoles(lab.home, lab.state):
            self._await_answers(lab.deadline)

    def _await_answers(self, deadline: Deadlines) -> None:
        container = wait_until(
            lambda: self._docker("ps", "--quiet", "--filter", f"name={CLIENT}."),
            bool,
            what=f"a container of {CLIENT}",
            timeout_s=deadline(20),
        )
        self._client = (container, self._docker("inspect", "--format", "{{.Path}}", container))
        wait_until(
            lambda: set(self.ask(2 * self.REPLICAS)),
            lambda hosts: len(hosts) == self.REPLICAS,
            what=f"{self.REPLICAS} replicas of {CALLED} to answer",
            timeout_s=deadline(20),
        )

    def resolve(self) -> IPv4Address:
        """Return the address the client gets for the service's name."""
        return IPv4Address(self._python(_RESOLVE))

    def virtual_address(self) -> IPv4Address:
        """Return the address swarm gave the service on this network."""
        form = "{{(index .Endpoint.VirtualIPs 0).Addr}}"
        return IPv4Interface(self._docker("service", "inspect", "--format", form, CALLED)).ip

    def ask(self, count: int) -> list[str]:
        """Return the host names that answered fresh connections of the client, in order."""
        port = self._changer.evidence.lab.topology.service.target_port
        text = self._python(_ASK.format(count=count, name=CALLED, port=port))
        return [str(json.loads(line)["hostname"]) for line in text.splitlines()]

    def _python(self, program: str) -> str:
        return self._docker("exec", *self._client, "-S", "-c", program)

    def _docker(self, *words: str) -> str:
        return self._changer.on_manager("docker", *words).strip()
