"""The small text files MLflow writes beside a model: what they may say.

Requirements are exact versions from an index; no address, no option, no path, because a serving
host installs what they say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from airlock.artifacts.mlmodel import read_mlmodel
from airlock.artifacts.plain_text import TEXT_LIMIT, read_json, read_yaml
from airlock.artifacts.refusals import NotPlain

_PINNED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[A-Za-z0-9,._-]+\])?==[A-Za-z0-9.+!_-]+")
_TOOL = re.compile(r"(pip|setuptools|wheel)((==|<=|>=|<|>)[0-9A-Za-z.]+)?")
_PYTHON = re.compile(r"python=+3\.[0-9]{1,2}(\.[0-9]{1,2})?")
_PYTHON_VERSION = re.compile(r"3\.[0-9]{1,2}(\.[0-9]{1,2})?")
_CHANNELS = frozenset({"conda-forge", "defaults", "nodefaults"})
_STEP = "Give exact versions: `pip_requirements=['name==1.2.3']` when the model is logged."
_PIN = "name==version, one per line"


def kind_of_text(path: Path) -> tuple[str, tuple[str, ...]]:
    """Return the kind of a text file, and the requirements it names.

    Raises:
        NotPlain: if it is none of the files MLflow writes.
    """
    if path.stat().st_size > TEXT_LIMIT:
        raise NotPlain(f"{path.stat().st_size:,} bytes of no known format", "a format on the list")
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotPlain("bytes of no known format", "a format on the list") from error
    if not text.strip():
        raise NotPlain("an empty file", "a format on the list", "Leave it out.")
    if text.lstrip()[:1] in "{[":
        read_json(text)
        return "json", ()
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if all(_PINNED.fullmatch(line) for line in lines):
        return "requirements", tuple(lines)
    if path.name == "requirements.txt":
        bad = next(line for line in lines if not _PINNED.fullmatch(line))
        raise NotPlain(f"the requirement {bad!r}", _PIN, _STEP)
    return _kind_of_yaml(path, read_yaml(text))


def _kind_of_yaml(path: Path, document: Any) -> tuple[str, tuple[str, ...]]:
    keys = set(document) if isinstance(document, dict) else set()
    if "flavors" in keys:
        read_mlmodel(path)
        return "mlmodel", ()
    if {"name", "dependencies"} <= keys <= {"name", "channels", "dependencies"}:
        return "conda-env", _conda(document)
    if {"python", "dependencies"} <= keys <= {"python", "build_dependencies", "dependencies"}:
        return "python-env", _python(document)
    named = keys and keys <= {"model_name", "model_version"}
    if named and all(isinstance(value, str | int) for value in document.values()):
        return "registered-model", ()
    raise NotPlain("text of no known format", "a format on the list")


def _conda(document: dict[str, Any]) -> tuple[str, ...]:
    channels = document.get("channels") or []
    if not isinstance(channels, list) or not set(map(str, channels)) <= _CHANNELS:
        raise NotPlain(f"the channels {channels!r}", ", ".join(sorted(_CHANNELS)), _STEP)
    pinned: list[str] = []
    for dependency in _list(document["dependencies"]):
        if isinstance(dependency, dict) and set(dependency) == {"pip"}:
            pinned += _requirements(_list(dependency["pip"]))
        elif not isinstance(dependency, str) or not (
            _PYTHON.fullmatch(dependency) or _TOOL.fullmatch(dependency)
        ):
            raise NotPlain(
                f"the dependency {dependency!r}", "python=3.x.y, pip, and pinned packages"
            )
    return tuple(pinned)


def _python(document: dict[str, Any]) -> tuple[str, ...]:
    if not _PYTHON_VERSION.fullmatch(str(document["python"])):
        raise NotPlain(f"python {document['python']!r}", "a version such as 3.11.7", _STEP)
    for tool in _list(document.get("build_dependencies") or []):
        if not isinstance(tool, str) or not _TOOL.fullmatch(tool):
            raise NotPlain(f"the build dependency {tool!r}", "pip, setuptools, wheel", _STEP)
    others = [
        dependency
        for dependency in _list(document["dependencies"])
        if dependency != "-r requirements.txt"
    ]
    return tuple(_requirements(others))


def _requirements(requirements: Iterable[Any]) -> list[str]:
    pinned = []
    for requirement in requirements:
        if not isinstance(requirement, str) or not _PINNED.fullmatch(requirement):
            raise NotPlain(f"the requirement {requirement!r}", _PIN, _STEP)
        pinned.append(requirement)
    return pinned


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise NotPlain(f"{value!r} where a list belongs", "a list", _STEP)
    return value
