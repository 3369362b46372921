"""What the gates' evidence costs on 1,000,000 rows x 30 columns, beside the bare library call.

A step is the lab's own call, as a pipeline run makes it: a child process, pinned rows held against
their digest, the same split, results written down. Its peer is a script that makes the bare library
call of it, in a process of its own too, with the same interpreter and threads. Both are timed from
start to end of their process, in turns, and the shortest of the rounds counts; memory is the most
the step's process held. To add a step, write its line in `STEPS`: its name, what the lab is asked,
and the peer's script, which gets `rows` and `model` as paths.

    python -m tests.bench gate_cost
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy
import pandas

from airlock.adapters.datasets.files import FileData
from airlock.adapters.jobs import (
    EvaluateRequest,
    Lab,
    LabData,
    LatencyRequest,
    Limits,
    TrainRequest,
    ValidateRequest,
    process,
)
from airlock.adapters.jobs.collectors.serving import PROBE
from airlock.domain.digest import folder_manifest, manifest_digest
from airlock.domain.gates import Evidence, run_gate
from airlock.gates import DataValidation, Latency, MetricsThreshold, ServingCheck
from tests.support import short_folder

ROWS, COLUMNS = 1_000_000, 30
#: No step may hold more: it is what the shipped pipelines give a stage.
MEMORY_MB = 2_048
ROUNDS = 2
LIMITS = Limits(seconds=900, memory_mb=8_192, threads=2)
CALLS, REQUESTS = 2_000, 100

TRAIN = """
    from sklearn.linear_model import LogisticRegression

    def train(rows, target, seed):
        some = rows.iloc[::20]
        return LogisticRegression().fit(some.drop(columns=[target]), some[target])
"""
SUITE = f"""
    import great_expectations.expectations as gxe

    def expectations():
        columns = [f"c{{number}}" for number in range({COLUMNS})]
        nulls = [gxe.ExpectColumnValuesToNotBeNull(column=name) for name in columns]
        return nulls + [
            gxe.ExpectColumnValuesToBeBetween(column=name, min_value=-9, max_value=9)
            for name in columns
        ]
"""
_HELD_OUT = f"""
    import numpy, pandas
    table = pandas.read_parquet(rows)
    table = table[numpy.random.default_rng(0).random(len(table)) < 0.25]
    columns = [f"c{{number}}" for number in range({COLUMNS})]
"""
_LOADED = """
    import skops.io
    loaded = skops.io.load(model)
"""
EVALUATE = f"""{_HELD_OUT}{_LOADED}
    from sklearn import metrics
    truth, said = table["label"], loaded.predict_proba(table[columns])[:, 1]
    metrics.roc_auc_score(truth, said)
    metrics.average_precision_score(truth, said)
    metrics.accuracy_score(truth, said > 0.5)
    metrics.f1_score(truth, said > 0.5)
    metrics.log_loss(truth, said)
    metrics.brier_score_loss(truth, said)
"""
LATENCY = f"""{_HELD_OUT}{_LOADED}
    table = table[columns]
    for frame in [table.iloc[[number]] for number in range({CALLS})]:
        loaded.predict_proba(frame)[:, 1]
"""
SERVE = f"""{_HELD_OUT}{_LOADED}
    table = table[columns]
    for number in range({REQUESTS}):
        loaded.predict_proba(table.iloc[[number]])[:, 1]
"""
FIT = f"""{_HELD_OUT.replace("< 0.25", ">= 0.25")}
    from sklearn.linear_model import LogisticRegression
    import mlflow.sklearn, shutil
    some = table.iloc[::20]
    made = LogisticRegression().fit(some[columns], some["label"])
    mlflow.sklearn.save_model(made, "fitted", serialization_format="skops", pip_requirements=[])
    shutil.rmtree("fitted")
"""
VALIDATE = f"""
    import pandas
    table = pandas.read_parquet(rows)
    {textwrap.dedent(SUITE).replace(chr(10), chr(10) + "    ")}
    import great_expectations as gx
    context = gx.get_context(mode="ephemeral")
    asset = context.data_sources.add_pandas("rows").add_dataframe_asset("rows")
    batch = asset.add_batch_definition_whole_dataframe("all")
    suite = gx.ExpectationSuite("suite", expectations=expectations())
    assert batch.get_batch({{"dataframe": table}}).validate(suite).success
