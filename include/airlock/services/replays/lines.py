"""Lines: what serves in an environment, from the promotions and rollbacks of all releases."""

from __future__ import annotations

from collections.abc import Iterator

from airlock.domain.log_chains import Finding
from airlock.ports import Keyring
from airlock.services.log_store import LogWork
from airlock.services.replays.comparing import Page, Replay, Row
from airlock.services.replays.grants import DONE


class Lines(Replay):
    """Every column. A line on which nothing was promoted yet stands at epoch 0, or is not there."""

    table = "line"

    def __init__(self, keyring: Keyring) -> None:
        """Begin with no line."""
        super().__init__(keyring)
        self._wanted: dict[tuple[str, str], Row] = {}

    def page(self, unit: LogWork, page: Page) -> Iterator[Finding]:
        """Follow where the promotions and rollbacks of some releases have moved their lines."""
        del unit
        for name in page.rows:
            for step in page.told(name, *DONE):
                if step.before is not None:
                    subject = step.before.subject
                    place = (subject.model, subject.environment)
                    yield from self._move(place, step.data, str(step.data.get("to", name)))

    def _move(self, place: tuple[str, str], data: Row, release: str) -> Iterator[Finding]:
        epoch, known = data["sequence"], self._wanted.get(place)
        if known is not None and known["epoch"] == epoch:
            why = f"epoch {epoch} is told of {known['release']} and of {release}"
            yield self.finding(place, why)
        if known is None or known["epoch"] < epoch:
            told = {"epoch": epoch, "version": data["after"], "release": release}
            self._wanted[place] = {"model": place[0], "environment": place[1], **told}

    def rest(self, unit: LogWork) -> Iterator[Finding]:
        """Compare every line."""
        moved = (
            row
            for row in unit.every(self.table)
            if (row["epoch"], row["version"], row["release"]) != (0, None, None)
            or (row["model"], row["environment"]) in self._wanted
        )
        yield from self.compare(self._wanted, moved, lambda row: (row["model"], row["environment"]))
