"""Child: how the groups of each protected attribute are treated, by fairlearn. No user code.

Values come from fairlearn's MetricFrame. Selection, true and false positive rate and accuracy are
functions of how many rows of a group fall into the four cells of its confusion matrix, so the
bootstrap draws those counts (multinomial): the same as drawing the rows, and fast for any number.

A difference is that of the two groups farthest apart. Its upper bound is the largest of all pairs;
its lower bound is the largest at a confidence corrected for the number of pairs (Bonferroni),
because the largest of many differences is never small by chance.

Who is selected is known of every row, so demographic parity asks for rows alone; the errors of
equalized odds need rows of both answers in a group.
"""

from __future__ import annotations

import sys
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airlock.adapters.jobs.errors import DataInvalid
from airlock.adapters.jobs.shared import job, pinned_rows, predict
from airlock.adapters.jobs.shared.model_loading import load_model
from airlock.adapters.jobs.statistics import bootstrap, slices
from airlock.domain.hypothesis_tests import FEWEST_OF_A_CLASS

if TYPE_CHECKING:
    import numpy
    import pandas

    Array = numpy.ndarray[Any, Any]

THRESHOLD = 0.5
METHOD = "percentile bootstrap of counts; pairs of groups, Bonferroni for the lower bound"
RATES = ("selectionRate", "truePositiveRate", "falsePositiveRate", "accuracy")
#: What has to be known of a group for each rate: rows alone, or rows of both answers.
_NEEDS = {RATES[0]: "demographicParity", **dict.fromkeys(RATES[1:], "equalizedOdds")}
#: Each difference with the rates it is made of.
DIFFERENCES = {"demographicParity": [0], "equalizedOdds": [1, 2]}


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Measure every group of every attribute on the held-out rows."""
    data, name = request["data"], request["name"]
    test = pinned_rows.split(request, pinned_rows.load(request)).test
    model = load_model(Path(request["model"]), name)
    features = pinned_rows.features_of(model, test, data["target"], name)
    chosen = predict.predict(model, features, data["task"], f"the model {name}") > THRESHOLD
    truth = (test[data["target"]] == 1).to_numpy()
    groups = slices.labels(test, request["attributes"], name)
    if not groups:
        raise DataInvalid(f"no protected attribute of {name} is declared")
    return {
        "rows": len(test),
        "threshold": THRESHOLD,
        "confidence": request["confidence"],
        "minimumRows": request["minimumRows"],
        "resamples": request["resamples"],
        "seed": data["seed"],
        "method": METHOD,
        "attributes": [
            {"attribute": column, **measure(truth, chosen, labels.to_numpy(), request)}
            for column, labels in groups.items()
        ],
    }


def measure(truth: Array, chosen: Array, labels: Array, request: dict[str, Any]) -> dict[str, Any]:
    """Return the groups of one attribute and the differences between those large enough."""
    import numpy

    frame = _frame(truth, chosen, labels)
    cells = numpy.array([counts(truth, chosen, labels == label) for label in frame.index])
    draw = numpy.random.default_rng(request["data"]["seed"])
    shares = cells.ravel() / cells.sum()
    drawn = draw.multinomial(int(cells.sum()), shares, size=request["resamples"])
    with numpy.errstate(divide="ignore", invalid="ignore"):
        samples = rates(drawn.reshape(-1, *cells.shape))
    enough = {
        option: [_is_enough(counted, request["minimumRows"], option) for counted in cells]
        for option in DIFFERENCES
    }
    return {
        "groups": [
            _group(
                str(label),
                cells[at],
                frame.loc[label],
                samples[:, :, at],
                [rate for rate, option in _NEEDS.items() if enough[option][at]],
                request,
            )
            for at, label in enumerate(frame.index)
        ],
        "differences": _differences(truth, chosen, labels, frame, samples, enough, request),
    }


def _frame(truth: Array, chosen: Array, labels: Array) -> pandas.DataFrame:
    from fairlearn.metrics import MetricFrame, false_positive_rate, selection_rate
    from fairlearn.metrics import true_positive_rate as recall
    from sklearn.metrics import accuracy_score

    metrics = (selection_rate, recall, false_positive_rate, accuracy_score)
    metric_frame = MetricFrame(
        metrics=dict(zip(RATES, metrics, strict=True)),
        y_true=truth.astype(int),
        y_pred=chosen.astype(int),
        sensitive_features=labels,
    )
    table: pandas.DataFrame = metric_frame.by_group
    return table


def counts(truth: Array, chosen: Array, group: Array) -> list[int]:
    """Return the counts of one group: true negatives, false positives, missed, found."""
    pairs = ((False, False), (False, True), (True, False), (True, True))
    return [int((group & (truth == a) & (chosen == b)).sum()) for a, b in pairs]


def rates(cells: Array) -> Array:
    """Return the four RATES of cells (..., group, 4) as (..., rate, group)."""
    import numpy

    negative, wrong, missed, hits = numpy.moveaxis(cells.astype(float), -1, 0)
    total = negative + wrong + missed + hits
    found_rates = [
        (wrong + hits) / total,
        hits / (missed + hits),
        wrong / (negative + wrong),
        (negative + hits) / total,
    ]
    return numpy.stack(found_rates, axis=-2)


def _is_enough(cells: Array, minimum: int, option: str) -> bool:
    negative, positive = int(cells[:2].sum()), int(cells[2:].sum())
    if negative + positive < minimum:
        return False
    return option == "demographicParity" or min(negative, positive) >= FEWEST_OF_A_CLASS


def _group(
    label: str,
    cells: Array,
    values: Any,
    samples: Array,
    measured: list[str],
    request: dict[str, Any],
) -> dict[str, Any]:
    """Return one group; without the rates for which it is too small."""
    group = {
        "group": label,
        "n": int(cells.sum()),
        "positives": int(cells[2:].sum()),
        "selected": int(cells[1] + cells[3]),
        "truePositives": int(cells[3]),
    }
    return group | {
        rate: _bounded(float(values[rate]), samples[:, at], request["confidence"])
        if rate in measured
        else None
        for at, rate in enumerate(RATES)
    }


def _bounded(value: float, samples: Array, confidence: float) -> dict[str, float]:
    low, high = bootstrap.bounds(samples, confidence)
    return {"value": value, "low": low, "high": high}


def _differences(
    truth: Array,
    chosen: Array,
    labels: Array,
    frame: pandas.DataFrame,
    samples: Array,
    enough: dict[str, list[bool]],
    request: dict[str, Any],
) -> dict[str, Any]:
    """Return both differences with their bounds; None where no two groups can be compared."""
    import numpy
    from fairlearn.metrics import demographic_parity_difference, equalized_odds_difference

    compared = {
        "demographicParity": demographic_parity_difference,
        "equalizedOdds": equalized_odds_difference,
    }
    differences: dict[str, Any] = {}
    for option, indices in DIFFERENCES.items():
        large = [at for at, is_enough in enumerate(enough[option]) if is_enough]
        if len(large) < 2:
            differences[option] = None
            continue
        mask = numpy.isin(labels, frame.index[large].to_numpy())
        low, high = farthest(samples[:, indices][:, :, large], request["confidence"])
        point = compared[option](
            truth[mask].astype(int), chosen[mask].astype(int), sensitive_features=labels[mask]
        )
        differences[option] = {"value": float(point), "low": low, "high": high}
    return differences


def farthest(samples: Array, confidence: float) -> tuple[float, float]:
    """Return the bounds of the largest difference: samples are (resample, rate, group)."""
    import numpy

    gaps = [
        samples[:, rate, first] - samples[:, rate, second]
        for rate in range(samples.shape[1])
        for first, second in combinations(range(samples.shape[2]), 2)
    ]
    tail = (1 - confidence) / len(gaps)
    low = high = 0.0
    for gap in gaps:
        gap = gap if numpy.median(gap) >= 0 else -gap
        lowest, below, above = numpy.quantile(gap, [tail, 1 - confidence, confidence])
        low, high = max(low, float(lowest)), max(high, float(above), -float(below))
    return low, high


if __name__ == "__main__":
    sys.exit(job.run(main))
