"""Evidence read from the artifact's files alone; nothing of it is loaded."""

from __future__ import annotations

from airlock.adapters.jobs.collection_context import Collected, Scene


def formats(scene: Scene) -> Collected:
    """Name the format of every file (evidence artifact-format)."""
    return Collected(scene.lab.formats(scene.model))


def scan(scene: Scene) -> Collected:
    """Let every scanner look (evidence artifact-scan)."""
    return Collected(scene.lab.scan(scene.model))


def signature(scene: Scene) -> Collected:
    """Verify the signature made when the model was trained (evidence artifact-signature)."""
    return Collected(scene.lab.signature(scene.model, scene.keys))
