"""The data gates on 1,000,000 rows by 30 columns, and how often they are wrong.

Time and peak memory of collecting drift and leakage, in the child the lab starts, against the bare
library calls on frames that are already loaded. Then, by simulation with the functions the gates
use: how often equal distributions are called moved at the fewest rows a gate judges, how often a
shift by 0.7 standard deviations is found there, and how often honest coarse tables are called
copied.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy
import pandas

from airlock.adapters.datasets.files import FileData
from airlock.adapters.jobs import Lab, LabData, Limits
from airlock.domain.distributions import Tolerance, compare
from airlock.domain.duplicate_statistics import copied_across, repeated
from airlock.gates.drift import MINIMUM_ROWS

ROWS, NUMBERS, TEXTS = 1_000_000, 26, 4
#: What collecting may hold, in MB, beside the rows on disk.
MEMORY = 1_000
REPEATS = 400


def run() -> list[dict[str, Any]]:
    """Return the rows of both parts."""
    with tempfile.TemporaryDirectory(prefix="airlock-data-gates-") as place:
        folder = Path(place)
        digests = [_pin(folder, seed) for seed in (0, 1)]
        figures = {
            work: _measured(work, folder, digests)
            for work in ("drift", "bare drift", "leakage", "bare leakage")
        }
    rows = []
    for work, call in (("drift", "scipy KS, chi-square, PSI"), ("leakage", "AUC, row hashes")):
        ours, bare = figures[work], figures[f"bare {work}"]
        name = f"{work} of 1,000,000 x 30 (peer: {call} on loaded frames)"
        rows.append(_row(name, "s", ours["seconds"], bare["seconds"], "<= 4 x the bare calls", 4))
        memory = f"{work} of 1,000,000 x 30: peak memory (peer: the same frames loaded)"
        rows.append(_row(memory, "MB", ours["peak"], bare["peak"], f"<= {MEMORY} MB", None))
    return rows + _error_rates()


def _row(
    name: str, unit: str, ours: float, peer: float, goal: str, times: float | None
) -> dict[str, Any]:
    return {
        "name": name,
        "unit": unit,
        "ours": round(ours, 2),
        "peer": round(peer, 2),
        "ratio": round(ours / peer, 2),
        "goal": goal,
        "met": ours <= times * peer if times else ours <= MEMORY,
        "n": ROWS,
    }


def _table(seed: int) -> pandas.DataFrame:
    draw = numpy.random.default_rng(seed)
    columns: dict[str, Any] = {f"n{i}": draw.normal(size=ROWS) for i in range(NUMBERS)}
    for i in range(TEXTS - 1):
        columns[f"c{i}"] = pandas.Categorical.from_codes(
            draw.integers(0, 8, ROWS), list("abcdefgh")
        )
    chance = 1 / (1 + numpy.exp(-columns["n0"]))
    columns["label"] = (draw.random(ROWS) < chance).astype(int)
    return pandas.DataFrame(columns)


def _pin(folder: Path, seed: int) -> str:
    source = folder / "rows.parquet"
    _table(seed).to_parquet(source, index=False)
    return str(FileData(folder / "data").pin(source)["digest"])


def _measured(work: str, folder: Path, digests: list[str]) -> dict[str, float]:
    """Do one thing in a process of its own; return its seconds and its peak memory."""
    argv = [sys.executable, "-m", "tests.bench.data_gates", work, str(folder), *digests]
    figures: dict[str, float] = json.loads(subprocess.check_output(argv).splitlines()[-1])
    return figures


def _alone(work: str, folder: Path, digests: list[str]) -> None:
    """Do one thing and print what it took."""
    paths = [FileData(folder / "data").path(digest) for digest in digests]
    if work.startswith("bare"):
        frames = [pandas.read_parquet(path) for path in paths[: 2 if work == "bare drift" else 1]]
        begun = time.perf_counter()
        (_bare_drift if work == "bare drift" else _bare_leakage)(frames)
        process = resource.RUSAGE_SELF
    else:
        rows = [
            LabData(path=path, digest=digest, target="label", task="classification")
            for path, digest in zip(paths, digests, strict=True)
        ]
        options: dict[str, Any] = {"columns": [], "aside": [], "reference": rows[1]}
        if work == "leakage":
            options = {"availableAt": {}, "entityColumn": None}
        stage = "spread" if work == "drift" else work
        begun = time.perf_counter()
        lab = Lab(folder / "lab")
        lab.child(stage, "bench", rows[0], Limits(900, 4096, 2), options)
        process = resource.RUSAGE_CHILDREN
    seconds = time.perf_counter() - begun
    peak = resource.getrusage(process).ru_maxrss / 1024
    sys.stdout.write(json.dumps({"seconds": seconds, "peak": peak}) + "\n")


def _bare_drift(frames: list[pandas.DataFrame]) -> None:
    import scipy.stats

    reference, other = frames
    for name in reference.columns:
        if reference[name].dtype == float:
            scipy.stats.ks_2samp(reference[name], other[name], method="asymp")
            numpy.histogram(other[name], numpy.quantile(reference[name], numpy.arange(11) / 10))
        else:
            counts = pandas.concat([f[name].value_counts() for f in frames], axis=1)
            scipy.stats.chi2_contingency(counts.to_numpy())


def _bare_leakage(frames: list[pandas.DataFrame]) -> None:
    from sklearn.metrics import roc_auc_score

    (table,) = frames
    for name in table.columns.drop("label"):
        codes = table[name].cat.codes if table[name].dtype == "category" else table[name]
        roc_auc_score(table["label"], codes)
    pandas.util.hash_pandas_object(table, index=False).value_counts()


def _error_rates() -> list[dict[str, Any]]:
    draw = numpy.random.default_rng(0)
    same = numpy.mean([_moved(draw, 0.0) for _ in range(REPEATS)])
    far = numpy.mean([_moved(draw, 0.7) for _ in range(REPEATS)])
    honest = numpy.mean([_copied(draw) for _ in range(REPEATS)])
    n = f"{MINIMUM_ROWS} rows a side"
    return [
        _rate(f"drift: equal columns called moved, {n}", same, "<= 0.01", same <= 0.01),
        _rate(f"drift: a shift of 0.7 deviations found, {n}", far, ">= 0.8", far >= 0.8),
        _rate("leakage: honest coarse tables called copied", honest, "<= 0.01", honest <= 0.01),
    ]


def _rate(name: str, value: Any, goal: str, met: Any) -> dict[str, Any]:
    share = round(float(value), 4)
    return {
        "name": name,
        "unit": "share",
        "ours": share,
        "peer": "",
        "ratio": "",
        "goal": goal,
        "met": bool(met),
        "n": REPEATS,
    }


def _moved(draw: numpy.random.Generator, by: float) -> bool:
    """Judge one column of numbers as the gate drift does."""
    import scipy.stats

    reference, other = draw.normal(size=MINIMUM_ROWS), draw.normal(by, 1, size=MINIMUM_ROWS)
    edges = numpy.quantile(reference, numpy.arange(1, 10) / 10)
    sides = [
        numpy.bincount(numpy.searchsorted(edges, side, side="right"), minlength=10).tolist()
        for side in (reference, other)
    ]
    distance = float(scipy.stats.ks_2samp(reference, other, method="asymp").statistic)
    column = {"column": "x", "kind": "numbers", "ks": distance}
    column |= {"reference": sides[0], "current": sides[1]}
    return bool(compare({"columns": [column]}, Tolerance(0.2, 0.2, 0.2)).beyond)


def _copied(draw: numpy.random.Generator) -> bool:
    """Judge one honest table of some coarseness as the gate leakage does."""
    kinds = 10 ** draw.uniform(1, 7)
    rows = (kinds * draw.random(5_000) ** draw.uniform(1, 5)).astype(int)
    aside = draw.random(len(rows)) < 0.25
    counts = numpy.unique(rows, return_counts=True)[1]
    spectrum = [int((counts == times).sum()) for times in range(1, 7)]
    values, trained = numpy.unique(rows[~aside], return_counts=True)
    twins = int(numpy.isin(rows[aside], values).sum())
    across = copied_across(
        twins, int(aside.sum()), int(trained[trained > 1].sum()), int((~aside).sum())
    )
    return max(across, repeated(spectrum, len(rows))) > 0.01


if __name__ == "__main__":
    _alone(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
