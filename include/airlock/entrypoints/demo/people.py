"""How the demo people become approvers: as own people do, in a minute.

The first two are enrolled with the database owner's credential, the others come from one file that
one of the two imports and the other confirms. Whoever is enrolled already is left alone.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable

from airlock.domain.approval.policy import Rulebook
from airlock.domain.errors import Unreachable
from airlock.domain.people.enrolment import Standing
from airlock.entrypoints.cli.platform.person import enrol_first, owner_store
from airlock.entrypoints.client import AIRLOCK
from airlock.entrypoints.presentation.terminal import connect, say, settings
from airlock.ports import Store
from airlock_platform.people import PEOPLE

#: Who enrols the others, and as what.
REGISTRARS = {"admin": "admin", "sam": "security_auditor"}
WHY = "one of the people of the demo"
#: How long the platform may take to see new accounts and to register the pipelines, in seconds.
PATIENCE_S = 120.0


def enrol_everybody() -> None:
    """Enrol whoever of the demo people is not, and wait until the pipelines are registered."""
    from airlock.config.load import load_pipelines, load_rulebook

    here, store = settings(), owner_store()
    rulebook = Rulebook.from_document(load_rulebook(here.config_dir).document)
    roles = roles_of(rulebook)
    wait(lambda: accounts_observed(store, roles), "Airlock to see the accounts of the demo people")
    for name in missing(store, {registrar: roles[registrar] for registrar in REGISTRARS}):
        enrol_first(name, roles[name], WHY)
        say(f"  {name} is enrolled as {roles[name]}, with the owner's credential")
    if waiting := missing(store, roles):
        _by_two_people({name: roles[name] for name in waiting})
    pipelines = load_pipelines(here.config_dir, here.root).valid
    digests = [pipeline.digest for pipeline in pipelines if pipeline.owner in roles]
    wait(lambda: registered(store, digests), "the pipelines to be registered")


def roles_of(rulebook: Rulebook) -> dict[str, str]:
    """Return person -> Airlock's role, for everybody of the demo."""
    roles_of_users = {
        user: rulebook.roles_of_airflow(frozenset({role})) for user, _, _, role in PEOPLE
    }
    return {user: next(iter(roles)) for user, roles in roles_of_users.items() if roles}


def accounts_observed(store: Store, people: Iterable[str]) -> bool:
    """Say whether the accounts of all these people have been seen."""
    with store.begin() as unit:
        return set(people) <= unit.accounts().keys()


def registered(store: Store, digests: Iterable[str]) -> bool:
    """Say whether all these pipelines are registered."""
    with store.begin() as unit:
        return all(unit.is_registered("pipeline", digest) for digest in digests)


def missing(store: Store, roles: dict[str, str]) -> list[str]:
    """Return who is not enrolled for the role."""
    with store.begin() as unit:
        active = {(o.person, o.role) for o in unit.enrolments(state=Standing.ACTIVE.value)}
    return [name for name, role in roles.items() if (name, role) not in active]


def file_of(roles: dict[str, str]) -> str:
    """Return the file that enrols these people."""
    return "\n".join(["person,role,reason", *(f"{n},{r},{WHY}" for n, r in roles.items())]) + "\n"


def _by_two_people(roles: dict[str, str]) -> None:
    first, second = REGISTRARS
    names = ", ".join(roles)
    with connect(first) as client:
        _end_proposals(roles)
        body = {"text": file_of(roles)}
        batch = client.post(f"{AIRLOCK}/enrolments/import", body, key=uuid.uuid4().hex)
    say(f"  {first} proposes {names}, by one file")
    with connect(second) as client:
        address = f"{AIRLOCK}/enrolments/import/{batch['digest']}/confirmation"
        client.post(address, {"reason": WHY}, key=uuid.uuid4().hex)
    say(f"  {second} confirms the file {batch['digest'][:19]}...")


def _end_proposals(roles: dict[str, str]) -> None:
    """End what an earlier demo has proposed and nobody has confirmed."""
    with connect(next(iter(REGISTRARS))) as client:
        for proposal in client.get(f"{AIRLOCK}/enrolments", state="proposed"):
            if roles.get(proposal["person"]) == proposal["role"]:
                address = f"{AIRLOCK}/enrolments/{proposal['id']}/end"
                client.post(address, {"reason": "proposed again"}, key=uuid.uuid4().hex)


def wait(condition: Callable[[], bool], description: str) -> None:
    """Wait for something of the platform's.

    Raises:
        Unreachable: if it takes too long.
    """
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise Unreachable(
                f"waited {PATIENCE_S:.0f} s for {description}",
                next_step="`airlock status` shows what does not work; the log of deliver says why.",
            )
        time.sleep(0.5)
