"""Do the votes of a release meet the policy it was judged under?

Rules:
* Every complete level has the approvals its rules ask for, each with a role its person held when
  voting: one's own as the vote itself records it; of somebody else (a delegate's giver, a
  superior's inferior) as the log of rights says for that time.
* A delegate had a delegation in force; a stand-in is the superior the policy names.
* An approved release has every level of its tier, in order, or broke the glass with the people and
  roles the policy names; where the environment needs no people, none.

What cannot be told here is returned as notes, in words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airlock_evidence.archive import Failed
from airlock_evidence.rules import met, sentence
from airlock_evidence.told import ROLE, Content, ReleaseState, Vote

VOTES = "votes.json"


class Rights:
    """Who held which roles when, and who lent a vote to whom: from entries of other streams."""

    def __init__(self, contents: Sequence[Content]) -> None:
        """Read `RightsChanged`, `Delegated` and `DelegationEnded`."""
        self._changes = [content for content in contents if content["what"] == "RightsChanged"]
        self._lent = [content for content in contents if content["what"] == "Delegated"]
        self._ended = [content for content in contents if content["what"] == "DelegationEnded"]

    def roles(self, person: str, at: str) -> frozenset[str] | None:
        """Return the roles somebody held at a time; None if the entries do not say."""
        changes = [
            change
            for change in self._changes
            if change["resource"] == f"user/{person}" and change["at"] <= at
        ]
        if not changes:
            return None
        new = max(changes, key=lambda change: str(change["at"]))["new"]
        return frozenset(new["roles"]) if new["active"] else frozenset()

    def delegation(self, giver: str, taker: str, at: str) -> bool:
        """Say whether *giver* had lent the vote to *taker* at a time."""
        return any(
            (delegation["data"]["giver"], delegation["data"]["taker"]) == (giver, taker)
            and delegation["at"] <= at
            and delegation["data"]["start"] <= at < delegation["data"]["end"]
            and not any(
                end["resource"] == delegation["resource"] and end["at"] <= at for end in self._ended
            )
            for delegation in self._lent
        )


def levels_of(policy: Mapping[str, Any], tier: str, environment: str) -> list[dict[str, Any]]:
    """Return the levels a release of a tier has to pass; none where no people are needed."""
    spec = policy["approval"]["spec"]
    if not spec["environments"][environment]["people"]:
        return []
    return list(spec["tiers"][tier]["levels"])


def needs(level: Mapping[str, Any]) -> str:
    """Say in words who has to agree."""
    return " and ".join(sentence(rule) for rule in level["rules"])


def check_levels(release: ReleaseState, policy: Mapping[str, Any], rights: Rights) -> list[str]:
    """Check every complete level of the newest round; return notes on what it could not check.

    Raises:
        Failed: naming the level and what it asks for.
    """
    notes: list[str] = []
    levels = levels_of(policy, release.tier, release.subject["environment"])
    for number in release.complete:
        if number > len(levels):
            raise Failed("log/stream.jsonl", f"level {number} is complete, the policy has none")
        votes = [vote for vote in release.votes_now() if vote.level == number]
        if any(vote.decision != "approve" for vote in votes):
            raise Failed(VOTES, f"level {number} is complete although somebody said no")
        able = {vote.principal: _roles(vote, policy, rights, notes) for vote in votes}
        if not met(levels[number - 1]["rules"], able):
            present = ", ".join(f"{person} ({', '.join(sorted(r))})" for person, r in able.items())
            why = (
                f"level {number} asks for {needs(levels[number - 1])}, found {present or 'nobody'}"
            )
            raise Failed(VOTES, why)
    if release.approved_at:
        _check_approved(release, policy, len(levels))
    if release.round > 1:
        notes.append("the votes of earlier rounds are void: they were not counted here")
    return notes


def _check_approved(release: ReleaseState, policy: Mapping[str, Any], levels: int) -> None:
    if release.emergency:
        _check_glass(release, policy)
    elif release.complete != list(range(1, levels + 1)):
        complete = ", ".join(map(str, release.complete)) or "none"
        raise Failed(VOTES, f"approved with levels {complete} of {levels} complete")


def _check_glass(release: ReleaseState, policy: Mapping[str, Any]) -> None:
    glass = policy["approval"]["spec"].get("breakGlass")
    if not glass:
        raise Failed("policy.json", "has no breakGlass, but the glass was broken")
    people = {
        person["person"]
        for person in release.emergency["people"]
        if set(person["roles"]) & set(glass["roles"])
    }
    needed = glass.get("people", 2)
    if len(people) < needed or release.approved_at >= release.emergency["until"]:
        raise Failed(
            "log/stream.jsonl", f"the glass needs {needed} people in time, found {sorted(people)}"
        )


def _roles(
    vote: Vote, policy: Mapping[str, Any], rights: Rights, notes: list[str]
) -> frozenset[str]:
    """Return the roles a vote counts with."""
    own = frozenset(vote.roles)
    logged = rights.roles(vote.person, vote.at)
    if logged is not None and logged != own:
        notes.append(
            f"{vote.person} voted with {', '.join(sorted(own)) or 'no role'}, the log of rights "
            f"says {', '.join(sorted(logged)) or 'no role'} for that time"
        )
    if vote.capacity == "own":
        return own
    _check_capacity(vote, policy, rights, notes)
    if vote.behind.startswith(ROLE):
        return own | {vote.behind.replace(ROLE, "", 1)}
    return _of_other(vote, rights)


def _check_capacity(
    vote: Vote, policy: Mapping[str, Any], rights: Rights, notes: list[str]
) -> None:
    """Check that somebody could answer for somebody else."""
    if vote.capacity == "delegate":
        if not rights.delegation(vote.behind, vote.person, vote.at):
            raise Failed(VOTES, f"{vote.person} had no delegation of {vote.behind} at that time")
    elif vote.capacity == "stand-in":
        superiors = policy["access"]["spec"].get("superiors", {})
        if superiors.get(vote.behind.replace(ROLE, "", 1)) != vote.person:
            raise Failed(VOTES, f"the policy does not name {vote.person} above {vote.behind}")
        notes.append(f"that level {vote.level} was escalated to {vote.person} was not checked")
    elif vote.capacity == "fallback":
        role = policy["approval"]["spec"].get("fallbackRole", "")
        if role not in vote.roles:
            raise Failed(VOTES, f"{vote.person} does not hold the fallback role {role!r}")
        notes.append(f"that nobody else was left at level {vote.level} was not checked")
    else:
        raise Failed(VOTES, f"{vote.person} voted as {vote.capacity!r}, which is unknown")


def _of_other(vote: Vote, rights: Rights) -> frozenset[str]:
    roles = rights.roles(vote.behind, vote.at)
    if roles is None:
        raise Failed(VOTES, f"the log does not say which roles {vote.behind} held at that time")
    return roles
