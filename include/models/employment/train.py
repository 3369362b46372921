"""Train a classifier of employment on census records.

Only columns that may bear on a decision about work are features. Sex, race, disability,
ancestry, citizenship, place of birth, marital and military status stay in the data, so that the
result can be judged by them, and are never shown to the model. The README gives the reasons, the
cost, and what this does not achieve.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas
    from sklearn.pipeline import Pipeline

#: Age, schooling, place in the household, employment of the parents (minors), move within a year.
FEATURES = ["AGEP", "SCHL", "RELP", "ESP", "MIG"]


def train(rows: pandas.DataFrame, target: str, seed: int) -> Pipeline:
    """Fit gradient boosting on *rows*; the same rows and seed give the same model.

    Raises:
        ValueError: if a feature or the target is missing.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import Pipeline

    missing = [name for name in [*FEATURES, target] if name not in rows.columns]
    if missing:
        raise ValueError(f"the data lacks {missing}; it has {list(rows.columns)}")
    model = Pipeline(
        [
            # The codes go in as numbers: trees cut them as finely as they need, and naming them
            # categorical makes scikit-learn store function objects, which a release may not hold.
            ("columns", ColumnTransformer([("as_is", "passthrough", FEATURES)])),
            (
                "trees",
                HistGradientBoostingClassifier(
                    max_iter=200,
                    learning_rate=0.1,
                    early_stopping=False,
                    random_state=seed,
                ),
            ),
        ]
    )
    return model.fit(rows[FEATURES], rows[target])
