"""The model team's own code runs where no credential is, and what it leaves is taken over."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from airlock.adapters.datasets.files import FileData
from airlock.adapters.evidence.folder import EvidenceFolder
from airlock.adapters.jobs import Lab, ValidateRequest
from airlock.adapters.jobs.collectors import COLLECTORS, TEAM_CODE
from airlock.bootstrap.workbench import Workbench
from airlock.domain.errors import AirlockError, Refused
from airlock.domain.evidence.pipeline_spec import Recipe
from airlock.domain.gates import Evidence, GateResult, Verdict, run_gate
from airlock.gates import BY_NAME, GATES, TestCoverage, runs_team_code
from airlock.services.pipeline.training_runtime import Case
from tests.integration.code_kit import PACKAGE, Repository, small
from tests.integration.lab_kit import LIMITS
from tests.integration.runtime_kit import GOOD, Site
from tests.integration.runtime_kit import judged as examined

pytestmark = pytest.mark.integration
ORIGIN = "employment/run"


@dataclass
class Halves:
    """One checkout as two workers have it: one for the team's code, one with the credential."""

    code: Repository
    place: Path

    def bench(self, name: str, team_code: bool) -> Workbench:
        lab = Lab(self.handover / name, team_code=team_code)
        return Workbench(
            self.code.root,
            self.place / name,
            FileData(self.place / "data"),
            lab,
            None,  # type: ignore[arg-type]  # nothing is recorded by looking
            EvidenceFolder(self.place / "evidence"),
            handed_over=self.handover,
        )

    @property
    def handover(self) -> Path:
        return self.place / "handover"

    @property
    def left(self) -> Path:
        """Where the team's tests have left what came out."""
        (found,) = self.handover.glob("*/collected/test-coverage")
        return found

    def case(self) -> Case:
        scene = self.code.scene(self.code.git("rev-parse", "HEAD"))
        about = {
            "lock_digest": self.code.lock_digest,
            "pipeline_digest": scene.recipe.digest,
            "origin": ORIGIN,
        }
        return replace(scene.case, candidate=replace(scene.case.candidate, **about))

    def run(self) -> dict[str, str]:
        """Run the team's code, as the task on the queue train does."""
        case = self.case()
        data = case.candidate.data_digest
        return self.bench("train", True).run_team_code(ORIGIN, case.recipe, data)

    def judged(self) -> GateResult:
        """Collect and judge, as the gate's task on the queue airlock does."""
        case = self.case()
        facts = self.bench("airlock", False).look("test-coverage", case)
        evidence = Evidence("test-coverage", case.candidate.artifact_digest, facts)
        return run_gate(TestCoverage(total=80), {"test-coverage": evidence})


@pytest.fixture
def halves(tmp_path: Path) -> Halves:
    code = small(tmp_path)
    code.options = {"gate": "test-coverage", "total": 80}
    code.put("requirements.txt", "scikit-learn==1.9.1\n")
    code.commit()
    return Halves(code, tmp_path)


def test_a_gate_says_that_it_runs_team_code_exactly_if_its_collector_does() -> None:
    said = {kind for gate in GATES if runs_team_code({"gate": gate.name}) for kind in gate.needs}
    assert said == TEAM_CODE.keys()
    assert said <= COLLECTORS.keys()


def test_what_the_tests_ran_is_taken_over_and_judged_where_they_may_not_run(
    halves: Halves,
) -> None:
    assert halves.run() == {"test-coverage": "done"}
    result = halves.judged()
    assert result.verdict is Verdict.PASSED, result.message
    assert result.message.startswith("1 tests cover 100.0")


def test_without_anything_left_the_gate_says_which_task_is_missing(halves: Halves) -> None:
    with pytest.raises(Refused, match="left nothing for this run") as caught:
        halves.judged()
    assert 'StepOperator with step="collect"' in caught.value.next_step


def test_a_run_that_failed_is_the_gates_reason(halves: Halves) -> None:
    halves.code.put("tests/models/test_employment.py", "import os\nos._exit(7)\n")
    halves.code.commit()
    assert "exit code 7" in halves.run()["test-coverage"]
    with pytest.raises(AirlockError, match="ended with exit code 7 and no result"):
        halves.judged()


def test_what_was_left_for_an_earlier_commit_is_refused(halves: Halves) -> None:
    halves.run()
    halves.code.add(f"{PACKAGE}/train.py", "\n\nMORE = 1\n")
    halves.code.commit()
    with pytest.raises(Refused, match="is about other code") as caught:
        halves.judged()
    assert "in a pipeline's DAG the task run_team_code" in caught.value.next_step
    halves.run()
    assert halves.judged().verdict is Verdict.PASSED


def link(left: Path) -> None:
    (left / "odd").symlink_to("/etc")


def other_folder(left: Path) -> None:
    left.rename(left.parent / "moved")
    left.symlink_to("/etc")


def no_json(left: Path) -> None:
    (left / "tests.json").write_text("{")


def not_a_number(left: Path) -> None:
    (left / "tests.json").write_text('{"passed": NaN}')


def a_list(left: Path) -> None:
    (left / "tests.json").write_text("[]")


def without_it(left: Path) -> None:
    (left / "tests.json").unlink()


def too_large(left: Path) -> None:
    with (left / "tests.json").open("wb") as out:
        out.truncate(17 << 20)


