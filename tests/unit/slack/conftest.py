"""A migrated SQLite file, copied for every scene; golden files and how they are compared."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from typing import Any

import pytest

from airlock.adapters.sql_migrations import upgrade
from tests.support import ROOT
from tests.unit.slack.scenes import SCENES
from tests.unit.slack.views import Scene, View

GOLDENS = ROOT / "tests" / "goldens" / "slack"

Views = Callable[[str], View]
Compare = Callable[[str, Any], None]


@pytest.fixture(scope="session")
def view_of(tmp_path_factory: pytest.TempPathFactory) -> Views:
    """Return the document of a release in a scene, made once for all tests."""
    folder = tmp_path_factory.mktemp("scenes")
    template = folder / "template.db"
    upgrade(f"sqlite:///{template}")
    documents: dict[str, str] = {}

    def view(name: str) -> View:
        if name not in documents:
            path = shutil.copy(template, folder / f"{name}.db")
            documents[name] = json.dumps(SCENES[name](Scene(f"sqlite:///{path}")))
        document: View = json.loads(documents[name])
        return document

    return view


@pytest.fixture(scope="session")
def golden(update_goldens: bool) -> Compare:
    """Return a function that compares with a golden file, or rewrites it."""

    def compare(name: str, content: Any) -> None:
        path = GOLDENS / f"{name}.json"
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        if update_goldens:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        how = "look at the difference; pytest tests/unit/slack --update-goldens accepts it"
        assert path.is_file(), f"{path} is missing: {how}"
        assert json.loads(path.read_text(encoding="utf-8")) == content, f"{path} differs: {how}"

    return compare
