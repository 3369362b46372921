"""Access tokens for the MLflow server: who somebody is, signed, for a working day."""

from __future__ import annotations

from typing import Any

from airlock.domain.approval.policy import Rulebook
from airlock.domain.clock import stamp
from airlock.domain.log.audit import Event
from airlock.domain.people.access_token import REVOKE, VALID, issue
from airlock.domain.people.actors import Actor
from airlock.ports import Signer, Store


def mlflow_token(store: Store, signer: Signer, rulebook: Rulebook, actor: Actor) -> dict[str, Any]:
    """Return a token that says who the caller is; that it was issued is in the log."""
    able = frozenset(rulebook.permissions(actor.roles, actor.unconfirmed)) - {REVOKE}
    with store.begin() as unit:
        now = unit.now()
        token = issue(actor.id, able, now, signer.key_id, signer.sign)
        unit.log("access", _issued(actor, signer.key_id, stamp(now + VALID)))
        unit.commit()
    return {"user": actor.id, "token": token, "expires": stamp(now + VALID)}


def _issued(actor: Actor, key: str, until: str) -> Event:
    return Event(
        type="AccessTokenIssued",
        actor_id=actor.id,
        roles=tuple(sorted(actor.roles)),
        channel=actor.channel.value,
        resource="mlflow",
        old=None,
        new=None,
        why="",
        policy="",
        data={"key": key, "expires": until},
    )
