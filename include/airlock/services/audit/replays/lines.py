"""Lines: what serves in an environment, from the promotions and rollbacks of all releases."""

from __future__ import annotations

from collections.abc import Iterator

from airlock.domain.log.stream_chains import Finding
from airlock.ports import Keyring
from airlock.services.audit.log_store import LogWork
from airlock.services.audit.replays.comparing import Page, Replay, Row
from airlock.services.audit.replays.grants import COMPLETED


class Lines(Replay):
    """Every column. A line on which nothing was promoted yet stands at epoch 0, or is not there."""

    table = "line"

    def __init__(self, keyring: Keyring) -> None:
        """Begin with no line."""
        super().__init__(keyring)
        self._expected: dict[tuple[str, str], Row] = {}

    def page(self, unit: LogWork, page: Page) -> Iterator[Finding]:
        """Follow where the promotions and rollbacks of some releases have moved their lines."""
        del unit
        for name in page.rows:
            for step in page.steps_with(name, *COMPLETED):
                if step.before is not None:
                    subject = step.before.subject
                    place = (subject.model, subject.environment)
                    yield from self._move(place, step.data, str(step.data.get("to", name)))

    def _move(self, place: tuple[str, str], data: Row, release: str) -> Iterator[Finding]:
        epoch, current = data["sequence"], self._expected.get(place)
        if current is not None and current["epoch"] == epoch:
            why = f"epoch {epoch} is told of {current['release']} and of {release}"
            yield self.finding(place, why)
        if current is None or current["epoch"] < epoch:
            fields = {"epoch": epoch, "version": data["after"], "release": release}
            self._expected[place] = {"model": place[0], "environment": place[1], **fields}

    def rest(self, unit: LogWork) -> Iterator[Finding]:
        """Compare every line."""
        moved = (
            row
            for row in unit.every(self.table)
            if (row["epoch"], row["version"], row["release"]) != (0, None, None)
            or (row["model"], row["environment"]) in self._expected
        )
        yield from self.compare(
            self._expected, moved, lambda row: (row["model"], row["environment"])
        )
