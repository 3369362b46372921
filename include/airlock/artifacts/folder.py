"""The facts about a model folder: every file by its digest and by its real format.

Rules:
* A format is what a file's bytes are, read to the last one; its name is not asked.
* What is not recognised completely is refused: pickle, whatever could carry it, whatever hides
  behind or inside a known format, links, devices, folders.
* MLmodel must describe the very model file that lies beside it.
* Nothing is loaded, imported or executed.

It does not judge: the artifact-format gate does, on these facts.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airlock.artifacts.mlmodel import Described, read_mlmodel
from airlock.artifacts.native_files import (
    check_catboost,
    check_lightgbm,
    check_safetensors,
    check_xgboost,
)
from airlock.artifacts.onnx_file import check_onnx
from airlock.artifacts.pickles import looks_pickled, runs_as_pickle
from airlock.artifacts.refusals import NotPlain, Refusal, show
from airlock.artifacts.side_files import kind_of_text
from airlock.artifacts.skops_file import check_skops
from airlock.domain.artifact_formats import MODEL_FORMATS
from airlock.domain.digest import file_digest, manifest_digest

_FILES_LIMIT = 1000
_SIZE_LIMIT = 64 << 30
_PICKLE_STEP = (
    "Log the model in a safe format (scikit-learn: serialization_format='skops'), or convert it "
    "in the quarantine: airlock security convert."
)


@dataclass(frozen=True, slots=True)
class Kind:
    """What a file is: its format, or why it has none."""

    format: str
    refusal: Refusal | None = None
    requirements: tuple[str, ...] = ()
    external: tuple[tuple[str, int], ...] = ()


def facts(folder: Path) -> dict[str, Any]:
    """Return the artifact-format evidence of a model folder.

    Raises:
        ValueError: if there is no file in it.
    """
    paths = [path for path in sorted(folder.rglob("*")) if not _is_folder(path)]
    names = [path.relative_to(folder).as_posix() for path in paths]
    kinds = dict(
        zip(names, (kind_of(p, n) for p, n in zip(paths, names, strict=True)), strict=True)
    )
    kinds = _with_external(folder, kinds)
    described, refusals = _described(folder, kinds)
    digests = {n: _digest(p) for n, p in zip(names, paths, strict=True)}
    refusals = [kind.refusal for kind in kinds.values() if kind.refusal] + refusals
    if len(names) > _FILES_LIMIT:
        refusals.append(Refusal(".", f"{len(names)} files", f"up to {_FILES_LIMIT}", ""))
    return {
        "manifestDigest": manifest_digest(digests),
        "files": [
            {
                "path": name,
                "digest": digests[name],
                "size": path.lstat().st_size,
                "format": kinds[name].format,
            }
            for name, path in zip(names, paths, strict=True)
        ],
        "unknown": [name for name, kind in kinds.items() if kind.refusal],
        "refusals": [refusal.to_document() for refusal in refusals[:100]],
        **_summary(folder, described),
        "requirements": sorted({line for kind in kinds.values() for line in kind.requirements}),
    }


def _summary(folder: Path, described: Described | None) -> dict[str, Any]:
    """Return what the MLmodel says; of one that was refused, nothing is believed."""
    if described is None:
        return {
            "flavors": [],
            "loaderModule": None,
            "code": None,
            "serializationFormat": None,
            "model": None,
        }
    loader = f"mlflow.{described.flavor}"
    return {
        "flavors": list(described.flavors),
        "loaderModule": loader,
        "code": None,
        "serializationFormat": described.format if described.flavor == "sklearn" else None,
        "model": {
            "flavor": described.flavor,
            "format": described.format,
            "file": described.data,
            "class": described.model_class,
            "claimedTypes": list(described.claimed_types),
            "predict": described.predict,
        },
    }


def format_of(path: Path) -> str:
    """Return the name of one file's format, or what it was refused as."""
    return kind_of(path, path.name).format


def kind_of(path: Path, name: str) -> Kind:
    """Return the kind of one file."""
    state = path.lstat()
    if stat.S_ISLNK(state.st_mode):
        # The target is outside the manifest, so it may change after it was judged.
        target = os.readlink(path)
        return _refused("symlink", name, f"a link to {target}", "a file", "Copy the file.")
    if not stat.S_ISREG(state.st_mode):
        return _refused("special", name, "a device, pipe or socket", "a file", "Remove it.")
    if state.st_size > _SIZE_LIMIT:
        actual = f"{state.st_size:,} bytes"
        return _refused("unknown", name, actual, f"at most {_SIZE_LIMIT:,}", "Split the model.")
    try:
        return _recognised(path, name)
    except NotPlain as odd:
        return _refused("unknown", name, odd.actual, odd.expected, odd.next_step)
    except Exception as error:  # a reader that breaks on hostile bytes has refused them
        actual = f"a file that cannot be read ({type(error).__name__})"
        return _refused("unknown", name, actual, "a format on the list", "Save the model again.")


