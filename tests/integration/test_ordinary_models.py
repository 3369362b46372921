"""Ordinary scikit-learn goes through the trust list: saved, read, loaded, and answering the same.

docs/howto/add-a-model.md says that what scikit-learn itself brings is trusted; here it is tried.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import pandas
import pytest
import skops.io
from sklearn.base import BaseEstimator
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, StackingClassifier, VotingClassifier
from sklearn.feature_selection import SelectKBest, SelectPercentile, mutual_info_classif
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    RandomizedSearchCV,
    TimeSeriesSplit,
    TunedThresholdClassifierCV,
)
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, OneHotEncoder, SplineTransformer, TargetEncoder

from airlock import artifacts
from airlock.adapters.jobs.shared.model_loading import load_model, refuse_untrusted

pytestmark = pytest.mark.integration

N = 120
GRID = {"C": [0.1, 1.0]}


def _logistic(*steps: Any) -> Any:
    return make_pipeline(*steps, LogisticRegression())


def _columns(step: Any, which: Any) -> Any:
    return _logistic(make_column_transformer((step, which), remainder="drop"))


MODELS: dict[str, BaseEstimator] = {
    "SimpleImputer": _columns(SimpleImputer(add_indicator=True), ["a", "b"]),
    "KNNImputer": _columns(KNNImputer(), ["a", "b"]),
    "KBinsDiscretizer": _columns(KBinsDiscretizer(n_bins=3), ["b"]),
    "SplineTransformer": _columns(SplineTransformer(), ["b"]),
    "SelectKBest": _columns(SelectKBest(k=1), ["b", "c"]),
    "SelectPercentile": _columns(SelectPercentile(mutual_info_classif), ["b", "c"]),
    "make_column_selector": _columns("passthrough", make_column_selector(pattern="[bc]")),
    "a selector of categories": _columns(
        OneHotEncoder(), make_column_selector(dtype_include="category")
    ),
    "TargetEncoder": _columns(TargetEncoder(), ["region"]),
    "HistGradientBoosting with categories": HistGradientBoostingClassifier(
        max_iter=4, categorical_features="from_dtype", early_stopping=False
    ),
    "Voting": _columns("passthrough", ["b", "c"]).set_params(
        logisticregression=VotingClassifier([("l", LogisticRegression())], voting="soft")
    ),
    "Stacking": _columns("passthrough", ["b", "c"]).set_params(
        logisticregression=StackingClassifier([("l", LogisticRegression())], cv=2)
    ),
    "GridSearchCV": _columns("passthrough", ["b", "c"]).set_params(
        logisticregression=GridSearchCV(LogisticRegression(), GRID, cv=2, scoring="roc_auc")
    ),
    "RandomizedSearchCV": _columns("passthrough", ["b", "c"]).set_params(
        logisticregression=RandomizedSearchCV(
            LogisticRegression(), GRID, n_iter=1, cv=TimeSeriesSplit(2)
        )
    ),
    "TunedThreshold": _columns("passthrough", ["b", "c"]).set_params(
        logisticregression=TunedThresholdClassifierCV(LogisticRegression(), cv=2)
    ),
    "KNN": _columns("passthrough", ["b", "c"]).set_params(
        logisticregression=KNeighborsClassifier()
    ),
    "KNN with a ball tree": _columns("passthrough", ["b", "c"]).set_params(
        logisticregression=KNeighborsClassifier(algorithm="ball_tree", metric="manhattan")
    ),
    "MLP": _columns("passthrough", ["b", "c"]).set_params(
        logisticregression=MLPClassifier((4,), max_iter=4)
    ),
    "Gaussian process": _columns("passthrough", ["b", "c"]).set_params(
        logisticregression=GaussianProcessClassifier()
    ),
}


def _data() -> tuple[pandas.DataFrame, Any]:
    draw = numpy.random.default_rng(0)
    table = pandas.DataFrame({name: draw.normal(size=N) for name in "abc"})
    table["region"] = pandas.Categorical([["north", "south", "west"][n % 3] for n in range(N)])
    truth = (table["b"] + draw.normal(size=N) > 0).astype(int)
    return table.assign(a=table["a"].where(table["a"] > -1)), truth


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", MODELS)
def test_it_is_saved_read_loaded_and_answers_the_same(tmp_path: Path, name: str) -> None:
    table, truth = _data()
    model: Any = MODELS[name].fit(table, truth)  # type: ignore[attr-defined]
    saved = skops.io.dumps(model)
    refuse_untrusted(skops.io.get_untrusted_types(data=saved), name)
    (tmp_path / "model.skops").write_bytes(saved)
    kind = artifacts.kind_of(tmp_path / "model.skops", "model.skops")
    assert (kind.format, kind.refusal) == ("skops", None)
    loaded = load_model(tmp_path, name)
    answers = model.predict_proba(table)
    assert (loaded.predict_proba(table) == answers).all()
    # JSON has texts and no categories: a request in texts gets the same answer.
    assert (loaded.predict_proba(table.astype({"region": object})) == answers).all()
