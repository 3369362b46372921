"""The texts of a first draft; `$$name` is filled in by `drafts`."""

from __future__ import annotations

TRAIN = '''"""Train $name: a first draft. Take out what must not decide, put in what is missing.

Every column that can be learned from as it is is a feature, protected ones too.$left_out
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas
    from sklearn.pipeline import Pipeline

#: Columns that go in as they are; a missing value is a value of its own.
$numbers
#: Columns of texts, which go in as numbers; one that was never seen is -1.
$texts


def train(rows: pandas.DataFrame, target: str, seed: int) -> Pipeline:
    """Fit gradient boosting on *rows*; the same rows and seed give the same model.

    Raises:
        ValueError: if a feature or the target is missing.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import $estimator
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OrdinalEncoder

    missing = [name for name in [*NUMBERS, *TEXTS, target] if name not in rows.columns]
    if missing:
        raise ValueError(f"the data lacks {missing}; it has {list(rows.columns)}")
    coded = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = ColumnTransformer([("as_is", "passthrough", NUMBERS), ("coded", coded, TEXTS)])
    trees = $estimator(early_stopping=False, random_state=seed)
    return Pipeline([("columns", columns), ("trees", trees)]).fit(
        rows[[*NUMBERS, *TEXTS]], rows[target]
    )
'''

SUITE = '''"""What the data of $name has to be: a first draft, true of the data it was written from.

It says what the data is. Widen what may change, tighten what must not, add what you know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from great_expectations.expectations.expectation import Expectation

$columns
#: Columns without a missing value.
$present
#: Columns with missing values, and the share that has to be there.
MOSTLY: dict[str, float] = $mostly
#: Smallest and largest value.
RANGES: dict[str, tuple[float, float]] = $ranges
#: Every value there is.
VALUES: dict[str, list[Any]] = $values


def expectations() -> list[Expectation]:
    """Return the expectations every data window of this model must meet."""
    import great_expectations.expectations as gxe

    present: list[Any] = [gxe.ExpectColumnValuesToNotBeNull(column=name) for name in PRESENT]
    mostly = [
        gxe.ExpectColumnValuesToNotBeNull(column=name, mostly=share)
        for name, share in MOSTLY.items()
    ]
    ranged = [
        gxe.ExpectColumnValuesToBeBetween(column=name, min_value=low, max_value=high)
        for name, (low, high) in RANGES.items()
    ]
    valued = [
        gxe.ExpectColumnValuesToBeInSet(column=name, value_set=values)
        for name, values in VALUES.items()
    ]
    return [
        gxe.ExpectTableColumnsToMatchSet(column_set=COLUMNS),
        gxe.ExpectTableRowCountToBeBetween(min_value=$rows),
        *present,
        *mostly,
        *ranged,
        *valued,
        gxe.ExpectColumnMeanToBeBetween(column=$target, min_value=$low, max_value=$high),
    ]
'''

CARD = """# What only a person can say about this model. Answer every TODO: the gate
# model-card fails until then. The numbers are generated.
apiVersion: airlock/v1
kind: ModelCard
metadata: {name: $name, owner: $owner}
spec:
  intendedUse:
    purpose: "TODO: what is it for?"
    users: "TODO: who uses its answers, and for what?"
    outOfScope:
      - "TODO: what must it not be used for?"
  limits:
    - "TODO: where is it wrong, and how badly?"
  data:
    description: "TODO: what is a row, from when and where?"
    collection: "TODO: how was it collected, and what was left out?"
    licence: "TODO"
    personalData: "TODO: whose, and why may it be used?"
  risk:
    affected: "TODO: who is affected by an answer?"
    harm: "TODO: what does a wrong answer do to them?"
    oversight: "TODO: who can stop it, and sees what?"
    fairness: "TODO: which groups could it serve worse, and was that measured?"
    monitoring: "TODO: who watches what once it is in use?"
"""

PIPELINE = """# A first draft. What a person has to decide stands in the comments.
apiVersion: airlock/v1
kind: ModelPipeline
metadata: {name: $name, owner: $owner}
spec:
  sourceCode: {path: include/models/$package}
  trainingScript: train.py
  data:
    {source: $source, target: $target, task: $task$time}
  # Answer these truthfully; the draft assumes the worst, so that more people approve, not fewer.
  risk: {$risk}
  environment: $environment
  stages:
    - {name: train, resources: {cpu: 1, memoryMb: 2048}, timeoutMinutes: 15}
    # The threshold is no better than guessing. Raise it to what the use needs.
    - {name: evaluate, metricsThreshold: {$threshold, latencyMs: 150}}
  gates:
$gates"""

TEST_HEAD = '''"""The model $name on its real data: a first draft of its tests."""

from __future__ import annotations

from pathlib import Path

import numpy
import pandas
import pytest
import skops.io
from sklearn.metrics import $metric

from airlock.adapters.jobs.shared.model_loading import TRUSTED_TYPES
from airlock.tables import frame, read
from models.$package.suite import COLUMNS, PRESENT
from models.$package.train import NUMBERS, TEXTS, train

DATA = Path(__file__).resolve().parents[2] / "$source"
TARGET = $target


@pytest.fixture(scope="module")
def rows() -> pandas.DataFrame:
    return $load


'''

TEST_CLASSES = """\
def test_it_beats_guessing_on_rows_it_has_not_seen(rows: pandas.DataFrame) -> None:
    held = numpy.random.default_rng(0).random(len(rows)) < 0.25
    predicted = train(rows[~held], TARGET, 0).predict_proba(rows[held])[:, 1]
    assert roc_auc_score(rows.loc[held, TARGET], predicted) > 0.5


"""

TEST_NUMBERS = """\
def test_it_beats_the_mean_on_rows_it_has_not_seen(rows: pandas.DataFrame) -> None:
    held = numpy.random.default_rng(0).random(len(rows)) < 0.25
    seen, truth = rows[~held], rows.loc[held, TARGET]
    predicted = train(seen, TARGET, 0).predict(rows[held])
    mean = numpy.full(len(truth), seen[TARGET].mean())
    assert mean_absolute_error(truth, predicted) < mean_absolute_error(truth, mean)


"""

TEST_TAIL = """def test_the_same_seed_gives_the_same_model(rows: pandas.DataFrame) -> None:
    few = rows.iloc[:5000]
    one, two = (train(few, TARGET, 3).predict(few) for _ in range(2))
    assert (one == two).all()


def test_missing_columns_are_refused_by_name(rows: pandas.DataFrame) -> None:
    with pytest.raises(ValueError, match="the data lacks"):
        train(rows.drop(columns=[$first]), TARGET, 0)


def test_it_saves_without_a_type_that_is_not_trusted(rows: pandas.DataFrame) -> None:
    saved = skops.io.dumps(train(rows.iloc[:5000], TARGET, 0))
    assert set(skops.io.get_untrusted_types(data=saved)) <= set(TRUSTED_TYPES)


def test_the_suite_knows_every_column(rows: pandas.DataFrame) -> None:
    assert {*NUMBERS, *TEXTS, TARGET} <= set(rows.columns) <= set(COLUMNS)
    assert rows[[name for name in PRESENT if name in rows]].notna().all(axis=None)
"""
