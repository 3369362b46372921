"""The part of an ApprovalPolicy that says how much each gate weighs: `advisory`, `soft`, `hard`.

    enforcement:
      latency: {high: hard, medium: soft, low: advisory}
      model-card: soft          # one word stands for all tiers

Rules:
* What is not said is `hard`.
* A riskier tier never weighs a gate less than a safer one.
* In every tier one required gate is left that can block: empty never passes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import pairwise
from typing import Annotated, Any

from pydantic import BeforeValidator, model_validator

from airlock.config.problems import Place
from airlock.config.schemas import Strict, Trouble, refuse, unknown
from airlock.domain.approval.policy import Tier
from airlock.domain.evidence.enforcement import Enforcement
from airlock.gates import BY_NAME

WEIGHTS = tuple(enforcement.value for enforcement in Enforcement)


def _parse(word: Any) -> Any:
    if not isinstance(word, str) or word not in WEIGHTS:
        refuse(unknown((), word, WEIGHTS))
    return Enforcement(word)


Weight = Annotated[Enforcement, BeforeValidator(_parse, json_schema_input_type=Enforcement)]


class PerTier(Strict):
    """What one gate weighs in each tier."""

    high: Weight = Enforcement.HARD
    medium: Weight = Enforcement.HARD
    low: Weight = Enforcement.HARD

    @model_validator(mode="after")
    def _check(self) -> PerTier:
        for safer, riskier in pairwise(Tier):  # from low to high
            below, above = self.of(safer), self.of(riskier)
            if above.rank < below.rank:
                expected = f"at least {below}, as for the safer tier {safer}"
                refuse(Trouble((riskier.value,), expected, above.value))
        return self

    def of(self, tier: Tier) -> Enforcement:
        """Return what the gate weighs in a tier."""
        weight: Enforcement = getattr(self, tier.value)
        return weight


def _spread(value: Any) -> Any:
    """One word stands for all tiers."""
    return dict.fromkeys(("high", "medium", "low"), _parse(value)) if _is_word(value) else value


def _is_word(value: Any) -> bool:
    return not isinstance(value, dict | PerTier)


Weights = Annotated[PerTier, BeforeValidator(_spread, json_schema_input_type=Enforcement | PerTier)]


def troubles(table: Mapping[str, PerTier], required: Collection[str]) -> Iterator[Trouble]:
    """Yield what is wrong with the whole table."""
    for name in table:
        if name not in BY_NAME:
            place: Place = (name,)
            yield unknown(place, name, BY_NAME, "one of the gates")
    for tier in Tier:
        if required and all(
            _weight(table, name, tier) == Enforcement.ADVISORY for name in required
        ):
            expected = f"one of the required gates soft or hard for the tier {tier}"
            yield Trouble((), expected, "all of them advisory: empty never passes")


def _weight(table: Mapping[str, PerTier], gate: str, tier: Tier) -> Enforcement:
    return table[gate].of(tier) if gate in table else Enforcement.HARD
