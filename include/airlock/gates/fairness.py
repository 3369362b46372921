"""fairness: does the model treat the groups of a protected attribute alike, as far as asked?

Two differences between groups can be limited: of the share selected (demographic parity) and of
the errors, the larger of the differences of true and false positive rates (equalized odds). They
cannot both be nought for a useful model where groups differ, so the pipeline says which matters and
how far. The bounds decide, not the point. The counts of every group are in the evidence, and the
differences are computed again from them here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from airlock.domain.gates import Evidence, GateResult, Limit, Verdict
from airlock.domain.hypothesis_tests import CONFIDENCE, FEWEST_OF_A_CLASS, FEWEST_ROWS
from airlock.domain.strict_zip import together
from airlock.gates.inputs import names
from airlock.gates.slicing import MAX_UNASSESSED, check_share, not_assessable

Facts = Mapping[str, Any]


@dataclass(frozen=True)
class Fairness:
    """No two groups differ by more than *demographic_parity*, or *equalized_odds*, allow.

    PASSED if the bound with *confidence* is within every limit, FAILED if some difference is
    certainly beyond one, otherwise ERRORED. Groups under *minimum_rows*, and for equalized odds
    groups with too few rows of one answer, are not assessable: they are named, and with more than
    the share *max_unassessed* of the rows in them nothing passes.
    """

    name: ClassVar[str] = "fairness"
    needs: ClassVar[tuple[str, ...]] = ("fairness",)
    limit: ClassVar[Limit] = "at most"

    demographic_parity: float | None = None
    equalized_odds: float | None = None
    confidence: float = CONFIDENCE
    minimum_rows: int = 100
    max_unassessed: float = MAX_UNASSESSED

    def __post_init__(self) -> None:
        if not self._limits:
            raise ValueError("demographicParity or equalizedOdds must be set, found neither")
        for option, limit in self._limits.items():
            if not 0 < limit < 1:
                raise ValueError(f"{option} must lie between 0 and 1, found {limit}")
        if not 0.5 < self.confidence < 1:
            raise ValueError(f"confidence must lie between 0.5 and 1, found {self.confidence}")
        if self.minimum_rows < FEWEST_ROWS:
            raise ValueError(
                f"minimumRows must be at least {FEWEST_ROWS}, found {self.minimum_rows}"
            )
        check_share(self.max_unassessed)

    @property
    def _limits(self) -> dict[str, float]:
        limits = {
            "demographicParity": self.demographic_parity,
            "equalizedOdds": self.equalized_odds,
        }
        return {option: limit for option, limit in limits.items() if limit is not None}

    @property
    def key(self) -> str:
        """The gate's name: a pipeline has one."""
        return self.name

    def judge(self, evidence: Mapping[str, Evidence]) -> GateResult:
        """Hold every difference of every attribute against its limit."""
        source = evidence["fairness"]
        facts = source.facts
        if (facts["confidence"], facts["minimumRows"]) != (self.confidence, self.minimum_rows):
            raise ValueError("the groups were measured with another confidence or minimum")
        if not facts["attributes"]:
            raise ValueError("no protected attribute was measured")
        rows = int(facts["rows"])
        names(facts["attributes"], "attribute", "a protected attribute")
        table = [
            row for attribute in facts["attributes"] for row in self._differences(attribute, rows)
        ]
        worst = max(table, key=_urgency)
        small = list(dict.fromkeys(name for row in table for name in row["notAssessable"]))
        return GateResult(
            gate=self.name,
            key=self.key,
            verdict=worst["verdict"],
            measured=worst["high"],
            threshold=worst["limit"],
            n=rows,
            evidence=(source.digest,),
            message=_sentence(worst, rows, self.confidence) + not_assessable(small),
            details={
                "differences": [{**row, "verdict": row["verdict"].value} for row in table],
                "attributes": facts["attributes"],
                "notAssessable": small,
            },
        )

    def _differences(self, attribute: Facts, rows: int) -> list[dict[str, Any]]:
        """Return one line per limit: the difference, its bounds and the verdict."""
        every = attribute["groups"]
        names(every, "group", f"a group of {attribute['attribute']}")
        if sum(group["n"] for group in every) != rows or rows < 1:
            raise ValueError(f"the groups of {attribute['attribute']} are not the {rows} rows")
        lines = []
        for option, limit in self._limits.items():
            groups = [group for group in every if _is_enough(group, self.minimum_rows, option)]
            small = [group for group in every if group not in groups]
            line: dict[str, Any] = {"attribute": attribute["attribute"], "difference": option}
            line |= {"limit": limit, "groups": len(groups), "verdict": Verdict.ERRORED}
            line |= {"notAssessable": [f"{group['group']} ({group['n']})" for group in small]}
            line |= dict.fromkeys(("value", "low", "high", "unassessed"))
            if len(groups) > 1:
                line |= _checked(attribute["differences"][option], groups, option)
                line["verdict"] = _verdict(line["low"], line["high"], limit)
            left_out = sum(group["n"] for group in small) / rows
            if line["verdict"] is Verdict.PASSED and left_out > self.max_unassessed:
                line |= {"verdict": Verdict.ERRORED, "unassessed": left_out}
            lines.append(line)
        return lines


