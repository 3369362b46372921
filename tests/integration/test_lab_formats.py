"""Formats are told by content: what hides behind a harmless name is not let through."""

from __future__ import annotations

import gzip
import io
import pickle
import zipfile
from pathlib import Path

import numpy
import pytest
import skops.io
import yaml
from sklearn.linear_model import LinearRegression

from airlock import artifacts

pytestmark = pytest.mark.integration

SKOPS = skops.io.dumps(LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0]))
EVIL = b"cos\nsystem\n(S'true'\ntR."


def zipped(members: dict[str, bytes], comment: bytes = b"") -> bytes:
    """A zip of *members*."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, body in members.items():
            archive.writestr(name, body)
        archive.comment = comment
    return stream.getvalue()


def members() -> dict[str, bytes]:
    """What a real skops file holds."""
    with zipfile.ZipFile(io.BytesIO(SKOPS)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def objects() -> bytes:
    """A numpy array of objects: its data is a pickle."""
    stream = io.BytesIO()
    numpy.save(stream, numpy.array([{}], dtype=object), allow_pickle=True)
    return stream.getvalue()


GOOD = {
    "skops": SKOPS,
    "json": b'{"a": 1}',
    "requirements": b"numpy==2.4.6\nscikit-learn==1.9.1\nmlflow[extras]==3.18.0\n",
    "mlmodel": b"flavors:\n  sklearn: {}\nmodel_uuid: x\n",
    "conda-env": b"name: e\ndependencies:\n- pip\n",
    "python-env": b"python: 3.11.7\ndependencies:\n- -r requirements.txt\n",
}

BAD = {
    "a pickle": (pickle.dumps({"a": 1}), "pickle"),
    "a pickle of the oldest protocol": (EVIL, "unknown"),
    "a compressed pickle": (gzip.compress(pickle.dumps(1)), "unknown"),
    "a pickle as a skops member": (zipped(members() | {"9.npy": pickle.dumps(1)}), "unknown"),
    "an array of objects in skops": (zipped(members() | {"9.npy": objects()}), "unknown"),
    "a script as a skops member": (zipped(members() | {"x.py": b"print(1)"}), "unknown"),
    "a zip without a schema": (zipped({"data.json": b"{}"}), "unknown"),
    "a zip with any schema": (zipped({"schema.json": b"{}"}), "unknown"),
    "a PyTorch zip": (zipped({"archive/data.pkl": pickle.dumps(1)}), "unknown"),
    "a skops file after a script": (b"#!/bin/sh\n" + SKOPS, "unknown"),
    "a skops file before a script": (SKOPS + b"\n#!/bin/sh\n", "unknown"),
    "a skops file with a comment": (zipped(members(), b"x"), "unknown"),
    "half a skops file": (SKOPS[: len(SKOPS) // 2], "unknown"),
    "a script": (b"import os\n", "unknown"),
    "requirements from elsewhere": (b"-r http://example.org/r.txt\n", "unknown"),
    "requirements without a version": (b"numpy\n", "unknown"),
    "a YAML tag that makes objects": (b"!!python/object/apply:os.system [true]\n", "unknown"),
    "nothing": (b"", "unknown"),
    "bytes": (bytes(range(256)), "unknown"),
}


@pytest.mark.parametrize("name", sorted(GOOD))
def test_a_known_format_is_told_by_its_content(tmp_path: Path, name: str) -> None:
    path = tmp_path / "anything.bin"
    path.write_bytes(GOOD[name])
    assert artifacts.format_of(path) == name


@pytest.mark.parametrize("case", sorted(BAD))
@pytest.mark.parametrize("name", ["model.skops", "notes.json", "requirements.txt"])
def test_a_harmless_name_hides_nothing(tmp_path: Path, case: str, name: str) -> None:
    body, expected = BAD[case]
    (tmp_path / name).write_bytes(body)
    facts = artifacts.facts(tmp_path)
    assert facts["files"][0]["format"] == expected
    assert facts["unknown"] == [name]


def test_a_duplicate_member_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.skops"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("schema.json", members()["schema.json"])
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("schema.json", b"{}")
    assert artifacts.format_of(path) == "unknown"


def test_a_link_is_refused_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "b.json").symlink_to(tmp_path / "a.json")
    facts = artifacts.facts(tmp_path)
    assert facts["unknown"] == ["b.json"]


def test_nothing_a_refused_mlmodel_says_is_believed(tmp_path: Path) -> None:
    flavor = {"loader_module": "os", "code": "code"}
    text = yaml.safe_dump({"flavors": {"python_function": flavor}, "model_uuid": "x"})
    (tmp_path / "MLmodel").write_text(text)
    facts = artifacts.facts(tmp_path)
    assert (facts["flavors"], facts["loaderModule"], facts["model"]) == ([], None, None)
    assert facts["unknown"] == ["MLmodel"]
