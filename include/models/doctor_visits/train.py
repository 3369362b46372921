"""Train a regression of the number of visits to a doctor in a year.

The target counts events, so the trees minimise the Poisson deviance: predictions are never
negative and large counts do not rule the fit. The leaves are large (80 rows) on purpose; see the
README for the reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas
    from sklearn.pipeline import Pipeline

#: The insurance terms and the state of health when the study began.
FEATURES = ["lncoins", "idp", "lpi", "fmde", "physlm", "disea", "hlthg", "hlthf", "hlthp"]


def train(rows: pandas.DataFrame, target: str, seed: int) -> Pipeline:
    """Fit Poisson gradient boosting on *rows*; the same rows and seed give the same model.

    Raises:
        ValueError: if a feature or the target is missing.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.pipeline import Pipeline

    missing = [name for name in [*FEATURES, target] if name not in rows.columns]
    if missing:
        raise ValueError(f"the data lacks {missing}; it has {list(rows.columns)}")
    model = Pipeline(
        [
            ("columns", ColumnTransformer([("as_is", "passthrough", FEATURES)])),
            (
                "trees",
                HistGradientBoostingRegressor(
                    loss="poisson",
                    max_iter=200,
                    learning_rate=0.05,
                    min_samples_leaf=80,
                    early_stopping=False,
                    random_state=seed,
                ),
            ),
        ]
    )
    return model.fit(rows[FEATURES], rows[target])
