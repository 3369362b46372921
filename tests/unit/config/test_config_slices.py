"""Groups of rows in a pipeline: both spellings, what is refused, and what a run reads of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml
from jsonschema import Draft202012Validator

from airlock.config.editor import schema
from airlock.domain.evidence.pipeline_spec import Recipe
from airlock.domain.hypothesis_tests import shared

if TYPE_CHECKING:
    from tests.unit.config.conftest import Checkout

pytestmark = pytest.mark.unit

HOLDOUT = "    holdout: 0.25\n"


def declare(checkout: Checkout, slices: str, key: str = "slices") -> None:
    checkout.edit(checkout.pipeline(), HOLDOUT, f"{HOLDOUT}    {key}: {slices}\n")


def test_a_name_alone_is_short_for_a_column_without_edges(checkout: Checkout) -> None:
    declare(checkout, "[SEX, {column: AGEP, edges: [18, 65.5]}]")
    declare(checkout, "[RACE]", key="protectedAttributes")
    (pipeline,) = checkout.load().valid
    assert pipeline.document["spec"]["data"]["slices"] == [
        {"column": "SEX", "edges": []},
        {"column": "AGEP", "edges": [18, 65.5]},
    ]
    recipe = Recipe(pipeline.document)
    assert recipe.slices == (("SEX", ()), ("AGEP", (18.0, 65.5)))
    assert recipe.protected == (("RACE", ()),)
    document = yaml.safe_load(checkout.pipeline().read_text())
    Draft202012Validator(schema("ModelPipeline")).validate(document)


def test_a_pipeline_without_groups_keeps_its_digest(checkout: Checkout) -> None:
    (before,) = checkout.load().valid
    assert not {"slices", "protectedAttributes"} & set(before.document["spec"]["data"])
    declare(checkout, "[]")
    (after,) = checkout.load().valid
    assert after.digest == before.digest
    assert Recipe(after.document).slices == Recipe(after.document).protected == ()


@pytest.mark.parametrize(
    ("slices", "path", "words"),
    [
        ("SEX", "spec.data.slices", "a list"),
        ("[5]", "spec.data.slices[0]", "a mapping"),
        ('[""]', "spec.data.slices[0].column", "the name of a column"),
        ("[churned]", "spec.data.slices[0]", "another column than the target"),
        ("[SEX, SEX]", "spec.data.slices[1]", "another column than those before it"),
        ("[{column: A, edges: [2, 1]}]", "spec.data.slices[0].edges[1]", "a number above 2"),
        ("[{column: A, edge: [2]}]", "spec.data.slices[0].edge", 'Did you mean "edges"?'),
    ],
)
def test_what_is_no_group_is_refused_with_its_place(
    checkout: Checkout, slices: str, path: str, words: str
) -> None:
    declare(checkout, slices)
    problems = {problem.path: str(problem) for problem in checkout.problems()}
    assert words in problems[path], problems


def test_a_run_reads_the_confidence_of_one_attempt_and_the_bounds_asked_for(
    checkout: Checkout,
) -> None:
    more = (
        "    - {gate: metrics-threshold, metric: f1, threshold: 0.2, sliceThreshold: 0.1}\n"
        "    - {gate: metrics-threshold, metric: brier, threshold: 0.2, confidence: 0.9}\n"
        "    - {gate: fairness, equalizedOdds: 0.1}\n"
    )
    checkout.edit(
        checkout.pipeline(), "    - gate: data-validation\n", more + "    - gate: data-validation\n"
    )
    (pipeline,) = checkout.load().valid
    recipe = Recipe(pipeline.document)
    assert recipe.comparisons == (("roc_auc", shared(0.95, 5)),)
    assert recipe.bounds == (("f1", 0.95), ("brier", 0.9))
    (gate,) = (gate for gate in pipeline.gates if gate.name == "performance-regression")
    assert recipe.comparisons[0][1] == gate.each  # type: ignore[attr-defined]
