"""skops files: a plain zip of a schema and arrays, with types from our own list alone.

Rules:
* The schema is of the one protocol we know; a file may not choose older, laxer readers.
* Every node has a loader on our list and a type on our list (`skops_types.txt`, `OWN_TYPES`). What
  the model's own MLmodel calls trusted is not asked.
* Every other member is an array without objects, an `.npz` of such, or plain bytes, and a node
  of the schema refers to it: nothing lies in the file that the model does not use.

Nothing is imported or built. It does not say that the numbers inside are sane: forged tree nodes
can crash a process, which is why models are loaded in processes that can be lost.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from airlock.artifacts.arrays import check_array, check_arrays
from airlock.artifacts.plain_text import read_json
from airlock.artifacts.plain_zip import PlainZip, open_plain
from airlock.artifacts.refusals import NotPlain

SCHEMA = "schema.json"
PROTOCOL = 2
_SCHEMA_LIMIT = 256 << 20
_DEPTH = 400
_TYPE_STEP = (
    "Use scikit-learn estimators without own functions or classes, or have the type reviewed and "
    "added to include/airlock/artifacts/skops_types.txt."
)
#: Types beyond skops' own defaults, for skops to trust when it loads. Adding one means reading what
#: its constructor and its state do with hostile values.
OWN_TYPES = (
    # Arrays of tree nodes and a predict method in Cython. They call nothing that is stored; forged
    # nodes can crash the process or read beyond an array, so models are loaded in children only.
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
    # Plain holders of an estimator and two numbers.
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    # Attributes, and a booster that LightGBM itself reads from its own text format.
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
    "lightgbm.sklearn.LGBMRegressor",
    "collections.OrderedDict",
    # Arrays in an archive of their own, which scipy reads without pickle.
    "scipy.sparse._csc.csc_matrix",
    "scipy.sparse._csr.csr_matrix",
)
#: What a numpy random generator may be built on; its name is text that skops turns into a class.
_BIT_GENERATORS = frozenset({"MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64"})
#: What builds a node. Not here: whatever calls something the file names (methods, partial
#: functions, operators, constructors).
LOADERS = frozenset(
    {
        "BytearrayNode",
        "BytesNode",
        "CachedNode",
        "DTypeNode",
        "DefaultDictNode",
        "DictNode",
        "FunctionNode",
        "JsonNode",
        "ListNode",
        "LossNode",
        "MaskedArrayNode",
        "NdArrayNode",
        "ObjectNode",
        "RandomGeneratorNode",
        "RandomStateNode",
        "SetNode",
        "SliceNode",
        "SparseMatrixNode",
        "TreeNode",
        "TupleNode",
        "TypeNode",
    }
)


@cache
def trusted_types() -> frozenset[str]:
    """Return the names of the types a skops file may hold."""
    text = files("airlock.artifacts").joinpath("skops_types.txt").read_text("utf-8")
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return frozenset(line for line in lines if line) | frozenset(OWN_TYPES)


def check_skops(path: Path) -> None:
    """Check a skops file.

    Raises:
        NotPlain: naming what is not on our lists.
    """
    archive = open_plain(path)
    with archive.archive:
        if SCHEMA not in archive.members:
            raise NotPlain("a zip without schema.json", "a skops file")
        used = _check_schema(archive)
        others = set(archive.members) - {SCHEMA}
        if used != others:
            odd = sorted(used ^ others)[0]
            raise NotPlain(f"{odd}, in the zip or in the schema alone", "each member used once")
        for name in sorted(others):
            _check_member(archive, name)


def _check_schema(archive: PlainZip) -> set[str]:
    """Check all nodes; return the members they refer to."""
    if archive.size(SCHEMA) > _SCHEMA_LIMIT:
        raise NotPlain(f"a schema of {archive.size(SCHEMA):,} bytes", f"up to {_SCHEMA_LIMIT:,}")
    schema = read_json(archive.read(SCHEMA))
    if not isinstance(schema, dict) or "__loader__" not in schema:
        raise NotPlain("a schema without a root", "a skops schema")
    protocol = schema.get("protocol")
    if type(protocol) is not int or protocol != PROTOCOL:
        raise NotPlain(f"the skops protocol {protocol!r}", f"protocol {PROTOCOL}")
    used: set[str] = set()
    for node in _nodes(schema):
        _check_node(node)
        if "file" in node:
            used.add(str(node["file"]))
    return used


def _nodes(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every mapping that names a loader, at any depth."""
    waiting: list[tuple[Any, int]] = [(schema, 0)]
    while waiting:
        item, depth = waiting.pop()
        if depth > _DEPTH:
            raise NotPlain("a schema nested too deep", f"up to {_DEPTH} levels")
        if isinstance(item, dict):
            if "__loader__" in item or "__class__" in item or "__module__" in item:
                yield item
            waiting += [(value, depth + 1) for value in item.values()]
        elif isinstance(item, list):
            waiting += [(value, depth + 1) for value in item]


def _check_node(node: dict[str, Any]) -> None:
    loader, module, kind = (node.get(key) for key in ("__loader__", "__module__", "__class__"))
    if loader not in LOADERS:
        raise NotPlain(f"a node built by {loader!r}", "nodes of plain data", _TYPE_STEP)
    if loader == "CachedNode":
        return  # only repeats a node that was checked under the same id
    name = f"{module}.{kind}"
    if name not in trusted_types():
        raise NotPlain(f"the type {name}", "types on Airlock's own list", _TYPE_STEP)
    if loader == "JsonNode" and not isinstance(node.get("content"), str):
        raise NotPlain("a JSON node without text", "JSON as text")
    if loader == "RandomGeneratorNode" and _bit_generator(node) not in _BIT_GENERATORS:
        raise NotPlain(f"a generator on {_bit_generator(node)!r}", "numpy's own bit generators")


def _bit_generator(node: dict[str, Any]) -> object:
    try:
        name = node["content"]["bit_generator"]["content"]["bit_generator"]["content"]
        return read_json(name)
    except (KeyError, TypeError, NotPlain):
        return None


def _check_member(archive: PlainZip, name: str) -> None:
    body = archive.read(name)
    if name.endswith(".npy"):
        check_array(body, name)
    elif name.endswith(".npz"):
        check_arrays(body, name)
    elif not name.endswith(".bin"):
        raise NotPlain(f"the member {name}", "arrays beside the schema")


def types_in(path: Path) -> list[str]:
    """Return the type names a skops file holds, for people who review them."""
    archive = open_plain(path)
    with archive.archive:
        schema = json.loads(archive.read(SCHEMA))
    found = {f"{node.get('__module__')}.{node.get('__class__')}" for node in _nodes(schema)}
    return sorted(found)
