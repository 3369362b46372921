"""The one-shot jobs of docker-compose.yml: `python -m airlock.entrypoints.demo.compose_jobs JOB`.

* `databases` creates databases, roles, all tables but Airflow's, and the keys;
* `airflow` creates Airflow's tables, the roles, `admin` and `airlock-service`.

They do what `airlock up` does, from the same functions, with passwords the operator chose: each is
read from the file that NAME_FILE names, else from the environment under NAME, and never written to
a log. Both are safe to repeat.

`run COMMAND...` starts a program that reads a secret only from its environment, MLflow's server:
for each of `FROM_FILES` the file is read and the program told; nobody else is.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from airlock.config.load import protected_aliases
from airlock.config.settings import FILE
from airlock.domain.errors import AirlockError, Invalid
from airlock_platform import guard
from airlock_platform.components import PROTECTED
from airlock_platform.databases.preparation import prepare
from airlock_platform.databases.server import external_server
from airlock_platform.secrets import DATABASE_ROLES, Secrets, provision_document, write_private

#: The administrator's URL of the PostgreSQL server.
ADMIN_URL = "POSTGRES_ADMIN_URL"
SERVICE_PASSWORD = "SERVICE_PASSWORD"  # noqa: S105 - the variable's name
ADMIN_PASSWORD = "ADMIN_PASSWORD"  # noqa: S105 - the variable's name
RUN = "run"
#: What `run` reads from files: programs that are not ours, or know no settings, want it told.
FROM_FILES = ("MLFLOW_BACKEND_STORE_URI", "AIRLOCK_MLFLOW_ACCOUNTS")


def password_name(role: str) -> str:
    """Return the variable with the password of a database role."""
    return f"PASSWORD_{role.upper()}"


def databases(environ: Mapping[str, str], home: Path) -> None:
    """Create databases, roles, tables and keys."""
    from airlock.adapters.sql_migrations import upgrade

    passwords = {role: _need(environ, password_name(role)) for role in DATABASE_ROLES}
    server = external_server(_need(environ, ADMIN_URL), passwords)
    prepare(server)
    upgrade(server.url("airlock_owner"))
    include = Path(__file__).parents[3]
    folder = Path(environ.get("AIRLOCK_CONFIG_DIR") or include)
    aliases = protected_aliases(folder, environ.get(PROTECTED, ""))
    guard.migrate(server, Path(sys.executable), include, aliases, os.environ)
    secrets = Secrets(home)
    secrets.create_signing_key()
    secrets.create_model_key()
    secrets.create_gate_key()


def airflow(environ: Mapping[str, str], home: Path) -> None:
    """Create Airflow's tables, roles and the first two accounts."""
    admin = {"user": "admin", "name": "Airflow Admin", "roles": ["Admin"]}
    admin["password"] = _need(environ, ADMIN_PASSWORD)
    document = provision_document([admin], _need(environ, SERVICE_PASSWORD))
    with tempfile.TemporaryDirectory() as folder:
        file, output = Path(folder) / "provision.json", Path(folder) / "service.json"
        write_private(file, json.dumps(document | {"output": str(output)}))
        command = [sys.executable, "-m", "airlock_airflow.provision", str(file)]
        subprocess.run(command, check=True)
        _check_service(json.loads(output.read_text())["id"], environ)


def _check_service(user_id: str, environ: Mapping[str, str]) -> None:
    """Refuse to go on when the waiting tasks would be locked to somebody else."""
    expected = _need(environ, "AIRLOCK_SERVICE_USER_ID")
    if user_id != expected:
        raise Invalid(
            f"airlock-service has the number {user_id} in Airflow, but AIRLOCK_SERVICE_USER_ID "
            f"is {expected}.",
            next_step=f"Set AIRLOCK_SERVICE_USER_ID={user_id} and start again.",
        )


def _need(environ: Mapping[str, str], name: str) -> str:
    value = _value(environ, name)
    if not value:
        raise Invalid(f"{name} is not set.", next_step="docker-compose.yml passes it on.")
    return value


def _value(environ: Mapping[str, str], name: str) -> str:
    """Return a value from its file, if a file is named, else from the environment."""
    file = environ.get(f"{name}{FILE}", "")
    if not file:
        return environ.get(name, "")
    try:
        return Path(file).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(
            f"{name}{FILE}: {file} cannot be read ({type(error).__name__}).",
            next_step="docs/howto/production.md says how the files of secrets are made.",
        ) from error


def program_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a program that `run` starts."""
    variables = {name: value for name, value in environ.items() if name not in _FILES}
    return variables | {name: value for name in FROM_FILES if (value := _value(environ, name))}


_FILES = frozenset(f"{name}{FILE}" for name in FROM_FILES)
JOBS = {"databases": databases, "airflow": airflow}


def main(arguments: list[str]) -> int:
    """Run one job; print an error as one sentence."""
    running = arguments[:1] == [RUN] and len(arguments) > 1
    if not running and (len(arguments) != 1 or arguments[0] not in JOBS):
        sys.stderr.write(f"Expected one of: {', '.join(JOBS)}, or {RUN} and a command.\n")
        return 2
    try:
        if running:
            environ = program_environment(os.environ)
            os.execvpe(arguments[1], arguments[1:], environ)  # noqa: S606 - as it is
        JOBS[arguments[0]](os.environ, Path(os.environ["AIRLOCK_HOME"]))
    except AirlockError as error:
        sys.stderr.write(f"{error.message}\n{error.next_step}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
