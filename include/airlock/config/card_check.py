"""What is missing in the model cards, before anything is trained.

The same words as the gate model-card's, which says them after the run. A pipeline without that gate
is told as well: its approvers will look for a card and find none. These are warnings, because a
card that is not finished keeps nobody from training.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from airlock.config.load import PipelineConfig
from airlock.config.model_card import read_card
from airlock.gates.model_card import CARD, ModelCard


def gaps(pipeline: PipelineConfig, root: Path) -> Iterator[str]:
    """Yield one sentence for everything that is missing in a pipeline's model card."""
    folder = pipeline.spec.source_code.path
    path = root / folder / CARD
    gates = [gate for gate in pipeline.gates if isinstance(gate, ModelCard)]
    head = f"WARNING {pipeline.name}: {folder}/{CARD}"
    if not path.is_file():
        weight = "the gate model-card will fail" if gates else "nobody says what the model is for"
        yield f"{head}: no such file; {weight}. docs/howto/add-a-model.md says what to write."
        return
    card, problems = read_card(path)
    owner_part = {
        "path": f"{folder}/{CARD}",
        "pipeline": pipeline.name,
        "owner": pipeline.owner,
        "card": card,
        "problems": problems,
    }
    for wrong in (gates[0] if gates else ModelCard()).wrong(owner_part):
        yield f"{head}: {wrong}."
