"""leakage: do the features know what they could not know when it counts?

Four ways a measured metric becomes too good to be true:

* a feature is the answer, or nearly so: alone it predicts held-out answers better than *max_auc*
  (classification) or *max_r2* (regression);
* a column is from the future: its times are later than the row's own;
* held-out rows are copies of training rows: more than the share *max_duplicates* beyond what chance
  explains in a table as coarse as this one (`airlock.domain.duplicate_statistics`);
* held-out rows are about somebody training has seen (`data.entityColumn`): more than the share
  *max_entities*.

A feature nobody could score, and a column of times without the row's own to hold it against, were
not looked at: more than *max_unjudged* of them leave the gate ERRORED.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from airlock.domain.duplicate_statistics import copied_across, repeated
from airlock.domain.gates import Evidence, GateResult, Limit, Verdict
from airlock.gates.inputs import count, names, text


@dataclass(frozen=True)
class Leakage:
    """No feature, time, equal row or entity tells the answer of held-out rows in advance."""

    name: ClassVar[str] = "leakage"
    needs: ClassVar[tuple[str, ...]] = ("leakage",)
    limit: ClassVar[Limit] = "at most"

    max_auc: float = 0.95
    max_r2: float = 0.9
    max_duplicates: float = 0.01
    max_entities: float = 0.0
    max_unjudged: int = 0

    def __post_init__(self) -> None:
        if not 0.5 < self.max_auc < 1:
            raise ValueError(f"max_auc must lie between 0.5 and 1, found {self.max_auc}")
        if not 0 < self.max_r2 < 1:
            raise ValueError(f"max_r2 must lie between 0 and 1, found {self.max_r2}")
        for name in ("max_duplicates", "max_entities"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(
                    f"{name} must be at least 0 and below 1, found {getattr(self, name)}"
                )
        if self.max_unjudged < 0:
            raise ValueError(f"max_unjudged must not be negative, found {self.max_unjudged}")

    @property
    def key(self) -> str:
        """The gate's name: a pipeline has one."""
        return self.name

    def judge(self, evidence: Mapping[str, Evidence]) -> GateResult:
        """Judge all four ways, and name every one that is open."""
        source = evidence[self.needs[0]]
        facts = source.facts
        _check(facts)
        scored = [feature for feature in facts["features"] if feature["score"] is not None]
        if not scored or facts["heldOut"] < 1:
            raise ValueError("no feature was scored on held-out rows")
        best = max(scored, key=lambda feature: (feature["score"], feature["column"]))
        limit = self.max_auc if facts["scoreName"] == "roc_auc" else self.max_r2
        if not all(
            -math.inf < feature["score"] < math.inf and feature["equal"] >= 0 for feature in scored
        ):
            raise ValueError("a feature was scored with no number")
        unjudged = _unjudged(facts)
        across, twice = self._copies(facts)
        leaks = [
            *self._answers(facts, scored, limit),
            *_future(facts),
            *self._equal_rows(across, twice),
            *self._shared_entities(facts),
        ]
        rows = f"on {facts['heldOut']:,} held-out rows"
        clean = (
            f"best single feature {best['column']} {facts['scoreName']} {best['score']:.3f}, limit "
            f"{limit:g}; no copies beyond chance {rows}{_not_judged(unjudged)}"
        )
        return GateResult(
            gate=self.name,
            key=self.key,
            verdict=Verdict.FAILED
            if leaks
            else Verdict.ERRORED
            if len(unjudged) > self.max_unjudged
            else Verdict.PASSED,
            measured=float(best["score"]),
            threshold=limit,
            n=int(facts["heldOut"]),
            unit=facts["scoreName"],
            evidence=(source.digest,),
            message=f"{'; '.join(leaks)}; {rows}" if leaks else clean,
            details={
                "features": sorted(scored, key=lambda feature: -feature["score"])[:20],
                "times": list(facts["times"]),
                "duplicates": {**facts["duplicates"], "across": across, "repeated": twice},
                "entity": facts["entity"],
            },
        )

    def _answers(
        self, facts: Mapping[str, Any], scored: list[Mapping[str, Any]], limit: float
    ) -> list[str]:
        return [
            f"{feature['column']} alone predicts {facts['target']} with {facts['scoreName']} "
            f"{feature['score']:.3f} (limit {limit:g}"
            + (
                f"; equal to it in {feature['equal'] / facts['rows']:.1%} of all rows)"
                if feature["equal"] > 0.9 * facts["rows"]
                else "): was it known before the answer?"
            )
            for feature in scored
            if feature["score"] > limit
        ]

    def _copies(self, facts: Mapping[str, Any]) -> tuple[float, float]:
        twins = facts["duplicates"]
        across = copied_across(
            twins["heldOutTwins"], twins["heldOut"], twins["trainingTwins"], twins["training"]
        )
        return across, repeated(twins["spectrum"], twins["training"] + twins["heldOut"])

    def _equal_rows(self, across: float, twice: float) -> list[str]:
        sentences = []
        if across > self.max_duplicates:
            sentences.append(f"{across:.1%} of the held-out rows are copies of training rows")
        if twice > self.max_duplicates:
            sentences.append(
                f"{twice:.1%} of all rows are there several times, so they leak across"
            )
        return [
            f"{sentence}, beyond chance (limit {self.max_duplicates:.1%})" for sentence in sentences
        ]

    def _shared_entities(self, facts: Mapping[str, Any]) -> list[str]:
        entity = facts["entity"]
        if entity is None or entity["rows"] <= self.max_entities * facts["heldOut"]:
            return []
        return [
            f"{entity['rows']:,} held-out rows are about {entity['shared']:,} of "
            f"{entity['column']} that training has seen (limit {self.max_entities:.1%})"
        ]


