"""The readers of model files, on bytes made by hand: what is whole is told, the rest is refused."""

from __future__ import annotations

import io
import json
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from airlock import artifacts
from airlock.artifacts.mlmodel import FLAVORS, read_mlmodel
from airlock.artifacts.refusals import NotPlain
from airlock.gates.artifact_format import SAFE_LOADERS, SAFE_MODEL_FORMATS

pytestmark = pytest.mark.unit


def test_an_empty_folder_has_no_facts(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one file"):
        artifacts.facts(tmp_path)


def test_a_flavor_has_a_format_that_may_be_released_and_a_loader_that_may_be_named() -> None:
    assert {flavor.format for flavor in FLAVORS.values()} <= set(SAFE_MODEL_FORMATS)
    assert {flavor.loader for flavor in FLAVORS.values()} == set(SAFE_LOADERS)


# -- bytes ---------------------------------------------------------------------------------------


def node(module: str, name: str, loader: str, content: Any = None, **more: Any) -> dict[str, Any]:
    document = {"__module__": module, "__class__": name, "__loader__": loader, **more}
    return document if content is None else {**document, "content": content}


CHECK_ARRAY = ("sklearn.utils.validation", "check_array")


def partial_of(
    module: str, name: str, loader: str = "FunctionNode", partial: str = "partial"
) -> dict[str, Any]:
    """Return a partial of what is named, as skops writes it."""
    return node("functools", partial, "PartialNode", {"func": node(module, name, loader)})


def schema(root: dict[str, Any], **over: Any) -> bytes:
    return json.dumps({**root, "protocol": 2, "_skops_version": "0.16.0", **over}).encode()


ROOT = node("builtins", "list", "ListNode", [])
ARRAY = node("numpy", "ndarray", "NdArrayNode", type="numpy", file="1.npy")


def npy(described: str = "'<f8'", shape: str = "(1,)", data: bytes = b"\0" * 8) -> bytes:
    header = f"{{'descr': {described}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def zipped(members: dict[str, bytes], comment: bytes = b"", method: int = 0) -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        archive.comment = comment
    return body.getvalue()


def skops(
    root: dict[str, Any] = ROOT, members: dict[str, bytes] | None = None, **over: Any
) -> bytes:
    return zipped({"schema.json": schema(root, **over)} | (members or {}))


def sparse(described: str = "'<f8'") -> dict[str, Any]:
    inner = zipped({"data.npy": npy(described)}, method=zipfile.ZIP_DEFLATED)
    root = node("scipy.sparse._csr", "csr_matrix", "SparseMatrixNode", type="scipy", file="2.npz")
    return {"root": root, "members": {"2.npz": inner}}


def tensors(header: Any = None, data: bytes = b"\0" * 8, length: int | None = None) -> bytes:
    default_header = {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}
    text = json.dumps(default_header if header is None else header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def message(*fields: tuple[int, bytes | int]) -> bytes:
    out = b""
    for number, value in fields:
        wire = 0 if isinstance(value, int) else 2
        out += varint(number << 3 | wire)
        out += varint(value) if isinstance(value, int) else varint(len(value)) + value
    return out


def varint(value: int) -> bytes:
    out = b""
    while True:
        value, low = value >> 7, value & 0x7F
        out += bytes([low | (0x80 if value else 0)])
        if not value:
            return out


def onnx(*graph: tuple[int, bytes | int], domain: bytes = b"", model: Any = ()) -> bytes:
    abs_node = message((1, b"x"), (2, b"y"), (4, b"Abs"), (7, domain))
    opset = message((1, b""), (2, 17))
    return message((1, 10), (7, message((1, abs_node), *graph)), (8, opset), *model)


def outside(location: bytes, length: bytes = b"4") -> tuple[int, bytes]:
    entries = [message((1, k), (2, v)) for k, v in ((b"location", location), (b"length", length))]
    return 5, message((1, 1), (2, 1), *((13, entry) for entry in entries), (14, 1))


def ubj(name: str = "learner", tail: bytes = b"") -> bytes:
    def text(value: str) -> bytes:
        return b"L" + struct.pack(">q", len(value)) + value.encode()

    inner = b"{" + text("gradient_booster") + b"{}" + text("learner_model_param") + b"{}"
    inner += text("objective") + b"{}" + text("weights") + b"[$d#L" + struct.pack(">q", 2)
    inner += b"\0" * 8 + b"}"
    version = b"[#L" + struct.pack(">q", 1) + b"i\x03"
    return b"{" + text(name) + inner + text("version") + version + b"}" + tail


LIGHTGBM = (
    "tree\nversion=v4\nnum_class=1\nmax_feature_idx=1\nfeature_names=a b\n\n"
    "Tree=0\nleaf_value=1 2\n\nend of trees\n\nfeature_importances:\na=1\n\n"
    "parameters:\n[boosting: gbdt]\n[lambda_l1: 0]\n"
    "end of parameters\n\npandas_categorical:null\n"
)


def cbm(core: int = 12, root: int = 4, tail: bytes = b"") -> bytes:
    return b"CBM1" + struct.pack("<II", core, root) + struct.pack("<i", 4) + b"\0" * 4 + tail


GOOD: dict[str, bytes] = {
    "skops": skops(),
    "skops with an array": skops(ARRAY, {"1.npy": npy()}),
    "skops with a table": skops(
        ARRAY, {"1.npy": npy("[('a', '<f8'), ('b', 'u1')]", data=b"\0" * 9)}
    ),
    "skops with a sparse matrix": skops(**sparse()),
    "safetensors": tensors(),
    "onnx": onnx(),
    "xgboost": ubj(),
    "xgboost as JSON": b'{"version":[3,2,0],"learner":'
    b'{"gradient_booster":{},"learner_model_param":{},"objective":{}}}',
    "lightgbm": LIGHTGBM.encode(),
    "catboost": cbm(),
}

BAD: dict[str, tuple[bytes, str]] = {
    "skops of an older protocol": (skops(protocol=1), "the skops protocol 1"),
    "skops of protocol true": (skops(protocol=True), "the skops protocol True"),
    "skops that calls a method": (
        skops(node("a", "b", "MethodNode", {"func": "x"})),
        "built by 'MethodNode'",
    ),
    "skops that makes a partial of a foreign function": (
        skops(partial_of("os", "system")),
        "a partial of os.system",
    ),
    "skops that makes a partial of a function on the list": (
        skops(partial_of("numpy", "absolute")),
        "a partial of numpy.absolute",
    ),
    "skops that makes a partial of what it repeats": (
        skops(partial_of("os", "system", "CachedNode")),
        "a partial of something that is no function",
    ),
    "skops that makes a partial of a type": (
        skops(partial_of("sklearn.utils.validation", "check_array", "TypeNode")),
        "a partial of something that is no function",
    ),
    "skops that makes a partial of a subclass": (
        skops(partial_of("sklearn.utils.validation", "check_array", partial="Partial")),
        "the type functools.Partial",
    ),
    "skops that builds another type as a partial": (
        skops(
            node("builtins", "list", "PartialNode", {"func": node(*CHECK_ARRAY, "FunctionNode")})
        ),
        "a partial of sklearn.utils.validation.check_array",
    ),
    "skops that gives a partial a state": (
        skops(node("functools", "partial", "ObjectNode", {})),
        "the type functools.partial in a ObjectNode",
    ),
    "skops that takes a selector for a function": (
        skops(node("sklearn.compose._column_transformer", "make_column_selector", "FunctionNode")),
        "make_column_selector in a FunctionNode",
    ),
    "skops that takes a dtype for a type": (
        skops(node("numpy", "dtype", "TypeNode")),
        "the type numpy.dtype in a TypeNode",
    ),
    "skops with a distance that calls": (
        skops(node("sklearn.metrics._dist_metrics", "PyFuncDistance64", "ObjectNode")),
        "the type sklearn.metrics._dist_metrics.PyFuncDistance64",
    ),
    "skops that makes a partial of nothing": (
        skops(node("functools", "partial", "PartialNode")),
        "a partial of something that is no function",
    ),
    "skops with an operator": (skops(node("operator", "call", "OperatorFuncNode")), "OperatorFunc"),
    "skops with a constructor": (
        skops(node("os", "system", "ConstructorFromReduceNode")),
        "ConstructorFromReduceNode",
    ),
    "skops with a foreign type": (
        skops(node("os", "system", "FunctionNode")),
        "the type os.system",
    ),
    "skops with a type inside": (
        skops(node("builtins", "list", "ListNode", [node("os", "system", "TypeNode")])),
        "the type os.system",
    ),
    "skops with a type under any name": (
        skops(ROOT | {"more": {"deep": [node("posix", "system", "TypeNode")]}}),
        "the type posix.system",
    ),
    "skops with a node without a loader": (
        skops(ROOT | {"more": {"__module__": "os", "__class__": "system"}}),
        "built by None",
    ),
    "skops with a generator on a function": (
        skops(
            node(
                "numpy.random._generator",
                "Generator",
                "RandomGeneratorNode",
                {"bit_generator": {"content": {"bit_generator": {"content": '"seed"'}}}},
            )
        ),
        "a generator on 'seed'",
    ),
    "skops with a member nobody uses": (skops(ROOT, {"9.npy": npy()}), "9.npy, in the zip or"),
    "skops with a member that is not there": (skops(ARRAY), "1.npy, in the zip or"),
    "skops with objects": (skops(ARRAY, {"1.npy": npy("'|O'")}), "whose data is a pickle"),
    "skops with objects in a table": (
        skops(ARRAY, {"1.npy": npy("[('a', '|O')]")}),
        "whose data is a pickle",
    ),
    "skops with objects in a sparse matrix": (skops(**sparse("'|O'")), "whose data is a pickle"),
    "skops with bytes behind an array": (
        skops(ARRAY, {"1.npy": npy(data=b"\0" * 9)}),
        "1.npy with 9 bytes of data",
    ),
    "skops with a header that is code": (
        skops(ARRAY, {"1.npy": npy("__import__('os')")}),
        "an unreadable header",
    ),
    "skops with a script": (
        skops(ARRAY | {"file": "x.py"}, {"x.py": b"import os"}),
        "the member x.py",
    ),
    "skops with a path": (
        skops(ARRAY | {"file": "../1.npy"}, {"../1.npy": npy()}),
        "plain file names",
    ),
    "skops with a name twice in its schema": (
        zipped({"schema.json": b'{"protocol": 2, "protocol": 2, "__loader__": "ListNode"}'}),
        "a name is there twice",
    ),
    "a zip bomb": (
        zipped({"schema.json": b"[" * (64 << 20)}, method=zipfile.ZIP_DEFLATED),
        "that unpack to",
    ),
    "a zip of a strange method": (zipped({"schema.json": b"{}"}, method=12), "packed by method 12"),
    "a zip with a comment": (
        zipped({"schema.json": schema(ROOT)}, b"hello"),
        "behind the directory",
    ),
    "a zip behind something": (b"PK\x03\x04junk" + skops(), "belong to no member"),
    "a zip before something": (skops() + b"junk", "behind the directory"),
    "a zip without a schema": (zipped({"a.npy": npy()}), "a zip without schema.json"),
    "half a zip": (skops()[:60], "a broken zip"),
    "safetensors with a gap": (
        tensors({"a": {"dtype": "U8", "shape": [4], "data_offsets": [4, 8]}}),
        "a gap or an overlap",
    ),
    "safetensors with bytes behind": (tensors(data=b"\0" * 9), "1 bytes behind the tensors"),
    "safetensors of another size": (
        tensors({"a": {"dtype": "F64", "shape": [2], "data_offsets": [0, 8]}}),
        "another size",
    ),
    "safetensors of an unknown kind": (
        tensors({"a": {"dtype": "PICKLE", "shape": [8], "data_offsets": [0, 8]}}),
        "unknown kind",
    ),
    "safetensors with a huge header": (tensors(length=1 << 31), "a header of"),
    "safetensors without tensors": (tensors({}, b""), "behind the tensors"),
    "onnx with a field nobody knows": (onnx(model=((99, b"x"),)), "a field 99 in a model"),
    "onnx with training": (onnx(model=((20, b""),)), "a field 20 in a model"),
    "onnx with foreign operators": (onnx(domain=b"evil.ops"), "operators of 'evil.ops'"),
    "onnx that configures the runtime": (
        onnx(model=((14, message((1, b"ort_config"), (2, b"{}"))),)),
        "configures the runtime",
    ),
    "onnx with weights elsewhere": (onnx(outside(b"/etc/passwd")), "weights in '/etc/passwd'"),
    "onnx with weights above": (onnx(outside(b"../w")), "weights in '../w'"),
    "onnx without a graph": (message((1, 10), (8, message((2, 17)))), "no graph"),
    "onnx with bytes behind": (onnx() + b"\xff\xff", "breaks off"),
    "xgboost with bytes behind": (ubj(tail=b"x"), "1 bytes behind the model"),
    "xgboost without a learner": (ubj("leerner"), "data without a learner"),
    "xgboost with something else": (
        b'{"learner":{"gradient_booster":{},"learner_model_param":{},"objective":{}},"version":[],'
        b'"evil":1}',
        "data without a learner",
    ),
    "half an xgboost model": (ubj()[:60], "breaks off"),
    "lightgbm with a script": (LIGHTGBM.encode() + b"import os\n", "'import os'"),
    "lightgbm with binary": (LIGHTGBM.encode() + b"a=\x00\n", "line"),
    "lightgbm without trees": (b"tree\nversion=v4\nnum_class=1\nmax_feature_idx=1\n", "no end of"),
    "catboost with parts behind": (cbm(tail=b"x"), "bytes behind a header"),
    "catboost without a table": (cbm(root=100), "without a root"),
    "a requirement from elsewhere": (b"--index-url http://x\nnumpy==1\n", "no known format"),
    "an alias in YAML": (b"a: &x [1]\nb: *x\n", "an anchor or alias"),
    "a tag in YAML": (b"a: !!python/name:os.system\n", "a tag"),
    "a name twice in YAML": (b"name: a\nname: b\ndependencies: []\n", "a name is there twice"),
    "a deep JSON": (b"[" * 100_000, "no JSON"),
    "nothing": (b"", "an empty file"),
    "a script": (b"#!/bin/sh\ntouch x\n", "no known format"),
    "7z": (b"7z\xbc\xaf\x27\x1c" + b"\0" * 50, "bytes of no known format"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + b"\0" * 50, "bytes of no known format"),
    "a tar": (b"model.pkl" + b"\0" * 600, "no plain YAML"),
}


@pytest.mark.parametrize("case", GOOD)
def test_a_whole_file_is_told_by_its_bytes(tmp_path: Path, case: str) -> None:
    path = tmp_path / "requirements.txt"
    path.write_bytes(GOOD[case])
    kind = artifacts.kind_of(path, "x")
    assert kind.refusal is None, kind.refusal
    assert kind.format == case.split(" ")[0]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("case", BAD)
def test_the_rest_is_refused_with_what_was_found(tmp_path: Path, case: str) -> None:
    body, words = BAD[case]
    path = tmp_path / "model.skops"
    path.write_bytes(body)
    kind = artifacts.kind_of(path, "model.skops")
    assert kind.format == "unknown"
    assert kind.refusal is not None
    assert words in kind.refusal.sentence()
    assert kind.refusal.next_step


@pytest.mark.parametrize("case", GOOD)
def test_no_shorter_file_is_whole(tmp_path: Path, case: str) -> None:
    body, path = GOOD[case], tmp_path / "x"
    for end in range(1, len(body) - 1, max(1, len(body) // 200)):
        path.write_bytes(body[:end])
        assert artifacts.format_of(path) not in SAFE_MODEL_FORMATS or case == "lightgbm", end


@pytest.mark.parametrize("case", GOOD)
def test_a_changed_byte_is_told_or_refused_but_never_breaks_the_reader(
    tmp_path: Path, case: str
) -> None:
    body, path = GOOD[case], tmp_path / "x"
    for at in range(0, len(body), max(1, len(body) // 200)):
        for flip in (0x01, 0x80, 0xFF):
            path.write_bytes(body[:at] + bytes([body[at] ^ flip]) + body[at + 1 :])
            kind = artifacts.kind_of(path, "x")
            assert (kind.refusal is None) == (kind.format not in ("unknown", "pickle"))


def test_pipes_and_links_are_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/etc/passwd")
    formats = {f["path"]: f["format"] for f in artifacts.facts(tmp_path)["files"]}
    assert formats == {"link": "symlink", "pipe": "special"}


def test_a_sparse_file_of_a_hundred_gigabytes_is_refused_at_once(tmp_path: Path) -> None:
    with (tmp_path / "huge").open("wb") as stream:
        stream.truncate(100 << 30)
    assert artifacts.kind_of(tmp_path / "huge", "huge").format == "unknown"


# -- MLmodel -------------------------------------------------------------------------------------

MLMODEL: dict[str, Any] = {
    "flavors": {
        "python_function": {
            "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
            "loader_module": "mlflow.sklearn",
            "model_path": "model.skops",
            "predict_fn": "predict",
            "python_version": "3.11.7",
        },
        "sklearn": {
            "code": None,
            "pickled_model": "model.skops",
            "serialization_format": "skops",
            "sklearn_version": "1.9.1",
            "skops_trusted_types": ["os.system"],
        },
    },
    "mlflow_version": "3.17.2",
    "model_uuid": "0123456789abcdef",
    "utc_time_created": "2026-11-21 12:00:00",
}


def folder(tmp_path: Path, document: Any) -> Path:
    (tmp_path / "MLmodel").write_text(yaml.safe_dump(document))
    (tmp_path / "model.skops").write_bytes(GOOD["skops"])
    return tmp_path


def changed(*path: str, to: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.dumps(MLMODEL))
    inner = document
    for key in path[:-1]:
        inner = inner.setdefault(key, {})
    inner[path[-1]] = to
    return document


def test_an_ordinary_mlmodel_is_read(tmp_path: Path) -> None:
    mlmodel = read_mlmodel(folder(tmp_path, MLMODEL) / "MLmodel")
    assert (mlmodel.flavor, mlmodel.format, mlmodel.data) == ("sklearn", "skops", "model.skops")
    assert mlmodel.claimed_types == ("os.system",), "shown, and believed by nobody"
    facts = artifacts.facts(tmp_path)
    assert (facts["unknown"], facts["refusals"]) == ([], [])


PYFUNC = ("flavors", "python_function")
SKLEARN = ("flavors", "sklearn")
TRICKS: dict[str, dict[str, Any]] = {
    "a foreign loader": changed(*PYFUNC, "loader_module", to="evil"),
    "MLflow's loader of any Python": changed(*PYFUNC, "loader_module", to="mlflow.pyfunc.model"),
    "the loader of another flavor": changed(*PYFUNC, "loader_module", to="mlflow.xgboost"),
    "no loader": changed(*PYFUNC, "loader_module", to=None),
    "a list of loaders": changed(*PYFUNC, "loader_module", to=["mlflow.sklearn"]),
    "code": changed(*PYFUNC, "code", to="code"),
    "code of the flavor": changed(*SKLEARN, "code", to="code"),
    "an empty code": changed(*PYFUNC, "code", to=""),
    "a model script": changed(*PYFUNC, "model_code_path", to="model.py"),
    "a configuration": changed(*PYFUNC, "config", to={"a": 1}),
    "a model configuration": changed(*PYFUNC, "model_config", to={"a": 1}),
    "a Python model": changed(*PYFUNC, "python_model", to="model.pkl"),
    "a strange method": changed(*PYFUNC, "predict_fn", to="__reduce__"),
    "a pickle": changed(*SKLEARN, "serialization_format", to="cloudpickle"),
    "a file elsewhere": changed(*SKLEARN, "pickled_model", to="../model.skops"),
    "an absolute file": changed(*SKLEARN, "pickled_model", to="/tmp/model.skops"),
    "two files": changed(*PYFUNC, "model_path", to="other.skops"),
    "an environment elsewhere": changed(*PYFUNC, "env", to={"conda": "../conda.yaml"}),
    "another flavor": changed("flavors", "pytorch", to={}),
    "two flavors": changed("flavors", "xgboost", to={}),
    "no flavor": changed("flavors", to={"python_function": MLMODEL["flavors"]["python_function"]}),
    "flavors that are a list": changed("flavors", to=["sklearn"]),
    "a flavor that is text": changed(*SKLEARN, to="sklearn"),
    "an unknown key": changed("hooks", to=["evil"]),
    "resources": changed("resources", to={"api": 1}),
    "an authentication policy": changed("auth_policy", to={"a": 1}),
    "a signature that is no JSON": changed("signature", to={"inputs": "{"}),
    "deep metadata": changed("metadata", to={"a": {"b": {"c": {"d": {"e": {"f": 1}}}}}}),
    "a run that leads elsewhere": changed("run_id", to="../x"),
    "variables that are none": changed("env_vars", to=["a b"]),
}


@pytest.mark.parametrize("trick", TRICKS)
def test_whatever_a_loader_could_be_told_is_refused(tmp_path: Path, trick: str) -> None:
    with pytest.raises(NotPlain):
        read_mlmodel(folder(tmp_path, TRICKS[trick]) / "MLmodel")
    facts = artifacts.facts(tmp_path)
    assert facts["unknown"] == ["MLmodel"]
    assert facts["refusals"]
    assert facts["model"] is None


@pytest.mark.parametrize(
    ("flavor", "keys"),
    [
        ("xgboost", {"data": "m.ubj", "model_class": "os.system", "model_format": "ubj"}),
        (
            "xgboost",
            {"data": "m.ubj", "model_class": "xgboost.core.Booster", "model_format": "pkl"},
        ),
        ("lightgbm", {"data": "m.lgb", "model_class": "evil.Model"}),
        (
            "lightgbm",
            {
                "data": "m.pkl",
                "model_class": "lightgbm.basic.Booster",
                "serialization_format": "cloudpickle",
            },
        ),
        ("onnx", {"data": "m.onnx", "onnx_session_options": {"a": 1}}),
        ("catboost", {"model_binary": "m.cb", "model_type": "CatBoost", "save_format": "python"}),
    ],
)
def test_no_flavor_may_name_a_class_or_a_way_to_load(
    tmp_path: Path, flavor: str, keys: dict[str, Any]
) -> None:
    document = changed("flavors", to={flavor: keys})
    with pytest.raises(NotPlain):
        read_mlmodel(folder(tmp_path, document) / "MLmodel")


def second_model(place: Path) -> None:
    (place / "other.skops").write_bytes(GOOD["skops"])


def second_mlmodel(place: Path) -> None:
    (place / "MLmodel2").write_text((place / "MLmodel").read_text())


def in_a_folder(place: Path) -> None:
    (place / "metadata").mkdir()
    (place / "metadata" / "a.json").write_text("{}")


def gone(place: Path) -> None:
    (place / "model.skops").unlink()


def other_format(place: Path) -> None:
    (place / "model.skops").write_bytes(GOOD["onnx"])


@pytest.mark.parametrize("deed", [second_model, second_mlmodel, in_a_folder, gone, other_format])
def test_one_folder_holds_the_one_model_it_describes(
    tmp_path: Path, deed: Callable[[Path], None]
) -> None:
    place = folder(tmp_path, MLMODEL)
    deed(place)
    assert artifacts.facts(place)["refusals"]


@pytest.mark.parametrize("size", [0, 3, 5])
def test_weights_outside_are_as_long_as_the_model_says(tmp_path: Path, size: int) -> None:
    (tmp_path / "m.onnx").write_bytes(onnx(outside(b"w.data")))
    (tmp_path / "w.data").write_bytes(b"\xff" * 4)
    good = {f["path"]: f["format"] for f in artifacts.facts(tmp_path)["files"]}
    assert good == {"m.onnx": "onnx", "w.data": "onnx-data"}
    (tmp_path / "w.data").write_bytes(b"\xff" * size)
    assert "w.data" in artifacts.facts(tmp_path)["unknown"]
    (tmp_path / "w.data").unlink()
    assert "w.data" in artifacts.facts(tmp_path)["unknown"]
