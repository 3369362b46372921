"""Conditions on an approval.

Rules:
* What a machine can check is enforced at promotion: the share of the traffic, the segments, and
  until when the approval holds. Of several approvals the strictest condition counts.
* The rest becomes a finding: what to mend, who does it, by when.
* An overdue finding blocks the model's next release when it opens.
* Nobody closes the own finding: its owner did the work, somebody else looks at it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from airlock.domain.errors import Forbidden, Invalid, Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """Something to mend by a date."""

    text: str
    owner: str
    due: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What an approval is tied to. Nothing, unless it says so."""

    max_traffic_share: float | None = None
    segments: tuple[str, ...] = ()
    expires_at: str | None = None
    findings: tuple[Demand, ...] = ()

    def __bool__(self) -> bool:
        """Say whether there is any condition."""
        return self != Conditions()

    def to_document(self) -> dict[str, Any]:
        """Return the conditions as JSON data, only those that are there."""
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(self).items()
            if value not in (None, ())
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Conditions:
        """Read back what `to_document` wrote."""
        return cls(
            max_traffic_share=document.get("max_traffic_share"),
            segments=tuple(document.get("segments", ())),
            expires_at=document.get("expires_at"),
            findings=tuple(Demand(**finding) for finding in document.get("findings", ())),
        )


#: An approval without any condition.
UNCONDITIONAL = Conditions()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A demand that was kept, and whether it was met."""

    id: str
    release: str
    model: str
    text: str
    owner: str
    due: str
    raised_by: str
    closed_at: str | None = None
    closed_by: str | None = None

    def overdue(self, at: str) -> bool:
        """Say whether it should have been closed by then."""
        return self.closed_at is None and self.due <= at


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a promotion reaches. The alias itself serves everybody."""

    share: float = 1.0
    segments: tuple[str, ...] = ()


#: What moving the alias does.
EVERYBODY = Reach()
_ALL = "Moving an alias reaches everybody, so it needs an approval without this condition."


def check_conditions(conditions: Conditions, now: str) -> None:
    """Refuse conditions that mean nothing.

    Raises:
        Invalid: naming the condition.
    """
    share = conditions.max_traffic_share
    if share is not None and not 0 < share <= 1:
        raise Invalid(f"maxTrafficShare is above 0 and at most 1, found {share:g}")
    dates = [conditions.expires_at, *(demand.due for demand in conditions.findings)]
    for date in dates:
        if date is not None and date <= now:
            raise Invalid(f"a condition has to lie in the future, found {date}")
    if any(not (demand.text.strip() and demand.owner.strip()) for demand in conditions.findings):
        raise Invalid("a finding needs a text and an owner")


def enforce(
    approvals: Sequence[tuple[str, Conditions]], reach: Reach, now: str, then: str = ""
) -> None:
    """Refuse a promotion that reaches further than its approvals allow; *then*: what to do.

    Raises:
        Refused: naming the condition, who made it, and what would be allowed.
    """
    for person, conditions in approvals:
        if conditions.expires_at is not None and now >= conditions.expires_at:
            raise Refused(
                f"the approval of {person} was good until {conditions.expires_at}, it is {now}",
                next_step=then,
            )
        if conditions.max_traffic_share is not None and reach.share > conditions.max_traffic_share:
            raise Refused(
                f"{person} approved at most {conditions.max_traffic_share:.0%} of the traffic, "
                f"this promotion reaches {reach.share:.0%}",
                next_step=f"{_ALL} {then}".strip(),
            )
        outside = sorted(set(reach.segments) - set(conditions.segments))
        if conditions.segments and (outside or not reach.segments):
            audience = ", ".join(outside) or "everybody"
            raise Refused(
                f"{person} approved only for {', '.join(conditions.segments)}, this promotion "
                f"reaches {audience}",
                next_step=f"{_ALL} {then}".strip(),
            )


def check_no_overdue(findings: Iterable[Finding], model: str, at: str) -> None:
    """Refuse the next release of a model with an overdue finding.

    Raises:
        Refused: naming every overdue finding.
    """
    late = [finding for finding in findings if finding.overdue(at)]
    if late:
        details = "; ".join(f"{finding.id}, {finding.owner}, due {finding.due}" for finding in late)
        raise Refused(
            f"{model} has overdue findings of an earlier approval: {details}",
            next_step="Mend them and have somebody other than their owner close them; "
            "`airlock finding list` says what they are.",
        )


def check_closing(finding: Finding, person: str, permitted: bool) -> None:
    """Refuse a closing by its owner, by somebody without the right, or a second one.

    Raises:
        Forbidden: if this person may not close it.
        Refused: if it is closed.
    """
    if finding.closed_at is not None:
        raise Refused(f"finding {finding.id} was closed by {finding.closed_by}")
    if person == finding.owner:
        raise Forbidden(
            f"{person} owns finding {finding.id}: nobody judges own work",
            next_step=f"{finding.raised_by} or another approver closes it.",
        )
    if not permitted and person != finding.raised_by:
        raise Forbidden(
            f"{person} neither raised finding {finding.id} nor may vote on releases",
            next_step=f"{finding.raised_by} or another approver closes it.",
        )
