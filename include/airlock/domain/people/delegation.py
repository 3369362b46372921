"""Voting for somebody else: as a delegate, or as a superior who stands in.

Rules:
* A delegation runs from a start to an end, both given, and can be ended early. It lends the
  giver's own roles, as the giver holds them at the moment of the vote; so it ends with them.
* No chains: what was lent cannot be lent on, because only roles held directly are lent.
* A superior may stand in once a level was escalated, or when nobody else is left, not before.
* Where no superior is left either, the fallback role of the policy answers.
* Both names are kept: who answered, and for whom. Both have then answered that release.
* Nobody votes for, or through, a person who may not judge the release.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from airlock.domain.approval.rules import Holders, Rule
from airlock.domain.clock import stamp
from airlock.domain.errors import Forbidden, Invalid

#: How a stand-in for a whole role is written where otherwise a person is named.
ROLE = "role/"
#: Nobody needs a delegate for longer; whoever does needs another role.
LONGEST = timedelta(days=90)


class Capacity(StrEnum):
    """As what somebody answers."""

    OWN = "own"  #: with a role held directly
    DELEGATE = "delegate"  #: for somebody who is away
    STAND_IN = "stand-in"  #: as the superior, after escalation
    FALLBACK = "fallback"  #: for a role nobody can fill any more


@dataclass(frozen=True, slots=True, kw_only=True)
class Delegation:
    """*taker* may answer for *giver* from *start* (included) to *end* (not included)."""

    id: str
    giver: str
    taker: str
    start: str
    end: str
    reason: str
    made_at: str
    revoked_at: str | None = None

    def holds(self, at: str) -> bool:
        """Say whether it is in force at a moment."""
        revoked = self.revoked_at is not None and self.revoked_at <= at
        return self.start <= at < self.end and not revoked


@dataclass(frozen=True, slots=True)
class Powers:
    """Delegations in force, and who is whose superior (a person, or `role/NAME`).

    *fallback*: the role whose holders answer where nobody else is left; *voting*: roles that vote.
    """

    delegations: tuple[Delegation, ...] = ()
    superiors: Mapping[str, str] = field(default_factory=dict)
    fallback: str = ""
    voting: frozenset[str] = frozenset()


#: Nobody answers for anybody else.
NO_POWERS = Powers()


@dataclass(frozen=True, slots=True)
class Mandate:
    """One capacity in which *person* could answer. *behind* is empty for an own role."""

    person: str
    capacity: Capacity = Capacity.OWN
    behind: str = ""

    @property
    def principal(self) -> str:
        """Whose seat is filled."""
        return self.person if not self.behind or self.behind.startswith(ROLE) else self.behind

    @property
    def people(self) -> frozenset[str]:
        """Everybody who has answered when this mandate is used."""
        return frozenset({self.person, self.principal})

    def roles(self, holders: Holders) -> frozenset[str]:
        """Return the roles that fill the seat."""
        own = holders.get(self.principal, frozenset())
        lent = {self.behind.removeprefix(ROLE)} if self.behind.startswith(ROLE) else set()
        return own | lent

    def counts(self, holders: Holders, excluded: Collection[str]) -> bool:
        """Return whether all its people are active and may judge the release."""
        return all(person in holders and person not in excluded for person in self.people)


def eligible(
    rules: Sequence[Rule],
    holders: Holders,
    powers: Powers,
    excluded: Collection[str] = (),
    *,
    escalated: bool,
) -> tuple[Mandate, ...]:
    """Return every mandate that fits one of *rules*, own ones first, then delegates."""
    own = (Mandate(person) for person in sorted(holders))
    lent = (
        Mandate(delegation.taker, Capacity.DELEGATE, delegation.giver)
        for delegation in powers.delegations
    )
    above = (
        Mandate(superior, Capacity.STAND_IN, below)
        for below, superior in sorted(powers.superiors.items())
        if escalated
    )
    return tuple(
        mandate
        for mandate in dict.fromkeys((*own, *lent, *above))
        if mandate.counts(holders, excluded)
        and any(rule.fits(mandate.principal, mandate.roles(holders)) for rule in rules)
    )


def handed_over(
    rules: Sequence[Rule], holders: Holders, powers: Powers, excluded: Collection[str]
) -> tuple[Mandate, ...]:
    """Return the mandates of the fallback role, for a level without other eligible people."""
    last = (person for person in sorted(holders) if powers.fallback in holders[person])
    return tuple(
        mandate
        for person in last
        for role in sorted(powers.voting)
        if (mandate := Mandate(person, Capacity.FALLBACK, f"{ROLE}{role}")).counts(
            holders, excluded
        )
        and any(rule.fits(person, mandate.roles(holders)) for rule in rules)
    )


def delegate(
    *,
    id: str,
    giver: str,
    taker: str,
    start: datetime,
    end: datetime,
    reason: str,
    now: datetime,
    holders: Holders,
    voting: frozenset[str],
    barred: frozenset[str],
    claims: Holders | None = None,
) -> Delegation:
    """Return a new delegation. *voting* are the roles that vote, *barred* those that never do.

    *claims*: the roles Airflow gives, whether they count or not; by default those that count.

    Raises:
        Forbidden: if the giver has nothing to lend or the taker may not have it.
        Invalid: if the times make no sense.
    """
    own = holders.get(giver, frozenset()) & voting
    if not own:
        raise Forbidden(
            f"{giver} holds no role that votes, so there is nothing to delegate: only roles held "
            "directly can be lent, never what was lent",
            next_step="Whoever holds the role itself can delegate it.",
        )
    if taker == giver or taker not in holders:
        raise Invalid(
            f"{giver} cannot delegate to {taker}: expected another active person who is enrolled",
            next_step="`airlock person list` shows whom Airlock knows, and who is enrolled. "
            "Whoever answers for somebody else is enrolled too, for whatever role.",
        )
    taker_roles = (claims or holders).get(taker, frozenset())
    if taker_roles & barred:
        raise Forbidden(
            f"{taker} holds {', '.join(sorted(taker_roles & barred))}, which never votes",
            next_step="Delegate to somebody else.",
        )
    _check_times(start, end, now)
    made_at = stamp(now)
    return Delegation(
        id=id,
        giver=giver,
        taker=taker,
        start=stamp(start),
        end=stamp(end),
        reason=reason,
        made_at=made_at,
    )


def _check_times(start: datetime, end: datetime, now: datetime) -> None:
    if not start < end:
        raise Invalid(f"a delegation has to end after it starts: {stamp(start)} to {stamp(end)}")
    if end <= now:
        raise Invalid(f"a delegation that ended at {stamp(end)} would lend nothing")
    if end - start > LONGEST:
        raise Invalid(
            f"a delegation lasts at most {LONGEST.days} days, found {(end - start).days}",
            next_step="Give the role itself to whoever needs it for longer.",
        )
