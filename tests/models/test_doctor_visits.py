"""The doctor-visits model on its real data: reproducible, better than the mean, never negative."""

from __future__ import annotations

from pathlib import Path

import numpy
import pandas
import pytest
import skops.io
from sklearn.metrics import mean_absolute_error, mean_poisson_deviance, root_mean_squared_error

from airlock.adapters.jobs.shared.model_loading import TRUSTED_TYPES
from models.doctor_visits.build_data import ROWS_DIGEST, rows_digest
from models.doctor_visits.suite import RANGES, expectations
from models.doctor_visits.train import FEATURES, train

DATA = Path(__file__).resolve().parents[2] / "include" / "models" / "doctor_visits" / "data.parquet"


@pytest.fixture(scope="module")
def rows() -> pandas.DataFrame:
    return pandas.read_parquet(DATA)


def test_the_data_is_the_reviewed_data(rows: pandas.DataFrame) -> None:
    assert len(rows) == 20_190
    assert rows_digest(rows) == ROWS_DIGEST


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_it_beats_the_mean_on_rows_it_has_not_seen(rows: pandas.DataFrame, seed: int) -> None:
    held = numpy.random.default_rng(seed).random(len(rows)) < 0.25
    seen, unseen = rows[~held], rows[held]
    predicted = train(seen, "mdvis", seed).predict(unseen)
    mean = numpy.full(len(unseen), seen["mdvis"].mean())
    truth = unseen["mdvis"]
    assert predicted.min() > 0
    assert mean_absolute_error(truth, predicted) < 0.93 * mean_absolute_error(truth, mean)
    assert root_mean_squared_error(truth, predicted) < root_mean_squared_error(truth, mean)
    assert mean_poisson_deviance(truth, predicted) < 0.85 * mean_poisson_deviance(truth, mean)


def test_the_same_seed_gives_the_same_model(rows: pandas.DataFrame) -> None:
    few = rows.iloc[:5000]
    one, two = (train(few, "mdvis", 3).predict(few) for _ in range(2))
    assert (one == two).all()


def test_missing_columns_are_refused_by_name(rows: pandas.DataFrame) -> None:
    with pytest.raises(ValueError, match=r"the data lacks \['disea'\]"):
        train(rows.drop(columns=["disea"]), "mdvis", 0)


def test_it_saves_without_a_type_that_is_not_trusted(rows: pandas.DataFrame) -> None:
    saved = skops.io.dumps(train(rows.iloc[:2000], "mdvis", 0))
    assert set(skops.io.get_untrusted_types(data=saved)) <= set(TRUSTED_TYPES)


def test_the_suite_covers_every_column(rows: pandas.DataFrame) -> None:
    assert set(rows.columns) == set(RANGES) == {*FEATURES, "mdvis"}
    assert set(rows.columns) <= {getattr(one, "column", None) for one in expectations()}
    for name, (low, high) in RANGES.items():
        assert rows[name].between(low, high).all()
