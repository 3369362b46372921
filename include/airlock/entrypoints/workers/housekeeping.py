"""Clearing away what stages have worked with, and saying that the disk is nearly full.

Only what can be made or fetched again is cleared: the folders of stages, copies of models. Pinned
data, evidence, MLflow's files and the log are what a release is judged and proved by; they stay.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path

from airlock.adapters import disk
from airlock.bootstrap.room import reserve_of
from airlock.config.settings import Settings
from airlock.domain.errors import AirlockError

log = logging.getLogger("airlock.deliver")

#: Seconds between two looks for what is old, and for how much is free.
CLEAR_EVERY_S, LOOK_EVERY_S = 3600.0, 15.0
#: Copies of models lie here, each in a folder of its own.
MODELS = "models"


class Housekeeper:
    """What the delivery process calls once per round."""

    def __init__(self, settings: Settings) -> None:
        self._work = tuple(dict.fromkeys((settings.home / "work", settings.handover)))
        self._days, self._reserve = settings.keep_work_days, reserve_of(settings)
        self._clear_at = self._look_at = 0.0
        self._notes: tuple[str, ...] = ()

    def notes(self) -> tuple[str, ...]:
        """Return what has to be known of the disk."""
        return self._notes

    def round(self) -> None:
        """Do what is due."""
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + LOOK_EVERY_S
            self._look()
        if self._days and now >= self._clear_at:
            self._clear_at = now + CLEAR_EVERY_S
            for folder in self._work:
                self._clear(folder)

    def _clear(self, folder: Path) -> None:
        removed = disk.clear_unused(folder, self._days, besides=(MODELS,))
        removed += disk.clear_unused(folder / MODELS, self._days)
        if removed:
            log.info(
                "cleared %d folders of %s, unused for %d days", len(removed), folder, self._days
            )

    def _look(self) -> None:
        try:
            self._reserve.check()
            scarce = [
                room for room in disk.rooms(self._reserve.folders) if room.share < disk.SCARCE
            ]
            notes = tuple(f"{room.folder} has {room.share:.0%} of its disk free" for room in scarce)
        except AirlockError as error:
            notes = (f"no new work begins: {error.message}",)
        if bool(notes) != bool(self._notes):
            log.warning("%s", "; ".join(notes) or "there is room on the disk again")
        self._notes = notes
