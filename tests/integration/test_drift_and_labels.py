"""Drift and label balance on real census records, measured by real children."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pandas
import pytest

from airlock.domain.gates import Verdict
from airlock.gates.drift import DataDrift
from airlock.gates.label_balance import LabelBalance
from tests.integration.scene_kit import Place, census

pytestmark = pytest.mark.integration


class Years(NamedTuple):
    """Two years, and a place to compare them."""

    place: Place
    before: pandas.DataFrame
    now: pandas.DataFrame
    champion: str


@pytest.fixture(scope="module")
def years(tmp_path_factory: pytest.TempPathFactory) -> Years:
    place = Place(tmp_path_factory.mktemp("years"))
    before = census(2016, 4000)
    return Years(place, before, census(2018, 4000), place.pin(before))


def test_two_real_years_are_alike(years: Years) -> None:
    scene = years.place.scene(years.place.pin(years.now), years.champion)
    drift = years.place.examine(DataDrift(), scene)
    assert drift.verdict is Verdict.PASSED, drift.message
    assert (drift.n, drift.measured is not None and drift.measured < 0.05) == (3000, True)
    assert drift.details is not None
    assert len(drift.details["columns"]) == 16
    labels = years.place.examine(LabelBalance(), scene)
    assert labels.verdict is Verdict.PASSED, labels.message


def test_columns_that_moved_changed_their_type_or_went_are_named(years: Years) -> None:
    moved = years.now.assign(
        AGEP=years.now["AGEP"] + 20,
        MAR=years.now["MAR"].map({1: 9}).fillna(years.now["MAR"]),
        CIT=years.now["CIT"].astype(str),
    ).drop(columns=["DREM"])
    scene = years.place.scene(years.place.pin(moved), years.champion)
    result = years.place.examine(DataDrift(), scene)
    assert result.verdict is Verdict.FAILED
    assert "DREM is missing; CIT was number and is text; 2 of 14 columns moved:" in result.message
    assert "AGEP (PSI" in result.message
    assert "MAR (PSI" in result.message


def test_other_answers_than_the_champions_fail(years: Years) -> None:
    kept = years.now[(years.now["employed"] == 0) | (years.now.index % 2 == 0)]
    result = years.place.examine(
        LabelBalance(), years.place.scene(years.place.pin(kept), years.champion)
    )
    assert result.verdict is Verdict.FAILED
    assert "the answers changed" in result.message


def test_too_few_rows_and_a_changed_file_err(years: Years) -> None:
    few = years.place.scene(years.place.pin(years.now.iloc[:600]), years.champion)
    assert "at least 500 of each" in years.place.examine(DataDrift(), few).message
    lost = years.place.pin(years.before.iloc[:100])
    years.place.data.path(lost).write_bytes(b"other bytes")
    scene = years.place.scene(years.place.pin(years.now), lost)
    result = years.place.examine(DataDrift(), scene)
    assert (result.verdict, "was changed" in result.message) == (Verdict.ERRORED, True)


def test_one_class_alone_is_no_answer_to_learn_from(years: Years) -> None:
    only = years.now[years.now["employed"] == 1]
    result = years.place.examine(LabelBalance(), years.place.scene(years.place.pin(only)))
    assert (result.verdict, "the classes of" in result.message) == (Verdict.ERRORED, True)


def test_first_releases_pass_and_say_so(years: Years) -> None:
    scene = years.place.scene(years.place.pin(years.now))
    for gate in (DataDrift(), LabelBalance()):
        result = years.place.examine(gate, scene)
        assert (result.verdict, "first release" in result.message) == (Verdict.PASSED, True)


def test_odd_values_are_counted_not_lost(years: Years, tmp_path: Path) -> None:
    """Missing values, texts, booleans, times, constants and infinities all have a place."""
    n = 1200
    plain = census(2016, n)[["observed_on", "employed"]].assign(
        texts=[f"person {i}" for i in range(n)],
        flag=[i % 2 == 0 for i in range(n)],
        when=pandas.date_range("2020-01-01", periods=n, freq="h"),
        holes=[None if i % 3 else float(i) for i in range(n)],
        same=1.0,
        wild=[float("inf") if i % 10 == 0 else i / 7 for i in range(n)],
    )
    here = Place(tmp_path)
    scene = here.scene(here.pin(plain), here.pin(plain))
    same = here.examine(DataDrift(), scene)
    assert same.verdict is Verdict.PASSED, same.message
    fuller = plain.assign(holes=1.0, same=2.0)
    result = here.examine(DataDrift(), here.scene(here.pin(fuller), here.pin(plain)))
    assert "2 of 6 columns moved" in result.message, result.message
    assert "same (PSI" in result.message
    # A column that only says whom a row is about is not compared.
    named = here.scene(here.pin(fuller), here.pin(plain), entityColumn="same")
    assert "1 of 5 columns moved: holes" in here.examine(DataDrift(), named).message
    # Texts of which there are many never reach the evidence.
    assert "person 1" not in str(result.to_document())
