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
from airlock_evidence.told import ROLE, Content, Told, Vote

VOTES = "votes.json"


class Rights:
    """Who held which roles when, and who lent a vote to whom: from entries of other streams."""

    def __init__(self, contents: Sequence[Content]) -> None:
        """Read `RightsChanged`, `Delegated` and `DelegationEnded`."""
        self._changes = [one for one in contents if one["what"] == "RightsChanged"]
        self._lent = [one for one in contents if one["what"] == "Delegated"]
        self._ended = [one for one in contents if one["what"] == "DelegationEnded"]

    def roles(self, person: str, at: str) -> frozenset[str] | None:
        """Return the roles somebody held at a time; None if the entries do not say."""
        known = [
            one for one in self._changes if one["resource"] == f"user/{person}" and one["at"] <= at
        ]
        if not known:
            return None
        new = max(known, key=lambda one: str(one["at"]))["new"]
        return frozenset(new["roles"]) if new["active"] else frozenset()

    def delegation(self, giver: str, taker: str, at: str) -> bool:
        """Say whether *giver* had lent the vote to *taker* at a time."""
        return any(
            (one["data"]["giver"], one["data"]["taker"]) == (giver, taker)
            and one["at"] <= at
            and one["data"]["start"] <= at < one["data"]["end"]
            and not any(
                end["resource"] == one["resource"] and end["at"] <= at for end in self._ended
            )
            for one in self._lent
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


def check_levels(told: Told, policy: Mapping[str, Any], rights: Rights) -> list[str]:
    """Check every complete level of the newest round; return what could not be told.

    Raises:
        Failed: naming the level and what it asks for.
    """
    notes: list[str] = []
    wanted = levels_of(policy, told.tier, told.subject["environment"])
    for number in told.complete:
        if number > len(wanted):
            raise Failed("log/stream.jsonl", f"level {number} is complete, the policy has none")
        votes = [one for one in told.votes_now() if one.level == number]
        if any(one.decision != "approve" for one in votes):
            raise Failed(VOTES, f"level {number} is complete although somebody said no")
        able = {one.principal: _roles(one, policy, rights, notes) for one in votes}
        if not met(wanted[number - 1]["rules"], able):
            found = ", ".join(f"{who} ({', '.join(sorted(r))})" for who, r in able.items())
            why = f"level {number} asks for {needs(wanted[number - 1])}, found {found or 'nobody'}"
            raise Failed(VOTES, why)
    if told.approved_at:
        _check_approved(told, policy, len(wanted))
    if told.round > 1:
        notes.append("the votes of earlier rounds are void: they were not counted here")
    return notes


def _check_approved(told: Told, policy: Mapping[str, Any], levels: int) -> None:
    if told.emergency:
        _check_glass(told, policy)
    elif told.complete != list(range(1, levels + 1)):
        done = ", ".join(map(str, told.complete)) or "none"
        raise Failed(VOTES, f"approved with levels {done} of {levels} complete")


def _check_glass(told: Told, policy: Mapping[str, Any]) -> None:
    glass = policy["approval"]["spec"].get("breakGlass")
    if not glass:
        raise Failed("policy.json", "has no breakGlass, but the glass was broken")
    people = {
        one["person"] for one in told.emergency["people"] if set(one["roles"]) & set(glass["roles"])
    }
    wanted = glass.get("people", 2)
    if len(people) < wanted or told.approved_at >= told.emergency["until"]:
        raise Failed(
            "log/stream.jsonl", f"the glass needs {wanted} people in time, found {sorted(people)}"
        )


def _roles(
    vote: Vote, policy: Mapping[str, Any], rights: Rights, notes: list[str]
) -> frozenset[str]:
    """Return the roles a vote counts with."""
    own = frozenset(vote.roles)
    known = rights.roles(vote.person, vote.at)
    if known is not None and known != own:
        notes.append(
            f"{vote.person} voted with {', '.join(sorted(own)) or 'no role'}, the log of rights "
            f"says {', '.join(sorted(known)) or 'no role'} for that time"
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
    held = rights.roles(vote.behind, vote.at)
    if held is None:
        raise Failed(VOTES, f"the log does not say which roles {vote.behind} held at that time")
    return held
