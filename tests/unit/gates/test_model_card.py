from __future__ import annotations

import copy
from typing import Any

import pytest

from airlock.domain.gates import Verdict
from airlock.gates.model_card import REQUIRED, ModelCard
from tests.unit.gates.kit import judge, never_passes_on_nothing

ANSWER = "Four words say enough"


def card() -> dict[str, Any]:
    spec: dict[str, Any] = {}
    for field in REQUIRED:
        *above, name = field.split(".")
        place = spec.setdefault(above[0], {}) if above else spec
        place[name] = [ANSWER] if name in ("limits", "outOfScope") else ANSWER
    return {"metadata": {"name": "credit", "owner": "ana"}, "spec": spec}


def facts(**over: Any) -> dict[str, Any]:
    defaults = {
        "path": "include/models/credit/model_card.yaml",
        "pipeline": "credit",
        "owner": "ana",
        "card": card(),
        "problems": [],
        "generated": {"metrics": ["roc_auc"], "plots": ["roc.svg"]},
        "files": {"model_card.html": "sha256:0"},
    }
    return defaults | over


def with_answer(field: str, answer: Any) -> dict[str, Any]:
    changed = copy.deepcopy(card())
    *above, name = field.split(".")
    place = changed["spec"][above[0]] if above else changed["spec"]
    place[name] = answer
    return facts(card=changed)


def test_nothing_never_passes() -> None:
    never_passes_on_nothing(ModelCard())


def test_a_complete_card_passes() -> None:
    result = judge(ModelCard(), model_card=facts())
    assert result.verdict is Verdict.PASSED
    assert "13 fields answered by ana" in result.message


@pytest.mark.parametrize("field", REQUIRED)
@pytest.mark.parametrize("answer", ["", "   ", None, [], [""], "TODO: say it in many words"])
def test_every_field_has_to_be_answered(field: str, answer: Any) -> None:
    result = judge(ModelCard(), model_card=with_answer(field, answer))
    assert result.verdict is Verdict.FAILED
    assert f"{field} " in result.message


@pytest.mark.parametrize(
    "placeholder",
    [
        "TBD",
        "lorem ipsum dolor",
        "<what it is for>",
        "to be defined",
        "we fill in this",
        "???",
        "So...",
    ],
)
def test_a_placeholder_is_no_answer(placeholder: str) -> None:
    result = judge(
        ModelCard(), model_card=with_answer("risk.harm", f"About harm we say {placeholder}")
    )
    assert "risk.harm holds the placeholder" in result.message


def test_a_shrug_is_no_answer_but_a_licence_is_short() -> None:
    shrug = judge(ModelCard(), model_card=with_answer("risk.harm", "None really"))
    assert "risk.harm says too little" in shrug.message
    assert judge(ModelCard(), model_card=with_answer("data.licence", "Apache-2.0")).verdict.opens


def test_a_card_of_another_model_or_owner_fails() -> None:
    assert (
        "metadata.name: expected churn"
        in judge(ModelCard(), model_card=facts(pipeline="churn")).message
    )
    assert (
        "metadata.owner: expected ben" in judge(ModelCard(), model_card=facts(owner="ben")).message
    )


def test_what_is_wrong_with_the_file_is_said() -> None:
    problem = {
        "place": "spec.limts",
        "expected": "only the keys limits",
        "found": 'the key "limts"',
    }
    result = judge(ModelCard(), model_card=facts(card=None, problems=[problem]))
    assert result.verdict is Verdict.FAILED
    assert "spec.limts: expected only the keys limits" in result.message


@pytest.mark.parametrize(
    "over",
    [{"card": None}, {"files": {}}, {"generated": {"metrics": [], "plots": []}}],
)
def test_a_card_that_was_not_read_or_rendered_errs(over: dict[str, Any]) -> None:
    assert judge(ModelCard(), model_card=facts(**over)).verdict is Verdict.ERRORED


def test_a_senseless_option_is_refused() -> None:
    with pytest.raises(ValueError, match="min_words"):
        ModelCard(min_words=0)
