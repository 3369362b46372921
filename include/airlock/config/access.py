"""AccessPolicy: roles, their permissions and their inheritance.

Rules:
* A role has its own permissions and those of the roles it inherits; no circles.
* `release:vote` and `gate:waive` are never inherited and `admin` never has them: being powerful
  approves nothing and waives nothing.
* `approver:enrol` is never inherited either, and gives nothing to whom nobody has enrolled for it.
* `audit:export` and `evidence:export` belong to `security_auditor` alone.
* Airflow's `Public` role, which is everybody without a login, maps to nothing.
* The aliases environments move are protected aliases: a list that leaves one out is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import ValidationInfo, field_validator

from airlock.config.schemas import (
    FILLED,
    ApiVersion,
    Items,
    Line,
    Metadata,
    PersonId,
    RoleName,
    Slug,
    Strict,
    Trouble,
    refuse,
    settle,
    unknown,
)

Permission = Literal[
    "approver:enrol",
    "audit:export",
    "audit:read",
    "audit:verify",
    "evidence:export",
    "evidence:read",
    "gate:waive",
    "people:erase",
    "pipeline:read",
    "pipeline:run",
    "policy:read",
    "release:promote",
    "release:read",
    "release:request",
    "release:vote",
    "release:withdraw",
    "user:read",
]

VOTE: Permission = "release:vote"
WAIVE: Permission = "gate:waive"
ENROL: Permission = "approver:enrol"
EXPORTS: tuple[Permission, ...] = ("audit:export", "evidence:export")
AUDITOR = "security_auditor"
ADMIN = "admin"
#: Airflow's own names for an administrator, and for everybody without a login.
AIRFLOW_ADMIN, AIRFLOW_PUBLIC = "Admin", "public"


class Role(Strict):
    """What a role may do."""

    inherits: Items[str] = ()
    permissions: Items[Permission] = ()

    @property
    def personal(self) -> tuple[Permission, ...]:
        """The permissions that never pass on to another role."""
        return tuple(
            permission
            for permission in self.permissions
            if permission in (VOTE, WAIVE, ENROL, *EXPORTS)
        )


class AccessSpec(Strict):
    """The roles, and which of Airflow's roles stands for which of ours."""

    roles: Annotated[dict[RoleName, Role], FILLED]
    airflow_roles: Annotated[dict[str, str], FILLED]
    git_authors: dict[Line, PersonId] | None = None
    superiors: dict[PersonId, PersonId] | None = None
    protected_aliases: Annotated[Items[Slug], FILLED] | None = None

    @field_validator("roles")
    @classmethod
    def _check_roles(cls, roles: dict[str, Role]) -> dict[str, Role]:
        settle([*_inheritance(roles), *_powers(roles)])
        return roles

    @field_validator("airflow_roles")
    @classmethod
    def _check_airflow(cls, table: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        roles = info.data.get("roles")
        if roles is not None:
            settle(_airflow(table, roles))
        return table

    @field_validator("git_authors")
    @classmethod
    def _authors(cls, table: dict[str, str] | None) -> dict[str, str] | None:
        authors: dict[str, str] = {}
        for author in table or {}:
            if author.casefold() in authors:
                refuse(
                    Trouble(
                        (author,), "each author once", f"it also as {authors[author.casefold()]}"
                    )
                )
            authors[author.casefold()] = author
        return {author.casefold(): person for author, person in (table or {}).items()} or None

    @field_validator("superiors")
    @classmethod
    def _above(cls, table: dict[str, str] | None) -> dict[str, str] | None:
        settle(
            Trouble((below,), "somebody else", f"{above}, who would stand in for the same person")
            for below, above in (table or {}).items()
            if below == above
        )
        return table or None


def chain(roles: Mapping[str, Role], role: str) -> tuple[str, ...]:
    """Return a role and all it inherits from, each once, unknown ones left out."""
    lineage: dict[str, None] = {}
    todo = [role]
    while todo:
        name = todo.pop()
        if name in roles and name not in lineage:
            lineage[name] = None
            todo.extend(roles[name].inherits)
    return tuple(lineage)


def _inheritance(roles: Mapping[str, Role]) -> Iterator[Trouble]:
    for name, role in roles.items():
        for index, parent in enumerate(role.inherits):
            place = (name, "inherits", index)
            if parent not in roles:
                yield unknown(place, parent, roles, "one of the roles")
                continue
            if name in chain(roles, parent):
                expected = "a role that does not inherit from this one"
                yield Trouble(place, expected, f"{parent}, which makes a circle")
            elif roles[parent].personal:
                power = roles[parent].personal[0]
                expected = f"a role without {power}, which is never inherited"
                yield Trouble(place, expected, parent)


def _powers(roles: Mapping[str, Role]) -> Iterator[Trouble]:
    for name, role in roles.items():
        for index, permission in enumerate(role.permissions):
            place = (name, "permissions", index)
            if permission in (VOTE, WAIVE) and name == ADMIN:
                expected = "a permission other than this for an administrator"
                yield Trouble(place, expected, permission)
            if permission in EXPORTS and name != AUDITOR:
                yield Trouble(place, f"{permission} for {AUDITOR} only", permission)


def _airflow(table: Mapping[str, str], roles: Mapping[str, Role]) -> Iterator[Trouble]:
    for name, role in table.items():
        if name.casefold() == AIRFLOW_PUBLIC:
            yield Trouble((name,), "roles of people who logged in", f"{name}, which is everybody")
        elif role not in roles:
            yield unknown((name,), role, roles, "one of the roles")
        elif name == AIRFLOW_ADMIN and {VOTE, WAIVE} & set(roles[role].permissions):
            yield Trouble((name,), "a role that may neither vote nor waive", role)


class AccessPolicy(Strict):
    """Who may do what."""

    api_version: ApiVersion
    kind: Literal["AccessPolicy"]
    metadata: Metadata
    spec: AccessSpec
