"""Inventory files: somebody's own hosts, and how ssh reaches them.

Nothing in an inventory is a secret: keys, jump hosts and host keys stay in the ssh_config.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from lab.errors import TopologyInvalid
from lab.settings import user_path
from lab.topology_mistakes import FileKind, read_file
from lab.topology_rules import RULES_BROKEN, Violation
from lab.topology_values import Address, Role, expected

EXAMPLE: Final = Path(__file__).parent / "inventory-example.yaml"
_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")
_TARGET: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@:%\[\]/-]*")


def _name(value: object) -> object:
    if isinstance(value, str) and not _NAME.fullmatch(value):
        raise expected('letters, digits, ".", "_" and "-", at most 64 characters')
    return value


def _target(value: object) -> object:
    if isinstance(value, str) and not _TARGET.fullmatch(value):
        raise expected("what you type after ssh, such as admin@web1 or ssh://admin@web1:2222")
    return value


def _entry(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch(r"[\w.-]+:\d{1,5}", value):
        raise expected("host:port, such as 192.0.2.11:5000")
    return value


Entry = Annotated[str, BeforeValidator(_entry)]
Name = Annotated[str, BeforeValidator(_name)]
Target = Annotated[str, BeforeValidator(_target)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class HostSpec(_Section):
    """One host."""

    name: Name = Field(description="What it is called here; ssh's target too, if none is given.")
    ssh: Target | None = Field(default=None, description="What you type after ssh.")
    role: Role | None = Field(default=None, description="manager or worker; the swarm knows.")
    address: Address | None = Field(
        default=None, description="Address that carries the tunnels; the swarm knows."
    )
    entry: Entry | None = Field(
        default=None, description="host:port here that leads to its published port."
    )
    sudo: bool | None = Field(default=None, description="Become root with sudo -n.", strict=True)

    @property
    def target(self) -> str:
        """What ssh is given."""
        return self.ssh or self.name


class Inventory(_Section):
    """The hosts of a swarm."""

    apiVersion: Literal["swarm-ingress-lab/v1"] = Field(  # noqa: N815 - as in a topology file
        description="Version of this file's format."
    )
    ssh_config: str | None = Field(
        default=None, description="An ssh_config instead of your own; relative to this file."
    )
    sudo: bool = Field(
        default=False, description="Become root with sudo -n on every host.", strict=True
    )
    hosts: tuple[HostSpec, ...] = Field(description="The hosts.", min_length=1)

    @model_validator(mode="after")
    def _keep_the_rules(self) -> "Inventory":
        if broken := tuple(violations(self.model_dump(mode="json"))):
            raise PydanticCustomError(RULES_BROKEN, "{text}", {"text": str(broken[0])})
        return self

    def needs_sudo(self, host: HostSpec) -> bool:
        """Say whether commands on a host need sudo."""
        return self.sudo if host.sudo is None else host.sudo


def load_inventory(path: Path) -> Inventory:
    """Read and check an inventory file.

    ``ssh_config`` of the value is an absolute path.

    Raises:
        TopologyInvalid: The file cannot be read or breaks a rule; see ``read_file``. Or the
            ssh_config it names is not there.
    """
    kind = FileKind(
        what="inventory",
        model=Inventory,
        rules=violations,
        advice=f"the path of a YAML file; {EXAMPLE} is an example",
        example=str(EXAMPLE),
    )
    found = read_file(path, kind)
    if found.ssh_config is None:
        return found
    config = (path.absolute().parent / user_path(found.ssh_config)).resolve()
    if not config.exists():  # ssh would say so once for every host, and not whose word it was
        raise TopologyInvalid(
            f"the inventory {path} names an ssh_config that is not there",
            details=f"ssh_config: {found.ssh_config} is {config}: no such file",
            hint="a path relative to the inventory; without the line your own ssh_config counts",
        )
    return found.model_copy(update={"ssh_config": str(config)})


def violations(data: object) -> Iterator[Violation]:
    """Yield each rule that joins several values and is broken: names and addresses are unique."""
    hosts = data.get("hosts") if isinstance(data, dict) else None
    given = hosts if isinstance(hosts, Iterable) and not isinstance(hosts, str) else ()
    rows = [host if isinstance(host, dict) else {} for host in given]
    for key in ("name", "address"):
        values = Counter(str(row[key]) for row in rows if row.get(key) is not None)
        seen: set[str] = set()
        for number, row in enumerate(rows):
            value = str(row.get(key))
            if values[value] > 1 and value in seen:
                yield Violation(("hosts", number, key), f"another {key}: one more host has it")
            seen.add(value)