"""


class Watched(Lab):
    """A lab that remembers how its last child ended."""

    ending: process.Ending

    def _run(self, *arguments: Any) -> tuple[dict[str, Any], process.Ending]:
        answer, self.ending = super()._run(*arguments)
        return answer, self.ending


@dataclass(frozen=True)
class Site:
    """The rows, a model of them, and where to work."""

    folder: Path
    lab: Watched
    data: LabData
    model: Path
    suite: Path
    outputs: dict[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """One line of the table. *goal* is the ratio to the bare call that is still accepted."""

    name: str
    ours: Callable[[Site], Any]
    peer: str
    goal: float


def _evaluate(site: Site) -> dict[str, Any]:
    request = EvaluateRequest(name="wide", data=site.data, candidate=site.model, limits=LIMITS)
    result = site.lab.evaluate(request)
    site.outputs["predictions"] = result.predictions
    return result.evaluation


def _latency(site: Site) -> dict[str, Any]:
    return site.lab.latency(
        LatencyRequest(
            name="wide", data=site.data, model=site.model, limits=LIMITS, n=CALLS, warmup=0
        )
    ).facts


def _validate(site: Site) -> dict[str, Any]:
    request = ValidateRequest(name="wide", data=site.data, suite=site.suite, limits=LIMITS)
    return site.lab.validate(request).facts


def _serve(site: Site) -> dict[str, Any]:
    extra = {
        "model": str(site.model),
        "artifactDigest": manifest_digest(folder_manifest(site.model)),
        "requests": REQUESTS,
        "predictions": str(site.outputs["predictions"]),
    }
    facts, _ = site.lab.child("serving", "wide", site.data, LIMITS, extra, PROBE)
    return facts | {"artifactDigest": extra["artifactDigest"]}


def _train(site: Site) -> dict[str, Any]:
    script = site.suite.with_name("train.py")
    training = site.lab.train(
        TrainRequest(name="wide", data=site.data, script=script, limits=LIMITS)
    )
    return {"rows": training.rows}


STEPS = (
    Step("evaluate against sklearn.metrics", _evaluate, EVALUATE, 2.0),
    Step("latency against a bare loop", _latency, LATENCY, 2.0),
    Step("data-validation against bare GX", _validate, VALIDATE, 2.0),
    Step("serving-check against a bare loop", _serve, SERVE, 3.0),
    Step("reproducibility against bare fit and save", _train, FIT, 2.0),
)


def run() -> list[dict[str, Any]]:
    """Measure each step in turns with its peer, and then the gates on what was found."""
    folder = short_folder("gates")
    try:
        site = _site(folder)
        rows: list[dict[str, Any]] = []
        facts: dict[str, dict[str, Any]] = {}
        for step in STEPS:
            ours, peers = [], []
            for _ in range(ROUNDS):
                facts[step.name.partition(" ")[0]] = step.ours(site)
                ours.append(site.lab.ending)
                peers.append(_peer(site, step.peer))
            peak = max(ending.peak_mb for ending in ours)
            seconds = min(ending.seconds for ending in ours)
            rows += [_time(step, seconds, min(peers)), _memory(step, peak)]
        return [*rows, _judging(facts)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _site(folder: Path) -> Site:
    draw = numpy.random.default_rng(0)
    values = draw.standard_normal((ROWS, COLUMNS))
    table = pandas.DataFrame(values, columns=[f"c{number}" for number in range(COLUMNS)])
    table["label"] = (values[:, 0] + draw.standard_normal(ROWS) > 0).astype(int)
    source = folder / "rows.parquet"
    table.to_parquet(source, index=False)
    del table, values
    pinned = FileData(folder / "data")
    digest = pinned.pin(source, target="label")["digest"]
    path = pinned.path(digest)
    data = LabData(path=path, digest=digest, target="label", task="classification")
    lab, code = Watched(folder / "lab"), folder / "code"
    code.mkdir()
    for name, text in (("train.py", TRAIN), ("suite.py", SUITE)):
        (code / name).write_text(textwrap.dedent(text))
    request = TrainRequest(name="wide", data=data, script=code / "train.py", limits=LIMITS)
    return Site(folder, lab, data, lab.train(request).model, code / "suite.py")


def _peer(site: Site, script: str) -> float:
    """Return how many seconds the bare script takes, in the environment of a child."""
    variables = f"rows, model = {str(site.data.path)!r}, {str(site.model / 'model.skops')!r}\n"
    environment = process.clean_environment(site.folder, sys.executable, LIMITS, seed=0)
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", variables + textwrap.dedent(script)],
        cwd=site.folder,
        env=environment,
        check=True,
        stderr=subprocess.DEVNULL,
    )
    return time.perf_counter() - started


def _time(step: Step, ours: float, peer: float) -> dict[str, Any]:
    ratio = ours / peer
    return {
        "name": f"gates: {step.name}",
        "unit": "s",
        "ours": round(ours, 2),
        "peer": round(peer, 2),
        "ratio": round(ratio, 2),
        "goal": f"at most {step.goal:g} times",
        "met": ratio <= step.goal,
        "n": ROWS,
    }


def _memory(step: Step, peak: int) -> dict[str, Any]:
    return {
        "name": f"gates: memory of {step.name.partition(' ')[0]}",
        "unit": "MB",
        "ours": peak,
        "peer": round(ROWS * (COLUMNS + 1) * 8 / (1 << 20)),
        "ratio": "",
        "goal": f"at most {MEMORY_MB:,}, the rows alone as peer",
        "met": peak <= MEMORY_MB,
        "n": ROWS,
    }


def _judging(collected: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Time the judgements themselves: pure functions on facts."""
    rounds, artifact = 200, collected["serving-check"]["artifactDigest"]
    facts = collected | {"evaluation": collected["evaluate"]}
    evidence = {kind: Evidence(kind, artifact, content) for kind, content in facts.items()}
    gates = (MetricsThreshold("roc_auc", 0.5), Latency(1000), DataValidation(), ServingCheck())
    started = time.perf_counter()
    for _ in range(rounds):
        results = [run_gate(gate, evidence) for gate in gates]
    each = (time.perf_counter() - started) / rounds / len(gates) * 1000
    return {
        "name": "gates: judging one",
        "unit": "ms",
        "ours": round(each, 3),
        "peer": "",
        "ratio": "",
        "goal": "under 5, and all passed",
        "met": each < 5 and all(result.verdict == "PASSED" for result in results),
        "n": rounds * len(gates),
    }
