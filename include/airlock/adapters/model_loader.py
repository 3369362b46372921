"""Build a model from a folder that the allow-list has accepted, by the format's own loader.

Which loader is decided by the flavor and our table; nothing in the folder names code to import.
Classes come from the installed libraries by names in this file. Scikit-learn models are built by
skops with our trust list, never with the model's.

It checks no bytes: `airlock.artifacts` has done so on the same private copy.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from airlock.artifacts.skops_file import OWN_TYPES
from airlock.domain.errors import Invalid, Refused


def build_model(folder: Path, described: Mapping[str, Any], name: str) -> Any:
    """Return the model in *folder*; *described* is the `model` of its artifact facts.

    Raises:
        Invalid: if the library for it is not installed here.
        Refused: if the library does not accept the file.
    """
    path = folder / described["file"]
    loader = _LOADERS.get(described["format"])
    if loader is None:
        raise Refused(f"there is no loader for {described['format']} models")
    try:
        return loader(path, described["class"])
    except ImportError as error:
        raise Invalid(
            f"{name} needs {error.name}, which is not installed here",
            next_step="Install the versions its requirements.txt names.",
        ) from error
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise Refused(f"{name} does not load: {type(error).__name__}: {reason}") from error


def _skops(path: Path, _class: str) -> Any:
    import skops.io

    return skops.io.load(path, trusted=list(OWN_TYPES))


def _xgboost(path: Path, class_name: str) -> Any:
    model = _named(class_name)()
    model.load_model(str(path))
    return model


def _lightgbm(path: Path, _class: str) -> Any:
    return importlib.import_module("lightgbm").Booster(model_file=str(path))


def _onnx(path: Path, _class: str) -> Any:
    runtime = importlib.import_module("onnxruntime")
    return runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def _catboost(path: Path, _class: str) -> Any:
    model = importlib.import_module("catboost").CatBoost()
    model.load_model(str(path), format="cbm")
    return model


#: The classes a model file may ask for, each with the module it is taken from.
_CLASSES: Mapping[str, tuple[str, str]] = {
    "xgboost.core.Booster": ("xgboost", "Booster"),
    "xgboost.sklearn.XGBClassifier": ("xgboost", "XGBClassifier"),
    "xgboost.sklearn.XGBRFClassifier": ("xgboost", "XGBRFClassifier"),
    "xgboost.sklearn.XGBRFRegressor": ("xgboost", "XGBRFRegressor"),
    "xgboost.sklearn.XGBRanker": ("xgboost", "XGBRanker"),
    "xgboost.sklearn.XGBRegressor": ("xgboost", "XGBRegressor"),
}


def _named(class_name: str) -> Callable[[], Any]:
    module, attribute = _CLASSES[class_name]
    factory: Callable[[], Any] = getattr(importlib.import_module(module), attribute)
    return factory


_LOADERS: Mapping[str, Callable[[Path, str], Any]] = {
    "catboost": _catboost,
    "lightgbm": _lightgbm,
    "onnx": _onnx,
    "skops": _skops,
    "xgboost": _xgboost,
}
