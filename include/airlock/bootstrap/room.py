"""The room that new work leaves on disk."""

from __future__ import annotations

from airlock.adapters.disk import Reserve
from airlock.config.settings import Settings


def reserve_of(settings: Settings) -> Reserve:
    """Return what has to stay free where state, data and evidence are."""
    folders = (settings.home, settings.data_dir, settings.evidence)
    return Reserve(folders, settings.disk_reserve_mb * 10**6)
