"""Who may not judge a release, and why.

Rules:
* Out are: the requester, the owner of the training run, everybody who committed the changed
  model code, and whoever last changed the policy in force.
* Out is out: neither an own role nor a delegation nor standing in for somebody brings such a
  person back, as voter or as the one voted for.
* A policy can only name more people or roles (`separationOfDuties.also`), never fewer.
* Git knows e-mail addresses. Only the table `gitAuthors` makes a person of one; nothing is
  guessed. An address that is not in it, and what git cannot say, is unknown: recorded, and where
  the tier says so (`unknownCommitters`, high unless the policy says otherwise) refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from airlock.domain.approval.rules import Holders
from airlock.domain.errors import Refused

#: What is recorded when git cannot say who it was; mostly with the reason: `unknown: why`.
UNKNOWN = "unknown"
#: What is recorded for policies that are as Airlock came with them: nobody here changed them.
SHIPPED = "shipped"
#: The kind of the document that names who changed a policy, where git could tell only later.
CHANGER = "policy-changer"
_LONGEST = 320
_PLAIN_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*@[A-Za-z0-9.-]+")

# Said of "you" and of anybody else alike, so no word depends on the person.
REQUESTED = "requested this release"
OWNED_RUN = "owned the training run"
COMMITTED = "committed the changed model code"
CHANGED_POLICY = "last changed the policy in force"


def unknown_because(why: str) -> str:
    """Return what is recorded when git cannot say who it was, with the reason."""
    return f"{UNKNOWN}: {' '.join(why.split())}"[:_LONGEST]


def is_unknown(author: str) -> bool:
    """Say whether an author as recorded stands for somebody git does not name."""
    return author == UNKNOWN or author.startswith(f"{UNKNOWN}:")


RUN_AGAIN = "Then run the pipeline again."


def check_all_known(unknown: Sequence[str], tier: str, then: str = "") -> None:
    """Refuse what was made by somebody nobody can be kept out for; *then* follows the advice.

    Raises:
        Refused: naming each address with the line it needs in `gitAuthors`, and what git lacks.
    """
    if not unknown:
        return
    addresses = [author for author in unknown if not is_unknown(author)]
    steps = []
    if addresses:
        lines = ", ".join(f"{_key(address)}: NAME" for address in addresses)
        steps.append(
            f"Add to spec.gitAuthors of the AccessPolicy, with each person's user name in Airflow: "
            f"{lines}"
        )
    if len(addresses) < len(unknown):
        steps.append(
            "Train from a full clone (git fetch --unshallow) in which the code and the "
            "policies are committed"
        )
    raise Refused(
        f"who changed the model's code or the policy is not known: {'; '.join(unknown)}. At the "
        f"tier {tier} nobody may approve until it is, because nobody judges own work",
        next_step=f"{'. '.join(steps)}. {then or RUN_AGAIN}",
    )


def _key(address: str) -> str:
    """Return an address as a key of YAML."""
    return address if _PLAIN_KEY.fullmatch(address) else json.dumps(address)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Who did what for one release. Committers and the changer are as git names them."""

    requester: str
    owner: str = ""
    committers: tuple[str, ...] = ()
    policy_changer: str = UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Separation:
    """What the policy adds: names of git's authors, and roles and people kept out as well."""

    authors: Mapping[str, str] = field(default_factory=dict)
    roles: frozenset[str] = frozenset()
    people: frozenset[str] = frozenset()

    def person(self, author: str) -> str | None:
        """Return the person behind an author of git's, if the table knows."""
        return self.authors.get(author.strip().casefold())

    def unknown(self, work: Work) -> tuple[str, ...]:
        """Return the authors nobody can be kept out for, and what git could not say."""
        authors = {*work.committers, work.policy_changer} - {SHIPPED}
        return tuple(sorted(author for author in authors if not self.person(author)))

    def excluded(self, work: Work, holders: Holders) -> dict[str, str]:
        """Return person -> why that person may not judge this release."""
        reasons: dict[str, list[str]] = {}
        for person, why in (*self._by_work(work), *self._by_policy(holders)):
            if person and why not in reasons.setdefault(person, []):
                reasons[person].append(why)
        return {person: " and ".join(why) for person, why in sorted(reasons.items())}

    def _by_work(self, work: Work) -> Iterable[tuple[str, str]]:
        yield work.requester, REQUESTED
        if work.owner != work.requester:
            yield work.owner, OWNED_RUN
        for author in work.committers:
            yield self.person(author) or "", COMMITTED
        yield self.person(work.policy_changer) or "", CHANGED_POLICY

    def _by_policy(self, holders: Holders) -> Iterable[tuple[str, str]]:
        for person in self.people:
            yield person, "may not approve under the policy in force"
        for person, person_roles in holders.items():
            for role in sorted(self.roles & person_roles):
                yield person, f"may not approve as {role} under the policy in force"
