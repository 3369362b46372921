"""RiskPolicy: from the facts a pipeline declares to a tier. The first rule that matches decides.

Rules:
* Every fact has a closed list of choices; a rule or a pipeline names only those.
* A rule without conditions is refused: it would decide for everybody.
* A rule that an earlier one always forestalls is refused: its writer believes it protects.
* What no rule matches is `otherwise`, by default the highest tier.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from airlock.config.problems import Place, show
from airlock.config.schemas import (
    FILLED,
    ApiVersion,
    FactName,
    Items,
    Metadata,
    Some,
    Strict,
    Trouble,
    distinct,
    refuse,
    settle,
    unknown,
)

TierName = Literal["low", "medium", "high"]


def _fact_value(value: object) -> object:
    if not isinstance(value, str | bool) or value == "":
        refuse(Trouble((), "text, true or false", show(value)))
    return value


#: A word, true or false. Not a union: pydantic would report each of its members.
FactValue = Annotated[
    object,
    AfterValidator(_fact_value),
    Field(json_schema_extra={"type": ["string", "boolean"]}),
]
Facts = Annotated[dict[FactName, FactValue], FILLED]
Choices = Annotated[Some[FactValue], AfterValidator(distinct)]


class RiskRule(Strict):
    """When all these facts hold, the tier is this."""

    tier: TierName
    when: Facts


class RiskSpec(Strict):
    """Facts a pipeline must declare, and the rules in order."""

    facts: Annotated[dict[FactName, Choices], FILLED]
    rules: Items[RiskRule] = ()
    otherwise: TierName = "high"

    @field_validator("rules")
    @classmethod
    def _check(cls, rules: tuple[RiskRule, ...], info: ValidationInfo) -> tuple[RiskRule, ...]:
        facts = info.data.get("facts")
        troubles = list(_forestalled(rules))
        for index, rule in enumerate(rules if facts is not None else ()):
            troubles += facts_troubles(rule.when, facts or {}, (index, "when"))
        settle(troubles)
        return rules


def _forestalled(rules: tuple[RiskRule, ...]) -> Iterator[Trouble]:
    for index, rule in enumerate(rules):
        for earlier, before in enumerate(rules[:index]):
            if before.when.items() <= rule.when.items():
                actual = f"one that rules[{earlier}] always forestalls"
                yield Trouble((index,), "a rule that can apply", actual)
                break


def facts_troubles(
    values: Mapping[str, object], facts: Mapping[str, tuple[object, ...]], place: Place = ()
) -> Iterator[Trouble]:
    """Yield the problems of facts: unknown names, and values that are no choice."""
    for name, value in values.items():
        if name not in facts:
            yield unknown((*place, name), name, facts, "one of the facts")
        elif value not in facts[name]:
            choices = (
                str(choice).lower() if isinstance(choice, bool) else choice
                for choice in facts[name]
            )
            yield unknown((*place, name), value, (str(choice) for choice in choices))


class RiskPolicy(Strict):
    """From declared facts to a tier."""

    api_version: ApiVersion
    kind: Literal["RiskPolicy"]
    metadata: Metadata
    spec: RiskSpec
