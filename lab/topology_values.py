"""The single values a topology file holds: what each may be, and how a wrong one is refused.

A refused value raises a pydantic error of type ``expected`` whose message starts with
"expected", so that a reader can put what was found in front of it.
"""

import re
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

FIRST_FWMARK: Final = 256
"""The mark of the first load balancer of a dockerd process (moby: libnetwork, ``fwMarkCtr``)."""

MAX_MARKS_TO_BURN: Final = 8
"""How far above `FIRST_FWMARK` an expected mark may be: each one costs a service that lived."""

NODE_PORTS: Final = {
    22: "ssh",
    2377: "swarm's control plane",
    4789: "swarm's VXLAN data path",
    7946: "swarm's gossip",
}
"""Ports a node itself uses: ssh, and the three of Docker's "Getting started with swarm mode"."""

NODE_TEST: Final = "node-test"
"""The one container image a lab builds and puts on its nodes."""

NODE_TEST_PORT: Final = 3000
"""Where its program listens unless it is told otherwise (node-test/README.md)."""

NAME_PATTERN: Final = r"^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$"
_SUBNET_PATTERN: Final = r"^[0-9]{1,3}(\.[0-9]{1,3}){3}/[0-9]{1,2}$"
_ADDRESS_PATTERN: Final = r"^[0-9]{1,3}(\.[0-9]{1,3}){3}$"
_HEX_PATTERN: Final = r"^0[xX][0-9a-fA-F]+$"


class Role(StrEnum):
    """What a node is in the swarm."""

    MANAGER = "manager"
    WORKER = "worker"


def expected(what: str) -> PydanticCustomError:
    """Return the error that says what should have been there instead."""
    return PydanticCustomError("expected", "expected {what}", {"what": what})


def _name(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch(NAME_PATTERN, value):
        raise expected(
            'lowercase letters, digits and "-", a letter first, no "-" last, at most 63 characters'
        )
    return value


def _image(value: object) -> object:
    if isinstance(value, str) and value != NODE_TEST:
        raise expected(f"{NODE_TEST}: the nodes hold no other image and pull none")
    return value


def _address(value: object) -> object:
    if isinstance(value, IPv4Address):
        return value
    try:
        return IPv4Address(value if isinstance(value, str) else "")
    except ValueError:
        raise expected("an IPv4 address such as 192.168.56.10") from None


def _subnet(value: object) -> object:
    if isinstance(value, IPv4Network):
        return value
    if not isinstance(value, str) or not re.fullmatch(_SUBNET_PATTERN, value):
        raise expected("an IPv4 network such as 192.168.56.0/24")
    try:
        network = IPv4Network(value, strict=False)
    except ValueError:
        raise expected("an IPv4 network such as 192.168.56.0/24") from None
    if str(network) != value:
        raise expected(f"the network itself, {network}")
    return network


def _fwmark_number(value: object) -> object:
    if isinstance(value, str):
        if not re.fullmatch(_HEX_PATTERN, value):
            raise expected("a mark such as 0x102")
        return int(value, 16)
    return value


def _fwmark_range(mark: int) -> int:
    last = FIRST_FWMARK + MAX_MARKS_TO_BURN
    if not FIRST_FWMARK <= mark <= last:
        raise expected(
            f"{FIRST_FWMARK:#x} to {last:#x} ({FIRST_FWMARK} to {last}): marks start at "
            f"{FIRST_FWMARK} and each one above needs a service that lived before"
        )
    return mark


def _target_port(port: int) -> int:
    if port != NODE_TEST_PORT:
        raise expected(f"{NODE_TEST_PORT}: {NODE_TEST} listens on no other port")
    return port


def _published_port(port: int) -> int:
    if port in NODE_PORTS:
        raise expected(f"another port: {port} is {NODE_PORTS[port]} on every node")
    return port


def _text_schema(pattern: str, *examples: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": list(examples)})


ApiVersion = Annotated[
    Literal["swarm-ingress-lab/v1"],
    WithJsonSchema({"type": "string", "const": "swarm-ingress-lab/v1"}),
]
"""The version of the file format. pydantic 2.9 words the schema of a literal differently."""

Name = Annotated[str, BeforeValidator(_name), _text_schema(NAME_PATTERN, "manager", "hello-a")]
"""A DNS label in lowercase: it becomes a host name."""

Image = Annotated[
    Literal["node-test"],
    BeforeValidator(_image),
    WithJsonSchema({"type": "string", "const": NODE_TEST}),
]
"""The container image of the service: the one the nodes hold."""

Address = Annotated[
    IPv4Address, BeforeValidator(_address), _text_schema(_ADDRESS_PATTERN, "192.168.56.10")
]
"""One IPv4 address, written with dots."""

Subnet = Annotated[
    IPv4Network, BeforeValidator(_subnet), _text_schema(_SUBNET_PATTERN, "192.168.56.0/24")
]
"""An IPv4 network with its prefix length; an address inside it is refused."""

Port = Annotated[int, Field(strict=True, ge=1, le=65535)]
"""A TCP port."""

TargetPort = Annotated[
    Port,
    AfterValidator(_target_port),
    WithJsonSchema({"type": "integer", "const": NODE_TEST_PORT}),
]
"""The TCP port on which the service's program listens."""

PublishedPort = Annotated[Port, AfterValidator(_published_port)]
"""A TCP port that no node uses for itself, see `NODE_PORTS`."""

Replicas = Annotated[int, Field(strict=True, ge=1)]
"""How many tasks a service runs."""

MemoryMib = Annotated[int, Field(strict=True, ge=512)]
"""Memory in MiB; systemd and dockerd do not start in less than 512."""

PrefixLength = Annotated[int, Field(strict=True, ge=8, le=29)]
"""The size swarm gives each overlay network; 30 and longer cannot hold two nodes and a task."""

Fwmark = Annotated[
    int,
    Field(strict=True),
    BeforeValidator(_fwmark_number),
    AfterValidator(_fwmark_range),
    WithJsonSchema(
        {
            "anyOf": [
                {
                    "type": "integer",
                    "minimum": FIRST_FWMARK,
                    "maximum": FIRST_FWMARK + MAX_MARKS_TO_BURN,
                },
                {"type": "string", "pattern": _HEX_PATTERN},
            ],
            "examples": ["0x102"],
        }
    ),
]
"""A firewall mark: a number, or hexadecimal text such as ``"0x102"``."""
