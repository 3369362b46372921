"""The manifest of a folder: every plain file, and anything else refused by name."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airlock.domain import digest
from airlock.domain.digest import file_digest, folder_manifest, manifest_digest
from airlock.domain.errors import AirlockError, OddFolder
from tests.support import short_folder

pytestmark = pytest.mark.timeout(30)  # whatever waits for a pipe fails here


@pytest.fixture
def folder() -> Iterator[Path]:
    path = Path(short_folder("digest"))
    (path / "deep").mkdir()
    (path / "model.skops").write_bytes(b"one")
    (path / "deep" / "ünï code.json").write_bytes(b"two")
    yield path
    shutil.rmtree(path)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def _odd_bytes(path: Path) -> None:
    (Path(os.fsdecode(bytes(path.parent) + b"/\xff\xfe"))).write_text("x")


ODD: dict[str, tuple[Callable[[Path], object], str]] = {
    "a pipe": (os.mkfifo, "'odd' is a pipe"),
    "a socket": (_socket, "'odd' is a socket"),
    "a link to a file": (lambda path: path.symlink_to("model.skops"), "'odd' is a link"),
    "a link to a folder": (lambda path: path.symlink_to("deep"), "'odd' is a link"),
    "a link to nothing": (lambda path: path.symlink_to("gone"), "'odd' is a link"),
    "a link to a device": (lambda path: path.symlink_to("/dev/zero"), "'odd' is a link"),
    "an empty folder": (Path.mkdir, "'odd' is an empty folder"),
    "a new line": (lambda path: path.with_name("a\nb").write_text(""), r"'a\\nb'"),
    "a bell": (lambda path: path.with_name("a\a").write_text(""), r"'a\\x07'"),
    "a hidden letter": (lambda path: path.with_name("a\u200bb").write_text(""), r"'a\\u200bb'"),
    "a turned text": (lambda path: path.with_name("a\u202eb").write_text(""), r"'a\\u202eb'"),
    "a backslash": (lambda path: path.with_name("a\\b").write_text(""), r"a\\\\b"),
    "no unicode": (_odd_bytes, r"\\udcff"),
    "another case": (
        lambda path: path.with_name("MODEL.skops").write_text(""), "are one name on other systems",
    ),
    "another accent": (
        lambda path: (path.parent / "deep" / "u\u0308ni\u0308 code.json").write_text(""),
        "are one name on other systems",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", ODD)
def test_what_no_manifest_can_name_is_refused_by_name(folder: Path, kind: str) -> None:
    make, why = ODD[kind]
    make(folder / "odd")
    with pytest.raises(OddFolder, match=why) as refused:
        folder_manifest(folder)
    assert isinstance(refused.value, (AirlockError, ValueError))


def test_the_digest_of_an_ordinary_folder_is_what_it_was(folder: Path) -> None:
    files = folder_manifest(folder)
    assert files == {
        "deep/ünï code.json": file_digest(folder / "deep" / "ünï code.json"),
        "model.skops": file_digest(folder / "model.skops"),
    }
    # Written down when ADR 0022 was made: digests that were signed must never change.
    assert manifest_digest(files) == (
        "sha256:a96dfcd2b6bb4802ef13392505d90dd40ce2d1433119c5b376720298118239a7"
    )


def test_nothing_is_not_a_manifest(tmp_path: Path) -> None:
    assert folder_manifest(tmp_path) == folder_manifest(tmp_path / "missing") == {}
    with pytest.raises(ValueError, match="at least one file"):
        manifest_digest(folder_manifest(tmp_path))


@pytest.mark.parametrize("limit", ["MOST_FILES", "MOST_BYTES"])
def test_too_much_is_refused_before_anything_is_read(
    folder: Path, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digest, limit, 1)
    monkeypatch.setattr(digest, "_plain_digest", lambda _: pytest.fail("read"))
    with pytest.raises(OddFolder, match="more than"):
        folder_manifest(folder)


def test_a_huge_file_costs_no_time(folder: Path) -> None:
    with (folder / "huge").open("wb") as stream:
        stream.truncate(digest.MOST_BYTES + 1)  # holes: it takes no room
    with pytest.raises(OddFolder, match="more than"):
        folder_manifest(folder)


@pytest.mark.parametrize("name", ["/etc/passwd", "../up", "a/../b", "a//b", "./a", ""])
def test_names_from_elsewhere_stay_inside(name: str) -> None:
    with pytest.raises(OddFolder, match="is absolute, has other parts"):
        digest.check_names([name])
