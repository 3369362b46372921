"""Ask a model for numbers, and refuse anything that is not one finite number per row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airlock.adapters.jobs.errors import EvaluationFailed, MetricNotFinite

if TYPE_CHECKING:
    import numpy
    import pandas


def predict(
    model: Any, features: pandas.DataFrame, task: str, label: str
) -> numpy.ndarray[Any, Any]:
    """Return the probability of class 1, or the predicted value, for each row."""
    import numpy

    try:
        raw = score(model, features, task)
        values = numpy.asarray(raw, dtype=float)
    except Exception as error:
        text = " ".join(str(error).split())[:500]
        raise EvaluationFailed(
            f"{label} does not predict the rows: {type(error).__name__}: {text}"
        ) from error
    if values.shape != (len(features),):
        raise EvaluationFailed(
            f"{label} answers with shape {values.shape}; "
            f"expected one number for {len(features)} rows"
        )
    bad = int((~numpy.isfinite(values)).sum())
    if bad:
        raise MetricNotFinite(f"{label} predicts NaN or infinity for {bad} of {len(values)} rows")
    return values


def score(model: Any, features: pandas.DataFrame, task: str) -> Any:
    """Return the raw prediction, as timed by the latency measurement."""
    if task == "classification":
        return model.predict_proba(features)[:, 1]
    return model.predict(features)
