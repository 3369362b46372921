"""What the offline verifier opens: plain files of a size it reads, and it waits for nothing."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airlock_evidence import archive
from airlock_evidence.archive import pack, read_plain
from airlock_evidence.command import BAD, WRONG_USE, main
from tests.support import short_folder

pytestmark = pytest.mark.timeout(30)  # a program that waits for a writer fails here


@pytest.fixture
def place() -> Iterator[Path]:
    folder = Path(short_folder("plain"))
    yield folder
    shutil.rmtree(folder)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def _large(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(archive.LARGEST + 1)  # holes: it takes no room


ODD: dict[str, Callable[[Path], object]] = {
    "a pipe": os.mkfifo,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a terminal": lambda path: path.symlink_to("/dev/tty"),
    "a socket": _socket,
    "a link to nothing": lambda path: path.symlink_to("nowhere"),
    "a link to itself": lambda path: path.symlink_to(path),
    "a file without end": _large,
}


def _linked(path: Path) -> None:
    far = Path(*path.parts[:3]) / "pipe"
    os.mkfifo(far)
    path.symlink_to(far)


ODD["a link to a pipe"] = _linked


@pytest.mark.parametrize("kind", ODD)
def test_only_plain_files_are_opened(
    place: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = place / "bundle.zip"
    ODD[kind](bundle)
    assert main([str(bundle)], str(place)) == WRONG_USE
    assert "cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ODD)
def test_so_it_is_inside_a_folder(
    place: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "bundle").mkdir()
    ODD[kind](place / "bundle" / "manifest.json")
    assert main([str(place / "bundle")], str(place)) == BAD
    assert "manifest.json" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ODD)
def test_and_among_the_keys(place: Path, kind: str) -> None:
    (place / "bundle.zip").write_bytes(pack({"a": b"b"}))
    (place / "keys").mkdir()
    ODD[kind](place / "keys" / "log.pem")
    assert main([str(place / "bundle.zip"), "--keys", str(place / "keys")], "") == WRONG_USE


def test_a_folder_of_too_many_files(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(archive, "MOST_FILES", 3)
    for number in range(4):
        (place / str(number)).write_text("x")
    assert main([str(place)], "") == BAD
    assert "more than 3 files" in capsys.readouterr().out


def test_a_packed_zip_is_refused_and_never_unpacked(place: Path) -> None:
    import zipfile

    with zipfile.ZipFile(place / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("manifest.json", b"0" * 50_000_000)
    assert (place / "bomb.zip").stat().st_size < 100_000
    assert main([str(place / "bomb.zip")], "") == BAD


def test_a_plain_file_is_read(place: Path) -> None:
    (place / "plain").write_bytes(b"abc")
    (place / "link").symlink_to("plain")
    assert read_plain(place / "plain") == read_plain(place / "link") == b"abc"
    with pytest.raises(OSError, match="more than the 2"):
        read_plain(place / "plain", 2)
