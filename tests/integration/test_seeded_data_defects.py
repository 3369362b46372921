"""Defects put into real census records: each is caught by the gate it is for, and by no other."""

from __future__ import annotations

import json
from typing import NamedTuple

import pandas
import pytest

from airlock.adapters.jobs import Limits, ValidateRequest
from airlock.domain.evidence.pipeline_spec import Recipe
from airlock.domain.gates import Evidence, Verdict, run_gate
from airlock.gates.data_validation import DataValidation
from airlock.gates.drift import DataDrift
from airlock.gates.label_balance import LabelBalance
from airlock.gates.leakage import Leakage
from airlock.gates.train_serving_skew import TrainServingSkew
from tests.integration.scene_kit import ARTIFACT, Place, census, recipe_document
from tests.support import ROOT

pytestmark = pytest.mark.integration

LIMITS = Limits(seconds=300, memory_mb=2048, threads=1)
CODE = ROOT / "include/models/employment"
ROWS = 10_400  # the model's own suite asks for 10,000


class Story(NamedTuple):
    """What serves, what it is asked, and the newer rows a candidate is made from."""

    place: Place
    champion: str
    now: pandas.DataFrame

    def caught_by(self, table: pandas.DataFrame, log: str = "log.parquet") -> dict[str, str]:
        """Return the gates that stop a candidate made from these rows, and what they say."""
        data = self.place.pin(table)
        scene = self.place.scene(
            data,
            self.champion,
            model=self.place.folder,
            root=self.place.folder,
            servingLog=log,
        )
        gates = (DataDrift(), TrainServingSkew(), Leakage(), LabelBalance())
        results = [self.place.examine(gate, scene) for gate in gates]
        return {one.gate: one.message for one in results if one.verdict is not Verdict.PASSED}


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    place = Place(tmp_path_factory.mktemp("seeded"))
    champion = place.pin(census(2016, ROWS))
    asked = census(2018, 4000)[["AGEP", "SCHL", "RELP", "ESP", "MIG"]]
    asked.to_parquet(place.folder / "log.parquet", index=False)
    closer(asked).to_parquet(place.folder / "shifted.parquet", index=False)
    inputs = json.dumps([{"name": name, "type": "long"} for name in asked])
    (place.folder / "MLmodel").write_text(f"signature: {{inputs: '{inputs}'}}")
    return Story(place, champion, census(2017, ROWS))


def test_sound_rows_are_stopped_by_no_gate(story: Story) -> None:
    assert story.caught_by(story.now) == {}


def test_a_leaked_answer_is_caught_by_leakage_alone(story: Story) -> None:
    caught = story.caught_by(leaked(story.now))
    assert list(caught) == ["leakage"], caught
    assert "taxed alone predicts employed" in caught["leakage"]


def test_shifted_rows_are_caught_by_drift_alone(story: Story) -> None:
    # The people are others now, in the requests as well: all ages lie halfway towards the middle.
    # The codes, the mean age and the answers are what they were.
    caught = story.caught_by(closer(story.now), "shifted.parquet")
    assert list(caught) == ["drift"], caught
    assert "1 of 16 columns moved: AGEP" in caught["drift"]


def test_the_models_own_suite_sees_neither(story: Story) -> None:
    rows = story.place.rows_of(
        Recipe(recipe_document()), story.place.pin(leaked(closer(story.now)))
    )
    request = ValidateRequest(name="employment", data=rows, suite=CODE / "suite.py", limits=LIMITS)
    checked = Evidence("data-validation", ARTIFACT, story.place.lab.validate(request).facts)
    result = run_gate(DataValidation(), {checked.kind: checked})
    assert result.verdict is Verdict.PASSED, result.message


def leaked(table: pandas.DataFrame) -> pandas.DataFrame:
    """Add taxes paid on wages: written down after the answer was known, one in fifty wrong."""
    wrong = table.index % 50 == 0
    return table.assign(taxed=table["employed"].where(~wrong, 1 - table["employed"]))


def closer(table: pandas.DataFrame) -> pandas.DataFrame:
    return table.assign(AGEP=((table["AGEP"] - 41) / 2 + 41).round().astype(int))
