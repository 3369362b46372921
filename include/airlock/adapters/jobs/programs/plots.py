"""Child: draw what was measured, from the predictions that were kept. No user code runs here.

SVG without links, scripts or dates: the same predictions give the same bytes.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airlock.adapters.jobs.errors import EvaluationFailed
from airlock.adapters.jobs.shared import job
from airlock.domain.digest import file_digest

if TYPE_CHECKING:
    import numpy

    Array = numpy.ndarray[Any, Any]

_MODELS = {"candidate": "#1f5fbf", "champion": "#c2571a"}
_SIZE = (5.2, 3.6)
_BINS = 10
#: More points than this are thinned; a curve does not look different.
_POINTS = 2_000


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Draw the plots of the task; return their names in order, each with a caption."""
    # Looking for fonts takes seconds; what was found is kept beside the folders of all calls.
    os.environ["MPLCONFIGDIR"] = str(Path(request["out"]).parents[1] / ".matplotlib")
    import matplotlib as mpl
    import pandas

    path, out = Path(request["predictions"]), Path(request["out"])
    if file_digest(path) != request["predictionsDigest"]:
        raise EvaluationFailed(f"the predictions of {request['name']} are not those evaluated")
    out.mkdir()
    mpl.use("Agg")
    mpl.rcParams |= {"svg.hashsalt": "airlock", "svg.fonttype": "path", "font.size": 9}
    table = pandas.read_parquet(path)
    models = {side: color for side, color in _MODELS.items() if side in table.columns}
    drawn = _CLASSES if request["data"]["task"] == "classification" else _NUMBERS
    plots = [
        {"file": f"{name}.svg", "caption": _draw(out / f"{name}.svg", plot, table, models)}
        for name, plot in drawn.items()
    ]
    if request["comparisons"]:
        place = out / "comparison.svg"
        plots.append({"file": place.name, "caption": _intervals(place, request["comparisons"])})
    if request["slices"]:
        place = out / "slices.svg"
        plots.append({"file": place.name, "caption": _slices(place, request["slices"])})
    return {"plots": plots, "rows": len(table)}


def _draw(path: Path, plot: Any, table: Any, models: dict[str, str]) -> str:
    """Draw each model's part of one plot, and return the caption."""
    figure, axes = _axes()
    caption: str = plot.__doc__
    for side, color in models.items():
        plot(axes, table["truth"].to_numpy(), table[side].to_numpy(), side, color)
    axes.legend(frameon=False)
    _save(figure, path)
    return caption


def _axes() -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def _thin(*arrays: Array) -> list[Array]:
    step = max(1, len(arrays[0]) // _POINTS)
    return [array[::step] for array in arrays]


def _roc(axes: Any, truth: Array, predicted: Array, side: str, color: str) -> None:
    """ROC: true against false positives at every threshold."""
    from sklearn.metrics import auc, roc_curve

    wrong, right, _ = roc_curve(truth, predicted)
    axes.plot(*_thin(wrong, right), color=color, label=f"{side} (area {auc(wrong, right):.3f})")
    axes.set(xlabel="false positive rate", ylabel="true positive rate")


def _precision_recall(axes: Any, truth: Array, predicted: Array, side: str, color: str) -> None:
    """Precision against recall at every threshold."""
    from sklearn.metrics import precision_recall_curve

    precision, recall, _ = precision_recall_curve(truth, predicted)
    axes.plot(*_thin(recall, precision), color=color, label=side)
    axes.set(xlabel="recall", ylabel="precision", ylim=(0, 1.02))


def _calibration(axes: Any, truth: Array, predicted: Array, side: str, color: str) -> None:
    """Calibration: what was predicted against what came true, by tenths of the predictions."""
    from sklearn.calibration import calibration_curve

    came, forecast = calibration_curve(truth, predicted, n_bins=_BINS, strategy="quantile")
    axes.plot(forecast, came, "o-", color=color, label=side)
    axes.axline((0, 0), slope=1, color="#999", lw=0.8, ls=":")
    axes.set(xlabel="mean predicted probability", ylabel="share that came true")


def _residuals(axes: Any, truth: Array, predicted: Array, side: str, color: str) -> None:
    """Residuals: how far the truth lies from the prediction, up to the 1st and 99th percentile."""
    import numpy

    off = truth - predicted
    low, high = numpy.percentile(off, [1, 99])
    inner = off[(off >= low) & (off <= high)]
    axes.hist(inner, bins=60, histtype="step", color=color, label=side)
    axes.set(xlabel="truth minus prediction", ylabel="rows")


def _means(axes: Any, truth: Array, predicted: Array, side: str, color: str) -> None:
    """Calibration: the mean prediction against the mean truth, by tenths of the predictions."""
    import numpy

    parts = numpy.array_split(numpy.argsort(predicted, kind="stable"), _BINS)
    forecast, came = zip(
        *((predicted[p].mean(), truth[p].mean()) for p in parts if len(p)), strict=True
    )
    axes.plot(forecast, came, "o-", color=color, label=side)
    axes.axline((forecast[0], forecast[0]), slope=1, color="#999", lw=0.8, ls=":")
    axes.set(xlabel="mean prediction", ylabel="mean truth")


_CLASSES = {"roc": _roc, "precision-recall": _precision_recall, "calibration": _calibration}
_NUMBERS = {"residuals": _residuals, "calibration": _means}


def _intervals(path: Path, comparisons: list[dict[str, Any]]) -> str:
    figure, axes = _axes()
    for place, comparison in enumerate(comparisons):
        axes.plot(
            [comparison["low"], comparison["high"]],
            [place, place],
            color=_MODELS["candidate"],
            lw=2,
        )
        axes.plot([comparison["difference"]], [place], "o", color=_MODELS["candidate"])
    axes.axvline(0, color="#999", lw=0.8, ls=":")
    axes.set_yticks(range(len(comparisons)), [comparison["metric"] for comparison in comparisons])
    axes.set(xlabel="candidate minus champion", ylim=(-0.7, len(comparisons) - 0.3))
    _save(figure, path)
    return "Champion against candidate: the difference on the same rows, with its interval."


def _slices(path: Path, slices: list[dict[str, Any]]) -> str:
    figure, axes = _axes()
    for side, color in _MODELS.items():
        points = [(row[side], place) for place, row in enumerate(slices) if row[side] is not None]
        if points:
            axes.plot(*zip(*points, strict=True), "o", color=color, label=side)
    axes.set_yticks(range(len(slices)), [f"{row['name']} ({row['n']:,})" for row in slices])
    axes.invert_yaxis()
    axes.set(xlabel=slices[0]["metric"])
    axes.legend(frameon=False)
    _save(figure, path)
    return f"Slices: {slices[0]['metric']} where there are enough rows to tell."


if __name__ == "__main__":
    sys.exit(job.run(main))
