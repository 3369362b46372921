"""Small helpers several test folders share."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).resolve().parents[1]
Case = TypeVar("Case")


#: What `make test-all` sets: each test on every database and store, and each race many times.
#: `make test` runs each on those that `make up` and docker-compose.yml use.
EVERYWHERE = os.environ.get("TEST_MATRIX") == "all"


def rounds(few: int, many: int) -> int:
    """Return how often to repeat: *few* times, *many* in `make test-all`, or TEST_ROUNDS times."""
    return int(os.environ.get("TEST_ROUNDS", many if EVERYWHERE else few))


def sample(cases: Iterable[Case], every: int) -> list[Case]:
    """Return each case in `make test-all`, else one of so many: the first and those after it."""
    return list(cases)[:: 1 if EVERYWHERE else every]


#: Memory that looks like a disk, and how much of it has to be free.
MEMORY, ENOUGH = Path("/dev/shm"), 4 << 30


def short_folder(prefix: str, *, hasty: bool = False) -> Path:
    """Create a folder with a short path which PostgreSQL's own user may pass through.

    *hasty*: in memory, if this machine has enough; for what need not outlive the test.
    """
    roomy = hasty and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= ENOUGH
    above = MEMORY if roomy and os.access(MEMORY, os.W_OK) else Path("/tmp")
    folder = Path(tempfile.mkdtemp(prefix=f"airlock-{prefix}-", dir=above))
    folder.chmod(0o711)
    return folder


def empty_checkout(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make *folder* a checkout with the policies and nothing else, and the one in use."""
    shutil.copytree(ROOT / "include/policies", folder / "include/policies")
    (folder / "include/pipelines").mkdir()
    (folder / "include/airlock").symlink_to(ROOT / "include/airlock")  # so that it is ours
    shutil.copyfile(ROOT / "pyproject.toml", folder / "pyproject.toml")
    monkeypatch.setenv("AIRLOCK_ROOT", str(folder))
    return folder
