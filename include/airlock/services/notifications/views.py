"""What a chat is shown of a release: the document people see, and what a message needs besides."""

from __future__ import annotations

from typing import Any

from airlock.domain.approval.policy import Plan
from airlock.domain.approval.release import Release
from airlock.domain.approval.rules import Holders
from airlock.domain.approval.voting import may_answer
from airlock.domain.people.actors import Actor, holders
from airlock.ports import Keyring, Store, UnitOfWork
from airlock.services.approvals.requirements import plan_of
from airlock.services.queries import releases

View = dict[str, Any]
#: A release that moves while it is read is read again, so many times.
_LOOKS = 3


def view_of(
    store: Store,
    keyring: Keyring,
    release_id: str,
    public_url: str,
    team: str,
    actor: Actor | None = None,
) -> View:
    """Return everything a message about a release is drawn from, as it is now.

    *team*: whose accounts are mentioned; without one, all linked accounts are. *actor*: who asks,
    if it is for one person alone.
    """
    for _ in range(_LOOKS):
        with store.begin() as unit:
            release = unit.get(release_id)
            more = _more(unit, release, plan_of(unit, release), team)
        view = releases.show(store, keyring, release_id, actor)
        if all(view[name] == value for name, value in _place(release).items()):
            break
    return {**view, **more, "page": page(public_url, release_id)}


def page(public_url: str, release_id: str = "") -> str:
    """Return the address of a release's page, or of the list of releases."""
    return f"{public_url.rstrip('/')}/airlock/releases" + (f"/{release_id}" if release_id else "")


def concerned(unit: UnitOfWork, release: Release, plan: Plan, able: Holders) -> frozenset[str]:
    """Return whose inbox a release is in or may have been in: approvers of any level, voters."""
    rules = [rule for level in plan.levels for rule in level.rules]
    approvers = {
        person
        for person, roles in able.items()
        if any(rule.fits(person, frozenset(roles)) for rule in rules)
    }
    voters = {vote.person for vote in release.votes}
    return frozenset(approvers | voters | {*may_answer(release, plan, able)})


def _more(unit: UnitOfWork, release: Release, plan: Plan, team: str) -> View:
    people = unit.people()
    links = unit.links().values()
    return {
        "slackMayAnswer": plan.slack_may_answer,
        "escalated": plan.escalated,
        "accounts": {link.person: link.account for link in links if team in ("", link.team)},
        "names": {person.id: person.name for person in people},
        "concerned": sorted(concerned(unit, release, plan, holders(people))),
    }


def _place(release: Release) -> View:
    return {"state": release.state.value, "round": release.round, "level": release.level}