def _future(facts: Mapping[str, Any]) -> list[str]:
    return [
        f"{', '.join(column['of']) or column['column']} is from the future in {column['later']:,} "
        "rows: "
        f"{column['column']} is up to {column['worstDays']:g} days later than {facts['timeColumn']}"
        for column in facts["times"]
        if column["later"]
    ]


_SCORES = {"classification": "roc_auc", "regression": "r2"}


def _check(facts: Mapping[str, Any]) -> None:
    """Refuse evidence that contradicts itself.

    Raises:
        ValueError: saying where.
    """
    text(facts["target"], "the target")
    names(facts["features"], "column", "a feature")
    for feature in facts["features"]:
        text(feature["type"], f"the type of {feature['column']}")
    names(facts["times"], "column", "a column of times")
    if facts["scoreName"] != _SCORES[facts["task"]]:
        raise ValueError(f"{facts['task']} was scored by {facts['scoreName']}")
    twins = facts["duplicates"]
    if twins["training"] + twins["heldOut"] != facts["rows"] or len(twins["spectrum"]) != 6:
        raise ValueError(f"copies were counted in other rows than the {facts['rows']}")
    if twins["heldOut"] != facts["heldOut"]:
        raise ValueError(f"copies were counted in {twins['heldOut']} held-out rows")
    if facts["timeColumn"] is None and any(
        column["later"] is not None for column in facts["times"]
    ):
        raise ValueError("times were held against the row's own, and the rows have none")
    if facts["timeColumn"] is not None:
        text(facts["timeColumn"], "the time column")
    if facts["entity"] is not None:
        text(facts["entity"]["column"], "the column of entities")
        count(facts["entity"]["rows"], "the rows of known entities")


def _unjudged(facts: Mapping[str, Any]) -> list[str]:
    """Return the unchecked features: those without a score, and times without a row time."""
    unscored = [
        f"{feature['column']} ({feature['type']})"
        for feature in facts["features"]
        if feature["score"] is None
    ]
    times = [column["column"] for column in facts["times"] if column["later"] is None]
    if times and facts["timeColumn"] is not None:
        raise ValueError(f"the times of {', '.join(times)} were not held against the row's own")
    return unscored + [f"whether {name} is from the future (no timeColumn)" for name in times]


def _not_judged(unjudged: list[str]) -> str:
    return f"; not judged: {', '.join(unjudged[:5])}" if unjudged else ""
