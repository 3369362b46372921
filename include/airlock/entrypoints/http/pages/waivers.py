"""The part of the answer form that ties an approval to conditions: text from a browser, read here.

FastAPI reads these signatures, so there is no `from __future__ import annotations` here.
"""

import math
from itertools import zip_longest
from typing import Annotated

from pydantic import Field

from airlock.domain.approval.approval_conditions import Conditions, Demand
from airlock.domain.clock import stamp
from airlock.domain.errors import Invalid
from airlock.entrypoints.http.dependencies import FormText
from airlock.entrypoints.http.pages.base import Fields, Line, utc_end

_Many = Annotated[list[Annotated[FormText, Field(max_length=2000)]], Field(max_length=20)]


class ConditionFields(Fields):
    """What an approval is tied to, as a form has it; everything may be left empty."""

    share: Line = ""
    segments: Line = ""
    expires: Line = ""
    findingText: _Many = Field(default_factory=list)
    findingOwner: _Many = Field(default_factory=list)
    findingDue: _Many = Field(default_factory=list)

    def rows(self) -> list[dict[str, str]]:
        """Return the findings that were begun, row by row."""
        columns = (self.findingText, self.findingOwner, self.findingDue)
        rows = zip_longest(*columns, fillvalue="")
        return [
            {"text": text.strip(), "owner": owner.strip(), "due": due.strip()}
            for text, owner, due in rows
            if text.strip() or owner.strip() or due.strip()
        ]

    def conditions(self) -> Conditions:
        """Return the conditions as the domain knows them.

        Raises:
            Invalid: naming what cannot be read.
        """
        names = (name.strip() for name in self.segments.split(","))
        until = self.expires.strip()
        return Conditions(
            max_traffic_share=_share(self.share.strip()),
            segments=tuple(name for name in names if name),
            expires_at=stamp(utc_end(until, "the end of an approval")) if until else None,
            findings=tuple(_demand(row) for row in self.rows()),
        )


def _share(text: str) -> float | None:
    if not text:
        return None
    try:
        share = float(text.removesuffix("%").strip().replace(",", ".")) / 100
    except ValueError:
        share = math.nan
    if not math.isfinite(share):
        raise Invalid(
            f"the share of the traffic is a number of percent, found {text[:40]!r}",
            next_step="Write it as 25.",
        )
    return share


def _demand(row: dict[str, str]) -> Demand:
    """Return a finding; a day without a time is over when the day is."""
    if not all(row.values()):
        raise Invalid(
            "a finding needs what is to be mended, who mends it and by when",
            next_step="Fill in the whole row, or empty it.",
        )
    due = utc_end(row["due"], "the day by which a finding is mended")
    return Demand(text=row["text"], owner=row["owner"], due=stamp(due))
