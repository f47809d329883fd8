"""The JSON Schema of topology files, for editors: ``python -m lab.topology_schema``."""

import json
import sys
from pathlib import Path
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from lab.topology import Topology


class _WithoutKeyTitles(GenerateJsonSchema):
    """Leaves out the titles made of key names: an editor would show "Memory Mib"."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic calls it
        return False


def schema_path() -> Path:
    """Return the path of the published schema."""
    return Path(__file__).with_name("topology.schema.json")


def schema_text() -> str:
    """Return the schema as the published file holds it: JSON Schema 2020-12, indented by 2.

    It knows each value on its own; rules that join several are ``lab.topology_rules``.
    """
    about = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Topology of a swarm ingress lab",
        "description": "The machines, networks and service of a lab, and what it must show.",
    }
    schema = Topology.model_json_schema(schema_generator=_WithoutKeyTitles) | about
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    sys.stdout.write(schema_text())
