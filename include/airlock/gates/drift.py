"""drift: are these still the rows the champion was trained on, as far as their values go?

The training rows of the candidate are held against those of what serves now, column by column, by
effect size: the population stability index over the champion's own tenths or values, the
Kolmogorov-Smirnov distance for numbers, Cramer's V for values. P-values are shown and never
judged: with a million rows every difference is significant. Drift is no fault of the candidate; it
says that somebody has to look before a model of other people's data takes over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from airlock.domain.distributions import Tolerance, broken_schema, compare, not_compared
from airlock.domain.gates import Evidence, GateResult, Limit, Verdict
from airlock.gates.inputs import first_release, names

#: Below this, chance alone moves the index of ten bins by a tenth and more.
MINIMUM_ROWS = 500
_FIRST = "first release of this model: no champion whose rows these could differ from"


@dataclass(frozen=True)
class DataDrift:
    """No column but those in *ignore* lies further from the champion's than the limits.

    A column nobody can compare leaves it ERRORED, unless it is ignored.
    """

    name: ClassVar[str] = "drift"
    needs: ClassVar[tuple[str, ...]] = ("drift",)
    limit: ClassVar[Limit] = "at most"

    psi: float = 0.2
    ks: float = 0.2
    cramers_v: float = 0.2
    min_rows: int = MINIMUM_ROWS
    ignore: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        Tolerance(self.psi, self.ks, self.cramers_v)
        if self.min_rows < 1:
            raise ValueError(f"min_rows must be at least 1, found {self.min_rows}")

    @property
    def key(self) -> str:
        """The gate's name: a pipeline has one."""
        return self.name

    def judge(self, evidence: Mapping[str, Evidence]) -> GateResult:
        """Compare every column with its limits."""
        source = evidence[self.needs[0]]
        facts = source.facts
        names(facts["columns"], "column", "a column")
        if first_release(facts, facts["rows"]["reference"]):
            return self._result(source, Verdict.PASSED, _FIRST)
        rows = facts["rows"]
        if min(rows["reference"], rows["current"]) < self.min_rows:
            few = (
                f"{rows['current']:,} rows against the champion's {rows['reference']:,}: "
                f"at least {self.min_rows:,} of each are needed"
            )
            return self._result(source, Verdict.ERRORED, few)
        broken = broken_schema(facts, self.ignore)
        tolerance = Tolerance(self.psi, self.ks, self.cramers_v)
        comparison = compare(facts, tolerance, self.ignore)
        moved = bool(comparison.beyond)
        left_out = not_compared(facts, self.ignore)
        sentences = [*broken, *([comparison.sentence()] if moved or not broken else [])]
        return self._result(
            source,
            Verdict.FAILED if moved or broken else Verdict.ERRORED if left_out else Verdict.PASSED,
            f"{'; '.join(sentences)}; {tolerance.sentence()}; {rows['current']:,} rows against the "
            f"champion's {rows['reference']:,}{left_out}"
            + ("; see whether the model is still meant for these rows" if moved else ""),
            comparison.worst.psi,
            {"columns": comparison.table(), "ignored": list(self.ignore), "extra": facts["extra"]},
        )

    def _result(
        self,
        source: Evidence,
        verdict: Verdict,
        message: str,
        measured: float | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> GateResult:
        return GateResult(
            gate=self.name,
            key=self.key,
            verdict=verdict,
            measured=measured,
            threshold=self.psi,
            n=int(source.facts["rows"]["current"]),
            unit="PSI",
            evidence=(source.digest,),
            message=message,
            details=details or {"champion": source.facts["champion"]},
        )
