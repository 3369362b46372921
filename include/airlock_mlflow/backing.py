"""Does a signed release back what a protected alias points at?

Asked at every read, from the envelope and not from what the rows say about it, so that an edited
database serves nothing. What this cannot see is a database put back to an older, once valid
state: consumers remember the sequence number for that. A release from the future closes.
"""

from __future__ import annotations

from typing import Any

from airlock.domain.grant import GrantInvalid
from airlock_mlflow import ledger
from airlock_mlflow.guard import Guard


def problem(guard: Guard, work: Any, workspace: str, model: str, alias: str, version: int) -> str:
    """Return why nothing backs a protected alias at *version*, or an empty string."""
    what = f"the alias {alias} of {model} points at version {version}"
    found = ledger.backing(work, workspace, model, alias, version)
    if found is None:
        return f"{what}, but no release says so"
    if found.version != version:
        return f"{what}, but the newest release is of version {found.version}: it was changed \
behind the guard"
    try:
        grant = guard.open_grant(found.envelope or "")
    except GrantInvalid as error:
        return f"{what}, but its release is not signed: {error.message}"
    guard.check_clock(grant, guard.now(work))
    said = (grant.id, grant.model, grant.alias, grant.version, grant.sequence)
    if said != (found.grant_id, model, alias, str(version), found.sequence):
        return f"{what}, but the signed grant {grant.id} says something else"
    if grant.location != found.location:
        return f"{what}, whose files were released at {grant.location}, not at {found.location}"
    return ""
