"""Gates as tasks: collect what the gate needs, judge it, store the result, stop what fails.

The sentence a gate ends with is in its log and, beside its options, among the task's rendered
templates; the link "Evidence" leads to the numbers. A gate that says no, and a gate that cannot
tell, both fail their task at once with the measured number, the threshold and n in one line, unless
the policy only wants its advice. The release is blocked by the stored result, not by the colour of
the task: marking the task as success changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from airflow.sdk import BaseOperator

from airlock.gates import BY_NAME, build
from airlock_airflow import edge
from airlock_airflow.links import EvidenceLink
from airlock_airflow.literal import LiteralFields


class GateOperator(LiteralFields, BaseOperator):
    """Judge with one gate of Airlock.

    :param gate: the gate as a pipeline writes it, for example
        `{"gate": "metrics-threshold", "metric": "roc_auc", "threshold": 0.8}`.
    """

    ui_color = "#fff4e0"
    operator_extra_links = (EvidenceLink(),)
    template_fields = ("gate", "summary")  # shown on the task's page, never rendered
    overwrite_rtif_after_execution = True  # the summary is known only then

    def __init__(self, *, gate: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.gate = dict(gate)
        self.summary = "not judged yet"
        if self.gate.get("gate") not in BY_NAME:
            names = ", ".join(sorted(BY_NAME))
            raise ValueError(f"gate must be one of {names}, found {self.gate.get('gate')!r}")
        self.gate_key = build(self.gate).key  # refuses options that cannot be

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """Judge; the result is stored whatever it says."""
        from airlock.services.pipeline import collect_and_judge

        with edge.translated(context):
            airlock, gate = edge.airlock(), build(self.gate)
            origin, signer = edge.origin(context), airlock.gate_signer
            result = collect_and_judge.examine(
                airlock.store, airlock.proposals, edge.bench(), origin, gate, signer
            )
            weight = collect_and_judge.weight(airlock.store, airlock.rulebook, origin, gate)
        line = self.summary = f"{result.key} {result.verdict}: {result.message}"
        if not result.verdict.opens and weight != "advisory":
            edge.fail(context, line)
        self.log.info("%s", line)
        return result.to_document()


class _NamedGateOperator(GateOperator):
    """A gate with its options as keyword arguments."""

    gate_name: ClassVar[str] = ""

    def __init__(self, **kwargs: Any) -> None:
        options = {name: kwargs.pop(name) for name in self._options() if name in kwargs}
        super().__init__(gate={"gate": self.gate_name, **options}, **kwargs)

    @classmethod
    def _options(cls) -> tuple[str, ...]:
        return tuple(BY_NAME[cls.gate_name].__dataclass_fields__)


class MetricsThresholdGateOperator(_NamedGateOperator):
    """Is the candidate good enough on its own?

    :param metric: a metric of the held-out rows, for example `roc_auc`.
    :param threshold: at least this, or at most this for metrics where less is better.
    :param confidence: then the one-sided bound has to reach it, not the measured value.
    :param slice_threshold: what every slice of the rows has to reach.
    :param minimum_rows: a smaller slice is not assessable, 100 unless told.
    """

    gate_name = "metrics-threshold"


class PerformanceRegressionGateOperator(_NamedGateOperator):
    """Is the candidate no worse than the champion on the same rows?

    :param metric: the metric compared.
    :param margin: how much worse is still acceptable.
    :param confidence: of the one-sided bound over all attempts, 0.95 unless told.
    :param attempts: how many candidates share the error on the same rows, 5 unless told.
    :param material: a slice that fell by no more is not held against it; the margin unless told.
    :param minimum_rows: a smaller slice is not assessable, 100 unless told.
    """

    gate_name = "performance-regression"


class FairnessGateOperator(_NamedGateOperator):
    """Does the model treat the groups of a protected attribute alike, as far as asked?

    :param demographic_parity: how far the shares selected may differ.
    :param equalized_odds: how far the true and false positive rates may differ.
    :param confidence: of the bounds, 0.95 unless told.
    :param minimum_rows: a smaller group is not assessable, 100 unless told.
    """

    gate_name = "fairness"


class LatencyGateOperator(_NamedGateOperator):
    """Does a prediction come back in time, and no slower than the champion's?

    :param p95_ms: the 95th percentile of single-row predictions stays within this; likewise
        `p50_ms`, `p99_ms`, and for `batch_rows` rows `batch_p50_ms`, `batch_p95_ms`,
        `batch_p99_ms`.
    :param max_ratio: how many times the champion's 95th percentile is allowed.
    :param n: how many single-row calls are timed.
    """

    gate_name = "latency"


class CoverageGateOperator(_NamedGateOperator):
    """Do the model's own tests run its code, and what is new in it?

    :param total: percent of all lines and branches of the package.
    :param changed_lines: percent of the lines the champion's commit does not have.
    :param branches: a new line counts only if all its branches ran; True unless told.
    """

    gate_name = "test-coverage"


class StaticAnalysisGateOperator(_NamedGateOperator):
    """Do ruff and bandit find anything in the model's package?

    :param max_findings: so many are accepted, 0 unless told.
    :param severities: of bandit's findings, those that count; medium and high unless told.
    :param max_suppressions: so many comments may switch a tool off; any number unless told.
    """

    gate_name = "static-analysis"


class FootprintGateOperator(_NamedGateOperator):
    """Does the model fit where it is to run?

    :param size_mb: all files of the model; likewise `load_ms` and `memory_mb`.
    :param max_size_ratio: how many times the champion's size is allowed; likewise
        `max_load_ratio` and `max_memory_ratio`.
    :param runs: how many fresh processes measure it.
    """

    gate_name = "footprint"


class ReproducibilityGateOperator(_NamedGateOperator):
    """Does the same data, code, seed and lock give the same model again?

    :param tolerance: how far a metric of the model trained again may be away.
    :param bytes: the model file has to say the same, too.
    """

    gate_name = "reproducibility"


class ServingCheckGateOperator(_NamedGateOperator):
    """Does the serving code answer as the model did when it was measured, and refuse wrong input?

    :param tolerance: how far an answer may be away from the evaluation's.
    :param requests: how many held-out rows are sent.
    """

    gate_name = "serving-check"


class DataValidationGateOperator(_NamedGateOperator):
    """Does every expectation of the model's suite hold on the pinned data?

    :param max_age_days: how old the newest row may be; any age unless told.
    :param min_rows: at least this many rows, 1 unless told.
    :param max_change: the factor the rows may be more or fewer than the champion's.
    """

    gate_name = "data-validation"


class DependencyAuditGateOperator(_NamedGateOperator):
    """Is anything the environment is made of known to be vulnerable, or not allowed?

    :param database: advisories in OSV format: a file, a folder or a zip.
    :param max_age_days: how old they may be, 30 unless told.
    :param ignore: advisories a person has looked at; each is shown in the result.
    :param allowed_licenses: SPDX identifiers.
    :param license_exceptions: distributions whose licence a person has looked at.
    """

    gate_name = "dependency-audit"


class DriftGateOperator(_NamedGateOperator):
    """Are these still the rows the champion was trained on, as far as their values go?

    :param psi: the population stability index of a column stays within this, 0.2 unless told.
    :param ks: the Kolmogorov-Smirnov distance of numbers, 0.2 unless told.
    :param cramers_v: Cramer's V of values, 0.2 unless told.
    :param min_rows: fewer rows than this cannot be judged, 500 unless told.
    :param ignore: columns that may move.
    """

    gate_name = "drift"


class TrainServingSkewGateOperator(_NamedGateOperator):
    """Is the model trained on what it will be asked?

    :param psi: as for drift; so are `ks`, `cramers_v`, `min_rows` and `ignore`.
    :param unseen: the share of requests that may hold a value training never saw.
    """

    gate_name = "train-serving-skew"


class LeakageGateOperator(_NamedGateOperator):
    """Do the features know what they could not know when it counts?

    :param max_auc: no feature alone ranks held-out answers better, 0.95 unless told.
    :param max_r2: the same for a number to predict, 0.9 unless told.
    :param max_duplicates: the share of copied rows beyond chance, 0.01 unless told.
    :param max_entities: the share of held-out rows about somebody training knows, 0 unless told.
    """

    gate_name = "leakage"


class LabelBalanceGateOperator(_NamedGateOperator):
    """Is there enough of each answer to learn from, and as much of it as before?

    :param min_share: the share of the rarest answer, 0.01 unless told.
    :param max_change: how far the answers may lie from the champion's, 0.05 unless told.
    """

    gate_name = "label-balance"


class ModelCardGateOperator(_NamedGateOperator):
    """Does somebody answer for this model, in words, for all that numbers cannot say?

    :param min_words: the fewest words an answer has, 4 unless told.
    """

    gate_name = "model-card"


class ArtifactFormatGateOperator(_NamedGateOperator):
    """Is every file of the artifact in a format that runs no code when it is loaded?

    :param allowed: the model formats that are accepted; all safe ones unless told.
    """

    gate_name = "artifact-format"
