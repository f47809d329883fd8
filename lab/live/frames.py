"""What a captured packet is: TCP, perhaps wrapped into VXLAN. Pure.

Reads Ethernet (with 802.1Q tags), IPv4, TCP, and VXLAN in UDP (RFC 7348); of anything else it says
that it is something else.
"""

import struct
from dataclasses import dataclass
from enum import IntFlag
from ipaddress import IPv4Address

VXLAN_PORT = 4789
_IPV4, _TAG = 0x0800, 0x8100
_TCP, _UDP = 6, 17


class Flags(IntFlag):
    """The flags of a TCP header that tell a connection's story."""

    FIN = 1
    SYN = 2
    RST = 4
    PSH = 8
    ACK = 16


@dataclass(frozen=True, slots=True)
class Ends:
    """Source and destination of a packet."""

    source: IPv4Address
    source_port: int
    destination: IPv4Address
    destination_port: int

    @property
    def turned(self) -> "Ends":
        """Those of the answer."""
        return Ends(self.destination, self.destination_port, self.source, self.source_port)

    def __str__(self) -> str:
        return f"{self.source}:{self.source_port} → {self.destination}:{self.destination_port}"


@dataclass(frozen=True, slots=True)
class Tunnel:
    """The packet around another one: its ends, and the id of the VXLAN."""

    ends: Ends
    vni: int


@dataclass(frozen=True, slots=True)
class Segment:
    """One TCP segment; ``tunnel`` is what it was wrapped into, None when it was not."""

    ends: Ends
    flags: Flags
    sequence: int
    acknowledged: int
    payload: bytes
    tunnel: Tunnel | None = None

    @property
    def opens(self) -> bool:
        """Whether it is the first one of a connection."""
        return bool(self.flags & Flags.SYN) and not self.flags & Flags.ACK

    def accepts(self, sequence: int) -> bool:
        """Whether it is the other side's first answer to an opening with that sequence number."""
        # Also what refuses it: RST acknowledges the SYN (RFC 9293 section 3.5.2).
        answers = bool(self.flags & (Flags.SYN | Flags.RST)) and bool(self.flags & Flags.ACK)
        return answers and self.acknowledged == (sequence + 1) % 2**32

    def __str__(self) -> str:
        """Return it as tcpdump would print it, in short."""
        letters = {"SYN": "S", "FIN": "F", "RST": "R", "PSH": "P", "ACK": "."}
        marks = "".join(sign for name, sign in letters.items() if self.flags & Flags[name])
        said = f"{self.ends} [{marks}] seq {self.sequence}"
        if self.flags & Flags.ACK:
            said += f" ack {self.acknowledged}"
        said += f" length {len(self.payload)}"
        if self.tunnel is None:
            return said
        return f"{self.tunnel.ends} VXLAN vni {self.tunnel.vni} | {said}"


def read_segment(frame: bytes) -> Segment | None:
    """Return the TCP segment in a frame, None when there is none."""
    packet = _ipv4(frame)
    if packet is None:
        return None
    source, destination, protocol, body = packet
    if protocol == _TCP:
        return _segment(source, destination, body, None)
    if protocol != _UDP or len(body) < 16:
        return None
    source_port, destination_port = struct.unpack_from(">HH", body)
    flags, vni = body[8], int.from_bytes(body[12:15], "big")
    if destination_port != VXLAN_PORT or not flags & 0x08:
        return None
    inner = _ipv4(body[16:])
    if inner is None or inner[2] != _TCP:
        return None
    tunnel = Tunnel(Ends(source, source_port, destination, destination_port), vni)
    return _segment(inner[0], inner[1], inner[3], tunnel)


def _ipv4(frame: bytes) -> tuple[IPv4Address, IPv4Address, int, bytes] | None:
    place = 12
    while frame[place : place + 2] == _TAG.to_bytes(2, "big"):
        place += 4
    if len(frame) < place + 22 or frame[place : place + 2] != _IPV4.to_bytes(2, "big"):
        return None
    packet = frame[place + 2 :]
    header = (packet[0] & 0x0F) * 4
    total = int.from_bytes(packet[2:4], "big")
    later_fragment = int.from_bytes(packet[6:8], "big") & 0x1FFF
    if packet[0] >> 4 != 4 or header < 20 or later_fragment:
        return None
    # A frame may be filled up to Ethernet's least length: what is beyond is no payload.
    body = packet[header : max(total, header)] if total else packet[header:]
    return IPv4Address(packet[12:16]), IPv4Address(packet[16:20]), packet[9], body


def _segment(
    source: IPv4Address, destination: IPv4Address, body: bytes, tunnel: Tunnel | None
) -> Segment | None:
    if len(body) < 20:
        return None
    source_port, destination_port, sequence, acknowledged = struct.unpack_from(">HHII", body)
    offset = (body[12] >> 4) * 4
    ends = Ends(source, source_port, destination, destination_port)
    flags = Flags(body[13] & 0x1F)
    return Segment(ends, flags, sequence, acknowledged, body[offset:], tunnel)
