"""What is advised about a checkout, a folder, a log or a setting is done there, and helps."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from airlock.adapters.evidence.folder import EvidenceFolder
from airlock.adapters.git_code import commit
from airlock.adapters.git_code.change import change
from airlock.config.settings import Settings
from airlock.domain.errors import AirlockError
from tests.command import run_cli
from tests.support import ROOT

pytestmark = pytest.mark.unit


def advice(call: Callable[[], object]) -> str:
    with pytest.raises(AirlockError) as caught:
        call()
    return caught.value.next_step


def settings(folder: Path, **environment: str) -> Settings:
    return Settings.from_environment(environment, folder)


def git(folder: Path, *arguments: str) -> str:
    name = ("-c", "user.name=luis", "-c", "user.email=luis@corp.example")
    clean = {key: text for key, text in os.environ.items() if not key.startswith("GIT_")}
    command = ("git", *name, "-c", "protocol.file.allow=always", "-C", str(folder), *arguments)
    completed = subprocess.run(command, check=True, capture_output=True, text=True, env=clean)
    return completed.stdout.strip()


def written(folder: Path, text: str) -> None:
    (folder / "model").mkdir(parents=True, exist_ok=True)
    (folder / "model/train.py").write_text(text)


def test_code_in_no_commit_is_committed_or_named_by_a_setting(tmp_path: Path) -> None:
    written(tmp_path, "x = 1\n")
    next_step = advice(lambda: commit(tmp_path, "model"))
    assert (
        next_step == "Commit the code to git, or set AIRLOCK_CODE_COMMIT in an image without git."
    )
    setting = settings(tmp_path, AIRLOCK_CODE_COMMIT="0123abc").code_commit
    assert commit(tmp_path, "model", setting or "") == "0123abc"
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "the model")
    assert commit(tmp_path, "model") == git(tmp_path, "rev-parse", "HEAD")


def test_a_setting_that_is_wrong_is_mended_as_the_page_lists_it(tmp_path: Path) -> None:
    wrong = {"AIRLOCK_AIRFLOW_PORT": "many"}
    next_step = advice(lambda: settings(tmp_path, **wrong))
    page = re.search(r"docs/\S+\.md", next_step)
    assert page is not None
    row = re.search(r"\| `AIRLOCK_AIRFLOW_PORT` \|.*", (ROOT / page[0]).read_text())
    assert row is not None
    number = re.search(r"\d{2,5}", row[0])
    assert number is not None
    mended = settings(tmp_path, AIRLOCK_AIRFLOW_PORT=number[0])
    assert mended.airflow_port == int(number[0])


def test_a_commit_that_a_shallow_clone_lacks_is_fetched(tmp_path: Path) -> None:
    whole, shallow = tmp_path / "whole", tmp_path / "shallow"
    written(whole, "x = 1\n")
    git(whole, "init", "-q")
    ends = []
    for number in (1, 2):
        written(whole, f"x = {number}\n")
        git(whole, "add", ".")
        git(whole, "commit", "-qm", f"number {number}")
        ends.append(git(whole, "rev-parse", "HEAD"))
    git(tmp_path, "clone", "-q", "--depth", "1", whole.as_uri(), str(shallow))
    next_step = advice(lambda: change(shallow, "model", *ends))
    assert next_step == "Fetch it: the checkout may be shallow, or of another clone."
    git(shallow, "fetch", "-q", "--unshallow")
    assert change(shallow, "model", *ends).files == (("model/train.py", 1, 1),)


def test_evidence_that_is_gone_or_changed_is_restored(tmp_path: Path) -> None:
    store, source = EvidenceFolder(tmp_path / "evidence"), tmp_path / "plot.png"
    source.write_bytes(b"a plot")
    digest = store.put(source)
    backup = shutil.copytree(tmp_path / "evidence", tmp_path / "backup")
    place = store.get(digest)
    place.unlink()
    assert advice(lambda: store.get(digest)) == "Restore the evidence store from its backup."
    shutil.rmtree(tmp_path / "evidence")
    shutil.copytree(backup, tmp_path / "evidence")
    assert store.get(digest).read_bytes() == b"a plot"
    place.chmod(0o600)
    place.write_bytes(b"another plot")
    assert advice(lambda: store.get(digest)).startswith("Restore it from a backup")
    shutil.copyfile(backup / place.relative_to(tmp_path / "evidence"), place)
    assert store.get(digest).read_bytes() == b"a plot"


def test_a_log_that_is_not_there_names_those_that_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRLOCK_HOME", str(tmp_path))
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/scheduler.log").write_text("it works\n")
    refused = run_cli("logs", "schedule")
    match = re.search(r"There are: (\w+)\.", refused.err)
    assert (refused.code, match is not None) == (1, True), refused.err
    assert match is not None
    result = run_cli("logs", match[1])
    assert (result.code, "it works" in result.out) == (0, True)
