"""What the lab is asked, and what it answers. Plain frozen values, no heavy imports."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Task = Literal["classification", "regression"]


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a stage may take, how much memory it may hold, how many threads it may start."""

    seconds: int
    memory_mb: int
    threads: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class LabData:
    """Pinned rows, what to predict in them, and how they are split.

    With a time column the last `holdout` share of the rows, in time order, is held out; without,
    each row is drawn by `seed`. Training, evaluation and latency must be given the same value.
    """

    path: Path
    digest: str
    target: str
    task: Task
    time_column: str | None = None
    holdout: float = 0.25
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidateRequest:
    """Check the data against the expectations of `suite` (a suite.py)."""

    name: str
    data: LabData
    suite: Path
    limits: Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidateResult:
    """The facts (kind data-validation) and the folder of the data docs, static HTML."""

    facts: dict[str, Any]
    docs: Path
    log: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainRequest:
    """Train with `script` (a train.py) on the training part of `data`."""

    name: str
    data: LabData
    script: Path
    limits: Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult:
    """A model folder in MLflow's layout, with the digest of all its files."""

    model: Path
    artifact_digest: str
    manifest: dict[str, str]
    params: dict[str, str]
    metrics: dict[str, float]
    features: tuple[str, ...]
    rows: int
    seconds: float
    peak_mb: int
    log: Path


@dataclass(frozen=True, slots=True)
class Champion:
    """The version in production, downloaded."""

    model: Path
    version: str


@dataclass(frozen=True, slots=True)
class Compare:
    """A metric to bound with a one-sided confidence."""

    metric: str
    confidence: float = 0.95


@dataclass(frozen=True, slots=True)
class Slice:
    """A column whose values, or whose numbers between *edges*, are groups of rows."""

    column: str
    edges: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateRequest:
    """Measure candidate and champion on the same held-out rows.

    *bound* names the candidate's own metrics to bound, *compare* those to bound the difference of.
    """

    name: str
    data: LabData
    candidate: Path
    limits: Limits
    champion: Champion | None = None
    bound: tuple[Compare, ...] = ()
    compare: tuple[Compare, ...] = ()
    slices: tuple[Slice, ...] = ()
    resamples: int = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateResult:
    """The facts (kinds evaluation and comparison) and the predictions behind them."""

    evaluation: dict[str, Any]
    comparison: dict[str, Any]
    predictions: Path
    log: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyRequest:
    """Time predictions of `model` on held-out rows, in turns with a champion's if one is given."""

    name: str
    data: LabData
    model: Path
    limits: Limits
    champion: Champion | None = None
    n: int = 500
    warmup: int = 50
    batch_rows: int = 100
    batches: int = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class FairnessRequest:
    """Compare how `model` treats the groups of each of *attributes* on held-out rows."""

    name: str
    data: LabData
    model: Path
    limits: Limits
    attributes: tuple[Slice, ...]
    confidence: float = 0.95
    minimum_rows: int = 100
    resamples: int = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyResult:
    """The facts (kind latency) and the table of every single time behind them."""

    facts: dict[str, Any]
    times: Path
    log: Path
