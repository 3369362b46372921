"""The employment model on its real data: reproducible, better than chance, blind where promised."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pandas
import pytest
import skops.io
from sklearn.metrics import roc_auc_score

from airlock.adapters.jobs.shared.model_loading import TRUSTED_TYPES
from models.employment.build_data import ROWS_DIGEST, rows_digest
from models.employment.suite import CODES, expectations
from models.employment.train import FEATURES, train

DATA = Path(__file__).resolve().parents[2] / "include" / "models" / "employment" / "data.parquet"
PROTECTED = ["SEX", "RAC1P", "DIS", "DEAR", "DEYE", "DREM", "ANC", "CIT", "NATIVITY", "MAR", "MIL"]


@pytest.fixture(scope="module")
def rows() -> pandas.DataFrame:
    return pandas.read_parquet(DATA)


@pytest.fixture(scope="module")
def sample(rows: pandas.DataFrame) -> pandas.DataFrame:
    """Every tenth row, so that the tests take seconds."""
    return rows.iloc[::10].drop(columns=["observed_on"]).reset_index(drop=True)


def test_the_data_is_the_reviewed_data(rows: pandas.DataFrame) -> None:
    assert len(rows) == 277_677
    assert rows_digest(rows) == ROWS_DIGEST
    assert DATA.stat().st_size < 4_000_000


def test_the_years_are_a_time_order(rows: pandas.DataFrame) -> None:
    assert rows["observed_on"].is_monotonic_increasing
    assert sorted({day.year for day in rows["observed_on"]}) == [2015, 2016, 2017, 2018]


def test_it_beats_the_best_single_column_and_is_fit_for_the_threshold(
    sample: pandas.DataFrame,
) -> None:
    early, late = sample.iloc[:20_000], sample.iloc[20_000:]
    model = train(early, "employed", 0)
    reached = roc_auc_score(late["employed"], model.predict_proba(late)[:, 1])
    by_column = (roc_auc_score(late["employed"], late[name]) for name in FEATURES)
    baseline = max(max(score, 1 - score) for score in by_column)
    assert reached > 0.87
    assert reached > baseline + 0.1


def test_the_same_seed_gives_the_same_model(sample: pandas.DataFrame) -> None:
    few = sample.iloc[:5000]
    one, two = (train(few, "employed", 3).predict_proba(few) for _ in range(2))
    assert hashlib.sha256(one.tobytes()).digest() == hashlib.sha256(two.tobytes()).digest()


def test_protected_attributes_are_no_features_and_change_nothing(sample: pandas.DataFrame) -> None:
    assert not set(FEATURES) & set(PROTECTED)
    assert set(PROTECTED) <= set(sample.columns)
    few = sample.iloc[:5000]
    model = train(few, "employed", 0)
    flipped = few.assign(**{name: 1 for name in PROTECTED})
    assert (model.predict_proba(few) == model.predict_proba(flipped)).all()


def test_missing_columns_are_refused_by_name(sample: pandas.DataFrame) -> None:
    with pytest.raises(ValueError, match=r"the data lacks \['SCHL'\]"):
        train(sample.drop(columns=["SCHL"]), "employed", 0)
    with pytest.raises(ValueError, match=r"the data lacks \['hired'\]"):
        train(sample, "hired", 0)


def test_it_saves_without_a_type_that_is_not_trusted(sample: pandas.DataFrame) -> None:
    saved = skops.io.dumps(train(sample.iloc[:2000], "employed", 0))
    assert set(skops.io.get_untrusted_types(data=saved)) <= set(TRUSTED_TYPES)


def test_the_suite_covers_every_column(rows: pandas.DataFrame) -> None:
    covered = {getattr(one, "column", None) for one in expectations()}
    assert set(rows.columns) <= covered
    assert all(rows[name].isin(list(codes)).all() for name, codes in CODES.items())
