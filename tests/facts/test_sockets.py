from ipaddress import IPv4Address, IPv6Address

import pytest

from lab.errors import UnreadableOutput
from lab.facts.sockets import Process, parse_listeners
from tests.facts.captures import captured


def test_published_port_gossip_and_tunnel() -> None:
    listeners = parse_listeners(captured("ss/worker-host"))
    by_port = {(entry.protocol, entry.port): entry for entry in listeners}
    published = by_port["tcp", 5000]
    assert published.address is None
    assert published.any_ipv4
    assert [process.name for process in published.processes] == ["dockerd"]
    tunnel = by_port["udp", 4789]
    assert (tunnel.address, tunnel.processes) == (IPv4Address(0), ())
    assert tunnel.any_ipv4
    assert {("tcp", 7946), ("udp", 7946)} <= by_port.keys()
    assert ("tcp", 2377) not in by_port  # a worker manages nothing


def test_addresses_of_one_interface_and_of_ipv6() -> None:
    local, link, version_6 = parse_listeners(
        "udp UNCONN 0 0 127.0.0.53%lo:53 0.0.0.0:*\n"
        'udp UNCONN 0 0 [fe80::1]%eth0:546 [::]:* users:(("net d",pid=7,fd=1))\n'
        'tcp LISTEN 0 128 [::]:22 [::]:* users:(("sshd",pid=9,fd=7),("sshd",pid=9,fd=8))\n'
    )
    assert local.address == IPv4Address("127.0.0.53")
    assert not local.any_ipv4
    assert (link.address, link.processes) == (IPv6Address("fe80::1"), (Process("net d", 7),))
    assert version_6.processes == (Process("sshd", 9),)
    assert not version_6.any_ipv4


def test_no_listener_is_none() -> None:
    assert parse_listeners("") == ()


@pytest.mark.parametrize(
    "line",
    [
        "Netid State Recv-Q Send-Q Local Address:Port",
        "tcp LISTEN 0 4096 *:5000",
        "tcp ESTAB 0 0 10.0.0.1:22 10.0.0.2:4000",
    ],
)
def test_a_line_of_another_form_is_said(line: str) -> None:
    with pytest.raises(UnreadableOutput) as caught:
        parse_listeners(f"{captured('ss/worker-host')}{line}\n")
    assert caught.value.details.endswith(line)
