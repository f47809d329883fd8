"""Captured packets: read as tcpdump wrote them, written so that another reader finds them all."""

import io
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import dpkt
import pytest

from lab.errors import UnreadableOutput
from lab.facts.commands import HOST
from lab.live.clocks import compare
from lab.live.frames import Ends, Flags, read_segment
from lab.live.pcap import Captured, Recording, read_pcap, write_pcapng
from lab.live.points import Hop, Point
from lab.live.scripts import read_collected
from tests import wireshark
from tests.facts.captures import captured
from tests.live_trace.scenes import catch, places

LINK = read_collected(captured("live/across-manager-stop"), "manager").captures["manager-link"]


def ends(text: str) -> Ends:
    words = [word.split(":") for word in text.split(" → ")]
    (source, port), (destination, to_port) = words
    return Ends(IPv4Address(source), int(port), IPv4Address(destination), int(to_port))


def test_a_capture_is_read_with_nanoseconds_and_whole_frames() -> None:
    packets = read_pcap(LINK)
    assert len(packets) == len(list(dpkt.pcap.Reader(io.BytesIO(LINK))))
    for packet, (time_s, data) in zip(packets, dpkt.pcap.Reader(io.BytesIO(LINK)), strict=True):
        assert packet.data == data
        assert packet.time_ns == pytest.approx(time_s * 10**9, abs=1000)


def test_a_wrapped_segment_is_read_with_what_is_around_it() -> None:
    first = read_segment(read_pcap(LINK)[0].data)
    assert first is not None
    assert first.tunnel is not None
    outer = dpkt.ethernet.Ethernet(read_pcap(LINK)[0].data)
    inner = dpkt.ethernet.Ethernet(outer.data.data.data[8:])
    assert first.tunnel.vni == 4096
    assert first.tunnel.ends.source.packed == outer.data.src
    assert first.tunnel.ends.destination_port == outer.data.data.dport == 4789
    assert first.ends.destination.packed == inner.data.dst
    assert first.sequence == inner.data.data.seq
    assert first.opens
    assert "VXLAN vni 4096 | " in str(first)


def test_what_is_no_tcp_is_no_segment() -> None:
    frame = read_pcap(LINK)[0].data
    assert read_segment(b"") is None
    assert read_segment(frame[:40]) is None
    assert read_segment(frame[:12] + b"\x86\xdd" + frame[14:]) is None
    tagged = frame[:12] + b"\x81\x00\x00\x07" + frame[12:]
    assert read_segment(tagged) == read_segment(frame)
    assert all(read_segment(frame[:size]) is None for size in range(len(frame) - 20 - 20))


def test_an_answer_is_known_by_what_it_acknowledges() -> None:
    opening, accepting = (read_segment(p.data) for p in read_pcap(LINK)[:2])
    assert opening is not None
    assert accepting is not None
    assert accepting.flags == Flags.SYN | Flags.ACK
    assert accepting.accepts(opening.sequence)
    assert not accepting.accepts(opening.sequence + 1)
    assert replace(accepting, acknowledged=0).accepts(2**32 - 1)
    assert accepting.ends == opening.ends.turned


@pytest.mark.parametrize("data", [b"", LINK[:20], b"\x0a\x0d\x0d\x0a" + LINK[4:]])
def test_what_is_no_capture_is_refused(data: bytes) -> None:
    with pytest.raises(UnreadableOutput, match="no capture"):
        read_pcap(data)


def test_another_kind_of_link_is_refused() -> None:
    with pytest.raises(UnreadableOutput, match="link type 113"):
        read_pcap(LINK[:20] + (113).to_bytes(4, "little") + LINK[24:])


def test_a_capture_cut_short_ends_with_its_last_whole_packet() -> None:
    assert read_pcap(LINK[:-1]) == read_pcap(LINK)[:-1]


def test_another_reader_finds_every_packet_in_the_file_in_order() -> None:
    recordings = catch("across").recordings()
    written = write_pcapng(recordings, "a remark")
    read = list(dpkt.pcapng.Reader(io.BytesIO(written)))
    wanted = sorted((p.time_ns, p.data) for r in recordings for p in r.packets)
    assert [data for _, data in read] == [data for _, data in wanted]
    for (time_s, _), (time_ns, _) in zip(read, wanted, strict=True):
        assert time_s == pytest.approx(time_ns / 10**9, abs=1e-6)


def test_the_file_names_its_places() -> None:
    written = write_pcapng(catch("across").recordings(), "a remark")
    names, remarks = [], []
    place = 0
    while place < len(written):
        kind, size = (int.from_bytes(written[n : n + 4], "little") for n in (place, place + 4))
        if kind == 1:
            block = dpkt.pcapng.InterfaceDescriptionBlockLE(written[place : place + size])
            names += [option.data.decode() for option in block.opts if option.code == 2]
        elif kind == 0x0A0D0D0A:
            header = dpkt.pcapng.SectionHeaderBlockLE(written[place : place + size])
            remarks += [option.data.decode() for option in header.opts if option.code == 1]
        place += size
    assert place == len(written)
    assert names == [point.name for point in places()]
    assert remarks == ["a remark"]


@pytest.mark.skipif(not wireshark.IS_HERE, reason="tshark is not installed")
def test_wireshark_finds_every_packet_at_its_place(tmp_path: Path) -> None:
    recordings = catch("across").recordings()
    file = tmp_path / "all.pcapng"
    file.write_bytes(write_pcapng(recordings, "a remark"))
    assert wireshark.places_in(file) == {r.name: len(r.packets) for r in recordings if r.packets}


def test_an_empty_capture_is_a_file_too() -> None:
    written = write_pcapng([Recording("manager-link", "", ())], "")
    assert list(dpkt.pcapng.Reader(io.BytesIO(written))) == []


def shifted(ahead_ns: int) -> dict[Point, tuple[Captured, ...]]:
    """The packets of the scene, the manager's clock set ahead."""
    return {
        point: tuple(
            replace(p, time_ns=p.time_ns + (ahead_ns if point.node == "manager" else 0))
            for p in found
        )
        for point, found in catch("across").packets.items()
    }


def test_clocks_are_told_apart_by_packets_that_went_both_ways() -> None:
    real = compare(shifted(0)).ahead_ns["worker"]
    assert abs(real) < 20_000_000  # chrony holds them within milliseconds
    assert compare(shifted(5 * 10**9)).ahead_ns["worker"] == real - 5 * 10**9
    clocks = compare(shifted(0))
    assert clocks.common("worker", 10**9) == 10**9 - real
    assert clocks.common("manager", 10**9) == 10**9


def test_a_clock_no_packet_tells_of_is_unknown() -> None:
    packets = catch("across").packets
    one_way = {
        point: tuple(p for p in found if _leaves(p, "manager")) for point, found in packets.items()
    }
    assert compare(one_way).unknown == ("worker",)
    assert compare({Point(Hop.LOCAL, "manager", HOST, "lo", ""): ()}).unknown == ()
    assert compare({}).first == ""


def _leaves(packet: Captured, node: str) -> bool:
    segment = read_segment(packet.data)
    addresses = {"manager": "192.168.56.10", "worker": "192.168.56.11"}
    assert segment is not None
    if segment.tunnel is None:
        return True
    return str(segment.tunnel.ends.source) == addresses[node]
