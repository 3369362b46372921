"""The model card: the shipped ones, the page that is made of them, and what a bad one is told."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from mlflow import MlflowClient

from airlock.adapters.jobs import Champion, Compare, EvaluateRequest, Limits, TrainRequest
from airlock.adapters.jobs.collection_context import Scene
from airlock.adapters.jobs.collectors import model_card
from airlock.adapters.mlflow import MlflowRegistry
from airlock.bootstrap.workbench import Workbench
from airlock.config.model_card import read_card
from airlock.domain.evidence.pipeline_spec import Recipe
from airlock.domain.gates import Evidence, Verdict, run_gate
from airlock.gates.model_card import REQUIRED, ModelCard
from tests.integration.scene_kit import ARTIFACT, Place, candidate, census, recipe_document
from tests.support import ROOT

pytestmark = pytest.mark.integration

LIMITS = Limits(seconds=300, memory_mb=2048, threads=1)
CARD = ROOT / "include/models/employment/model_card.yaml"


class Measured(NamedTuple):
    """A candidate that was evaluated, and what the steps left about it."""

    place: Place
    data: str
    facts: dict[str, dict[str, Any]]

    def scene(self, root: Path = ROOT, **over: Any) -> Scene:
        return self.place.scene(self.data, root=root, facts=self.facts | over)

    def with_card(self, folder: Path, text: str) -> Scene:
        """Return a scene of a checkout whose card says this."""
        place = folder / "include/models/employment"
        place.mkdir(parents=True)
        (place / "model_card.yaml").write_text(text)
        return self.scene(folder)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    place = Place(tmp_path_factory.mktemp("card"))
    data = place.pin(census(2017, 3000))
    rows = place.rows_of(Recipe(recipe_document()), data)
    script = ROOT / "include/models/employment/train.py"
    model = place.lab.train(
        TrainRequest(name="employment", data=rows, script=script, limits=LIMITS)
    ).model
    found = place.lab.evaluate(
        EvaluateRequest(
            name="employment",
            data=rows,
            candidate=model,
            champion=Champion(model, "3"),
            compare=(Compare("roc_auc"),),
            limits=LIMITS,
            resamples=200,
        )
    )
    place.files.put(found.predictions)
    profile = place.data.pin(place.data.path(data), "observed_on", target="employed")
    validation = {"successful": 9, "evaluated": 9}
    facts = {
        "evaluation": found.evaluation,
        "comparison": found.comparison,
        "data-profile": profile,
        "data-validation": validation,
    }
    return Measured(place, data, facts)


@pytest.mark.parametrize("model", ["employment", "doctor_visits"])
def test_the_shipped_cards_are_complete(model: str) -> None:
    card, problems = read_card(ROOT / "include/models" / model / "model_card.yaml")
    assert problems == []
    assert card is not None
    facts = {
        "path": "model_card.yaml",
        "pipeline": model.replace("_", "-"),
        "owner": "ana",
        "card": card,
        "problems": [],
        "generated": {"metrics": ["any"], "plots": []},
        "files": {"model_card.html": "sha256:0"},
    }
    result = run_gate(ModelCard(), {"model-card": Evidence("model-card", ARTIFACT, facts)})
    assert (result.verdict, result.measured) == (Verdict.PASSED, len(REQUIRED)), result.message


def test_a_complete_card_becomes_a_page_that_needs_nothing_else(measured: Measured) -> None:
    enough = {"slice": "SEX=1", "n": 400, "candidate": 0.81234, "champion": 0.8}
    small = {"slice": "SEX=<b>2", "n": 9, "candidate": None, "champion": None}
    (line,) = measured.facts["comparison"]["comparisons"]
    comparison = {"comparisons": [line | {"slices": [enough, small]}]}
    found = model_card.collect(measured.scene(comparison=comparison))
    facts = found.facts | {"files": {name: "sha256:0" for name in found.files}}
    result = run_gate(ModelCard(), {"model-card": Evidence("model-card", ARTIFACT, facts)})
    assert result.verdict is Verdict.PASSED, result.message
    assert "13 fields answered by ana, 5 plots" in result.message
    page = found.files["model_card.html"].read_text()
    assert page.count("data:image/svg+xml;base64,") == 5
    assert f"{measured.facts['evaluation']['candidate']['metrics']['roc_auc']:.4f}" in page
    assert "Eleven protected columns" in page
    assert measured.data in page
    assert "0.8123" in page
    assert "SEX=&lt;b&gt;2" in page
    assert "too few rows" in page
    # Nothing is loaded and nothing runs; the same predictions give the same page.
    assert not re.search(r"<script|(src|href)=.?(http|/)", page)
    again = model_card.collect(measured.scene(comparison=comparison)).files["model_card.html"]
    assert again.read_text() == page


def test_the_page_is_kept_by_digest_and_linked_from_the_mlflow_run(
    measured: Measured, tmp_path: Path
) -> None:
    place = measured.place
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    experiment = client.create_experiment("employment", f"file://{tmp_path}/artifacts")
    run = client.create_run(experiment).info.run_id
    registry = MlflowRegistry(f"sqlite:///{tmp_path}/mlflow.db")
    bench = Workbench(ROOT, tmp_path / "work", place.data, place.lab, registry, place.files)
    case = dataclasses.replace(
        measured.scene().case, candidate=dataclasses.replace(candidate(measured.data), run_id=run)
    )
    facts = bench.collect("model-card", case)
    page = place.files.get(facts["files"]["model_card.html"])
    assert "<h1>employment</h1>" in page.read_text()
    linked = [one.path for one in client.list_artifacts(run, "evidence/model-card")]
    kept = {f"evidence/model-card/{name}" for name in facts["files"]}
    assert set(linked) == kept >= {"evidence/model-card/model_card.html"}
    assert set(facts["captions"]) == set(facts["files"]) - {"model_card.html"}
    assert {"roc.svg", "precision-recall.svg", "calibration.svg"} <= set(facts["files"])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "limits:",
            "limts:",
            'only the keys intendedUse, limits, data, risk, found the key "limts"',
        ),
        ("    users: >-\n", "    users: TODO\n    ignored: >-\n", 'found the key "ignored"'),
    ],
)
def test_a_card_that_is_not_complete_fails_and_says_where(
    measured: Measured, tmp_path: Path, old: str, new: str, said: str
) -> None:
    scene = measured.with_card(tmp_path, CARD.read_text().replace(old, new, 1))
    result = measured.place.examine(ModelCard(), scene)
    assert (result.verdict, said in result.message) == (Verdict.FAILED, True), result.message


@pytest.mark.parametrize("text", ["", "a: [", None])
def test_no_card_or_none_that_can_be_read_fails(
    measured: Measured, tmp_path: Path, text: str | None
) -> None:
    scene = measured.scene(tmp_path) if text is None else measured.with_card(tmp_path, text)
    result = measured.place.examine(ModelCard(), scene)
    assert result.verdict is Verdict.FAILED
    assert "model_card.yaml" in result.message


def test_without_the_predictions_that_were_measured_nobody_can_draw(measured: Measured) -> None:
    evaluation = measured.facts["evaluation"] | {"predictionsDigest": "sha256:" + "0" * 64}
    lost = measured.place.examine(ModelCard(), measured.scene(evaluation=evaluation))
    assert lost.verdict is Verdict.ERRORED
    scene = measured.place.scene(measured.data)
    assert "no evidence evaluation" in measured.place.examine(ModelCard(), scene).message
