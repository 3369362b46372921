"""Looks at the model registry twice a minute, beside everything else the delivery process does.

Two threads: one compares aliases and grants, one hashes files, which may take long. So a moved
alias is found within a minute however big the models are, and neither holds up a decision. Of
files that big that one round's time is not enough, some are hashed in each round, in turn.
"""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

from airlock.domain.errors import AirlockError, Unreachable
from airlock.entrypoints.workers.steps import Round, Step
from airlock.services.registry import drift
from airlock.services.registry.drift import Detector

#: Two looks, and the time they take, fit into the minute within which a change has to be found.
PERIOD_S = 25.0
HASHING_S = 15.0
#: A look that is older is no answer to "does anybody look?".
LATE_S = 60.0

log = logging.getLogger("airlock.detect")


class Watchman:
    """Runs a detector until it is told to stop."""

    def __init__(
        self, detector: Detector, period: float = PERIOD_S, folder: Path | None = None
    ) -> None:
        """*folder*: where `airlock status` reads how the looks fare."""
        self._detector, self._period, self._folder = detector, period, folder
        self._good_at, self._problem = float("-inf"), "it has not looked yet"

    def start(self, stop: threading.Event) -> None:
        """Start both threads; they end with the process, or when *stop* is set."""
        looks = {
            "comparing": Step("compare the model registry", self.look),
            "hashing": Step("hash the files of released models", self.weigh),
        }
        for name, step in looks.items():
            work = Round([step], self._folder and self._folder / f"work-{name}.json")
            threading.Thread(
                target=self._keep, args=(work, stop), name=f"detector-{name}", daemon=True
            ).start()

    def look(self) -> None:
        """Compare aliases and grants once."""
        try:
            comparison = self._detector.look()
        except AirlockError as error:
            self._problem = error.message
            raise
        self._good_at = time.monotonic()
        _report(comparison)

    def weigh(self) -> None:
        """Hash files once, for a part of the period."""
        _report(self._detector.weigh(HASHING_S))

    def answer(self) -> None:
        """Say nothing if the registry was compared within the last minute.

        Raises:
            Unreachable: saying why it was not.
        """
        if time.monotonic() - self._good_at > LATE_S:
            raise Unreachable(f"the model registry was not compared lately: {self._problem}")

    def _keep(self, work: Round, stop: threading.Event) -> None:
        work.run()
        while not stop.wait(self._period):
            work.run()


def _report(comparison: drift.Round) -> None:
    for finding in comparison.new:
        log.error("ALARM %s: %s (was %s, is %s)", finding.id, finding.why, finding.old, finding.new)
    if comparison.mended:
        log.info("%s findings are over", comparison.mended)
    if comparison.set_back:
        log.warning("%s aliases were set back", comparison.set_back)
