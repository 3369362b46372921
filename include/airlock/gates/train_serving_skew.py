"""train-serving-skew: is the model trained on what it will be asked?

Recorded requests to what serves now are held against the candidate's training rows: the columns the
model asks for are all there with the type they had in training, no other column came along, values
never seen in training are rare, and each column lies within the limits of effect size, as in drift.
A model that nobody asks anything yet, the first release, passes and says so; a served model without
recorded requests is ERRORED: nothing to compare.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from airlock.domain.distributions import Compared, Tolerance, broken_schema, compare, not_compared
from airlock.domain.gates import Evidence, GateResult, Limit, Verdict
from airlock.gates.drift import MINIMUM_ROWS
from airlock.gates.inputs import count, first_release, names


@dataclass(frozen=True)
class TrainServingSkew:
    """Requests have the schema of the training rows, and no column lies beyond the limits.

    At most the share *unseen* of the requests may hold a value of a column that training never saw.
    Columns in *ignore* may be in the log for other reasons, such as a request's number.
    """

    name: ClassVar[str] = "train-serving-skew"
    needs: ClassVar[tuple[str, ...]] = ("train-serving-skew",)
    limit: ClassVar[Limit] = "at most"

    psi: float = 0.2
    ks: float = 0.2
    cramers_v: float = 0.2
    unseen: float = 0.01
    min_rows: int = MINIMUM_ROWS
    ignore: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        Tolerance(self.psi, self.ks, self.cramers_v)
        if not 0 <= self.unseen < 1:
            raise ValueError(f"unseen must be at least 0 and below 1, found {self.unseen}")
        if self.min_rows < 1:
            raise ValueError(f"min_rows must be at least 1, found {self.min_rows}")

    @property
    def key(self) -> str:
        """The gate's name: a pipeline has one."""
        return self.name

    def judge(self, evidence: Mapping[str, Evidence]) -> GateResult:
        """Compare the schema first, then every column."""
        source = evidence[self.needs[0]]
        facts = source.facts
        if first_release(facts, facts.get("columns"), facts.get("rows")):
            first = "first release of this model: nobody has asked it anything yet"
            return self._result(source, Verdict.PASSED, first, 0)
        names(facts["columns"], "column", "a column")
        requests, rows = int(facts["rows"]["current"]), int(facts["rows"]["reference"])
        against = f"{requests:,} requests against {rows:,} training rows"
        wrong = self._wrong(facts, requests)
        if min(requests, rows) < self.min_rows:
            few = f"{against}: at least {self.min_rows:,} of each are needed"
            return self._result(source, Verdict.ERRORED, "; ".join([*wrong, few]), requests)
        tolerance = Tolerance(self.psi, self.ks, self.cramers_v)
        comparison = compare(facts, tolerance, self.ignore)
        moved = bool(comparison.beyond)
        left_out = not_compared(facts, self.ignore)
        sentences = [*wrong, *([comparison.sentence()] if moved or not wrong else [])]
        return self._result(
            source,
            Verdict.FAILED if moved or wrong else Verdict.ERRORED if left_out else Verdict.PASSED,
            f"{'; '.join(sentences)}; {tolerance.sentence()}; {against}{left_out}",
            requests,
            comparison,
        )

    def _wrong(self, facts: Mapping[str, Any], requests: int) -> list[str]:
        """Report schema violations, and values in requests that training never saw."""
        extra = [f"{name} is not asked for" for name in facts["extra"] if name not in self.ignore]
        news = [
            f"{column['column']} holds {', '.join(column['unseen']['values'][:3])} in "
            f"{column['unseen']['rows']:,} requests, never seen in training"
            for column in facts["columns"]
            if column["column"] not in self.ignore
            and column["kind"] != "incomparable"
            and count(column["unseen"]["rows"], "rows never seen") > self.unseen * requests
        ]
        return [*broken_schema(facts, self.ignore), *extra, *news]

    def _result(
        self,
        source: Evidence,
        verdict: Verdict,
        message: str,
        n: int,
        comparison: Compared | None = None,
    ) -> GateResult:
        return GateResult(
            gate=self.name,
            key=self.key,
            verdict=verdict,
            measured=comparison.worst.psi if comparison else None,
            threshold=self.psi,
            n=n,
            unit="PSI",
            evidence=(source.digest,),
            message=message,
            details={
                "columns": comparison.table() if comparison else [],
                "ignored": list(self.ignore),
            },
        )
