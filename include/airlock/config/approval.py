"""ApprovalPolicy: environments, required gates, and who approves which tier.

What it can never say, however it is written:

* a level without rules, a rule of nobody, a tier without levels, no required gates
* a release to production without gates and people, or another environment on its alias
* a riskier tier that asks fewer people than a safer one: raising a tier would weaken it
* a rule for a role that does not exist or may not vote
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from airlock.config.access import VOTE, Role
from airlock.config.problems import Place, show
from airlock.config.schemas import (
    FILLED,
    ApiVersion,
    Metadata,
    PersonId,
    RoleName,
    Slug,
    Some,
    Strict,
    Trouble,
    distinct,
    refuse,
    settle,
    unknown,
)
from airlock.gates import BY_NAME

PRODUCTION = "production"


@dataclass(frozen=True)
class ApprovalContext:
    """What an approval policy is checked against: the roles of the access policy."""

    roles: Mapping[str, Role]


class Environment(Strict):
    """What a release into this environment needs, and the alias it moves (default: its name)."""

    gates: bool
    people: bool
    alias: Slug | None = None

    @model_validator(mode="after")
    def _check(self) -> Environment:
        if self.people and not self.gates:
            refuse(Trouble(("gates",), "true, because people approve what gates measured", "false"))
        return self


class Rule(Strict):
    """So many people of one role, or of the people named."""

    role: RoleName | None = None
    people: Annotated[tuple[PersonId, ...] | None, Field(strict=False), FILLED] = None
    count: Annotated[int, Field(ge=1, le=50)] = 1

    @model_validator(mode="after")
    def _check(self) -> Rule:
        if (self.role is None) == (self.people is None):
            found = "neither" if self.role is None else "both"
            refuse(Trouble((), "either a role or people", found))
        named = set(self.people or ())
        if self.people and (len(named) < self.count or len(named) < len(self.people)):
            expected = f"at least {self.count} people, each named once"
            refuse(Trouble(("people",), expected, ", ".join(self.people)))
        return self


class Level(Strict):
    """One step of approval: complete when each of its rules is met."""

    name: Slug
    rules: Some[Rule]


def _each_level_once(levels: tuple[Level, ...]) -> tuple[Level, ...]:
    names = [level.name for level in levels]
    again = (index for index, name in enumerate(names) if name in names[:index])
    settle(Trouble((index, "name"), "each level once", f"{names[index]} again") for index in again)
    return levels


class Tier(Strict):
    """The levels of one tier, in order."""

    levels: Annotated[Some[Level], AfterValidator(_each_level_once)]

    @field_validator("levels")
    @classmethod
    def _roles(cls, levels: tuple[Level, ...], info: ValidationInfo) -> tuple[Level, ...]:
        if isinstance(info.context, ApprovalContext):
            settle(_role_troubles(levels, info.context.roles))
        return levels

    @property
    def votes(self) -> int:
        """How many people have to agree in all."""
        return sum(rule.count for level in self.levels for rule in level.rules)


def _role_troubles(levels: tuple[Level, ...], roles: Mapping[str, Role]) -> Iterator[Trouble]:
    for i, level in enumerate(levels):
        for j, rule in enumerate(level.rules):
            place: Place = (i, "rules", j, "role")
            if rule.role is None:
                continue
            if rule.role not in roles:
                yield unknown(place, rule.role, roles, "one of the roles")
            elif VOTE not in roles[rule.role].permissions:
                voters = [name for name, role in roles.items() if VOTE in role.permissions]
                yield unknown(place, rule.role, voters, "a role that may vote, one of")


class Tiers(Strict):
    """All three tiers; none may be left out."""

    high: Tier
    medium: Tier
    low: Tier

    @model_validator(mode="after")
    def _check(self) -> Tiers:
        ladder = (("low", self.low), ("medium", self.medium), ("high", self.high))
        for (below, safer), (name, riskier) in pairwise(ladder):
            if riskier.votes < safer.votes:
                expected = f"at least {safer.votes} votes, as many as the safer tier {below}"
                refuse(Trouble((name,), expected, str(riskier.votes)))
        return self


def _gate_names(names: tuple[str, ...]) -> tuple[str, ...]:
    wrong = (index for index, name in enumerate(names) if name not in BY_NAME)
    settle(unknown((index,), names[index], BY_NAME, "one of the gates") for index in wrong)
    return names


class ApprovalSpec(Strict):
    """Environments, the gates nobody may leave out, and who approves which tier."""

    environments: dict[Slug, Environment]
    required_gates: Annotated[Some[str], AfterValidator(distinct), AfterValidator(_gate_names)]
    tiers: Tiers
    grant_hours: Annotated[int, Field(ge=1, le=24 * 366)] = 336

    @field_validator("environments")
    @classmethod
    def _check(cls, environments: dict[str, Environment]) -> dict[str, Environment]:
        settle([*_production(environments), *_aliases(environments)])
        return {
            name: one if one.alias else one.model_copy(update={"alias": name})
            for name, one in environments.items()
        }


def _production(environments: Mapping[str, Environment]) -> Iterator[Trouble]:
    production = environments.get(PRODUCTION)
    if production is None:
        found = ", ".join(environments) or "none"
        yield Trouble((), f"an environment {PRODUCTION}", found)
    elif not production.people:
        expected = "true, because nothing reaches production without people"
        yield Trouble((PRODUCTION, "people"), expected, "false")


def _aliases(environments: Mapping[str, Environment]) -> Iterator[Trouble]:
    """Two environments on one alias: the weaker one would be a back door to the other."""
    taken: dict[str, str] = {}
    for name, environment in environments.items():
        alias = environment.alias or name
        if alias in taken:
            found = f'"{alias}", which moves for {taken[alias]}'
            yield Trouble((name, "alias"), "an alias of its own", found)
        if alias == "latest" or (alias[0] == "v" and alias[1:].isdigit()):
            yield Trouble((name, "alias"), "an alias MLflow does not reserve", show(alias))
        taken.setdefault(alias, name)


class ApprovalPolicy(Strict):
    """Who has to agree before what."""

    api_version: ApiVersion
    kind: Literal["ApprovalPolicy"]
    metadata: Metadata
    spec: ApprovalSpec
