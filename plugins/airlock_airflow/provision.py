"""Create Airflow's tables, roles and users in one process: `python -m ... FILE.json`.

One process, because each `airflow` command costs seconds of imports. Rules: safe to repeat; a
role ends with exactly the permissions the file names; a user who exists keeps the password
(people may have changed it) except the service account, whose password is ours.
It deletes neither users nor roles.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any


def main(arguments: list[str]) -> int:
    """Do what the file says and write down the number of the service account."""
    document = json.loads(Path(arguments[0]).read_text())
    _migrate()
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

    with get_application_builder() as builder:
        security = builder.sm
        security.sync_roles()
        for name, permissions in document["roles"].items():
            _set_role(security, name, permissions)
        for entry in document["users"]:
            _set_user(security, entry, own=entry["user"] == document["service"])
        service = security.find_user(username=document["service"])
        _write_service(Path(document["output"]), str(service.id), document["service"])
    return 0


def _migrate() -> None:
    from airflow import settings
    from airflow.utils import db
    from airflow.utils.providers_configuration_loader import providers_configuration_loaded

    @providers_configuration_loaded
    def run() -> None:
        settings.configure_orm()
        db.initdb()

    run()


def _set_role(security: Any, name: str, permissions: list[list[str]]) -> None:
    role = security.find_role(name) or security.add_role(name)
    role.permissions = [
        security.create_permission(action, resource) for action, resource in permissions
    ]
    security.session.commit()


def _set_user(security: Any, entry: dict[str, str], *, own: bool) -> None:
    role = security.find_role(entry["role"])
    user = security.find_user(username=entry["user"])
    if user is None:
        security.add_user(
            username=entry["user"],
            first_name=entry["first"],
            last_name=entry["last"],
            email=f"{entry['user']}@airlock.example",
            role=role,
            password=entry["password"],
        )
    elif own:
        security.reset_password(user.id, entry["password"])


def _write_service(path: Path, number: str, name: str) -> None:
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps({"id": number, "name": name}))
    os.replace(temporary, path)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
