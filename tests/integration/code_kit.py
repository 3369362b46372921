"""A real git repository with a model package in it, and the scene a collector looks at."""

from __future__ import annotations

import shutil
import subprocess
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airlock.adapters.evidence.folder import EvidenceFolder
from airlock.adapters.jobs import LabData
from airlock.adapters.jobs.collection_context import Collected, Scene
from airlock.adapters.jobs.runner import Lab
from airlock.domain.approval.release import Subject
from airlock.domain.digest import file_digest
from airlock.domain.errors import AirlockError
from airlock.domain.evidence.pipeline_spec import Recipe
from airlock.domain.gates import UNCOLLECTED, Evidence, Gate, GateResult, run_gate
from airlock.ports import Candidate
from airlock.services.pipeline.training_runtime import Case
from tests.support import ROOT

ARTIFACT = "sha256:" + "a" * 64
PACKAGE = "include/models/employment"
TESTS = "tests/models/test_employment.py"
#: A slice of the real rows: what the tests of the copied package train on.
SLICE = 200

#: The first lines of the real package's own tests, on a slice of its real data.
OWN_TESTS = """
    from pathlib import Path

    import pandas
    import pytest

    from models.employment.suite import CODES
    from models.employment.train import FEATURES, train

    DATA = Path(__file__).resolve().parents[2] / "include/models/employment/data.parquet"


    @pytest.fixture(scope="module")
    def rows():
        return pandas.read_parquet(DATA)


    def test_the_same_seed_gives_the_same_model(rows):
        one, two = (train(rows[:60], "employed", 3).predict_proba(rows) for _ in range(2))
        assert (one == two).all()


    def test_missing_columns_are_refused_by_name(rows):
        with pytest.raises(ValueError, match="the data lacks"):
            train(rows.drop(columns=["SCHL"]), "employed", 0)


    def test_the_suite_has_every_code(rows):
        assert {*FEATURES, *CODES} <= {*rows.columns}
"""


@dataclass
class Repository:
    """A checkout below *root* with one commit after another; scenes look at its last one."""

    root: Path
    work: Path
    options: dict[str, Any] = field(default_factory=dict)

    def git(self, *arguments: str) -> str:
        """Run git as one author."""
        who = ("-c", "user.name=ana", "-c", "user.email=ana@example.org")
        done = subprocess.run(
            ("git", "-C", str(self.root), *who, *arguments), check=True, capture_output=True
        )
        return done.stdout.decode().strip()

    def put(self, path: str, text: str) -> None:
        """Write one file."""
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(textwrap.dedent(text))

    def add(self, path: str, text: str) -> None:
        """Append to one file."""
        place = self.root / path
        place.write_text(place.read_text() + textwrap.dedent(text))

    def commit(self, message: str = "change") -> str:
        """Commit all there is and return the commit."""
        self.git("add", "-A", "--force")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def scene(
        self, commit: str, champion: str | None = None, *, lock: str = "", minutes: int = 10
    ) -> Scene:
        """Return a scene with the candidate, and what serves, made from these commits."""
        document = recipe_document(self.options, minutes)
        tags = {"lock_digest": lock or self.lock_digest}
        return Scene(
            lab=Lab(self.work / "lab"),
            case=Case(
                recipe=Recipe(document),
                candidate=_candidate(commit),
                champion=_subject(champion) if champion else None,
            ),
            root=self.root,
            keys=self.root / "no-keys",
            model_of=lambda version, digest: self.root,
            rows_of=_no_rows,
            evidence_file=EvidenceFolder(self.work / "evidence").get,
            tag_of=lambda name: tags.get(name, ""),
        )

    @property
    def lock_digest(self) -> str:
        """The digest of the lock on disk."""
        lock = self.root / "requirements.txt"
        return file_digest(lock) if lock.is_file() else ""


def recipe_document(options: dict[str, Any], minutes: int = 10) -> dict[str, Any]:
    """Return the part of a pipeline's canonical document that collectors read."""
    stage = {"resources": {"cpu": 1, "memoryMb": 2048}, "timeoutMinutes": minutes}
    return {
        "metadata": {"name": "employment", "owner": "ana"},
        "spec": {
            "sourceCode": {"path": PACKAGE},
            "seed": 0,
            "stages": [{"name": "evaluate", **stage}],
            "gates": [options] if options else [],
        },
    }


def repository(folder: Path) -> Repository:
    """Return a repository with the real employment package, on a slice of its real rows."""
    import pandas

    made = Repository(folder / "checkout", folder)
    package = made.root / PACKAGE
    package.mkdir(parents=True)
    for name in ("__init__.py", "train.py", "suite.py"):
        shutil.copy(ROOT / PACKAGE / name, package / name)
    rows = pandas.read_parquet(ROOT / PACKAGE / "data.parquet").head(SLICE)
    rows.to_parquet(package / "data.parquet", index=False)
    shutil.copy(ROOT / "requirements.txt", made.root / "requirements.txt")
    shutil.copy(ROOT / "pyproject.toml", made.root / "pyproject.toml")
    made.put(TESTS, OWN_TESTS)
    made.git("init", "-q", "-b", "main")
    return made


def small(folder: Path) -> Repository:
    """Return a repository with a package of a few plain lines, for what needs no training."""
    made = Repository(folder / "checkout", folder)
    made.put(f"{PACKAGE}/__init__.py", '"""A model."""\n')
    made.put(f"{PACKAGE}/train.py", "def double(x):\n    return 2 * x\n")
    made.put(
        TESTS,
        """
        from models.employment.train import double


        def test_double():
            assert double(2) == 4
        """,
    )
    made.git("init", "-q", "-b", "main")
    return made


def kept(found: Collected) -> dict[str, Any]:
    """Return the facts as they are stored, with the digests of the files that belong to them."""
    files = {name: file_digest(path) for name, path in found.files.items()}
    return found.facts | ({"files": files} if files else {})


def judged(gate: Gate, scene: Scene, collect: Any) -> GateResult:
    """Collect and judge as the service does: what cannot be collected is evidence of that."""
    try:
        facts = kept(collect(scene))
    except AirlockError as error:
        facts = {UNCOLLECTED: f"{error.message}. {error.next_step}"}
    kind = gate.needs[0]
    return run_gate(gate, {kind: Evidence(kind, ARTIFACT, facts)})


def _no_rows(recipe: Recipe, digest: str) -> LabData:
    raise AssertionError("a gate on code needs no rows")


def _candidate(commit: str) -> Candidate:
    return Candidate(
        origin="employment/run",
        model="employment",
        version="2",
        run_id="run",
        location="here",
        artifact_digest=ARTIFACT,
        data_digest=ARTIFACT,
        code_commit=commit,
        pipeline_digest=ARTIFACT,
        requester="ana",
        environment="production",
        raised_to=None,
        started_at="2026-11-21T00:00:00Z",
    )


def _subject(commit: str) -> Subject:
    return Subject(
        model="employment",
        version="1",
        artifact_digest=ARTIFACT,
        data_digest=ARTIFACT,
        code_commit=commit,
        pipeline_digest=ARTIFACT,
        policy_digest=ARTIFACT,
        environment="production",
    )
