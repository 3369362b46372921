"""The models and policies Airlock comes with are known as such, and only as they are."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from airlock.adapters.git_code import authors, last_author
from airlock.adapters.git_code.shipped import is_shipped, table_of
from airlock.domain.people.separation_of_duties import SHIPPED, is_unknown
from tests.support import ROOT

TABLE = ROOT / "include/airlock/adapters/git_code/shipped.json"


def test_the_table_names_what_is_shipped() -> None:
    want = json.dumps(table_of(ROOT), indent=2) + "\n"
    assert TABLE.read_text("utf-8") == want, f"write into {TABLE.name}:\n{want}"


@pytest.mark.parametrize("model", ["employment", "doctor_visits"])
def test_in_this_checkout_they_have_no_committer(model: str) -> None:
    assert authors(ROOT, f"include/models/{model}") == ()


def test_a_fresh_copy_without_git_has_no_unknown_committer(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "include/models/employment", tmp_path / "include/models/employment")
    shutil.copytree(ROOT / "include/policies", tmp_path / "policies")
    assert authors(tmp_path, "include/models/employment") == ()
    assert last_author(tmp_path, str(tmp_path / "policies")) == SHIPPED


@pytest.mark.parametrize("change", ["more", "less", "other", "link", "import"])
def test_one_change_and_it_is_somebodys_work(tmp_path: Path, change: str) -> None:
    folder = tmp_path / "include/models/employment"
    shutil.copytree(ROOT / "include/models/employment", folder)
    assert is_shipped(tmp_path, "include/models/employment")
    train = folder / "train.py"
    if change == "more":
        (folder / "help.py").write_text("")
    elif change == "less":
        (folder / "README.md").unlink()
    elif change == "other":
        train.write_text(train.read_text() + "# changed\n")
    elif change == "link":
        shutil.move(train, tmp_path / "train.py")
        train.symlink_to(tmp_path / "train.py")
    else:
        (tmp_path / "include/models/__init__.py").write_text("FACTOR = 2")
    # The folder may be as it was while more of the repository runs with it.
    assert is_shipped(tmp_path, "include/models/employment") is (change == "import")
    assert any(map(is_unknown, authors(tmp_path, "include/models/employment")))


def test_nothing_is_not_shipped(tmp_path: Path) -> None:
    assert not is_shipped(tmp_path, "missing")
    (tmp_path / "empty").mkdir()
    assert not is_shipped(tmp_path, "empty")
