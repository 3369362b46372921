"""A model folder that training hands over: copied, and nothing but files and folders."""

from __future__ import annotations

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from airlock.adapters.jobs.collectors.coverage import Ended
from airlock.adapters.jobs.collectors.reproducibility import Training
from airlock.adapters.jobs.handover import read, receive, write
from airlock.bootstrap.workbench import _Left
from airlock.domain.digest import folder_manifest
from airlock.domain.errors import Refused, Unreachable

pytestmark = pytest.mark.unit


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "handover" / "run" / "model"
    (folder / "data").mkdir(parents=True)
    (folder / "MLmodel").write_text("flavors: {}")
    (folder / "data" / "model.skops").write_text("weights")
    return folder


def take(model: Path, tmp_path: Path) -> Path:
    return receive(model, tmp_path / "handover", tmp_path / "own" / "model")


def test_what_is_taken_is_a_copy(model: Path, tmp_path: Path) -> None:
    copy = take(model, tmp_path)
    (model / "data" / "model.skops").write_text("others")
    assert (copy / "data" / "model.skops").read_text() == "weights"


def test_it_is_taken_anew_each_time(model: Path, tmp_path: Path) -> None:
    take(model, tmp_path)
    (model / "MLmodel").unlink()
    assert not (take(model, tmp_path) / "MLmodel").exists()


def test_a_folder_somebody_reads_is_not_taken_away(model: Path, tmp_path: Path) -> None:
    """Two tasks fetch the same model: the second leaves the first one's files where they are."""
    before = take(model, tmp_path).stat().st_ino
    with (tmp_path / "own" / "model" / "MLmodel").open() as reading:
        assert take(model, tmp_path).stat().st_ino == before
        assert os.path.samestat(
            os.fstat(reading.fileno()), (tmp_path / "own" / "model" / "MLmodel").stat()
        )


@pytest.mark.race
def test_whoever_looks_while_folders_come_finds_a_whole_one(model: Path, tmp_path: Path) -> None:
    """Tasks of several gates and runs put equal folders at one place, all at once."""
    place = take(model, tmp_path)
    expected = folder_manifest(place)
    ended = threading.Event()

    def look() -> int:
        looks = 0
        while not ended.is_set() or not looks:
            assert folder_manifest(place) == expected
            looks += 1
        return looks

    with ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(look) for _ in range(2)]
        takers = [pool.submit(lambda: [take(model, tmp_path) for _ in range(50)]) for _ in range(2)]
        try:
            for taker in takers:
                taker.result()
        finally:
            ended.set()
        assert all(reader.result() for reader in readers)


def test_what_is_not_there_may_come(tmp_path: Path) -> None:
    (tmp_path / "handover").mkdir()
    with pytest.raises(Unreachable, match="is not on this machine"):
        take(tmp_path / "handover" / "gone", tmp_path)


@pytest.mark.attack
def test_a_folder_elsewhere_is_refused(model: Path, tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (model.parent / "link").symlink_to(tmp_path / "keys")
    for folder in (tmp_path / "keys", model / ".." / ".." / ".." / "keys", model.parent / "link"):
        with pytest.raises(Refused, match="is not below"):
            take(folder, tmp_path)


@pytest.mark.attack
@pytest.mark.parametrize("kind", ["link", "folder link", "pipe"])
def test_links_and_pipes_are_refused(model: Path, tmp_path: Path, kind: str) -> None:
    odd = model / "data" / "odd"
    if kind == "pipe":
        os.mkfifo(odd)
    else:
        odd.symlink_to("/etc/hostname" if kind == "link" else "/etc")
    with pytest.raises(Refused, match="holds odd"):
        take(model, tmp_path)


DOCUMENTS = (
    Ended(passed=2, failures=["a"], arcs={"model.py": [(-1, 1), (1, 2)]}, pytest="9.0"),
    Training(train_rows=10, seconds=2.5, peak_mb=300),
    _Left({"origin": "employment/run"}, "it broke", "mend it"),
)
ODD: tuple[Any, ...] = (None, "9", 9.5, [], {}, [[1]], {"model.py": [[1]]}, {"model.py": 3}, True)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: type(document).__name__)
def test_a_document_is_read_as_it_was_written(document: Any, tmp_path: Path) -> None:
    write(tmp_path / "said.json", document)
    again = read(tmp_path / "said.json", type(document))
    assert json.dumps(asdict(again)) == json.dumps(asdict(document))


@pytest.mark.attack
@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: type(document).__name__)
def test_no_key_of_a_document_can_break_its_reader(document: Any, tmp_path: Path) -> None:
    """Each key gone or odd, in turn: it is read in its own shape, or refused by name."""
    place, good = tmp_path / "said.json", json.loads(json.dumps(asdict(document)))
    refused = set()
    for key in good:
        rest = {name: value for name, value in good.items() if name != key}
        for changed in (rest, *({**rest, key: odd} for odd in ODD)):
            place.write_text(json.dumps(changed))
            try:
                again = read(place, type(document))
            except Refused as error:
                refused.add((key, error.message.split(" and ")[0]))
            else:
                assert asdict(again).keys() == good.keys()
    assert refused == {(key, "said.json was handed over") for key in good}


@pytest.mark.attack
@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it is no JSON"),
        (b"\xff", "it is no JSON"),
        (b"[" * 100_000, "it is no JSON"),
        (b'{"train_rows": 1, "seconds": NaN, "peak_mb": 1}', "it is no JSON"),
        (b'{"train_rows": 1, "seconds": 1e999, "peak_mb": 1}', "it is no JSON"),
        (b"[]", "the whole"),
        (b"null", "the whole"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_no_document_is_refused(content: bytes, why: str, tmp_path: Path) -> None:
    (tmp_path / "said.json").write_bytes(content)
    with pytest.raises(Refused, match=f"cannot be read: {why}"):
        read(tmp_path / "said.json", Training)
