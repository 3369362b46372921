"""What the state machine plays with waivers: given by the right and the wrong, ended, void.

The one gate of the release has failed and is soft. So nothing goes on, no answer and no promotion,
unless a waiver stands at that moment: it has not ended, whoever gave it could give it again, and
it is about the evidence there is.
"""

from __future__ import annotations

from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import rule

from airlock.domain.errors import AirlockError
from tests.contract.engines import CROWD
from tests.contract.model import Model

#: Mostly somebody who may.
GIVER = st.sampled_from(["vera", "boss", "vera", "boss", "pia", "mara", *sorted(CROWD)])
#: None at all, short, long, and longer than any may be.
HOURS = st.sampled_from([0, 60, 2000, 2000, 2200])


class Waiving(Model):
    """The steps of a release machine that are about waivers."""

    @rule(person=GIVER, hours=HOURS)
    def waive(self, person: str, hours: int) -> None:
        self.waive_one(person, hours)

    def waive_again(self) -> None:
        """Let somebody waive who may, so that what comes next is not refused for that alone."""
        able = sorted(person for person in CROWD if self.may_waive(person))
        if self.state == "AWAITING_APPROVAL" and not self.waived() and able:
            self.waive_one(able[0], 2000)

    def waive_one(self, person: str, hours: int) -> None:
        awaited = self.state in ("BLOCKED", "AWAITING_APPROVAL") and not self.waived()
        expected = awaited and self.may_waive(person) and 0 < hours <= 90 * 24
        end = self.engine.clock.at + timedelta(hours=hours)
        try:
            self.engine.waive(person, hours)
        except AirlockError:
            done = False
        else:
            done = True
        assert done == expected, f"{person} waives: accepted {done}, expected {expected}"
        if done:
            self.waivers.append((person, end))