def _is_enough(group: Facts, minimum: int, option: str) -> bool:
    if not 0 <= group["positives"] <= group["n"] or not 0 <= group["selected"] <= group["n"]:
        raise ValueError(f"the counts of {group['group']} are not those of a group")
    if group["n"] < minimum:
        return False
    other = min(group["positives"], group["n"] - group["positives"])
    return bool(option == "demographicParity" or other >= FEWEST_OF_A_CLASS)


def _checked(difference: Facts, groups: Sequence[Facts], option: str) -> dict[str, float]:
    """Return a difference and its bounds, held against the counts."""
    shares = [[group["selected"] / group["n"] for group in groups]]
    if option == "equalizedOdds":
        hits = [group["truePositives"] for group in groups]
        shares = [
            [hit / group["positives"] for hit, group in together(hits, groups)],
            [
                (group["selected"] - hit) / (group["n"] - group["positives"])
                for hit, group in together(hits, groups)
            ],
        ]
    value = max(max(share) - min(share) for share in shares)
    figures = {key: float(difference[key]) for key in ("value", "low", "high")}
    if not (
        math.isclose(value, figures["value"], abs_tol=1e-9)
        and 0 <= figures["low"] <= figures["high"] <= 1
    ):
        raise ValueError(
            f"the counts give a {option} difference of {value}, the facts say {difference}"
        )
    return figures


def _verdict(low: float, high: float, limit: float) -> Verdict:
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"the bounds are {low} to {high}")
    if high <= limit:
        return Verdict.PASSED
    return Verdict.FAILED if low > limit else Verdict.ERRORED


def _urgency(line: Facts) -> tuple[int, float]:
    """Order by verdict, then by how much of the limit is used: unmeasured counts as all."""
    order = (Verdict.PASSED, Verdict.ERRORED, Verdict.FAILED)
    high = line["high"]
    return order.index(line["verdict"]), math.inf if high is None else high / line["limit"]


def _sentence(line: Facts, rows: int, confidence: float) -> str:
    subject = f"{line['difference']} of {line['attribute']}"
    if line["value"] is None:
        return f"{subject}: fewer than two groups are large enough, so nothing can be compared"
    if line["unassessed"] is not None:
        return (
            f"{subject} {line['value']:.4f} would be within {line['limit']:g}, but "
            f"{line['unassessed']:.1%} of {rows:,} held-out rows are in groups nobody can assess"
        )
    words = {
        Verdict.PASSED: "within the limit",
        Verdict.FAILED: "beyond the limit",
        Verdict.ERRORED: "inconclusive: too few rows to tell",
    }
    return (
        f"{subject} {line['value']:.4f} ({line['low']:.4f} to {line['high']:.4f} with "
        f"{100 * confidence:g} % confidence), limit {line['limit']:g}: {words[line['verdict']]}, "
        f"{line['groups']} groups, {rows:,} held-out rows"
    )
