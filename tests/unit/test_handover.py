"""A model folder that training hands over: copied, and nothing but files and folders."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from airlock.adapters.lab.handover import receive
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
    taken = take(model, tmp_path)
    (model / "data" / "model.skops").write_text("others")
    assert (taken / "data" / "model.skops").read_text() == "weights"


def test_it_is_taken_anew_each_time(model: Path, tmp_path: Path) -> None:
    take(model, tmp_path)
    (model / "MLmodel").unlink()
    assert not (take(model, tmp_path) / "MLmodel").exists()


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
