"""Training rows against recorded requests, both real census records."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pandas
import pytest

from airlock.adapters.jobs import LabData, Limits, TrainRequest
from airlock.domain.gates import GateResult, Verdict
from airlock.gates.train_serving_skew import TrainServingSkew
from tests.integration.scene_kit import Place, census, recipe_document
from tests.support import ROOT

pytestmark = pytest.mark.integration

FEATURES = ["AGEP", "SCHL", "RELP", "ESP", "MIG"]


class Served(NamedTuple):
    """A trained model, its data, and requests like those it gets."""

    place: Place
    data: str
    model: Path
    requests: pandas.DataFrame

    def judged(self, log: str | None, **spec: Any) -> GateResult:
        """Judge with this serving log, in the folder of the place."""
        scene = self.place.scene(
            self.data,
            self.data,
            model=self.model,
            root=self.place.folder,
            servingLog=log,
            **spec,
        )
        return self.place.examine(TrainServingSkew(ignore=("request",)), scene)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Served:
    from airlock.domain.evidence.pipeline_spec import Recipe

    place = Place(tmp_path_factory.mktemp("served"))
    data = place.pin(census(2017, 3000))
    rows: LabData = place.rows_of(Recipe(recipe_document()), data)
    script = ROOT / "include/models/employment/train.py"
    limits = Limits(seconds=300, memory_mb=2048, threads=1)
    request = TrainRequest(name="employment", data=rows, script=script, limits=limits)
    return Served(place, data, place.lab.train(request).model, census(2018, 1500)[FEATURES])


def test_requests_like_the_training_rows_pass(served: Served) -> None:
    log = served.place.folder / "log.parquet"
    served.requests.assign(request=range(len(served.requests))).to_parquet(log, index=False)
    result = served.judged("log.parquet")
    assert result.verdict is Verdict.PASSED, result.message
    assert "1,500 requests against 2,250 training rows" in result.message


def test_ages_in_months_a_missing_column_and_unknown_codes_fail(served: Served) -> None:
    wrong = served.requests.assign(AGEP=served.requests["AGEP"] * 12, MIG=7, surplus=1)
    wrong = wrong.drop(columns=["ESP"])
    wrong.to_json(served.place.folder / "log.jsonl", orient="records", lines=True)
    result = served.judged("log.jsonl")
    assert result.verdict is Verdict.FAILED
    for said in ("ESP is missing", "surplus is not asked for", "MIG holds 7 in 1,500 requests"):
        assert said in result.message
    assert "AGEP (PSI" in result.message


@pytest.mark.parametrize(
    ("log", "content", "said"),
    [
        (None, None, "nothing to compare: the pipeline employment names no serving log"),
        ("absent.parquet", None, "nothing to compare: there is no file absent.parquet"),
        ("odd.jsonl", '{"AGEP": 1', "cannot be read"),
        ("empty.jsonl", "", "the serving log of employment"),
    ],
)
def test_without_requests_nobody_can_tell(
    served: Served, log: str | None, content: str | None, said: str
) -> None:
    if log and content is not None:
        (served.place.folder / log).write_text(content)
    result = served.judged(log)
    assert (result.verdict, said in result.message) == (Verdict.ERRORED, True), result.message


def test_the_first_release_passes_and_says_so(served: Served) -> None:
    scene = served.place.scene(served.data, root=served.place.folder)
    result = served.place.examine(TrainServingSkew(), scene)
    assert (result.verdict, "first release" in result.message) == (Verdict.PASSED, True)
