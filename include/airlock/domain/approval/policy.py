"""The rule book: how risky a pipeline is, who approves what, who may do what.

Rules:
* The tier is computed from declared facts, first matching rule wins; a person can only raise it.
* A tier has levels, strictly in order. A level has rules. None of them may be empty.
* An environment says whether gates and people are needed, and which alias it serves.
* Roles inherit permissions. Inheritance never makes an approver: a rule counts direct holders.

Built from the documents `airlock.config` has validated; the digest of those documents is the
policy digest in every subject.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

from airlock.domain.approval.calendar import Timing, timing
from airlock.domain.approval.rules import Quorum, Rule, rule_from_document
from airlock.domain.digest import digest_json
from airlock.domain.errors import Invalid
from airlock.domain.evidence.enforcement import Enforcement
from airlock.domain.people.actors import Actor
from airlock.domain.people.delegation import NO_POWERS, ROLE, Powers
from airlock.domain.people.enrolment import ENROL
from airlock.domain.people.separation_of_duties import Separation, check_all_known

#: Rights somebody has to be given by name: a role that inherits from another does not get them.
VOTE, EXPORT, WAIVE = "release:vote", "audit:export", "gate:waive"
NEVER_INHERITED = frozenset({VOTE, EXPORT, WAIVE, ENROL, "evidence:export"})
#: Rights that decide: a role gives them to nobody whom no enrolment confirms in that role.
DECIDING = NEVER_INHERITED | {"release:promote"}


class Tier(StrEnum):
    """How much harm a bad release could do."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"

    @property
    def rank(self) -> int:
        """Order of the tiers: 0 is low."""
        return list(Tier).index(self)

    def raised_to(self, other: Tier | None) -> Tier:
        """Return the higher of the two: a person can raise a tier, never lower it."""
        return self if other is None or other.rank < self.rank else other


@dataclass(frozen=True, slots=True)
class Level:
    """One step of approval: complete when every rule is met by distinct people."""

    name: str
    rules: tuple[Rule, ...]

    def __post_init__(self) -> None:
        if not self.rules:
            raise Invalid(f"level {self.name!r} has no rules, so it could never be complete")

    def sentence(self) -> str:
        """Say in words who has to agree."""
        return " and ".join(rule.sentence() for rule in self.rules)


@dataclass(frozen=True, slots=True)
class Environment:
    """Where a release goes, and what that takes."""

    name: str
    gates: bool
    people: bool
    alias: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Glass:
    """Who may break the glass together, for how long, and who looks at it afterwards."""

    roles: frozenset[str]
    people: int
    hours: int
    reviewers: frozenset[str]


@dataclass(frozen=True, slots=True)
class Plan:
    """What one release has to pass: derived from the rule book, never stored with the release.

    *excluded*: who may not judge it, and why; *unknown*: authors nobody is known for;
    *powers*: who may answer for somebody else now; *escalated*: whether superiors may stand in;
    *weights*: what gates weigh that are not hard; *waiving*: roles whose holders may waive;
    *slack_may_answer*: whether an answer given in Slack counts; *refuses_unknown*: whether the
    work of unknown authors is refused.
    """

    tier: Tier
    environment: Environment
    levels: tuple[Level, ...]
    timing: Timing = field(default_factory=Timing)
    excluded: Mapping[str, str] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    powers: Powers = NO_POWERS
    escalated: bool = False
    weights: Mapping[str, Enforcement] = field(default_factory=dict)
    waiving: frozenset[str] = frozenset()
    slack_may_answer: bool = False
    refuses_unknown: bool = False

    def check_authors(self, then: str = "") -> None:
        """Refuse the work of unknown authors, where the tier does; *then*: what is left to do.

        Raises:
            Refused: naming them, and the line of the policy that makes them known.
        """
        if self.refuses_unknown and self.environment.people:
            check_all_known(self.unknown, self.tier.value, then)

    def enforcement(self, gate: str) -> Enforcement:
        """Return what a gate weighs, by its name."""
        return self.weights.get(gate, Enforcement.HARD)


def asks_less(before: Plan, after: Plan) -> bool:
    """Say whether a level of *before* is gone from *after*, comes in another order, a gate weighs
    less, or unknown committers are refused no more. More people of the same kind ask for more."""
    lighter = (before.refuses_unknown and not after.refuses_unknown) or any(
        weight.rank < before.enforcement(gate).rank for gate, weight in after.weights.items()
    )
    rest = iter(level.rules for level in after.levels)
    return lighter or not all(
        any(_asks_as_much(level.rules, rules) for rules in rest) for level in before.levels
    )


