"""Looks at the model registry twice a minute, beside everything else the delivery process does.

Two threads: one compares aliases and grants, one hashes files, which may take long. So a moved
alias is found within a minute however big the models are, and neither holds up a decision. Of
files that big that one round's time is not enough, some are hashed in each round, in turn.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from airlock.domain.errors import AirlockError, Unreachable
from airlock.services.detecting import Detector, Round

#: Two looks, and the time they take, fit into the minute within which a change has to be found.
PERIOD_S = 25.0
HASHING_S = 15.0
#: A look that is older is no answer to "does anybody look?".
LATE_S = 60.0

log = logging.getLogger("airlock.detect")


class Watchman:
    """Runs a detector until it is told to stop."""

    def __init__(self, detector: Detector, period: float = PERIOD_S) -> None:
        self._detector, self._period = detector, period
        self._good_at, self._problem = float("-inf"), "it has not looked yet"

    def start(self, stop: threading.Event) -> None:
        """Start both threads; they end with the process, or when *stop* is set."""
        for name, work in (("look", self.look), ("weigh", self.weigh)):
            threading.Thread(
                target=self._keep, args=(work, stop), name=f"detector-{name}", daemon=True
            ).start()

    def look(self) -> None:
        """Compare aliases and grants once."""
        try:
            found = self._detector.look()
        except AirlockError as error:
            self._problem = error.message
            raise
        self._good_at = time.monotonic()
        _report(found)

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

    def _keep(self, work: Callable[[], None], stop: threading.Event) -> None:
        said = ""
        while True:
            try:
                work()
            except AirlockError as error:
                if error.message != said:
                    log.warning("%s %s", error.message, error.next_step)
                said = error.message
            except Exception:  # an accident must not end the watch unseen
                log.exception("the detector failed")
            else:
                said = ""
            if stop.wait(self._period):
                return


def _report(found: Round) -> None:
    for one in found.new:
        log.error("ALARM %s: %s (was %s, is %s)", one.id, one.why, one.old, one.new)
    if found.mended:
        log.info("%s findings are over", found.mended)
    if found.set_back:
        log.warning("%s aliases were set back", found.set_back)
