"""Child: measure candidate and champion on the same held-out rows. No user code runs here.

Both models are loaded from their folders by our own trust list. The rows, the predictions and the
differences are all written down, so that an auditor can compute every number again.
"""

from __future__ import annotations

import hashlib
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airlock.adapters.lab.children import bootstrap, job, metrics, predict, rows
from airlock.adapters.lab.errors import EvaluationFailed, MetricNotFinite
from airlock.adapters.lab.trust import load_model
from airlock.domain.digest import digest_json
from airlock.domain.metrics import direction

if TYPE_CHECKING:
    import numpy
    import pandas

    Array = numpy.ndarray[Any, Any]


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Evaluate, compare and write the predictions."""
    test = rows.split(request, rows.load(request)).test
    truth = test[request["data"]["target"]].to_numpy()
    candidate = _predictions(request, "candidate", test)
    champion = _predictions(request, "champion", test) if request["champion"] else None
    _write(Path(request["out"]), test, truth, candidate, champion)
    return {
        "rows": len(test),
        "rowsDigest": _rows_digest(request, test),
        "candidate": _measured(request, "candidate", truth, candidate),
        "champion": None if champion is None else _measured(request, "champion", truth, champion),
        "comparisons": [] if champion is None else _compare(request, truth, candidate, champion),
    }


def _predictions(request: dict[str, Any], who: str, test: pandas.DataFrame) -> Array:
    data, label = request["data"], f"the {who} of {request['name']}"
    model = load_model(Path(request[who]), label)
    features = rows.features_of(model, test, data["target"], request["name"])
    return predict.predict(model, features, data["task"], label)


def _measured(request: dict[str, Any], who: str, truth: Array, predicted: Array) -> dict[str, Any]:
    label = f"the {who} of {request['name']}"
    return metrics.measure(request["data"]["task"], truth, predicted, label)


def _compare(
    request: dict[str, Any], truth: Array, candidate: Array, champion: Array
) -> list[dict[str, Any]]:
    """Bootstrap the difference of each metric asked for."""
    asked = request["compare"]
    known = metrics.names(request["data"]["task"])
    for item in asked:
        if item["metric"] not in known:
            raise EvaluationFailed(
                f"comparison of {request['name']}: {item['metric']!r} is no metric of "
                f"{request['data']['task']}; known: {', '.join(known)}"
            )
    pairs = [
        (metrics.prepare(name, truth, candidate), metrics.prepare(name, truth, champion))
        for name in (item["metric"] for item in asked)
    ]
    seed, resamples = request["data"]["seed"], request["resamples"]
    samples = bootstrap.differences(pairs, len(truth), resamples, seed) if pairs else None
    return [
        _row(request, item, pair, len(truth), None if samples is None else samples[:, column])
        for column, (item, pair) in enumerate(zip(asked, pairs, strict=True))
    ]


def _row(request: dict[str, Any], item: dict[str, Any], pair: Any, n: int, samples: Any) -> Any:
    """Return one line of the comparison evidence."""
    import numpy

    values = [float(measure(numpy.ones(n))) for measure in pair]
    low, high = bootstrap.bounds(samples, item["confidence"])
    if not all(map(math.isfinite, [*values, low, high])):
        raise MetricNotFinite(
            f"{item['metric']} of {request['name']} is not finite in some resample of {n} rows"
        )
    return {
        "metric": item["metric"],
        "direction": direction(item["metric"]),
        "candidate": values[0],
        "champion": values[1],
        "difference": values[0] - values[1],
        "low": low,
        "high": high,
        "confidence": item["confidence"],
        "n": n,
        "resamples": request["resamples"],
        "seed": request["data"]["seed"],
        "method": bootstrap.METHOD,
    }


def _rows_digest(request: dict[str, Any], test: pandas.DataFrame) -> str:
    """Return what names these rows: the data's digest and the numbers of the rows in it."""
    numbers = hashlib.sha256(test.index.to_numpy().astype("<i8").tobytes()).hexdigest()
    return digest_json({"data": request["data"]["digest"], "rowNumbers": numbers})


def _write(
    out: Path, test: pandas.DataFrame, truth: Array, candidate: Array, champion: Array | None
) -> None:
    import pandas

    table = pandas.DataFrame({"row": test.index, "truth": truth, "candidate": candidate})
    if champion is not None:
        table["champion"] = champion
    table.to_parquet(out, index=False, compression="zstd")


if __name__ == "__main__":
    sys.exit(job.run(main))
