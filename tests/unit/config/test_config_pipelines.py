"""What bad input gets: the pipeline is refused with file, line, found, expected, nearest."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airlock.config.load import check, load_pipelines, load_rulebook
from airlock.domain.digest import canonical_json
from airlock.domain.evidence.pipeline_spec import Recipe
from tests.unit.config.bad_pipelines import REFUSALS
from tests.unit.config.conftest import PIPELINE
from tests.unit.config.mutate import JUNK, mutate, places

if TYPE_CHECKING:
    from tests.unit.config.conftest import Checkout

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
FILE = "include/pipelines/churn.yaml"


@pytest.mark.parametrize("case", REFUSALS)
def test_bad_input_is_refused_with_its_place(checkout: Checkout, case: str) -> None:
    old, new, line, path, words = REFUSALS[case]
    checkout.edit(checkout.pipeline(), old, new)
    problems = {
        (problem.file, problem.line, problem.path): str(problem) for problem in checkout.problems()
    }
    assert (FILE, line, path) in problems, problems
    assert words in problems[FILE, line, path]


def test_the_example_is_valid_and_no_code_of_it_runs(checkout: Checkout) -> None:
    loaded = checkout.load()
    assert loaded.refused == ()
    assert [pipeline.name for pipeline in loaded.valid] == ["churn"]
    assert check(checkout.config) == ()


def test_what_is_known_of_the_data_is_said_to_the_steps(checkout: Checkout) -> None:
    declarations = """target: churned
    timeColumn: day
    entityColumn: customer
    availableAt: {paid: paid_on}
    servingLog: not/there/yet.parquet"""
    checkout.edit(checkout.pipeline(), "target: churned", declarations)
    loaded = checkout.load()
    assert loaded.refused == ()
    recipe = Recipe(loaded.valid[0].document)
    assert recipe.entity_column == "customer"
    assert recipe.available_at == {"paid": "paid_on"}
    assert recipe.serving_log == "not/there/yet.parquet"


def test_all_that_is_wrong_is_said_at_once_and_read_by_people(checkout: Checkout) -> None:
    for old, new in (
        ("roc_auc: 0.74", "rocauc: 0.74"),
        ("holdout: 0.25", "holdout: 2"),
        ("environment: production", "environment: prod"),
        ("0 2 * * *", "often"),
        ("gate: artifact-format", "gate: artifact"),
        ("personalData: true", "personal: true"),
        ("name: train\n", "name: train\n      gpu: 1\n"),
    ):
        checkout.edit(checkout.pipeline(), old, new)
    (error,) = checkout.load().refused
    text = str(error)
    assert text.startswith(
        f"{FILE} is refused, 8 problems:\n  line 9, spec.triggers.cron: expected"
    )
    lines = [problem.line for problem in error.problems]
    assert lines == sorted(lines)
    assert error.exit_code == 2
    assert "airlock policy check" in error.next_step


def test_one_bad_file_never_stops_the_others(checkout: Checkout) -> None:
    good = checkout.pipeline().read_text()
    checkout.pipeline("bad").write_text("kind: [")
    checkout.pipeline("worse").write_bytes(b"\xff\xfe\x00")
    checkout.pipeline("list").write_text("- a\n")
    checkout.pipeline("second").write_text(good.replace("name: churn", "name: second"))
    loaded = checkout.load()
    assert [pipeline.name for pipeline in loaded.valid] == ["churn", "second"]
    assert sorted(error.files[0] for error in loaded.refused) == [
        f"include/pipelines/{name}.yaml" for name in ("bad", "list", "worse")
    ]


def test_two_pipelines_of_one_name_are_both_refused_naming_both(checkout: Checkout) -> None:
    checkout.pipeline("again").write_text("# the same\n" + checkout.pipeline().read_text())
    loaded = checkout.load()
    assert loaded.valid == ()
    texts = {error.files[0]: str(error) for error in loaded.refused}
    assert "line 3, metadata.name" in texts[FILE]
    assert '"churn" also in include/pipelines/again.yaml' in texts[FILE]
    assert f'"churn" also in {FILE}' in texts["include/pipelines/again.yaml"]


def test_a_broken_namesake_still_refuses_the_other(checkout: Checkout) -> None:
    text = checkout.pipeline().read_text().replace("holdout: 0.25", "holdout: 7")
    checkout.pipeline("again").write_text(text)
    assert checkout.load().valid == ()


def test_a_link_out_of_the_checkout_is_refused(checkout: Checkout, tmp_path: Path) -> None:
    outside = tmp_path.parent / "outside.parquet"
    outside.write_bytes(b"PAR1")
    data = checkout.config / "models/churn/data.parquet"
    data.unlink()
    os.symlink(outside, data)
    (problem,) = checkout.problems()
    assert "a path that stays inside" in problem.expected


def test_without_valid_policies_no_pipeline_is_valid(checkout: Checkout) -> None:
    checkout.edit(checkout.policy("risk"), "otherwise: high", "otherwise: hihg")
    loaded = checkout.load()
    assert loaded.valid == ()
    assert [error.files[0] for error in loaded.refused] == ["include/policies/risk.yaml", FILE]
    assert "policies" in str(loaded.refused[1])


def test_no_folder_of_pipelines_is_an_error_not_an_empty_list(checkout: Checkout) -> None:
    checkout.pipeline().unlink()
    checkout.pipeline().parent.rmdir()
    (error,) = checkout.load().refused
    assert "no such folder" in str(error)


def test_staging_may_leave_out_nothing_and_development_may(checkout: Checkout) -> None:
    checkout.edit(checkout.pipeline(), "environment: production", "environment: development")
    text = checkout.pipeline().read_text()
    checkout.pipeline().write_text(text[: text.index("  gates:")])
    assert checkout.load().refused == ()
    checkout.edit(checkout.pipeline(), "environment: development", "environment: staging")
    assert any("the required gate" in str(problem) for problem in checkout.problems())


def test_thresholds_become_gates_and_defaults_are_filled_in(checkout: Checkout) -> None:
    (pipeline,) = checkout.load().valid
    assert [gate.key for gate in pipeline.gates] == [
        "metrics-threshold:roc_auc", "latency", "data-validation", "artifact-format",
        "performance-regression:roc_auc",
    ]  # fmt: skip
    spec = pipeline.document["spec"]
    assert spec["gates"][1] == {"gate": "latency", "p95Ms": 150.0}
    assert spec["gates"][4]["confidence"] == 0.95
    assert [stage["name"] for stage in spec["stages"]] == ["validate", "train", "evaluate"]
    assert spec["triggers"] == {"cron": "0 2 * * *", "onCommit": False, "onDrift": False}
    assert pipeline.spec.stage("train").resources.memory_mb == 1024
    assert pipeline.spec.stage("validate").resources.memory_mb == 2048


def test_a_gate_may_have_a_stage_of_its_own(checkout: Checkout) -> None:
    stages = "  stages:\n    - {name: latency, timeoutMinutes: 7, resources: {memoryMb: 512}}\n"
    checkout.edit(checkout.pipeline(), "  stages:\n", stages)
    (pipeline,) = checkout.load().valid
    names = [stage["name"] for stage in pipeline.document["spec"]["stages"]]
    assert names == ["validate", "train", "evaluate", "latency"]
    recipe = Recipe(pipeline.document)
    assert (recipe.budget("latency").seconds, recipe.budget("latency").memory_mb) == (420, 512)
    assert recipe.budget("data-validation") == recipe.budget("evaluate")


def test_a_canonical_document_loads_as_itself(checkout: Checkout) -> None:
    (pipeline,) = checkout.load().valid
    checkout.pipeline().write_bytes(canonical_json(pipeline.document))  # JSON is YAML
    (again,) = checkout.load().valid
    assert again.document == pipeline.document
    assert again.digest == pipeline.digest
    assert again.gates == pipeline.gates


def test_layout_never_changes_the_digest_and_every_value_does(checkout: Checkout) -> None:
    (pipeline,) = checkout.load().valid
    text = checkout.pipeline().read_text()
    same = "# a comment\n\n" + text.replace(
        "{cpu: 1, memoryMb: 1024}", "{memoryMb: 1024, cpu: 1.0}"
    )
    checkout.pipeline().write_text(same)
    assert checkout.load().valid[0].digest == pipeline.digest
    digests = {pipeline.digest}
    for old, new in (
        ("owner: ana", "owner: eva"), ("0.25", "0.26"), ("roc_auc: 0.74", "roc_auc: 0.75"),
        ("latencyMs: 150", "latencyMs: 151"), ("margin: 0.005", "margin: 0.006"),
        ("memoryMb: 1024", "memoryMb: 1025"), ("customerImpact: direct", "customerImpact: none"),
        ("target: churned", "target: left"), ("0 2 * * *", "0 3 * * *"),
        ("environment: production", "environment: staging"),
        ("environment: production", "environment: production\n  seed: 1"),
        ("environment: production", "environment: production\n  whenReleaseOpen: supersede"),
    ):  # fmt: skip
        checkout.pipeline().write_text(text)
        checkout.edit(checkout.pipeline(), old, new)
        digests.add(checkout.load().valid[0].digest)
    assert len(digests) == 13


def test_the_real_pipelines_are_valid_and_of_the_tiers_they_show() -> None:
    from airlock.domain.approval.policy import Rulebook

    loaded = load_pipelines(ROOT / "include")
    assert loaded.refused == ()
    rulebook = Rulebook.from_document(load_rulebook(ROOT / "include").document)
    tiers = {
        pipeline.name: rulebook.tier(pipeline.document["spec"]["risk"]) for pipeline in loaded.valid
    }
    assert {"doctor-visits": "low", "employment": "high"}.items() <= tiers.items()


def test_loading_imports_nothing_heavy() -> None:
    code = (
        "import sys, json, pathlib; from airlock.config.load import load_pipelines;"
        f"load_pipelines(pathlib.Path({str(ROOT / 'include')!r}));"
        "print(json.dumps(sorted({m.partition('.')[0] for m in sys.modules})))"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT / "include")}
    completed = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, check=True
    )
    heavy = {"pandas", "numpy", "mlflow", "airflow", "sqlalchemy", "great_expectations", "fastapi"}
    assert heavy.isdisjoint(json.loads(completed.stdout))


#: Gates the policy of these tests requires.
REQUIRED = {
    *("artifact-format", "data-validation", "latency"),
    *("metrics-threshold", "performance-regression"),
}


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_no_mutation_breaks_the_loader_or_passes_without_its_gates(
    checkout: Checkout, data: st.DataObject
) -> None:
    document = yaml.safe_load(PIPELINE)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.sampled_from(places(document)))
        deed = data.draw(st.sampled_from(["drop", "repeat", "set"]))
        mutate(document, place, deed, data.draw(st.sampled_from([*JUNK, None, 10**30, "\0"])))
    checkout.pipeline().write_bytes(canonical_json(document))
    loaded = checkout.load()
    assert len(loaded.valid) + len(loaded.refused) == 1
    for pipeline in loaded.valid:
        assert {gate.name for gate in pipeline.gates} >= REQUIRED


def test_two_hundred_pipelines_are_all_read(checkout: Checkout) -> None:
    text = checkout.pipeline().read_text()
    for number in range(200):
        named = text.replace("name: churn", f"name: churn-{number}")
        checkout.pipeline(f"p{number}").write_text(named)
    assert len(checkout.load().valid) == 201


def test_the_metrics_of_each_task_are_those_the_lab_measures() -> None:
    from airlock.adapters.jobs.statistics import metrics
    from airlock.config.pipeline import METRICS
    from airlock.domain.metrics import DIRECTIONS

    assert {task: metrics.names(task) for task in METRICS} == METRICS
    assert {name for names in METRICS.values() for name in names} == set(DIRECTIONS)
