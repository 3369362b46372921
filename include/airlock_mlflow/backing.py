"""Does a signed release back what a protected alias points at?

Asked at every read, from the envelope and not from what the rows say about it, so that an edited
database serves nothing. What this cannot see is a database put back to an older, once valid
state: consumers remember the sequence number for that. A release from the future closes.
"""

from __future__ import annotations

from typing import Any

from airlock.domain.promotion.grant import GrantInvalid
from airlock_mlflow import ledger
from airlock_mlflow.guard import Guard


def problem(guard: Guard, work: Any, workspace: str, model: str, alias: str, version: int) -> str:
    """Return why no release backs a protected alias at *version*, or an empty string."""
    subject = f"the alias {alias} of {model} points at version {version}"
    last = ledger.backing(work, workspace, model, alias, version)
    if last is None:
        return f"{subject}, but no release says so"
    if last.version != version:
        return f"{subject}, but the newest release is of version {last.version}: it was changed \
behind the guard"
    try:
        grant = guard.open_grant(last.envelope or "")
    except GrantInvalid as error:
        return f"{subject}, but its release is not signed: {error.message}"
    guard.check_clock(grant, guard.now(work))
    claims = (grant.id, grant.model, grant.alias, grant.version, grant.sequence)
    if claims != (last.grant_id, model, alias, str(version), last.sequence):
        return f"{subject}, but the signed grant {grant.id} says something else"
    if grant.location != last.location:
        return f"{subject}, whose files were released at {grant.location}, not at {last.location}"
    return ""
