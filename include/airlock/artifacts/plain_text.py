"""JSON and YAML as plain data: no name twice, no tags, no aliases, bounded in size and depth.

A tag can build an object, an alias can grow a few lines into gigabytes, and of a name that is there
twice each reader takes another one.
"""

from __future__ import annotations

import json
from typing import Any

import yaml

from airlock.artifacts.refusals import NotPlain

TEXT_LIMIT = 1 << 20
_JSON_STEP = "Write it again as plain JSON."
_YAML_STEP = "Write it again as plain YAML, as MLflow does."


def read_json(text: str | bytes) -> Any:
    """Return the data of a JSON text.

    Raises:
        NotPlain: if it is none, or not plain.
    """
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_constant)
    except (ValueError, RecursionError) as error:
        raise NotPlain(f"no JSON ({error})", "plain JSON", _JSON_STEP) from error


def read_yaml(text: str) -> Any:
    """Return the data of a YAML text.

    Raises:
        NotPlain: if it is none, or not plain.
    """
    try:
        return yaml.load(text, Loader=_Plain)  # noqa: S506 - _Plain is a SafeLoader with less
    except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise NotPlain(f"no plain YAML ({reason})", "plain YAML", _YAML_STEP) from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        raise ValueError("a name is there twice")
    return mapping


def _constant(name: str) -> float:
    # Numpy's and skops' own JSON holds NaN and infinity.
    return float(name.replace("Infinity", "inf"))


class _Plain(yaml.SafeLoader):
    """SafeLoader without anchors, aliases and tags, and with each name once."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]  # no types there
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise yaml.YAMLError("an anchor or alias")
        if getattr(event, "tag", None):
            raise yaml.YAMLError(f"a tag {event.tag}")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        mapping = super().construct_mapping(node, deep=deep)
        if len(mapping) != len(node.value):
            raise yaml.YAMLError("a name is there twice")
        return mapping
