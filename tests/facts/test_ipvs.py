from ipaddress import IPv4Address

import pytest

from lab.errors import UnreadableOutput
from lab.facts.ipvs import (
    Backend,
    Forwarding,
    Timeouts,
    Traffic,
    VirtualService,
    parse_ipvsadm,
    parse_proc_ip_vs,
    parse_timeouts,
)
from tests.facts.captures import captured

EMPTY = "".join(f"{line}\n" for line in captured("ipvsadm/two-replicas").splitlines()[:3])


def test_a_service_by_mark_with_its_counters() -> None:
    (service,) = parse_ipvsadm(
        captured("ipvsadm/two-replicas"), captured("ipvsadm/two-replicas-traffic")
    )
    assert (service.fwmark, service.scheduler, service.flags) == (0x102, "rr", ())
    assert service.raw == "FWM  258 rr"
    first, second = service.backends
    assert (first.address, second.address) == (IPv4Address("10.0.0.5"), IPv4Address("10.0.0.6"))
    assert (first.port, first.forwarding, first.weight) == (0, Forwarding.MASQUERADE, 1)
    assert service.traffic is not None
    assert first.traffic is not None
    assert second.traffic is not None
    assert service.traffic.connections == (first.traffic.connections + second.traffic.connections)
    assert abs(first.traffic.connections - second.traffic.connections) <= 1


def test_every_kind_of_service() -> None:
    none = Traffic(0, 0, 0, 0, 0)
    tcp, udp, empty, drained = parse_ipvsadm(
        captured("ipvsadm/every-kind"), captured("ipvsadm/every-kind-traffic")
    )
    assert tcp == VirtualService(
        fwmark=None,
        protocol="tcp",
        address=IPv4Address("10.9.9.9"),
        port=80,
        scheduler="rr",
        flags=("persistent", "300"),
        backends=(
            Backend(
                IPv4Address("10.9.9.10"),
                80,
                Forwarding.ROUTE,
                3,
                0,
                0,
                none,
                "-> 10.9.9.10:80                 Route   3      0          0",
            ),
            Backend(
                IPv4Address("10.9.9.11"),
                80,
                Forwarding.TUNNEL,
                1,
                0,
                0,
                none,
                "-> 10.9.9.11:80                 Tunnel  1      0          0",
            ),
        ),
        traffic=none,
        raw="TCP  10.9.9.9:80 rr persistent 300",
    )
    assert (udp.protocol, udp.scheduler, udp.flags) == ("udp", "sh", ("(sh-port)",))
    assert (empty.fwmark, empty.flags, empty.backends) == (7, ("ops",), ())
    assert drained.backends[0].weight == 0


def test_an_empty_table_is_no_service() -> None:
    assert parse_ipvsadm(EMPTY, EMPTY) == ()


def test_an_entry_newer_than_its_counters_has_none() -> None:
    (service,) = parse_ipvsadm(captured("ipvsadm/two-replicas"), EMPTY)
    assert service.traffic is None
    assert service.backends[0].traffic is None


@pytest.mark.parametrize(
    "line",
    [
        "FWM  258 IPv6 rr",
        "FWM  258",
        "  -> 10.0.0.5:0                   Teleport 1      0          0",
        "  -> 10.0.0.5:0                   Masq    1      0",
    ],
)
def test_a_line_of_another_form_is_said(line: str) -> None:
    with pytest.raises(UnreadableOutput) as caught:
        parse_ipvsadm(f"{EMPTY}FWM  7 rr\n{line}\n", EMPTY)
    assert caught.value.details == f"line 5: {line}"


def test_a_backend_before_any_service_is_said() -> None:
    line = "  -> 10.0.0.5:0                          2       10       10      692      696"
    with pytest.raises(UnreadableOutput, match="unknown form"):
        parse_ipvsadm(EMPTY, f"{EMPTY}{line}\n")


def test_no_heading_is_said() -> None:
    with pytest.raises(UnreadableOutput, match="heading"):
        parse_ipvsadm("", EMPTY)
    with pytest.raises(UnreadableOutput, match="heading"):
        parse_ipvsadm(EMPTY, "Can't initialize ipvs: Protocol not available\n")


PROC_EMPTY = """\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
"""


def test_the_kernels_own_list_is_hexadecimal() -> None:
    services = parse_proc_ip_vs(captured("proc-ip-vs/ingress-sandbox"))
    assert [service.fwmark for service in services] == [266, 267, 268]
    first = services[0]
    assert (first.scheduler, first.flags, first.raw) == ("rr", (), "FWM  0000010A rr")
    assert [str(b.address) for b in first.backends] == ["10.0.0.28", "10.0.0.27"]
    assert {b.forwarding for s in services for b in s.backends} == {Forwarding.MASQUERADE}
    assert {(b.port, b.weight, b.traffic) for b in first.backends} == {(0, 1, None)}


@pytest.mark.parametrize(
    "line",
    [
        "FWM  10A rr",
        "FWM  0000010a rr",
        "  -> 0A00001C:0000      Teleport 1      0          0",
        "  -> 10.0.0.5:0         Masq    1      0          0",
        "TCP  [fd00:0000:0000:0000:0000:0000:0000:0001]:0050 rr",
    ],
)
def test_a_line_of_another_form_in_proc_is_said(line: str) -> None:
    with pytest.raises(UnreadableOutput) as caught:
        parse_proc_ip_vs(f"{PROC_EMPTY}FWM  00000007 rr\n{line}\n")
    assert caught.value.details == f"line 5: {line}"


def test_proc_without_a_heading_is_said() -> None:
    assert parse_proc_ip_vs(PROC_EMPTY) == ()
    with pytest.raises(UnreadableOutput, match="heading"):
        parse_proc_ip_vs("")


def test_timeouts() -> None:
    line = "Timeout (tcp tcpfin udp): 900 120 300"
    assert parse_timeouts(captured("ipvsadm/timeouts")) == Timeouts(900, 120, 300, line)


@pytest.mark.parametrize("text", ["", "Timeout (tcp tcpfin udp): 900 120", "ipvsadm: no such"])
def test_timeouts_that_are_none(text: str) -> None:
    with pytest.raises(UnreadableOutput, match="unknown form"):
        parse_timeouts(text)
