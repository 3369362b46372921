"""Evidence footprint: what the model takes on disk, to load, and of memory; and the champion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airlock.adapters.jobs.collection_context import Collected, Scene
from airlock.adapters.jobs.programs.sample import FILE
from airlock.domain.digest import folder_manifest, manifest_digest
from airlock.gates.footprint import RUNS

_REQUESTS = 1000
_RATIOS = ("maxSizeRatio", "maxLoadRatio", "maxMemoryRatio")


def collect(scene: Scene) -> Collected:
    """Measure both in turns, each time in a fresh process, on the same held-out rows."""
    options, limits = scene.options("footprint"), scene.limits("footprint")
    other = scene.champion if any(options.get(name) for name in _RATIOS) else None
    models = {"candidate": scene.model}
    if other and (folder := scene.champion_model):
        models["champion"] = folder
    name, data = scene.recipe.name, scene.rows
    drawn, work = scene.lab.child("sample", name, data, limits, {"requests": _REQUESTS})
    requests = str(work / FILE)
    sides = {side: _side(folder) for side, folder in models.items()}
    for _ in range(int(options.get("runs") or RUNS)):
        for side, folder in models.items():
            extra = {"model": str(folder.resolve()), "requests": requests}
            run, _ = scene.lab.child("footprint", f"{side} of {name}", data, limits, extra)
            sides[side]["runs"].append(run)
    champion = sides.get("champion")
    if champion is not None and other is not None:
        champion["version"] = other.version
    serves = scene.champion.version if scene.champion else None
    facts = {"candidate": sides["candidate"], "champion": champion, "serves": serves}
    return Collected(facts | drawn)


def _side(folder: Path) -> dict[str, Any]:
    manifest = folder_manifest(folder)
    return {
        "artifactDigest": manifest_digest(manifest),
        "sizeBytes": sum((folder / path).stat().st_size for path in manifest),
        "files": len(manifest),
        "runs": [],
    }
