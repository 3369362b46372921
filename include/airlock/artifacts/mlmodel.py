"""MLmodel by our own schema: every key and every value has to be one we know.

MLflow's own reader does what the file says: it imports `loader_module`, puts `code` on the path,
runs a model script, builds `model_class`, believes `skops_trusted_types`. Here the file is read
as plain data, and whatever could make somebody else's loader run code is refused, so that a
model that reaches the registry is harmless to every consumer, not only to ours.

It is not asked how to load a model: `airlock.serving` decides that by the flavor and our lists.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airlock.artifacts.plain_text import read_json, read_yaml
from airlock.artifacts.refusals import NotPlain, show

_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")
_WORD = re.compile(r"[A-Za-z0-9_.+:/ -]{1,200}")
_VERSION = re.compile(r"[0-9][A-Za-z0-9.+!-]{0,40}")
_ENVIRONMENT = re.compile(r"[A-Z][A-Z0-9_]{0,100}")
_STEP = "Log the model again with mlflow.<flavor>.log_model, without code, configuration or extras."
PYFUNC = "python_function"

Check = Callable[[Any], bool]


@dataclass(frozen=True, slots=True)
class Flavor:
    """A flavor we load ourselves: its keys, the format its model file must have, its classes."""

    loader: str
    format: str
    data: str
    keys: Mapping[str, Check]
    classes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Described:
    """What an MLmodel file says, as far as we use it."""

    flavor: str
    format: str
    data: str
    model_class: str
    flavors: tuple[str, ...]
    claimed_types: tuple[str, ...]
    predict: str


def _file(value: Any) -> bool:
    return isinstance(value, str) and _FILE.fullmatch(value) is not None


def _version(value: Any) -> bool:
    return isinstance(value, str) and _VERSION.fullmatch(value) is not None


def _none(value: Any) -> bool:
    return value is None


def _one_of(*values: Any) -> Check:
    return lambda value: value in values


def _words(value: Any) -> bool:
    return value is None or (
        isinstance(value, list) and all(isinstance(v, str) and _WORD.fullmatch(v) for v in value)
    )


def _plain(value: Any, depth: int = 0) -> bool:
    """Say whether *value* is small plain data."""
    if isinstance(value, Mapping):
        inner = [*value.keys(), *value.values()]
        return (
            depth < 5 and len(value) < 100 and all(_plain(element, depth + 1) for element in inner)
        )
    if isinstance(value, list):
        return (
            depth < 5 and len(value) < 1000 and all(_plain(element, depth + 1) for element in value)
        )
    return value is None or isinstance(value, str | int | float | bool)


def _json_text(value: Any) -> bool:
    if value is None:
        return True
    if not isinstance(value, str):
        return False
    try:
        read_json(value)
    except NotPlain:
        return False
    return True


def _signature(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and set(value) <= {"inputs", "outputs", "params"}
        and all(_json_text(columns) for columns in value.values())
    )


def _names(value: Any) -> bool:
    return value is None or (
        isinstance(value, list)
        and all(isinstance(v, str) and _ENVIRONMENT.fullmatch(v) for v in value)
    )


def _environment(value: Any) -> bool:
    files = {"conda": "conda.yaml", "virtualenv": "python_env.yaml"}
    return isinstance(value, Mapping) and all(files.get(k) == v for k, v in value.items())


_XGBOOST = ("XGBClassifier", "XGBRegressor", "XGBRanker", "XGBRFClassifier", "XGBRFRegressor")
_LIGHTGBM = ("LGBMClassifier", "LGBMRegressor", "LGBMRanker", "LGBMModel")
_CATBOOST = ("CatBoost", "CatBoostClassifier", "CatBoostRegressor", "CatBoostRanker")
_SKOPS_KEYS: dict[str, Check] = {"skops_trusted_types": _words, "code": _none}

#: Every flavor that may be released.
FLAVORS: Mapping[str, Flavor] = {
    "sklearn": Flavor(
        "mlflow.sklearn",
        "skops",
        "pickled_model",
        {
            "pickled_model": _file,
            "sklearn_version": _version,
            "serialization_format": _one_of("skops"),
            **_SKOPS_KEYS,
        },
    ),
    "xgboost": Flavor(
        "mlflow.xgboost",
        "xgboost",
        "data",
        {
            "xgb_version": _version,
            "data": _file,
            "model_class": _file,
            "model_format": _one_of("ubj", "json"),
            "code": _none,
        },
        frozenset({"xgboost.core.Booster", *(f"xgboost.sklearn.{name}" for name in _XGBOOST)}),
    ),
    "lightgbm": Flavor(
        "mlflow.lightgbm",
        "lightgbm",
        "data",
        {
            "lgb_version": _version,
            "data": _file,
            "model_class": _file,
            "serialization_format": _one_of(None, "skops"),
            **_SKOPS_KEYS,
        },
        frozenset({"lightgbm.basic.Booster", *(f"lightgbm.sklearn.{name}" for name in _LIGHTGBM)}),
    ),
    "onnx": Flavor(
        "mlflow.onnx",
        "onnx",
        "data",
        {
            "onnx_version": _version,
            "data": _file,
            "providers": _words,
            "onnx_session_options": _none,
            "code": _none,
        },
    ),
    "catboost": Flavor(
        "mlflow.catboost",
        "catboost",
        "model_binary",
        {
            "catboost_version": _version,
            "model_binary": _file,
            "model_type": _one_of(*_CATBOOST),
            "save_format": _one_of("cbm"),
            "code": _none,
        },
    ),
}

_TOP: dict[str, Check] = {
    "artifact_path": lambda value: isinstance(value, str) and len(value) < 1000,
    "auth_policy": _none,
    "env_vars": _names,
    "flavors": lambda value: isinstance(value, Mapping),
    "is_signature_from_type_hint": _one_of(True, False, None),
    "metadata": _plain,
    "mlflow_version": _version,
    "model_id": lambda value: value is None or _file(value),
    "model_size_bytes": lambda value: isinstance(value, int),
    "model_uuid": lambda value: value is None or _file(value),
    "prompts": _none,
    "resources": _none,
    "run_id": _file,
    "saved_input_example_info": _plain,
    "signature": _signature,
    "type_hint_from_example": _one_of(True, False, None),
    "utc_time_created": lambda value: isinstance(value, str) and len(value) < 60,
}

_PYFUNC: dict[str, Check] = {
    "code": _none,
    "data": _file,
    "env": _environment,
    "loader_module": _one_of(*(flavor.loader for flavor in FLAVORS.values())),
    "model_binary": _file,
    "model_path": _file,
    "predict_fn": _one_of("predict", "predict_proba", "predict_log_proba", "decision_function"),
    "python_version": _version,
}


def read_mlmodel(path: Path) -> Described:
    """Return the description of a model in an MLmodel file.

    Raises:
        NotPlain: naming the first key or value that is not on our list.
    """
    document = read_yaml(path.read_text("utf-8"))
    if not isinstance(document, dict) or "flavors" not in document:
        raise NotPlain("no mapping with flavors", "an MLmodel file", _STEP)
    _check("MLmodel", document, _TOP)
    flavors = document["flavors"]
    others = sorted(set(flavors) - {PYFUNC})
    if len(others) != 1 or others[0] not in FLAVORS:
        raise NotPlain(
            f"the flavors {', '.join(map(str, sorted(flavors, key=str))) or 'none'}",
            f"one of {', '.join(FLAVORS)}, with or without {PYFUNC}",
            _STEP,
        )
    return _described(others[0], flavors)


def _described(name: str, flavors: Mapping[str, Any]) -> Described:
    flavor, options = FLAVORS[name], flavors[name]
    _check(f"flavor {name}", options, flavor.keys)
    python = flavors.get(PYFUNC, {})
    _check(f"flavor {PYFUNC}", python, _PYFUNC)
    if python.get("loader_module", flavor.loader) != flavor.loader:
        raise NotPlain(
            f"loader_module {python['loader_module']} for the flavor {name}", flavor.loader, _STEP
        )
    model_class = str(options.get("model_class", ""))
    if flavor.classes and model_class not in flavor.classes:
        raise NotPlain(f"model_class {model_class}", " or ".join(sorted(flavor.classes)), _STEP)
    data = str(options.get(flavor.data, ""))
    for key in ("data", "model_path", "model_binary"):
        if python.get(key, data) != data:
            raise NotPlain(f"{key} {python[key]} in one flavor, {data} in another", "one file")
    skops = name == "lightgbm" and model_class != "lightgbm.basic.Booster"
    return Described(
        flavor=name,
        format="skops" if skops else flavor.format,
        data=data,
        model_class=model_class,
        flavors=tuple(sorted(map(str, flavors))),
        claimed_types=tuple(options.get("skops_trusted_types") or ()),
        predict=str(python.get("predict_fn", "predict")),
    )


def _check(where: str, options: Any, checks: Mapping[str, Check]) -> None:
    if not isinstance(options, Mapping):
        raise NotPlain(f"{where}: no mapping", "a mapping", _STEP)
    for key, value in options.items():
        if key not in checks:
            raise NotPlain(f"{where}: the key {key!r}", f"some of {', '.join(checks)}", _STEP)
        if not checks[key](value):
            raise NotPlain(
                f"{where}: {key} {show(repr(value))}", _EXPECTED_VALUES.get(key, "a plain value")
            )


_EXPECTED_VALUES = {
    "code": "none: no code beside the model",
    "loader_module": "MLflow's own loader of a flavor on our list",
    "serialization_format": "skops",
    "onnx_session_options": "none",
    "resources": "none",
    "auth_policy": "none",
    "prompts": "none",
}
