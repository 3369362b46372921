"""The native formats of gradient boosting libraries, and safetensors: data alone, read strictly.

Each check raises `NotPlain` unless every byte of the file has its place in the format.
"""

from __future__ import annotations

import math
import mmap
import re
import struct
from pathlib import Path
from typing import Any

from airlock.artifacts.plain_text import read_json
from airlock.artifacts.refusals import NotPlain
from airlock.artifacts.ubjson import read_ubjson

_XGBOOST = "an XGBoost model"
_LIGHTGBM = "a LightGBM model as text"
_CATBOOST = "a CatBoost model (cbm)"
_SAFETENSORS = "a safetensors file"
_PARSED_LIMIT = 2 << 30
_HEADER_LIMIT = 100 << 20
_BITS = {"BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "I16": 16, "U16": 16, "F16": 16}
_BITS |= {"BF16": 16, "I32": 32, "U32": 32, "F32": 32, "F64": 64, "I64": 64, "U64": 64}


def check_xgboost(path: Path) -> None:
    """Check a model XGBoost saved as UBJSON or JSON."""
    _bounded(path, _XGBOOST)
    with path.open("rb") as stream:
        body = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    text = body[1:64].lstrip(b" \t\r\n")[:1] == b'"'  # in UBJSON a length comes first
    # The map is closed with the last view of it.
    _check_learner(read_json(body[:]) if text else read_ubjson(memoryview(body)))


def _check_learner(document: Any) -> None:
    learner = document.get("learner") if isinstance(document, dict) else None
    if not isinstance(learner, dict) or set(document) != {"learner", "version"}:
        raise NotPlain("data without a learner", _XGBOOST)
    required = {"gradient_booster", "learner_model_param", "objective"}
    if not required <= set(learner) or not isinstance(learner["gradient_booster"], dict):
        raise NotPlain("a learner without a booster", _XGBOOST)


_LINES = re.compile(
    r"tree|end of trees|feature_importances:|parameters:|end of parameters"
    r"|average_output|linear_tree"
    r"|[A-Za-z_]+=[^\x00-\x08\x0b-\x1f\x7f]*"
    r"|\[[A-Za-z0-9_]+: ?[^\x00-\x08\x0b-\x1f\x7f]*\]"
    r"|pandas_categorical:(?P<json>.*)"
)
_IMPORTANCE = re.compile(r"[^\x00-\x1f\x7f]{1,300}=[0-9.eE+-]+")


def check_lightgbm(path: Path) -> None:
    """Check a model LightGBM saved as text."""
    _bounded(path, _LIGHTGBM)
    importances = False
    keys: set[str] = set()
    with path.open(encoding="utf-8", errors="strict", newline="\n") as stream:
        try:
            for number, raw in enumerate(stream, 1):
                line = raw.rstrip("\n")
                match = _LINES.fullmatch(line) if line else None
                allowed = not line or match or (importances and _IMPORTANCE.fullmatch(line))
                if not allowed or (number == 1 and line != "tree"):
                    raise NotPlain(f"line {number}: {line[:60]!r}", _LIGHTGBM)
                importances = line == "feature_importances:" or (importances and bool(line))
                keys.add(line.partition("=")[0])
                if match and match["json"] is not None:
                    read_json(match["json"])
        except UnicodeDecodeError as error:
            raise NotPlain("bytes that are no text", _LIGHTGBM) from error
    missing = {"tree", "version", "num_class", "max_feature_idx", "end of trees"} - keys
    if missing:
        raise NotPlain(f"no {sorted(missing)[0]}", _LIGHTGBM)


def check_catboost(path: Path) -> None:
    """Check a model CatBoost saved as cbm: a magic, a length, one flatbuffer, nothing behind it."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(12)
        if len(head) < 12 or head[:4] != b"CBM1":
            raise NotPlain("another start than CBM1", _CATBOOST)
        core, root = struct.unpack("<II", head[4:])
        if core != size - 8:
            raise NotPlain(
                f"{size - 8:,} bytes behind a header that announces {core:,}",
                f"{_CATBOOST} without parts kept behind it",
            )
        if not 4 <= root <= core - 4:
            raise NotPlain("a flatbuffer without a root", _CATBOOST)
        stream.seek(8 + root)
        (back,) = struct.unpack("<i", stream.read(4))
        if not 0 <= root - back <= core - 4:
            raise NotPlain("a flatbuffer without a table", _CATBOOST)


def check_safetensors(path: Path) -> None:
    """Check a safetensors file: a header, and tensors that cover the rest without a gap."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8).ljust(8, b"\0"))
        if not 2 <= length <= min(_HEADER_LIMIT, size - 8):
            raise NotPlain(f"a header of {length:,} bytes", _SAFETENSORS)
        header = read_json(stream.read(length))
    if not isinstance(header, dict):
        raise NotPlain("a header that is no mapping", _SAFETENSORS)
    notes = header.pop("__metadata__", {})
    if not isinstance(notes, dict) or not all(isinstance(text, str) for text in notes.values()):
        raise NotPlain("metadata that is not text", _SAFETENSORS)
    spans = sorted(_span(name, tensor) for name, tensor in header.items())
    at = 0
    for begin, end, name in spans:
        if begin != at:
            raise NotPlain(f"a gap or an overlap before {name!r}", _SAFETENSORS)
        at = end
    if not spans or at != size - 8 - length:
        raise NotPlain(f"{size - 8 - length - at:,} bytes behind the tensors", _SAFETENSORS)


def _span(name: str, tensor: Any) -> tuple[int, int, str]:
    keys = {"dtype", "shape", "data_offsets"}
    if not isinstance(tensor, dict) or set(tensor) != keys or tensor["dtype"] not in _BITS:
        raise NotPlain(f"a tensor {name!r} of an unknown kind", _SAFETENSORS)
    shape, offsets = tensor["shape"], tensor["data_offsets"]
    plain = isinstance(shape, list) and isinstance(offsets, list) and len(offsets) == 2
    if not plain or not all(type(n) is int and 0 <= n < 1 << 48 for n in [*shape, *offsets]):
        raise NotPlain(f"a tensor {name!r} without a place", _SAFETENSORS)
    if (offsets[1] - offsets[0]) * 8 != math.prod(shape) * _BITS[tensor["dtype"]]:
        raise NotPlain(f"a tensor {name!r} of another size than its shape", _SAFETENSORS)
    return offsets[0], offsets[1], name


def _bounded(path: Path, expected: str) -> None:
    size = path.stat().st_size
    if size > _PARSED_LIMIT:
        raise NotPlain(f"{size:,} bytes", f"{expected} of at most {_PARSED_LIMIT:,} bytes")
