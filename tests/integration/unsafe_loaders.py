"""The loaders people use, without any guard: the control that each payload really runs.

Runs in a child process, never in the tests': `python unsafe_loaders.py CASES.json`, a list of
[loader, folder, file]. Each load happens in a fork of its own and may end as it likes.
"""

from __future__ import annotations

import bz2
import gzip
import importlib
import io
import json
import lzma
import os
import pickle
import site
import sys
import zipfile
from pathlib import Path
from typing import Any

import joblib
import mlflow.pyfunc
import mlflow.sklearn
import numpy
import yaml


def _zip_member(path: Path) -> None:
    """As torch.load does with its own zip: unpickle the member that is the model."""
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.endswith((".pkl", ".p")):
                pickle.loads(archive.read(name))


def _lenient_zip(path: Path) -> None:
    """As a reader that believes the members' own headers and not the directory."""
    body = path.read_bytes()
    name, extra = body[26] | body[27] << 8, body[28] | body[29] << 8
    pickle.loads(body[30 + name + extra :])


def _zip_in_zip(path: Path) -> None:
    with zipfile.ZipFile(path) as outer:
        inner = io.BytesIO(outer.read("inner.zip"))
    with zipfile.ZipFile(inner) as archive:
        pickle.loads(archive.read("data.pkl"))


def _skops_array(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        numpy.load(io.BytesIO(archive.read("9.npy")), allow_pickle=True)


def _arrays(path: Path) -> None:
    found = numpy.load(path, allow_pickle=True)
    if hasattr(found, "files"):
        for name in found.files:
            found[name]


def _import(folder: Path) -> None:
    sys.path.insert(0, str(folder))
    sys.modules.pop("sitecustomize", None)
    importlib.import_module("sitecustomize")


def _opened(path: Path, how: Any) -> None:
    with how(path) as stream:
        pickle.load(stream)


LOADERS: dict[str, Any] = {
    "pickle": lambda path: _opened(path, lambda p: p.open("rb")),
    "gzip": lambda path: _opened(path, gzip.open),
    "bz2": lambda path: _opened(path, bz2.open),
    "xz": lambda path: _opened(path, lzma.open),
    "joblib": joblib.load,
    "numpy": _arrays,
    "zip-member": _zip_member,
    "lenient-zip": _lenient_zip,
    "zip-in-zip": _zip_in_zip,
    "skops-array": _skops_array,
    "mlflow-sklearn": lambda folder: mlflow.sklearn.load_model(str(folder)),
    "pyfunc": lambda folder: mlflow.pyfunc.load_model(str(folder)),
    "yaml": lambda path: yaml.unsafe_load(path.read_text()),
    "site": lambda folder: site.addsitedir(str(folder)),
    "import": _import,
}


def main(cases: list[list[str]]) -> None:
    """Load each case in a fork."""
    for loader, folder, file in cases:
        child = os.fork()
        if child == 0:
            quiet = os.open(os.devnull, os.O_WRONLY)
            os.dup2(quiet, 1)
            os.dup2(quiet, 2)
            place = Path(folder) / file if file else Path(folder)
            os.chdir("/")
            try:
                LOADERS[loader](place)
            finally:
                os._exit(0)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
