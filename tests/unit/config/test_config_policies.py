"""A policy is refused with its place, and no mutation of a valid one is weaker than allowed."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airlock.config.load import RulebookConfig, load_rulebook, protected_aliases
from airlock.config.problems import ConfigurationError
from airlock.domain.approval.policy import Rulebook, Tier
from airlock.domain.digest import canonical_json
from tests.unit.config.bad_policies import REFUSALS
from tests.unit.config.mutate import JUNK, mutate, places

if TYPE_CHECKING:
    from tests.unit.config.conftest import Checkout

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("case", REFUSALS)
def test_a_bad_policy_is_refused_with_its_place(checkout: Checkout, case: str) -> None:
    policy, old, new, path, words = REFUSALS[case]
    file = checkout.policy(policy)
    checkout.edit(file, old, new)
    problems = {problem.path: problem for problem in checkout.policy_problems()}
    assert path in problems, problems
    assert words in str(problems[path])
    assert problems[path].file == f"include/policies/{policy}.yaml"
    assert problems[path].line >= 1


def test_the_line_is_that_of_the_mistake(checkout: Checkout) -> None:
    file = checkout.policy("approvals")
    checkout.edit(file, "role: risk_committee, count: 2", "role: risk_committee, count: 0")
    lines = enumerate(file.read_text().splitlines(), 1)
    (line,) = (number for number, text in lines if "count: 0" in text)
    (problem,) = checkout.policy_problems()
    assert problem.line == line


def test_two_policies_of_one_kind_are_refused_naming_both(checkout: Checkout) -> None:
    checkout.policy("risk2").write_text(checkout.policy("risk").read_text())
    (problem,) = checkout.policy_problems()
    assert problem.file == "include/policies/risk2.yaml"
    assert "also in include/policies/risk.yaml" in str(problem)


def test_a_missing_policy_is_named(checkout: Checkout) -> None:
    checkout.policy("risk").unlink()
    (problem,) = checkout.policy_problems()
    assert "expected a file of kind RiskPolicy" in str(problem)
    assert "access.yaml" in problem.actual


def test_all_files_are_reported_together(checkout: Checkout) -> None:
    checkout.edit(checkout.policy("risk"), "tier: low", "tier: lwo")
    checkout.edit(checkout.policy("access"), "Op: operator", "Op: opertor")
    checkout.edit(checkout.policy("approvals"), "grantHours: 336", "grantHours: no")
    assert len({problem.file for problem in checkout.policy_problems()}) == 3


def test_layout_never_changes_the_digest_and_every_value_does(checkout: Checkout) -> None:
    first = load_rulebook(checkout.config)
    file = checkout.policy("approvals")
    text = file.read_text()
    file.write_text(yaml.safe_dump(yaml.safe_load(text)))
    assert load_rulebook(checkout.config).digest == first.digest
    file.write_text(text.replace("count: 2", "count: 3"))
    assert load_rulebook(checkout.config).digest != first.digest


def test_canonical_documents_load_as_themselves(checkout: Checkout) -> None:
    first = load_rulebook(checkout.config)
    for name, file in (("access", "access"), ("approval", "approvals"), ("risk", "risk")):
        checkout.policy(file).write_bytes(canonical_json(first.document[name]))
    assert load_rulebook(checkout.config).document == first.document
    assert Rulebook.from_document(first.document).digest == first.digest


def test_the_default_alias_is_the_name_of_the_environment(checkout: Checkout) -> None:
    checkout.edit(checkout.policy("approvals"), ", alias: staging", "")
    environments = load_rulebook(checkout.config).document["approval"]["spec"]["environments"]
    assert environments["staging"]["alias"] == "staging"


def list_protected(checkout: Checkout, *aliases: str) -> None:
    written = f"spec:\n  protectedAliases: [{', '.join(aliases)}]\n"
    checkout.edit(checkout.policy("access"), "spec:\n", written)


def test_an_environment_whose_alias_is_not_protected_is_refused(checkout: Checkout) -> None:
    list_protected(checkout, "champion", "development")
    (problem,) = checkout.policy_problems()
    assert problem.path == "spec.environments.staging.alias"
    assert "protectedAliases" in problem.expected
    assert "staging" in problem.actual


def test_an_empty_list_of_protected_aliases_is_refused(checkout: Checkout) -> None:
    list_protected(checkout)
    assert "at least one entry" in str(checkout.policy_problems()[0])


def test_protected_aliases_are_the_listed_ones_or_the_usual_and_every_environments(
    checkout: Checkout,
) -> None:
    usual = ("champion", "development", "prod", "production", "staging")
    assert load_rulebook(checkout.config).protected_aliases == usual
    listed = ("blessed", "champion", "development", "staging")
    list_protected(checkout, *listed)
    assert load_rulebook(checkout.config).protected_aliases == listed
    assert protected_aliases(checkout.config, " more , ") == ",".join(sorted([*listed, "more"]))


def test_without_readable_policies_nobody_can_say_what_is_protected(checkout: Checkout) -> None:
    checkout.edit(checkout.policy("access"), "Op: operator", "Op: opertor")
    with pytest.raises(ConfigurationError):
        protected_aliases(checkout.config, "")


def test_a_policy_without_protected_aliases_keeps_its_digest(checkout: Checkout) -> None:
    spec = load_rulebook(checkout.config).document["access"]["spec"]
    assert "protectedAliases" not in spec
    before = load_rulebook(checkout.config).digest
    list_protected(checkout, "champion", "development", "staging")
    assert load_rulebook(checkout.config).digest != before


@pytest.fixture(scope="module")
def real() -> RulebookConfig:
    return load_rulebook(ROOT / "include")


def test_the_real_levels_are_those_of_the_design(real: RulebookConfig) -> None:
    rulebook = Rulebook.from_document(real.document)
    levels = {tier: [level.sentence() for level in rulebook.levels(tier)] for tier in Tier}
    assert levels == {
        Tier.LOW: ["1 x algorithm_lead"],
        Tier.MEDIUM: ["1 x algorithm_lead", "1 x compliance_officer"],
        Tier.HIGH: ["1 x algorithm_lead", "1 x compliance_officer", "2 x risk_committee"],
    }
    assert rulebook.environment("production").alias == "champion"
    assert rulebook.grant_hours == 336


def test_the_real_roles_vote_and_export_only_where_they_should(real: RulebookConfig) -> None:
    rulebook = Rulebook.from_document(real.document)
    roles = real.access.spec.roles
    may = {role: rulebook.permissions(frozenset({role})) for role in roles}
    assert {role for role in roles if "release:vote" in may[role]} == {
        "algorithm_lead", "compliance_officer", "risk_committee",
    }  # fmt: skip
    assert {role for role in roles if "audit:export" in may[role]} == {"security_auditor"}
    assert all("release:read" in may[role] for role in roles)
    assert may["admin"] > may["operator"] > may["viewer"]


def test_every_combination_of_facts_has_a_tier_and_the_worst_is_high(real: RulebookConfig) -> None:
    import itertools

    rulebook, facts = Rulebook.from_document(real.document), real.risk.spec.facts
    combinations = [
        dict(zip(facts, values, strict=True)) for values in itertools.product(*facts.values())
    ]
    low = [combination for combination in combinations if rulebook.tier(combination) is Tier.LOW]
    assert low == [{"customerImpact": "none", "automatedDecision": False, "personalData": False}]
    for combination in combinations:
        if combination["customerImpact"] == "direct" and (
            combination["automatedDecision"] or combination["personalData"]
        ):
            assert rulebook.tier(combination) is Tier.HIGH


def assert_not_weaker(config: RulebookConfig) -> None:
    """Check the limits that every valid rule book keeps."""
    rulebook = Rulebook.from_document(config.document)
    production = rulebook.environment("production")
    assert production.gates
    assert production.people
    assert rulebook.required_gates
    assert rulebook.grant_hours >= 1
    votes = []
    for tier in Tier:
        levels = rulebook.levels(tier)
        assert levels
        assert all(level.rules for level in levels)
        assert all(rule.count >= 1 for level in levels for rule in level.rules)
        votes.append(sum(rule.count for level in levels for rule in level.rules))
    assert votes == sorted(votes)
    aliases = [
        environment["alias"]
        for environment in config.document["approval"]["spec"]["environments"].values()
    ]
    assert len(set(aliases)) == len(aliases)
    assert "release:vote" not in rulebook.permissions(frozenset({"admin"}))
    admin = rulebook.roles_of_airflow(frozenset({"Admin"}))
    assert "release:vote" not in rulebook.permissions(admin)
    assert not rulebook.roles_of_airflow(frozenset({"Public"}))


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_mutated_policy_is_an_error_or_never_weaker(checkout: Checkout, data: Any) -> None:
    kinds = {"access": "access", "approval": "approvals", "risk": "risk"}
    document = copy.deepcopy(load_rulebook(ROOT / "include").document)
    part = data.draw(st.sampled_from([*kinds, "approval"]))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.sampled_from(places(document[part])))
        deed = data.draw(st.sampled_from(["drop", "repeat", "set"]))
        mutate(document[part], place, deed, data.draw(st.sampled_from(JUNK)))
    for name, file in kinds.items():
        checkout.policy(file).write_bytes(canonical_json(document[name]))
    try:
        mutated = load_rulebook(checkout.config)
    except ConfigurationError:
        return
    assert_not_weaker(mutated)


def test_one_word_weighs_a_gate_in_every_tier_and_silence_is_hard(checkout: Checkout) -> None:
    without = load_rulebook(checkout.config)
    assert "enforcement" not in without.document["approval"]["spec"]
    weights = "enforcement: {latency: soft, signature: {low: advisory}}"
    checkout.edit(checkout.policy("approvals"), "grantHours: 336", f"grantHours: 336\n  {weights}")
    config = load_rulebook(checkout.config)
    assert config.document["approval"]["spec"]["enforcement"] == {
        "latency": {"high": "soft", "medium": "soft", "low": "soft"},
        "signature": {"high": "hard", "medium": "hard", "low": "advisory"},
    }
    plan = Rulebook.from_document(config.document).plan("production", Tier.LOW)
    enforcements = [
        plan.enforcement(gate).value for gate in ("latency", "signature", "data-validation")
    ]
    assert enforcements == ["soft", "advisory", "hard"]
