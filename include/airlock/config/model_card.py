"""ModelCard: what the owner of a model says about it, in `model_card.yaml` beside its code.

After Mitchell et al., "Model Cards for Model Reporting" (2019). What can be measured is not here:
it is generated from evidence. What is here only a person can know, and it is read as strictly as
any other document: unknown keys are refused, nothing is converted.

An empty text is not refused here: the gate model-card names every one at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator

from airlock.config.problems import ConfigurationError, Problem, show
from airlock.config.schemas import (
    ApiVersion,
    Items,
    PersonId,
    Slug,
    Strict,
    Trouble,
    document,
    refuse,
    validate,
)
from airlock.config.source import read

_LONGEST = 4_000


def _bounded(text: str) -> str:
    if len(text) > _LONGEST:
        refuse(Trouble((), f"at most {_LONGEST} characters", show(text)))
    return text


Text = Annotated[str, AfterValidator(_bounded)]


class CardMetadata(Strict):
    """Whose card it is."""

    name: Slug
    owner: PersonId


class IntendedUse(Strict):
    """What the model is for."""

    purpose: Text
    users: Text
    out_of_scope: Items[Text]


class CardData(Strict):
    """What it was made from, beyond what a profile can say."""

    description: Text
    collection: Text
    licence: Text
    personal_data: Text


class RiskAnswers(Strict):
    """What a risk officer asks."""

    affected: Text
    harm: Text
    oversight: Text
    fairness: Text
    monitoring: Text


class CardSpec(Strict):
    """All the owner has to answer."""

    intended_use: IntendedUse
    limits: Items[Text]
    data: CardData
    risk: RiskAnswers


class ModelCard(Strict):
    """One model's card."""

    api_version: ApiVersion
    kind: Literal["ModelCard"]
    metadata: CardMetadata
    spec: CardSpec


def read_card(path: Path) -> tuple[dict[str, Any] | None, list[dict[str, str]]]:
    """Return the canonical card, or everything that is wrong with the file; never raises for it."""
    try:
        source = read(path, path.name)
        card, problems = validate(ModelCard, source)
    except ConfigurationError as error:
        card, problems = None, list(error.problems)
    return (document(card) if card else None), [_plain(problem) for problem in problems]


def _plain(problem: Problem) -> dict[str, str]:
    actual = f"{problem.actual} (line {problem.line})" if problem.line else problem.actual
    return {"place": problem.path, "expected": problem.expected, "found": actual}
