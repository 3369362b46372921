"""Leaks put into real rows are found, and the real rows have none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import pandas
import pytest

from airlock.domain.gates import GateResult, Verdict
from airlock.gates.leakage import Leakage
from tests.integration.scene_kit import DOCTOR, Place, census

pytestmark = pytest.mark.integration

VISITS = {"target": "mdvis", "task": "regression", "timeColumn": None}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("leakage"))


@pytest.fixture(scope="module")
def people() -> pandas.DataFrame:
    return census(2017, 4000)


def judged(place: Place, table: pandas.DataFrame, **spec: Any) -> GateResult:
    return place.examine(Leakage(), place.scene(place.pin(table), **spec))


def test_the_shipped_data_has_no_leak_beyond_its_honest_equal_rows(
    place: Place, people: pandas.DataFrame
) -> None:
    result = judged(place, people)
    assert result.verdict is Verdict.PASSED, result.message
    assert "best single feature AGEP" in result.message
    # All rows of the study: one person has several equal rows, which chance explains.
    visits = judged(place, pandas.read_parquet(DOCTOR), **VISITS)
    assert visits.verdict is Verdict.PASSED, visits.message
    assert visits.details is not None
    assert visits.details["duplicates"]["heldOutTwins"] > 3000


def test_every_kind_of_leak_at_once_is_named(place: Place, people: pandas.DataFrame) -> None:
    draw = numpy.random.default_rng(0)
    noisy = (people["employed"] ^ (draw.random(len(people)) < 0.01)).astype(int)
    leaking = people.assign(
        copy=people["employed"],
        coded=noisy.map({0: "blue", 1: "green"}),
        paid_on=pandas.to_datetime(people["observed_on"]) + pandas.Timedelta(days=30),
        person=people.index % 1000,
    )
    spec = {"entityColumn": "person", "availableAt": {"coded": "paid_on"}}
    result = judged(place, leaking, **spec)
    assert result.verdict is Verdict.FAILED
    for said in (
        "copy alone predicts employed with roc_auc 1.000 (limit 0.95; equal to it in 100.0%",
        "coded alone predicts employed with roc_auc 0.9",
        "coded is from the future in 4,000 rows: paid_on is up to 30 days later than observed_on",
        "held-out rows are about",
    ):
        assert said in result.message, result.message


def test_a_number_that_gives_the_answer_away_is_found(place: Place) -> None:
    visits = pandas.read_parquet(DOCTOR).iloc[:6000]
    draw = numpy.random.default_rng(0)
    cost = visits["mdvis"] * 40 + draw.normal(0, 5, len(visits))
    result = judged(place, visits.assign(cost=cost), **VISITS)
    assert (result.verdict, "cost alone predicts mdvis" in result.message) == (Verdict.FAILED, True)


@pytest.mark.parametrize("how", ["twice", "copied"])
def test_copied_rows_are_found(place: Place, people: pandas.DataFrame, how: str) -> None:
    table = people.drop(columns=["observed_on"])
    if how == "twice":  # appended again, so that a draw puts one on each side
        table, said = pandas.concat([table, table]), "of all rows are there several times"
        spec: dict[str, Any] = {"timeColumn": None}
    else:  # rows of the training part put in place of held-out ones
        table, said = people.copy(), "of the held-out rows are copies of training rows"
        columns = [name for name in table.columns if name != "observed_on"]
        order = table.sort_values("observed_on", kind="stable").index
        table.loc[order[-400:], columns] = table.loc[order[:400], columns].to_numpy()
        spec = {}
    result = judged(place, table, **spec)
    assert (result.verdict, said in result.message) == (Verdict.FAILED, True), result.message


def test_declared_columns_that_are_not_there_err(place: Place, people: pandas.DataFrame) -> None:
    for spec in ({"entityColumn": "person"}, {"availableAt": {"AGEP": "known_on"}}):
        result = judged(place, people.iloc[:500], **spec)
        assert (result.verdict, "has no column" in result.message) == (Verdict.ERRORED, True)


def test_no_rows_to_hold_out_errs(tmp_path: Path, people: pandas.DataFrame) -> None:
    result = judged(Place(tmp_path), people.iloc[:1])
    assert (result.verdict, "leave none on one side" in result.message) == (Verdict.ERRORED, True)
