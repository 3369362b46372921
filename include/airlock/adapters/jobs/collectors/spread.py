"""Evidence drift, train-serving-skew and label-balance: columns here against columns there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from airlock.adapters.jobs.collection_context import Collected, Scene
from airlock.adapters.jobs.errors import DataInvalid
from airlock.domain.digest import file_digest


def drift(scene: Scene) -> Collected:
    """Compare the training rows of the candidate with those of what serves now."""
    return Collected(_against_champion(scene, "drift", []))


def label_balance(scene: Scene) -> Collected:
    """Count the target, and compare it with that of what serves now."""
    facts = _against_champion(scene, "label-balance", [scene.recipe.target])
    return Collected(facts | {"target": scene.recipe.target, "task": scene.recipe.task})


def train_serving_skew(scene: Scene) -> Collected:
    """Compare the training rows with recorded requests.

    Raises:
        DataInvalid: if something serves and no request is recorded.
    """
    if scene.champion is None:
        return Collected({"champion": None})
    serving_log = scene.recipe.serving_log
    if serving_log is None:
        raise DataInvalid(
            f"nothing to compare: the pipeline {scene.recipe.name} names no serving log",
            next_step="write data.servingLog: a Parquet or JSONL file of recorded requests",
        )
    log = scene.root / serving_log
    if not log.is_file():
        raise DataInvalid(
            f"nothing to compare: there is no file {serving_log}",
            next_step="record requests there, or mend data.servingLog",
        )
    facts = _measured(scene, "train-serving-skew", _inputs(scene.model), log=str(log.resolve()))
    return Collected(facts | {"log": serving_log, "logDigest": file_digest(log)})


def _against_champion(scene: Scene, gate: str, columns: list[str]) -> dict[str, Any]:
    reference = scene.champion_rows
    facts = _measured(scene, gate, columns, reference=reference)
    return facts | {"championData": reference.digest if reference else None}


def _measured(scene: Scene, gate: str, columns: list[str], **extra: Any) -> dict[str, Any]:
    entity = scene.recipe.entity_column
    facts, _ = scene.lab.child(
        "spread",
        scene.recipe.name,
        scene.rows,
        scene.limits(gate),
        {
            "columns": columns,
            "aside": [*([entity] if entity else []), *scene.recipe.available_at.values()],
            **extra,
        },
    )
    champion = scene.champion
    return facts | {
        "champion": champion.version if champion else None,
        "data": scene.rows.digest,
    }


def _inputs(model: Path) -> list[str]:
    """Return the columns the model's signature asks for."""
    try:
        document = yaml.safe_load((model / "MLmodel").read_text("utf-8"))
        return [str(column["name"]) for column in json.loads(document["signature"]["inputs"])]
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise DataInvalid(f"the model does not say what it takes: {error!r}") from error