def _refused(kind: str, name: str, actual: str, expected: str, step: str) -> Kind:
    return Kind(kind, Refusal(show(name), show(actual), expected, step))


def _recognised(path: Path, name: str) -> Kind:
    with path.open("rb") as stream:
        head = stream.read(16)
        stream.seek(0)
        runs = head[:1] not in (b"{", b"[", b"P") and not _is_text(head) and runs_as_pickle(stream)
    safetensors = head[8:9] == b"{" and head[4:8] == b"\0\0\0\0"
    if runs or (looks_pickled(head) and not safetensors):
        expected = "a format that cannot run code when it is loaded"
        return _refused("pickle", name, "a pickle", expected, _PICKLE_STEP)
    for begins, kind, check in _BINARY:
        if begins(head):
            check(path)
            return Kind(kind)
    if _is_onnx(head):
        return Kind("onnx", external=tuple(sorted(check_onnx(path).items())))
    if head[:1] == b"{" and _names_learner(path):
        check_xgboost(path)
        return Kind("xgboost")
    kind, requirements = kind_of_text(path)
    return Kind(kind, requirements=requirements)


def _is_text(head: bytes) -> bool:
    return bool(head) and all(32 <= byte < 127 or byte in b"\t\r\n" for byte in head)


def _is_onnx(head: bytes) -> bool:
    """Say whether the bytes begin as ONNX does: its version number as field 1."""
    return len(head) > 2 and head[0] == 0x08 and head[1] < 0x80


def _names_learner(path: Path) -> bool:
    """Say whether the first name in a JSON text is one of XGBoost's, or the text is binary."""
    with path.open("rb") as stream:
        head = stream.read(200)
    first = head[1:].lstrip()[:20]
    binary = not first.startswith((b'"', b"}")) and first[:1] != b""
    return binary or first.startswith((b'"learner"', b'"version"'))


_BINARY: tuple[tuple[Callable[[bytes], bool], str, Callable[[Path], None]], ...] = (
    (lambda head: head.startswith(b"PK\x03\x04"), "skops", check_skops),
    (lambda head: head.startswith(b"CBM1"), "catboost", check_catboost),
    (lambda head: head.startswith(b"tree\n"), "lightgbm", check_lightgbm),
    (lambda head: head[8:9] == b"{" and head[4:8] == b"\0\0\0\0", "safetensors", check_safetensors),
)


def _with_external(folder: Path, kinds: dict[str, Kind]) -> dict[str, Kind]:
    """Accept the files that ONNX models keep their weights in, if nothing else is in them."""
    new_kinds = dict(kinds)
    for kind in kinds.values():
        for place, reach in kind.external:
            if place not in kinds or kinds[place].format != "unknown":
                new_kinds[place] = _missing(place)
                continue
            size = (folder / place).stat().st_size
            if size == reach:
                new_kinds[place] = Kind("onnx-data")
            else:
                actual = f"{size:,} bytes"
                new_kinds[place] = _refused(
                    "unknown", place, actual, f"{reach:,} as the model says", ""
                )
    return {name: kind for name, kind in new_kinds.items() if name in kinds} | {
        name: kind for name, kind in new_kinds.items() if name not in kinds and kind.refusal
    }


def _missing(place: str) -> Kind:
    return _refused("unknown", place, "no such file of weights", "weights beside the model", "")


def _described(folder: Path, kinds: dict[str, Kind]) -> tuple[Described | None, list[Refusal]]:
    """Return what MLmodel says, and what does not fit to it."""
    step = "Log the model with mlflow.<flavor>.log_model."
    if kinds.get("MLmodel", Kind("")).format != "mlmodel":
        if "MLmodel" in kinds and kinds["MLmodel"].refusal:
            return None, []
        return None, [Refusal("MLmodel", "none", "an MLmodel file", step)]
    described = read_mlmodel(folder / "MLmodel")
    return described, list(_misfits(described, kinds, step))


def _misfits(described: Described, kinds: dict[str, Kind], step: str) -> Iterator[Refusal]:
    data = kinds.get(described.data)
    if data is None or (data.format != described.format and not data.refusal):
        actual = data.format if data else "no such file"
        yield Refusal(show(described.data), actual, f"a model as {described.format}", step)
    for name, kind in kinds.items():
        if "/" in name and not kind.refusal:
            yield Refusal(show(name), "a file in a folder", "all files beside MLmodel", step)
        second = kind.format == "mlmodel" and name != "MLmodel"
        model = kind.format in MODEL_FORMATS and name != described.data
        if second or model:
            yield Refusal(show(name), f"another {kind.format}", "one model in one folder", step)


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _digest(path: Path) -> str:
    return file_digest(path) if stat.S_ISREG(path.lstat().st_mode) else ""
