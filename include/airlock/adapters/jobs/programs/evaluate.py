"""Child: measure candidate and champion on the same held-out rows. No user code runs here.

Both models are loaded from their folders by our own trust list. The rows, the predictions and the
slices of every row are written down, and every number is computed from what was written
(`intervals`), so that an auditor can compute it again with `recompute`.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airlock.adapters.jobs.shared import job, pinned_rows, predict
from airlock.adapters.jobs.shared.model_loading import load_model
from airlock.adapters.jobs.statistics import intervals, metrics, slices
from airlock.domain.digest import digest_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy
    import pandas

    Array = numpy.ndarray[Any, Any]


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Evaluate, compare and write the predictions."""
    loaded = pinned_rows.load(request)
    test = pinned_rows.split(request, loaded).test
    how = _how(request["name"], {**request["data"], "resamples": request["resamples"]})
    intervals.check([*request["compare"], *request["bound"]], how)
    table = _table(request, test)
    table.to_parquet(Path(request["out"]), index=False, compression="zstd")
    measured = numbers(table, request["bound"], request["compare"], how)
    return {
        "rows": len(test),
        "rowsDigest": _rows_digest(request, test),
        "period": _period(request, loaded.loc[test.index]),
        **measured,
    }


def numbers(
    table: pandas.DataFrame,
    bound: list[dict[str, Any]],
    compare: list[dict[str, Any]],
    how: intervals.How,
) -> dict[str, Any]:
    """Return all that is computed from the table of predictions."""
    return {
        "candidate": _measured(table, "candidate", how),
        "bounds": intervals.alone(table, bound, how),
        "champion": _measured(table, "champion", how) if "champion" in table.columns else None,
        "comparisons": intervals.compared(table, compare, how),
    }


def recompute(
    predictions: Path, evaluation: Mapping[str, Any], comparison: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Compute from the kept predictions alone what the facts evaluation and comparison say.

    What was asked for is read from the facts; every number is computed anew. Returns the facts with
    those numbers in place, which are equal to the given ones if nobody changed anything.
    """
    import pandas

    computed = numbers(
        pandas.read_parquet(predictions),
        [_metric_spec(line) for line in evaluation["bounds"]],
        [_metric_spec(line) for line in comparison["comparisons"]],
        _how("the evidence", evaluation),
    )
    sides = {
        side: {**evaluation[side], "metrics": computed[side]}
        for side in ("candidate", "champion")
        if computed[side] is not None
    }
    return (
        {**evaluation, **sides, "bounds": computed["bounds"]},
        {**comparison, "comparisons": computed["comparisons"]},
    )


def _metric_spec(line: Mapping[str, Any]) -> dict[str, Any]:
    return {"metric": line["metric"], "confidence": line["confidence"]}


def _how(name: str, facts: Mapping[str, Any]) -> intervals.How:
    return intervals.How(
        task=facts["task"], resamples=facts["resamples"], seed=facts["seed"], name=name
    )


def _table(request: dict[str, Any], test: pandas.DataFrame) -> pandas.DataFrame:
    """Return the columns kept of each held-out row."""
    import pandas

    name, truth = request["name"], test[request["data"]["target"]]
    table = pandas.DataFrame({"row": test.index, "truth": truth.to_numpy()})
    table["candidate"] = _predictions(request, "candidate", test)
    if request["champion"]:
        table["champion"] = _predictions(request, "champion", test)
    for column, labels in slices.labels(test, request["slices"], name).items():
        table[f"{slices.SLICE}{column}"] = labels.to_numpy()
    return table


def _predictions(request: dict[str, Any], side: str, test: pandas.DataFrame) -> Array:
    data, label = request["data"], f"the {side} of {request['name']}"
    model = load_model(Path(request[side]), label)
    features = pinned_rows.features_of(model, test, data["target"], request["name"])
    return predict.predict(model, features, data["task"], label)


def _measured(table: pandas.DataFrame, side: str, how: intervals.How) -> dict[str, float]:
    truth, predicted = table["truth"].to_numpy(), table[side].to_numpy()
    return metrics.measure(how.task, truth, predicted, f"the {side} of {how.name}")


def _rows_digest(request: dict[str, Any], test: pandas.DataFrame) -> str:
    """Return a digest over the data's digest and the numbers of these rows in it."""
    numbers = hashlib.sha256(test.index.to_numpy().astype("<i8").tobytes()).hexdigest()
    return digest_json({"data": request["data"]["digest"], "rowNumbers": numbers})


def _period(request: dict[str, Any], held_out: pandas.DataFrame) -> dict[str, str] | None:
    """Return the first and the last day of the held-out rows, if they have days."""
    column = request["data"]["timeColumn"]
    if not column:
        return None
    days = held_out[column]
    return {"from": str(days.min())[:10], "to": str(days.max())[:10]}


if __name__ == "__main__":
    sys.exit(job.run(main))
