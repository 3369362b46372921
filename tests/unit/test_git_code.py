"""Which code a run uses: a commit, a commit with changes, or nobody knows."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from airlock.adapters.git_code import authors, commit, last_author
from airlock.domain.errors import Refused
from airlock.domain.people.separation_of_duties import is_unknown


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "train.py").write_text("one\n")
    git = ("git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@example.org")
    for arguments in (("init", "-q"), ("add", "-A"), ("commit", "-q", "-m", "one")):
        subprocess.run([*git, *arguments], check=True)
    return tmp_path


def test_clean_code_is_its_commit(checkout: Path) -> None:
    assert len(commit(checkout, "model")) == 40


def test_a_change_elsewhere_does_not_matter(checkout: Path) -> None:
    (checkout / "notes.txt").write_text("hello")
    assert "+" not in commit(checkout, "model")


def test_changed_code_has_another_name_for_every_state(checkout: Path) -> None:
    clean = commit(checkout, "model")
    (checkout / "model" / "train.py").write_text("two\n")
    two = commit(checkout, "model")
    (checkout / "model" / "train.py").write_text("three\n")
    three = commit(checkout, "model")
    assert two.startswith(f"{clean}+dirty:sha256:")
    assert len({clean, two, three}) == 3


def test_a_new_file_is_a_change_and_a_cache_is_not(checkout: Path) -> None:
    (checkout / "model" / "new.py").write_text("")
    before = commit(checkout, "model")
    (checkout / "model" / "__pycache__").mkdir()
    (checkout / "model" / "__pycache__" / "train.pyc").write_bytes(b"x")
    assert "+dirty:" in before
    assert commit(checkout, "model") == before


def test_an_image_is_told_its_commit(tmp_path: Path) -> None:
    assert commit(tmp_path, "model", "0123abc") == "0123abc"


def test_unknown_code_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="nobody can say which code") as caught:
        commit(tmp_path, "model")
    assert "AIRLOCK_CODE_COMMIT" in caught.value.next_step


def test_a_repository_without_a_commit_is_refused(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    with pytest.raises(Refused):
        commit(tmp_path, "model")


def commit_as(checkout: Path, author: str, file: str, message: str = "more") -> None:
    (checkout / file).write_text("".join(f"# {line}\n" for line in (author, *message.split("\n"))))
    git = ("git", "-C", str(checkout), "-c", "user.name=c", "-c", "user.email=Committer@x.org")
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", message, "--author", author], check=True)


def test_everybody_who_changed_the_folder_since_a_commit_is_named(checkout: Path) -> None:
    first = commit(checkout, "model")
    together = "with help\n\nCo-authored-by: Kim <Kim@x.org>"
    commit_as(checkout, "Lena <Lena@X.org>", "model/train.py", together)
    commit_as(checkout, "Otto <otto@x.org>", "notes.txt")
    since = authors(checkout, "model", first)
    assert since == ("committer@x.org", "kim@x.org", "lena@x.org")
    assert authors(checkout, "model") == (*since, "t@example.org")
    assert last_author(checkout, "model") == "lena@x.org"


def test_what_git_cannot_say_is_unknown_and_never_guessed(checkout: Path) -> None:
    (checkout / "model" / "train.py").write_text("# by nobody knows whom\n")
    changed = "unknown: in no commit: model/train.py"
    assert authors(checkout, "model") == ("t@example.org", changed)
    assert last_author(checkout, "model") == changed
    elsewhere = checkout.parent
    (alone,) = authors(elsewhere, "model")
    assert is_unknown(alone)
    assert "not a git repository" in alone
    assert last_author(elsewhere, "model") == alone
