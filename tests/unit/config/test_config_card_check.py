"""What a model card lacks is said before anything is trained, in the words of the gate."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
import yaml

from airlock.config.card_check import gaps
from airlock.gates.model_card import CARD
from tests.support import ROOT

if TYPE_CHECKING:
    from tests.unit.config.conftest import Checkout

pytestmark = pytest.mark.unit

PLACE = "WARNING churn: include/models/churn/model_card.yaml: "
GATE = ("    - gate: artifact-format\n", "    - gate: artifact-format\n    - gate: model-card\n")


def card_gaps(checkout: Checkout) -> list[str]:
    (pipeline,) = checkout.load().valid
    sentences = list(gaps(pipeline, checkout.root))
    assert all(sentence.startswith(PLACE) for sentence in sentences)
    return [sentence.removeprefix(PLACE) for sentence in sentences]


def card(checkout: Checkout, **changes: str) -> None:
    """Write a card that is complete but for the changes: `risk__harm="TODO"`."""
    source = ROOT / "include/models/employment" / CARD
    document = yaml.safe_load(source.read_text())
    document["metadata"] = {"name": "churn", "owner": "ana"}
    for path, value in changes.items():
        first, second = path.split("__")
        document["spec"][first][second] = value
    (checkout.config / "models/churn" / CARD).write_text(yaml.safe_dump(document))


def test_a_complete_card_says_nothing(checkout: Checkout) -> None:
    card(checkout)
    assert card_gaps(checkout) == []


def test_no_card_at_all_is_the_first_thing_said(checkout: Checkout) -> None:
    (line,) = card_gaps(checkout)
    assert line.startswith("no such file; nobody says what the model is for.")
    checkout.edit(checkout.pipeline(), *GATE)
    (line,) = card_gaps(checkout)
    assert line.startswith("no such file; the gate model-card will fail.")


def test_every_answer_that_is_missing_is_named(checkout: Checkout) -> None:
    card(checkout, risk__harm="TODO", data__collection="by hand", risk__oversight="")
    assert card_gaps(checkout) == [
        "data.collection says too little (at least 4 words).",
        'risk.harm holds the placeholder "TODO".',
        "risk.oversight is empty.",
    ]


def test_the_pipelines_own_limit_counts(checkout: Checkout) -> None:
    card(checkout, data__collection="by hand")
    gate = GATE[1] + "      minWords: 2\n"
    checkout.edit(checkout.pipeline(), GATE[0], gate)
    assert card_gaps(checkout) == []


def test_another_models_card_and_a_file_that_cannot_be_read_are_named(checkout: Checkout) -> None:
    path = checkout.config / "models/churn" / CARD
    shutil.copy(ROOT / "include/models/employment" / CARD, path)
    assert card_gaps(checkout)[0] == (
        "metadata.name: expected churn as in the pipeline, found employment."
    )
    path.write_text("kind: [")
    assert len(card_gaps(checkout)) == 1
