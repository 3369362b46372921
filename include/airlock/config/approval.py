"""ApprovalPolicy: environments, required gates, and who approves which tier.

What it can never say, however it is written:

* a level without rules, a rule of nobody, a tier without levels, no required gates
* a release to production without gates and people, or another environment on its alias
* a riskier tier that asks fewer people than a safer one: raising a tier would weaken it
* a rule for a role that does not exist or may not vote, at any depth of a composed rule
* that somebody who did the work may approve it, or that one person alone breaks the glass
* that no required gate could block, or that a riskier tier weighs a gate less
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from airlock.config.access import ADMIN, VOTE, Role
from airlock.config.approval_rules import Level, rule_troubles
from airlock.config.approval_timers import Clock, Timers, filled, resolved
from airlock.config.enforcement import Weights
from airlock.config.enforcement import troubles as weight_troubles
from airlock.config.problems import show
from airlock.config.schemas import (
    ApiVersion,
    Items,
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
    """What an approval policy is checked against: the access policy's roles and its list of
    protected aliases, if it has one."""

    roles: Mapping[str, Role]
    protected: tuple[str, ...] | None = None


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


def _each_level_once(levels: tuple[Level, ...]) -> tuple[Level, ...]:
    names = [level.name for level in levels]
    again = (index for index, name in enumerate(names) if name in names[:index])
    settle(Trouble((index, "name"), "each level once", f"{names[index]} again") for index in again)
    return levels


class Tier(Strict):
    """The levels of one tier, in order, whether an answer in Slack counts there, and whether the
    work of committers nobody knows is refused or recorded."""

    levels: Annotated[Some[Level], AfterValidator(_each_level_once)]
    timers: Timers | None = None
    slack_may_answer: bool | None = None
    unknown_committers: Literal["refuse", "record"] | None = None

    @field_validator("levels")
    @classmethod
    def _roles(cls, levels: tuple[Level, ...], info: ValidationInfo) -> tuple[Level, ...]:
        if isinstance(info.context, ApprovalContext):
            settle(_role_troubles(levels, info.context.roles))
        return levels

    @property
    def votes(self) -> int:
        """How many people have to agree in all."""
        return sum(rule.votes for level in self.levels for rule in level.rules)


def _role_troubles(levels: tuple[Level, ...], roles: Mapping[str, Role]) -> Iterator[Trouble]:
    for i, level in enumerate(levels):
        for j, rule in enumerate(level.rules):
            yield from rule_troubles((i, "rules", j), rule, roles)


class Tiers(Strict):
    """All three tiers; none may be left out."""

    high: Tier
    medium: Tier
    low: Tier

    @field_validator("high", "medium", "low")
    @classmethod
    def _timers(cls, tier: Tier, info: ValidationInfo) -> Tier:
        name, may = str(info.field_name), tier.slack_may_answer
        may_answer = name != "high" if may is None else may
        return tier.model_copy(
            update={"timers": filled(tier.timers, name), "slack_may_answer": may_answer}
        )

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


class KeptOut(Strict):
    """A role or a person who may not approve, besides those who did the work."""

    role: RoleName | None = None
    person: PersonId | None = None

    @model_validator(mode="after")
    def _check(self) -> KeptOut:
        if (self.role is None) == (self.person is None):
            actual = "neither" if self.role is None else "both"
            refuse(Trouble((), "either a role or a person", actual))
        return self


class SeparationOfDuties(Strict):
    """Who else may not judge a release. It can only be stricter: nobody can be let in again."""

    also: Items[KeptOut] = ()


class BreakGlass(Strict):
    """Who may release in an emergency without the levels, for how long, who reviews it."""

    roles: Annotated[Some[RoleName], AfterValidator(distinct)]
    people: Annotated[int, Field(ge=2, le=10)] = 2
    hours: Annotated[int, Field(ge=1, le=4)] = 4
    reviewers: Annotated[Some[RoleName], AfterValidator(distinct)] = ("security_auditor",)


class ApprovalSpec(Strict):
    """Environments, the gates nobody may leave out, and who approves which tier."""

    environments: dict[Slug, Environment]
    required_gates: Annotated[Some[str], AfterValidator(distinct), AfterValidator(_gate_names)]
    tiers: Tiers
    grant_hours: Annotated[int, Field(ge=1, le=24 * 366)] = 336
    clock: Annotated[Clock, AfterValidator(resolved)] = Clock()
    fallback_role: RoleName | None = None

    separation_of_duties: SeparationOfDuties | None = None
    break_glass: BreakGlass | None = None
    enforcement: dict[str, Weights] | None = None

    @field_validator("enforcement")
    @classmethod
    def _weights(
        cls, table: dict[str, Weights] | None, info: ValidationInfo
    ) -> dict[str, Weights] | None:
        settle(weight_troubles(table or {}, info.data.get("required_gates", ())))
        return table or None

    @field_validator("fallback_role")
    @classmethod
    def _fallback(cls, role: str | None, info: ValidationInfo) -> str | None:
        if role is not None and isinstance(info.context, ApprovalContext):
            roles = info.context.roles
            voters = [name for name, definition in roles.items() if VOTE in definition.permissions]
            if role not in voters:
                refuse(unknown((), role, voters, "a role that may vote, one of"))
        return role

    @field_validator("break_glass")
    @classmethod
    def _glass(cls, glass: BreakGlass | None, info: ValidationInfo) -> BreakGlass | None:
        if glass and isinstance(info.context, ApprovalContext):
            settle(_glass_troubles(glass, info.context.roles))
        return glass

    @field_validator("separation_of_duties")
    @classmethod
    def _duties(
        cls, duties: SeparationOfDuties | None, info: ValidationInfo
    ) -> SeparationOfDuties | None:
        if duties and isinstance(info.context, ApprovalContext):
            roles = info.context.roles
            settle(
                unknown(("also", index, "role"), duty.role, roles, "one of the roles")
                for index, duty in enumerate(duties.also)
                if duty.role is not None and duty.role not in roles
            )
        return duties if duties and duties.also else None

    @field_validator("environments")
    @classmethod
    def _check(
        cls, environments: dict[str, Environment], info: ValidationInfo
    ) -> dict[str, Environment]:
        settle([*_production(environments), *_aliases(environments)])
        if isinstance(info.context, ApprovalContext) and info.context.protected is not None:
            settle(_protected(environments, info.context.protected))
        return {
            name: environment
            if environment.alias
            else environment.model_copy(update={"alias": name})
            for name, environment in environments.items()
        }


def _glass_troubles(glass: BreakGlass, roles: Mapping[str, Role]) -> Iterator[Trouble]:
    for key, named in (("roles", glass.roles), ("reviewers", glass.reviewers)):
        for index, role in enumerate(named):
            if role not in roles:
                yield unknown((key, index), role, roles, "one of the roles")
            elif role == ADMIN:
                yield Trouble((key, index), "a role other than the administrator's", role)


def _production(environments: Mapping[str, Environment]) -> Iterator[Trouble]:
    production = environments.get(PRODUCTION)
    if production is None:
        actual = ", ".join(environments) or "none"
        yield Trouble((), f"an environment {PRODUCTION}", actual)
    elif not production.people:
        expected = "true, because nothing reaches production without people"
        yield Trouble((PRODUCTION, "people"), expected, "false")


def _aliases(environments: Mapping[str, Environment]) -> Iterator[Trouble]:
    """Two environments on one alias: the weaker one would be a back door to the other."""
    owners: dict[str, str] = {}
    for name, environment in environments.items():
        alias = environment.alias or name
        if alias in owners:
            actual = f'"{alias}", which moves for {owners[alias]}'
            yield Trouble((name, "alias"), "an alias of its own", actual)
        if alias == "latest" or (alias[0] == "v" and alias[1:].isdigit()):
            yield Trouble((name, "alias"), "an alias MLflow does not reserve", show(alias))
        owners.setdefault(alias, name)


def _protected(
    environments: Mapping[str, Environment], protected: tuple[str, ...]
) -> Iterator[Trouble]:
    """An alias that anybody may set says nothing about a release."""
    for name, environment in environments.items():
        alias = environment.alias or name
        if alias not in protected:
            expected = "one of the access policy's protectedAliases"
            yield unknown((name, "alias"), alias, protected, expected)


class ApprovalPolicy(Strict):
    """Who has to agree before what."""

    api_version: ApiVersion
    kind: Literal["ApprovalPolicy"]
    metadata: Metadata
    spec: ApprovalSpec
