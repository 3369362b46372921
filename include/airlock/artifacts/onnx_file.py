"""ONNX files: every message is walked by the field numbers of onnx.proto, nothing is loaded.

Rules:
* Fields that onnx.proto does not have are refused, so a model cannot carry anything else.
* Operators come from ONNX itself or from functions the model defines; others need a library.
* Weights kept outside lie in plain files beside the model, which are returned for the folder to
  check; a path that leads elsewhere is refused.

It does not check that the graph makes sense: the runtime does.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from airlock.artifacts.protobuf import BYTES, fields
from airlock.artifacts.refusals import NotPlain

_EXPECTED = "an ONNX model"
_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")
_DEPTH = 60
#: Metadata that changes how a runtime loads the model.
_META_REFUSED = ("ort_config", "ep_context")


@dataclass
class GraphSummary:
    """What the walk through a file has met."""

    nodes: int = 0
    domains: set[str] = field(default_factory=set)
    functions: set[str] = field(default_factory=set)
    #: file name -> how far into it the weights reach
    external: dict[str, int] = field(default_factory=dict)
    opset: bool = False
    graph: bool = False


def check_onnx(path: Path) -> dict[str, int]:
    """Check an ONNX file; return the files its weights lie in, and how far they reach.

    Raises:
        NotPlain: if it is not an ONNX model that holds data alone.
    """
    summary = GraphSummary()
    with path.open("rb") as stream:
        body = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    _message(memoryview(body), "model", summary, 0)  # the map is closed with the last view of it
    if not (summary.opset and summary.graph and summary.nodes):
        raise NotPlain("no graph, no operators or no operator set", _EXPECTED)
    foreign = sorted(summary.domains - _DOMAINS - summary.functions)
    if foreign:
        raise NotPlain(
            f"operators of {foreign[0]!r}, which need a library", "operators of ONNX itself"
        )
    return summary.external


#: message -> field number -> what is in it: another message, plain data (""), or a reader.
_FIELDS: dict[str, dict[int, str]] = {
    "model": {
        **dict.fromkeys((1, 2, 3, 4, 5, 6), ""),
        7: "graph",
        8: "opset",
        14: "meta",
        25: "function",
    },
    "opset": {1: "", 2: ""},
    "meta": {1: "", 2: ""},
    "graph": {
        1: "node",
        2: "",
        5: "tensor",
        10: "",
        11: "",
        12: "",
        13: "",
        14: "",
        15: "sparse",
        16: "meta",
    },
    "node": {**dict.fromkeys((1, 2, 3, 4, 6, 7, 8), ""), 5: "attribute", 9: "meta"},
    "attribute": {
        **dict.fromkeys((1, 2, 3, 4, 7, 8, 9, 13, 14, 15, 20, 21), ""),
        5: "tensor",
        6: "graph",
        10: "tensor",
        11: "graph",
        22: "sparse",
        23: "sparse",
    },
    "sparse": {1: "tensor", 2: "tensor", 3: ""},
    "tensor": {
        **dict.fromkeys((1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14), ""),
        13: "external",
        16: "meta",
    },
    "external": {1: "", 2: ""},
    "function": {
        **dict.fromkeys((1, 4, 5, 6, 8, 10, 12, 13), ""),
        7: "node",
        9: "opset",
        11: "attribute",
        14: "meta",
    },
}


def _message(message: memoryview, kind: str, summary: GraphSummary, depth: int) -> dict[int, bytes]:
    """Walk one message; return its short plain fields."""
    if depth > _DEPTH:
        raise NotPlain("a graph nested too deep", f"up to {_DEPTH} levels")
    nested_kinds, plain = _FIELDS[kind], {}
    outside: list[dict[int, bytes]] = []
    for number, wire, value in fields(message):
        inner = nested_kinds.get(number)
        if inner is None:
            raise NotPlain(f"a field {number} in a {kind}", "the fields of onnx.proto")
        if not inner:
            plain[number] = _short(value)
            continue
        if wire != BYTES or not isinstance(value, memoryview):
            raise NotPlain(f"a number where a {inner} belongs", _EXPECTED)
        fields_inside = _message(value, inner, summary, depth + 1)
        outside += [fields_inside] if inner == "external" else []
    _note(kind, plain, outside, summary)
    return plain


def _note(
    kind: str, plain: dict[int, bytes], outside: list[dict[int, bytes]], summary: GraphSummary
) -> None:
    """Note the fields that count for the whole file."""
    if outside or (kind == "tensor" and plain.get(14, b"0") != b"0"):
        _note_external(outside, summary)
    if kind in _NOTES:
        _NOTES[kind](plain, summary)


def _short(value: int | memoryview) -> bytes:
    return str(value).encode() if isinstance(value, int) else bytes(value[:300])


def _note_node(plain: dict[int, bytes], summary: GraphSummary) -> None:
    summary.nodes += 1
    summary.domains.add(_text(plain.get(7, b"")))


def _note_function(plain: dict[int, bytes], summary: GraphSummary) -> None:
    summary.functions.add(_text(plain.get(10, b"")))


def _note_meta(plain: dict[int, bytes], _summary: GraphSummary) -> None:
    key = _text(plain.get(1, b""))
    if key.startswith(_META_REFUSED):
        raise NotPlain(f"metadata {key!r}, which configures the runtime", "plain metadata")


def _note_opset(_plain: dict[int, bytes], summary: GraphSummary) -> None:
    summary.opset = True


def _note_graph(_plain: dict[int, bytes], summary: GraphSummary) -> None:
    summary.graph = True


_NOTES: dict[str, Callable[[dict[int, bytes], GraphSummary], None]] = {
    "node": _note_node,
    "function": _note_function,
    "meta": _note_meta,
    "opset": _note_opset,
    "graph": _note_graph,
}


def _note_external(entries: list[dict[int, bytes]], summary: GraphSummary) -> None:
    """Note which file a tensor's data lies in."""
    notes = {_text(entry.get(1, b"")): _text(entry.get(2, b"")) for entry in entries}
    place = notes.get("location", "")
    allowed = {"location", "offset", "length", "checksum"}
    numbers = [notes.get(key, "0") for key in ("offset", "length")]
    if not _FILE.fullmatch(place) or set(notes) - allowed or not all(map(str.isdecimal, numbers)):
        raise NotPlain(
            f"weights in {place!r}", "weights inside the file, or in a plain file beside it"
        )
    reach = sum(int(number[:19]) for number in numbers)
    summary.external[place] = max(summary.external.get(place, 0), reach)


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
