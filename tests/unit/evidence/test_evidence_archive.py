"""One spelling of the zip, one spelling of the manifest."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock_evidence.archive import Failed, check_manifest, manifest, pack, read_folder, unpack

NAMES = st.from_regex(r"[a-z0-9][a-z0-9_.-]{0,8}(/[a-z0-9][a-z0-9_.-]{0,8})?", fullmatch=True)


def test_nothing_is_no_bundle() -> None:
    for data in (b"", b"PK", pack({}), b"nonsense"):
        with pytest.raises(Failed):
            unpack(data, "the zip")
    with pytest.raises(Failed, match="manifest"):
        check_manifest({})


@given(st.dictionaries(NAMES, st.binary(max_size=50), min_size=1, max_size=6))
def test_what_was_packed_is_unpacked_by_us_and_by_everybody(files: dict[str, bytes]) -> None:
    data = pack(files)
    assert unpack(data, "the zip") == files
    assert pack(dict(reversed(list(files.items())))) == data
    with zipfile.ZipFile(io.BytesIO(data)) as usual:
        assert usual.testzip() is None
        assert {name: usual.read(name) for name in usual.namelist()} == files


def test_every_other_byte_of_a_zip_is_found() -> None:
    data = pack({"a.txt": b"hello", "b/c.txt": b""})
    for at in range(len(data)):
        for bit in (0x01, 0x80):
            changed = bytearray(data)
            changed[at] ^= bit
            with pytest.raises(Failed):
                unpack(bytes(changed), "the zip")
    for changed in (data + b"\x00", b"\x00" + data, data[:-1], data + data):
        with pytest.raises(Failed):
            unpack(changed, "the zip")


def test_a_zip_of_another_tool_is_told_to_be_unpacked() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as other:
        other.writestr("a.txt", "hello" * 100)
    with pytest.raises(Failed):
        unpack(buffer.getvalue(), "the zip")


@pytest.mark.parametrize("name", ["../up", "/etc/passwd", "a//b", ".hidden", "a b", "a/../b"])
def test_a_path_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(Failed):
        unpack(pack({name: b"x"}), "the zip")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"a": b"other"}, "a: was changed"),
        ({"c": b""}, "c: was added"),
        ({"b": None}, "b: is missing"),
    ],
)
def test_the_manifest_names_what_is_changed(change: dict[str, bytes | None], message: str) -> None:
    files = {"a": b"1", "b": b"2"}
    files["manifest.json"] = manifest(files)
    check_manifest(files)
    changed = {name: data for name, data in {**files, **change}.items() if data is not None}
    with pytest.raises(Failed, match=message):
        check_manifest(changed)


def test_a_link_in_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    assert read_folder(tmp_path) == {"a": b"1"}
    os.symlink("/etc/hostname", tmp_path / "b")
    with pytest.raises(Failed, match="b: is a link"):
        read_folder(tmp_path)
