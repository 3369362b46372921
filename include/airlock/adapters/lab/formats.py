"""Name the format of every file of a model folder, by its content and never by its name.

Rules:
* A format is one this module recognises completely; anything else is "unknown".
* Pickle, and every container that could carry pickle, is "pickle" or "unknown". Both are listed
  under `unknown`, so that an allow-list can only be met by what is understood.
* Polyglots are refused: a zip must begin at the first byte and end at the last.
* Nothing is loaded or executed; files beyond a size are not parsed.

It does not judge: the artifact-format gate does. It does not say that a skops file's types are
trusted: loading it with our trust list does (trust.py).
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import yaml

from airlock.domain.digest import file_digest, manifest_digest

_TEXT_LIMIT = 1 << 20
_SCHEMA_LIMIT = 64 << 20
_MEMBERS_LIMIT = 20_000
_PICKLE_START = re.compile(rb"\A\x80[\x00-\x05]")
_REQUIREMENT = re.compile(r"[A-Za-z0-9._-]+(\[[A-Za-z0-9,._-]+\])?==[A-Za-z0-9.+!_-]+")
_EMPTY_END = 22  # bytes of a zip's end record without a comment
_REFUSED = ("unknown", "pickle", "symlink")


def facts(folder: Path) -> dict[str, Any]:
    """Return the artifact-format evidence of a model folder."""
    files = [_file(folder, path) for path in sorted(folder.rglob("*")) if not _is_folder(path)]
    flavors = _flavors(folder / "MLmodel")
    python = flavors.get("python_function", {})
    return {
        "manifestDigest": manifest_digest({item["path"]: item["digest"] for item in files}),
        "files": files,
        "unknown": [item["path"] for item in files if item["format"] in _REFUSED],
        "flavors": sorted(flavors),
        "loaderModule": python.get("loader_module"),
        "code": python.get("code"),
        "serializationFormat": flavors.get("sklearn", {}).get("serialization_format"),
    }


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _file(folder: Path, path: Path) -> dict[str, Any]:
    name = path.relative_to(folder).as_posix()
    if path.is_symlink() or not path.is_file():
        # The target is outside the manifest, so it may change after it was judged.
        return {"path": name, "digest": "", "size": 0, "format": "symlink"}
    return {
        "path": name,
        "digest": file_digest(path),
        "size": path.stat().st_size,
        "format": format_of(path),
    }


def format_of(path: Path) -> str:
    """Return the name of the file's format."""
    with path.open("rb") as stream:
        head = stream.read(4)
    if _PICKLE_START.match(head):
        return "pickle"
    if head == b"PK\x03\x04":
        return _zip_format(path)
    if path.stat().st_size > _TEXT_LIMIT:
        return "unknown"
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        return "unknown"
    return _text_format(text)


def _text_format(text: str) -> str:
    """Recognise the text files MLflow writes."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        pass
    else:
        return "json"
    keys = _mapping(text).keys()
    if {"flavors", "model_uuid"} <= keys:
        return "mlmodel"
    if {"name", "dependencies"} <= keys:
        return "conda-env"
    if {"python", "dependencies"} <= keys:
        return "python-env"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if lines and all(_REQUIREMENT.fullmatch(line) for line in lines):
        return "requirements"
    return "unknown"


def _mapping(text: str) -> dict[str, Any]:
    """Return the text as a YAML mapping, or an empty one."""
    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _flavors(path: Path) -> dict[str, Any]:
    """Return the flavors an MLmodel file declares; each a mapping."""
    if path.is_symlink() or not path.is_file() or path.stat().st_size > _TEXT_LIMIT:
        return {}
    found = _mapping(path.read_text("utf-8", errors="replace")).get("flavors")
    flavors = found if isinstance(found, dict) else {}
    return {str(name): conf if isinstance(conf, dict) else {} for name, conf in flavors.items()}


def _zip_format(path: Path) -> str:
    """Tell a clean skops file from any other zip."""
    try:
        with zipfile.ZipFile(path) as archive:
            return _archive_format(path, archive)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError):
        return "unknown"


def _archive_format(path: Path, archive: zipfile.ZipFile) -> str:
    members = archive.infolist()
    names = [member.filename for member in members]
    whole = _spans_file(path, archive) and len(set(names)) == len(names) <= _MEMBERS_LIMIT
    if not whole or "schema.json" not in names or any(m.flag_bits & 1 for m in members):
        return "unknown"
    kinds = {_member_format(archive, member) for member in members}
    if "pickle" in kinds:
        return "pickle"
    return "unknown" if "unknown" in kinds else "skops"


def _spans_file(path: Path, archive: zipfile.ZipFile) -> bool:
    """Say whether the archive is the whole file: nothing before, between or behind."""
    if archive.comment or not archive.infolist():
        return False
    first = min(member.header_offset for member in archive.infolist())
    with path.open("rb") as stream:
        stream.seek(-_EMPTY_END, io.SEEK_END)
        return first == 0 and stream.read(4) == b"PK\x05\x06"


def _member_format(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> str:
    """Return what a member of a skops archive is: json, array, pickle or unknown."""
    with archive.open(member) as stream:
        head = stream.read(512)
    if _PICKLE_START.match(head):
        return "pickle"
    if member.filename == "schema.json":
        return _schema_format(archive, member)
    if head.startswith(b"\x93NUMPY"):
        return "pickle" if _holds_objects(head) else "array"
    return "unknown"


def _schema_format(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> str:
    if member.file_size > _SCHEMA_LIMIT:
        return "unknown"
    try:
        schema = json.loads(archive.read(member))
    except (ValueError, RecursionError):
        return "unknown"
    return "json" if isinstance(schema, dict) and "__loader__" in schema else "unknown"


def _holds_objects(head: bytes) -> bool:
    """Say whether a numpy array's header names an object type, whose data is a pickle."""
    described = re.search(rb"'descr':\s*(.+?),\s*'fortran_order'", head, re.DOTALL)
    return described is None or b"O" in described.group(1)