def _asks_as_much(before: tuple[Rule, ...], after: tuple[Rule, ...]) -> bool:
    """Return whether each rule of *before* has its own rule in *after* that is no weaker."""
    left = list(after)
    for rule in before:
        match = next((candidate for candidate in left if _is_no_weaker(rule, candidate)), None)
        if match is None:
            return False
        left.remove(match)
    return True


def _is_no_weaker(before: Rule, after: Rule) -> bool:
    if isinstance(before, Quorum) and isinstance(after, Quorum):
        return before.role == after.role and before.count <= after.count
    return before == after


@dataclass(frozen=True)
class Rulebook:
    """Risk, approval and access policy together, with one digest."""

    document: Mapping[str, Any]

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Rulebook:
        """Build from `{"access":…, "approval":…, "risk":…}` as `airlock.config` validated it."""
        return cls(document)

    @cached_property
    def digest(self) -> str:
        """The policy digest."""
        return digest_json(self.document)

    @property
    def _approval(self) -> Mapping[str, Any]:
        return self._spec("approval")

    def _spec(self, part: str) -> Mapping[str, Any]:
        spec: Mapping[str, Any] = self.document[part]["spec"]
        return spec

    @property
    def grant_hours(self) -> int:
        """How long a grant may be used after it was issued."""
        return int(self._approval["grantHours"])

    @property
    def required_gates(self) -> tuple[str, ...]:
        """Gates every pipeline has to have where gates are needed."""
        return tuple(self._approval["requiredGates"])

    def tier(self, facts: Mapping[str, Any], raised_to: Tier | None = None) -> Tier:
        """Compute the tier from declared facts."""
        risk = self._spec("risk")
        for rule in risk["rules"]:
            if all(facts.get(name) == value for name, value in rule["when"].items()):
                return Tier(rule["tier"]).raised_to(raised_to)
        return Tier(risk["otherwise"]).raised_to(raised_to)

    def environment(self, name: str) -> Environment:
        """Return the environment of that name.

        Raises:
            Invalid: if the approval policy does not know it.
        """
        environments = self._approval["environments"]
        if name not in environments:
            raise Invalid(f"unknown environment {name!r}; the policy has {', '.join(environments)}")
        spec = environments[name]
        return Environment(name, spec["gates"], spec["people"], spec.get("alias") or name)

    def levels(self, tier: Tier) -> tuple[Level, ...]:
        """Return the levels of *tier* in order."""
        return tuple(
            Level(level["name"], tuple(rule_from_document(rule) for rule in level["rules"]))
            for level in self._approval["tiers"][tier.value]["levels"]
        )

    def plan(self, environment: str, tier: Tier) -> Plan:
        """Return the requirements for a release of this tier into this environment.

        Raises:
            Invalid: if people are needed but the tier has no levels.
        """
        if cached := self._plans.get((environment, tier)):
            return cached
        place = self.environment(environment)
        levels = self.levels(tier) if place.people else ()
        if place.people and not levels:
            raise Invalid(f"tier {tier.value} has no approval levels: blocked")
        weights = {
            gate: Enforcement(table[tier.value])
            for gate, table in self._approval.get("enforcement", {}).items()
        }
        plan = Plan(
            tier,
            place,
            levels,
            timing(self._approval, tier.value),
            weights=weights,
            waiving=self._roles_with(WAIVE),
            slack_may_answer=self.slack_may_answer(tier),
            refuses_unknown=self.refuses_unknown(tier),
        )
        return self._plans.setdefault((environment, tier), plan)

    def slack_may_answer(self, tier: Tier) -> bool:
        """Say whether an answer given in Slack counts at a tier."""
        spec = self._approval["tiers"][tier.value]
        return bool(spec.get("slackMayAnswer", tier is not Tier.HIGH))

    def refuses_unknown(self, tier: Tier) -> bool:
        """Say whether the work of authors nobody knows is refused at a tier."""
        usual = "refuse" if tier is Tier.HIGH else "record"
        spec = self._approval["tiers"][tier.value]
        return bool(spec.get("unknownCommitters", usual) == "refuse")

    @cached_property
    def _plans(self) -> dict[tuple[str, Tier], Plan]:
        """The plans made so far: a decision needs one, and they never change."""
        return {}

    @cached_property
    def separation(self) -> Separation:
        """Who else than those who did the work may not judge it."""
        also = self._approval.get("separationOfDuties", {}).get("also", [])
        authors = self._spec("access").get("gitAuthors", {})
        return Separation(
            authors={author.casefold(): person for author, person in authors.items()},
            roles=frozenset(entry["role"] for entry in also if "role" in entry),
            people=frozenset(entry["person"] for entry in also if "person" in entry),
        )

    @cached_property
    def superiors(self) -> dict[str, str]:
        """Who stands in for whom: a person, or `role/NAME`."""
        access = self._spec("access")
        table: Mapping[str, str] = access.get("superiors", {})
        roles = access["roles"]
        return {
            (f"{ROLE}{below}" if below in roles else below): superior
            for below, superior in table.items()
        }

    @property
    def fallback(self) -> str:
        """The role whose holders answer where nobody else is left; empty if there is none."""
        return str(self._approval.get("fallbackRole", ""))

    @cached_property
    def voting_roles(self) -> frozenset[str]:
        """The roles whose holders can be approvers."""
        return self._roles_with(VOTE)

    def _roles_with(self, permission: str) -> frozenset[str]:
        table = self._spec("access")["roles"]
        return frozenset(role for role in table if permission in table[role]["permissions"])

    @property
    def break_glass(self) -> Glass | None:
        """How an emergency may go round the levels, if this policy allows it at all."""
        spec = self._approval.get("breakGlass")
        if spec is None:
            return None
        return Glass(
            roles=frozenset(spec["roles"]),
            people=spec.get("people", 2),
            hours=spec.get("hours", 4),
            reviewers=frozenset(spec.get("reviewers", ("security_auditor",))),
        )

    @cached_property
    def enrolling_roles(self) -> frozenset[str]:
        """The roles that may enrol approvers."""
        return self._roles_with(ENROL)

    @cached_property
    def roles(self) -> frozenset[str]:
        """Every role there is."""
        return frozenset(self._spec("access")["roles"])

    @cached_property
    def deciding_roles(self) -> frozenset[str]:
        """The roles somebody has to be enrolled for: those a rule asks for, and those with a
        right that decides, inherited or not."""
        glass = self.break_glass
        required = {self.fallback} | (glass.roles | glass.reviewers if glass else frozenset())
        for tier in Tier:
            if tier.value in self._approval["tiers"]:
                rules = (rule for level in self.levels(tier) for rule in level.rules)
                ways = (simple for rule in rules for way in rule.ways() for simple in way)
                required |= {simple.role for simple in ways if isinstance(simple, Quorum)}
        mighty = {role for role in self.roles if self._permissions(frozenset({role})) & DECIDING}
        return frozenset((required | mighty) - {""})

    def permissions(
        self, roles: frozenset[str], unconfirmed: frozenset[str] = frozenset()
    ) -> frozenset[str]:
        """Return every `resource:action` these roles have; some are never inherited.

        *unconfirmed* roles give what decides nothing.
        """
        return self._permissions(roles) | (self._permissions(unconfirmed) - DECIDING)

    def allows(self, actor: Actor, permission: str) -> bool:
        """Say whether somebody has a right now."""
        return permission in self.permissions(actor.roles, actor.unconfirmed)

    def _permissions(self, roles: frozenset[str]) -> frozenset[str]:
        table = self._spec("access")["roles"]
        direct = {p for role in roles & table.keys() for p in table[role]["permissions"]}
        inherited: set[str] = set()
        todo, visited = list(roles), set[str]()
        while todo:
            role = todo.pop()
            if role in visited or role not in table:
                continue
            visited.add(role)
            inherited.update(table[role]["permissions"])
            todo.extend(table[role]["inherits"])
        return frozenset(direct | (inherited - NEVER_INHERITED))

    def roles_of_airflow(self, airflow_roles: frozenset[str]) -> frozenset[str]:
        """Translate Airflow's role names into Airlock's; unknown ones give nothing."""
        table: Mapping[str, str] = self._spec("access")["airflowRoles"]
        return frozenset(table[role] for role in airflow_roles if role in table)