def of_another_run(left: Path) -> None:
    said = json.loads((left / "about.json").read_text())
    said["about"]["origin"] = "employment/another"
    (left / "about.json").write_text(json.dumps(said))


def words_for_numbers(left: Path) -> None:
    said = json.loads((left / "tests.json").read_text())
    (left / "tests.json").write_text(json.dumps(said | {"arcs": {f"{PACKAGE}/train.py": "all"}}))


HOSTILE = (
    link,
    other_folder,
    no_json,
    not_a_number,
    a_list,
    without_it,
    too_large,
    of_another_run,
    words_for_numbers,
)


@pytest.mark.attack
@pytest.mark.parametrize("change", HOSTILE, ids=lambda one: one.__name__)
def test_what_no_honest_run_leaves_is_refused(
    halves: Halves, change: Callable[[Path], None]
) -> None:
    halves.run()
    change(halves.left)
    with pytest.raises(AirlockError):
        halves.judged()


@pytest.mark.attack
def test_how_much_code_there_is_is_not_the_word_of_whoever_ran_it(halves: Halves) -> None:
    """Which lines ran is: a hostile run can say all of them (docs/threat-model.md)."""
    lines = "".join(f"    y = {n}\n" for n in range(50))
    halves.code.add(f"{PACKAGE}/train.py", f"\n\ndef never(x):\n{lines}    return x\n")
    halves.code.commit()
    halves.run()
    assert halves.judged().verdict is Verdict.FAILED
    place = halves.left / "tests.json"
    said = json.loads(place.read_text())
    more = {"elsewhere.py": [[1, 2]], "../../etc/passwd": [[1, 1]]}
    said |= {"statements": 1, "sources": [], "arcs": said["arcs"] | more}
    place.write_text(json.dumps(said))
    result = halves.judged()
    assert result.verdict is Verdict.FAILED
    assert result.details is not None
    named = [one["path"] for one in result.details["sources"]]
    assert named == [f"{PACKAGE}/__init__.py", f"{PACKAGE}/train.py"]


DATA = {
    "source": "rows.parquet",
    "target": "employed",
    "task": "classification",
    "timeColumn": "observed_on",
    "holdout": 0.25,
    "protectedAttributes": [{"column": "SEX", "edges": []}],
}
MARK = "from pathlib import Path as _P; _P({!r}).touch()\n"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site.made(tmp_path_factory.mktemp("team"))


def test_no_collector_runs_team_code_where_a_credential_is(site: Site, tmp_path: Path) -> None:
    """Every Python file of the team's leaves a mark when it is run."""
    mark = tmp_path / "ran"
    suite = "def expectations():\n    return []\n"
    package = {"suite.py": suite, "__init__.py": "", "tests/test_it.py": "def test_it(): pass\n"}
    for name, text in (package | {"tests/conftest.py": ""}).items():
        path = site.code / "model" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(MARK.format(str(mark)) + text)
    model = site.trained(MARK.format(str(mark)) + GOOD.replace("\n    ", "\n"))
    gates = tuple({"gate": gate.name} for gate in GATES if gate.name not in ("metrics-threshold",))
    scene = site.scene(model, gates)
    document = {**scene.recipe.document}
    document["spec"] = {**document["spec"], "data": DATA, "risk": {"personalData": True}}
    scene = replace(scene, case=replace(scene.case, recipe=Recipe(document)))
    assert [kind for kind in TEAM_CODE if not _marks(scene, kind, True, mark)] == []
    assert [kind for kind in COLLECTORS if _marks(scene, kind, False, mark)] == []


def _marks(scene: Any, kind: str, allowed: bool, mark: Path) -> bool:
    """Say whether collecting one kind runs any of the team's files."""
    mark.unlink(missing_ok=True)
    lab = Lab(mark.parent / "lab", team_code=allowed)
    with contextlib.suppress(AirlockError):
        COLLECTORS[kind](replace(scene, lab=lab))
    return mark.exists()


def test_the_suite_does_not_run_where_a_credential_is(site: Site, tmp_path: Path) -> None:
    request = ValidateRequest(
        name="work", data=site.data, suite=site.code / "model" / "suite.py", limits=LIMITS
    )
    with pytest.raises(Refused, match="the suite of work is the model team's own code"):
        Lab(tmp_path / "lab", team_code=False).validate(request)


def test_the_model_trained_again_is_compared_where_no_training_runs(site: Site) -> None:
    other = site.trained(GOOD.replace("max_iter=500", "max_iter=500, C=0.001"))
    model = site.trained(GOOD)
    scene = site.scene(model, ({"gate": "reproducibility"},))
    out = site.lab.workspace("reproducibility", "work")
    TEAM_CODE["reproducibility"](scene.team_code, out)
    lab = Lab(site.folder / "airlock", team_code=False)
    there = replace(scene, lab=lab, handed_over=lambda _kind: out)
    gate = BY_NAME["reproducibility"]()
    assert examined(there, gate).verdict is Verdict.PASSED

    # Whoever trained says that it is the same, and leaves another model.
    said = json.loads((out / "training.json").read_text())
    (out / "training.json").write_text(json.dumps(said | {"metrics": {}, "digestEqual": True}))
    shutil.rmtree(out / "model")
    shutil.copytree(other, out / "model")
    result = examined(there, gate)
    assert result.verdict is Verdict.FAILED, result.message
