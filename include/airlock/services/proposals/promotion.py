"""A promotion carried over proposals: what a task asks, and the decider's own side answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airlock.domain.errors import Invalid, Unreachable
from airlock.domain.evidence.proposals import Kind
from airlock.ports import Proposals, Store
from airlock.ports.promotions import Promotion, PromotionPermit, PromotionRequest, Promotions
from airlock.services.proposals.handling import Claim, Finish, Sources


class ProposedPromotions:
    """`Promotions` for a task: every question is a proposal of its run."""

    def __init__(self, proposals: Proposals, origin: str) -> None:
        """*origin*: the run whose task asks."""
        self._proposals, self._origin = proposals, origin

    def begin(self, request: PromotionRequest) -> PromotionPermit | Promotion:
        """Take the release for this attempt, or say that the attempt has done it already."""
        answer = self._proposals.submit(Kind.BEGIN, self._origin, request.to_document())
        if "permit" in answer:
            return PromotionPermit.from_document(answer["permit"])
        return Promotion.from_document(answer["promotion"])

    def finish(self, release_id: str, attempt: str) -> Promotion:
        """Have the promotion recorded if the alias has moved."""
        body = {"release": release_id, "attempt": attempt}
        answer = self._proposals.submit(Kind.FINISH, self._origin, body)
        return Promotion.from_document(answer["promotion"])


def begin(_store: Store, sources: Sources, claim: Claim, _finish: Finish) -> Mapping[str, Any]:
    """Begin an attempt; it is an attempt of the run that asks."""
    attempt = _attempt(claim)
    document = {
        "release": claim.body.text("release", 40),
        "attempt": attempt,
        "reach": claim.body.mapping("reach"),
    }
    try:
        request = PromotionRequest.from_document(document)
    except (KeyError, TypeError, ValueError) as error:
        raise Invalid(f"a proposal {Kind.BEGIN}: the reach cannot be read: {error!r}") from error
    result = _promotions(sources).begin(request)
    kind = "promotion" if isinstance(result, Promotion) else "permit"
    return {kind: result.to_document()}


def finish(_store: Store, sources: Sources, claim: Claim, _finish: Finish) -> Mapping[str, Any]:
    """Finish an attempt."""
    release = claim.body.text("release", 40)
    return {"promotion": _promotions(sources).finish(release, _attempt(claim)).to_document()}


def _attempt(claim: Claim) -> str:
    attempt = claim.body.text("attempt")
    if not attempt.startswith(f"{claim.origin}/"):
        raise Invalid(f"the attempt {attempt[:200]} is not one of run {claim.origin}")
    return attempt


def _promotions(sources: Sources) -> Promotions:
    if sources.promotions is None:
        raise Unreachable("this process carries out no promotions")
    return sources.promotions
