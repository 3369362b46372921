"""What becomes of open duties when an approver is deactivated or loses a role.

Who may answer is computed anew at every use (`airlock.domain.approval.voting`): the others who hold
the role, a delegate, then a superior, then the fallback role. Nothing is assigned, so nothing has
to be moved. What has to happen is that those who have become responsible hear of it, once per
level.
"""

from __future__ import annotations

from airlock.domain.approval.policy import Plan
from airlock.domain.approval.release import Release, State
from airlock.domain.approval.rules import Holders
from airlock.domain.approval.voting import mandates, may_answer
from airlock.domain.people.actors import holders
from airlock.domain.people.delegation import Capacity
from airlock.ports import Store
from airlock.services import outbox_messages
from airlock.services.approvals.requirements import plan_of

#: Releases looked at; more than this many are open nowhere.
MOST = 100_000


def notify(store: Store) -> int:
    """Report every open level that nobody can answer in an own role any more."""
    with store.begin() as unit:
        able = holders(unit.people())
        waiting = unit.find(states=[State.AWAITING_APPROVAL], limit=MOST)
        letters: list[outbox_messages.Letter] = []
        count = 0
        for release in waiting:
            plan = plan_of(unit, release)
            candidates = mandates(release, plan, able)
            if not any(mandate.capacity is Capacity.OWN for mandate in candidates):
                letters += _letters(release, plan, able)
                count += 1
        unit.post_all(letters)
        unit.commit()
    return count


def _letters(release: Release, plan: Plan, able: Holders) -> list[outbox_messages.Letter]:
    level = plan.levels[release.level - 1]
    people = may_answer(release, plan, able)
    text = (
        f"{release.id}: nobody is left who could answer level {release.level} ({level.name}) in "
        f"a role of their own. May answer: {', '.join(people) or 'nobody: give the role again'}."
    )
    suffix = f"{outbox_messages.place(release)}-handover"
    return outbox_messages.aloud(
        release.id, suffix, about="handover", text=text, people=list(people)
    )
