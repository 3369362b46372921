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
#: Types that may be built in one way alone, by the loader skops writes them with: under another
#: loader the same name could be called, imported or given a state. What each of them does with
#: hostile values was read (ADR 0051): they hold attributes, numbers and arrays, or compute on them.
BOUND_TYPES: dict[str, str] = {
    # The dtype of an empty array; the array is checked as every other one.
    "numpy.dtype": "DTypeNode",
    # A dictionary whose keys are attributes too.
    "sklearn.utils._bunch.Bunch": "DictNode",
    # Only of the functions in PARTIAL_FUNCTIONS, see `_check_partial`.
    "functools.partial": "PartialNode",
    # Functions of numbers. They are never called with anything but data, and touch nothing else.
    **dict.fromkeys(
        (
            "scipy._lib.array_api_compat.numpy._aliases.asarray",
            "sklearn.feature_selection._mutual_info.mutual_info_classif",
            "sklearn.feature_selection._mutual_info.mutual_info_regression",
            "sklearn.feature_selection._univariate_selection.chi2",
            "sklearn.feature_selection._univariate_selection.f_classif",
            "sklearn.feature_selection._univariate_selection.f_regression",
            "sklearn.metrics._classification.accuracy_score",
            "sklearn.metrics._classification.balanced_accuracy_score",
            "sklearn.metrics._classification.brier_score_loss",
            "sklearn.metrics._classification.f1_score",
            "sklearn.metrics._classification.log_loss",
            "sklearn.metrics._classification.precision_score",
            "sklearn.metrics._classification.recall_score",
            "sklearn.metrics._ranking.average_precision_score",
            "sklearn.metrics._ranking.roc_auc_score",
            "sklearn.metrics._regression.mean_absolute_error",
            "sklearn.metrics._regression.mean_squared_error",
            "sklearn.metrics._regression.r2_score",
            "sklearn.metrics._regression.root_mean_squared_error",
            "sklearn.utils.validation.check_array",
        ),
        "FunctionNode",
    ),
    # Holders of attributes in Python, used when fitting or scoring, or arithmetic on arrays.
    **dict.fromkeys(
        (
            "scipy.interpolate._bsplines.BSpline",
            "sklearn.compose._column_transformer.make_column_selector",
            "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
            "sklearn.gaussian_process.kernels.ConstantKernel",
            "sklearn.gaussian_process.kernels.DotProduct",
            "sklearn.gaussian_process.kernels.Matern",
            "sklearn.gaussian_process.kernels.Product",
            "sklearn.gaussian_process.kernels.RBF",
            "sklearn.gaussian_process.kernels.RationalQuadratic",
            "sklearn.gaussian_process.kernels.Sum",
            "sklearn.gaussian_process.kernels.WhiteKernel",
            "sklearn.metrics._scorer._CurveScorer",
            "sklearn.metrics._scorer._PassthroughScorer",
            "sklearn.metrics._scorer._Scorer",
            "sklearn.model_selection._split.GroupKFold",
            "sklearn.model_selection._split.KFold",
            "sklearn.model_selection._split.ShuffleSplit",
            "sklearn.model_selection._split.StratifiedKFold",
            "sklearn.model_selection._split.StratifiedShuffleSplit",
            "sklearn.model_selection._split.TimeSeriesSplit",
            "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
            "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
            "sklearn.utils._metadata_requests.MetadataRequest",
            "sklearn.utils._metadata_requests.MethodMetadataRequest",
            # Trees of points in Cython, as `Tree` below: arrays that are indexed without a check.
            "sklearn.metrics._dist_metrics.EuclideanDistance64",
            "sklearn.metrics._dist_metrics.ManhattanDistance64",
            "sklearn.neighbors._ball_tree.BallTree",
            "sklearn.neighbors._kd_tree.KDTree",
        ),
        "ObjectNode",
    ),
}
#: What a partial may be of. A partial calls its function with what the file says.
PARTIAL_FUNCTIONS = frozenset({"sklearn.utils.validation.check_array"})
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
    *BOUND_TYPES,
)
#: What a numpy random generator may be built on; its name is text that skops turns into a class.
_BIT_GENERATORS = frozenset({"MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64"})
#: What builds a node. Not here: whatever calls something the file names (methods, operators,
#: constructors). A partial is checked on its own.
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
        "PartialNode",
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
    if loader != BOUND_TYPES.get(name, loader):
        raise NotPlain(f"the type {name} in a {loader}", f"a {BOUND_TYPES[name]}", _TYPE_STEP)
    if loader == "PartialNode":
        _check_partial(node, name)
    if loader == "JsonNode" and not isinstance(node.get("content"), str):
        raise NotPlain("a JSON node without text", "JSON as text")
    if loader == "RandomGeneratorNode" and _bit_generator(node) not in _BIT_GENERATORS:
        raise NotPlain(f"a generator on {_bit_generator(node)!r}", "numpy's own bit generators")


def _check_partial(node: dict[str, Any], name: str) -> None:
    """Let a partial be of one of our functions alone, written out where it is used.

    A node that repeats another one (CachedNode) is refused: what it repeats is not seen here.
    """
    content = node.get("content")
    function = content.get("func") if isinstance(content, dict) else None
    if not isinstance(function, dict) or function.get("__loader__") != "FunctionNode":
        raise NotPlain("a partial of something that is no function", "a function", _TYPE_STEP)
    called = f"{function.get('__module__')}.{function.get('__class__')}"
    if name != "functools.partial" or called not in PARTIAL_FUNCTIONS:
        raise NotPlain(f"a partial of {called}", ", ".join(sorted(PARTIAL_FUNCTIONS)), _TYPE_STEP)


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
    names = {f"{node.get('__module__')}.{node.get('__class__')}" for node in _nodes(schema)}
    return sorted(names)
