"""Asking for a promotion: a task begins an attempt, moves the alias, and has the attempt finished.

The decider answers. In one process it is called directly
(`airlock.services.promotion.promote.Promoter`); a task whose credential may write nothing hands
both questions in as proposals, so everything here travels as JSON: `to_document` and
`from_document` are each other's inverse, and times are text.

Nothing of what a task says is believed. Whether the alias has moved is what the decider reads in
the registry and in its guard's ledger.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol, Self

from airlock.domain.approval.approval_conditions import EVERYBODY, Reach


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionRequest:
    """What a task asks for.

    *attempt* names the task instance (`dag/run/task`), at most 600 characters; asked again with
    it, an attempt goes on. *reach* is how much of the traffic will be served.
    """

    release: str
    attempt: str
    reach: Reach = EVERYBODY

    def to_document(self) -> dict[str, Any]:
        """Return the request as JSON data."""
        reach = {"share": self.reach.share, "segments": list(self.reach.segments)}
        return {"release": self.release, "attempt": self.attempt, "reach": reach}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Read back what `to_document` wrote. Raises KeyError, TypeError or ValueError."""
        reach = document["reach"]
        return cls(
            release=str(document["release"]),
            attempt=str(document["attempt"]),
            reach=Reach(float(reach["share"]), tuple(map(str, reach["segments"]))),
        )


class _Plain:
    """A flat record of texts, numbers and None."""

    __slots__ = ()

    def to_document(self) -> dict[str, Any]:
        """Return the record as JSON data."""
        return asdict(self)  # type: ignore[call-overload,no-any-return] # subclasses are dataclasses

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Read back what `to_document` wrote. Raises TypeError for other fields."""
        return cls(**document)


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionPermit(_Plain):
    """What allows an attempt to move one alias once, until a time (UTC, as in the log).

    *envelope* is the signed grant, to be handed to the registry with the move.
    """

    release: str
    attempt: str
    grant: str
    envelope: str
    model: str
    alias: str
    version: str
    until: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion(_Plain):
    """What a promotion or a rollback did. *replayed*: this attempt had been finished before."""

    release_id: str
    model: str
    alias: str
    before: str | None
    after: str
    grant_id: str
    sequence: int
    replayed: bool = False


class Promotions(Protocol):
    """The decider, as a task asks it to promote. Both methods may be repeated at any time."""

    def begin(self, request: PromotionRequest) -> PromotionPermit | Promotion:
        """Take the release for this attempt, or say that the attempt has done it already.

        Raises:
            Conflict: if another attempt has it, naming which and until when, or it is done.
            Refused: with the rule that said no; the attempt is in the log.
            Unreachable: if the guard of the registry did not answer; ask again.
        """

    def finish(self, release_id: str, attempt: str) -> Promotion:
        """Look at the registry, and record the promotion if the alias has moved.

        Raises:
            Refused: if the attempt moved nothing; it is over, and its grant is revoked.
            Unreachable: if the guard of the registry did not answer; ask again.
        """
