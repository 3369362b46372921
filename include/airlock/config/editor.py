"""JSON Schemas of the YAML kinds, for editors. Airlock itself never validates with them.

They say less than the loader checks: that a file exists, that a role is known or that a rule
can be reached is not something a schema can say.
"""

from __future__ import annotations

from typing import Any

from airlock.config.gate_options import options_of
from airlock.config.load import KINDS
from airlock.config.problems import listed, nearest
from airlock.domain.errors import Invalid
from airlock.domain.gates import Gate
from airlock.gates import GATES

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema(kind: str) -> dict[str, Any]:
    """Return the JSON Schema of one kind of document.

    Raises:
        Invalid: if there is no such kind.
    """
    if kind not in KINDS:
        hint = nearest(kind, KINDS)
        advice = f'Did you mean "{hint}"?' if hint else ""
        raise Invalid(f"unknown kind {kind!r}; there are {listed(KINDS)}", next_step=advice)
    document = KINDS[kind].model_json_schema(by_alias=True, mode="validation")
    if kind == "ModelPipeline":
        gates = document["$defs"]["PipelineSpec"]["properties"]["gates"]
        gates["items"] = {"oneOf": [_gate(gate) for gate in GATES]}
    return {"$schema": DIALECT, **document}


def _gate(gate: type[Gate]) -> dict[str, Any]:
    options = options_of(gate).model_json_schema(by_alias=True, mode="validation")
    properties = {"gate": {"const": gate.name}, **options.get("properties", {})}
    return {
        "type": "object",
        "title": gate.name,
        "description": (gate.__doc__ or "").splitlines()[0],
        "properties": properties,
        "required": ["gate", *options.get("required", [])],
        "additionalProperties": False,
    }
