"""Captured packets: reading what tcpdump writes, writing what Wireshark opens. Pure.

Read is the classic format (pcap-savefile(5)), written is pcapng
(draft-ietf-opsawg-pcapng), because only that has names for the places of a capture.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from lab.errors import UnreadableOutput

ETHERNET = 1
"""The link type of every interface we listen on (pcap-linktype(7))."""
LONGEST_OPTION = 60_000
"""Bytes; its length is told in 16 bits."""
_MAGIC = {
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\x3c\x4d": (">", 1),
}
"""Byte order, and how many nanoseconds one unit of a packet's fraction is."""


@dataclass(frozen=True, slots=True)
class Captured:
    """One packet: when it was seen, in nanoseconds since 1970, its bytes and its full length."""

    time_ns: int
    data: bytes
    length: int


@dataclass(frozen=True, slots=True)
class Recording:
    """What was captured at one place; ``name`` and ``description`` are shown by Wireshark."""

    name: str
    description: str
    packets: tuple[Captured, ...]


def read_pcap(data: bytes) -> tuple[Captured, ...]:
    """Return the packets of a file tcpdump wrote; one that was cut short ends with its last whole.

    Raises:
        UnreadableOutput: It is no such file, or not of an Ethernet interface.
    """
    if len(data) < 24 or data[:4] not in _MAGIC:
        raise UnreadableOutput("this is no capture of tcpdump", details=repr(data[:40]))
    order, unit = _MAGIC[data[:4]]
    link = struct.unpack(f"{order}I", data[20:24])[0] & 0xFFFF
    if link != ETHERNET:
        raise UnreadableOutput(f"a capture of link type {link}", details="expected Ethernet, 1")
    packets = []
    place = 24
    while place + 16 <= len(data):
        seconds, fraction, kept, length = struct.unpack_from(f"{order}IIII", data, place)
        place += 16
        if place + kept > len(data):
            break
        time_ns = seconds * 1_000_000_000 + fraction * unit
        packets.append(Captured(time_ns, data[place : place + kept], length))
        place += kept
    return tuple(packets)


def write_pcapng(recordings: Sequence[Recording], comment: str) -> bytes:
    """Return a file with all packets in the order of their time, each with the place it is from.

    Args:
        recordings: What was captured, a place each.
        comment: A remark on the whole file; Wireshark shows it under "Capture file properties".
    """
    blocks = [_section(comment)]
    blocks += [_interface(recording) for recording in recordings]
    merged = [(n, p) for n, recording in enumerate(recordings) for p in recording.packets]
    merged.sort(key=lambda found: found[1].time_ns)
    blocks += [_packet(number, packet) for number, packet in merged]
    return b"".join(blocks)


def _section(comment: str) -> bytes:
    body = struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)
    return _block(0x0A0D0D0A, body + _option(1, comment) + _option(4, "swarm-ingress-lab") + _END)


def _interface(recording: Recording) -> bytes:
    body = struct.pack("<HHI", ETHERNET, 0, 0)
    options = _option(2, recording.name) + _option(3, recording.description)
    nanoseconds = struct.pack("<HHB3x", 9, 1, 9)  # if_tsresol
    return _block(1, body + options + nanoseconds + _END)


def _packet(interface: int, packet: Captured) -> bytes:
    high, low = divmod(packet.time_ns, 1 << 32)
    head = struct.pack("<IIIII", interface, high, low, len(packet.data), packet.length)
    return _block(6, head + _padded(packet.data))


_END = struct.pack("<HH", 0, 0)


def _option(code: int, text: str) -> bytes:
    data = text.encode()[:LONGEST_OPTION]
    return struct.pack("<HH", code, len(data)) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _block(kind: int, body: bytes) -> bytes:
    length = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + length + body + length
