"""A PostgreSQL server as a value: where it is, who may log in, and the URLs that follow.

One table says which role may reach which database; nothing here connects to anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlsplit

from airlock.domain.errors import Invalid

SUPERUSER = "postgres"
#: Role -> the one database it may connect to.
ROLE_DATABASE = {
    "airflow_app": "airflow",
    "mlflow_owner": "mlflow",
    "mlflow_app": "mlflow",
    "airlock_guard": "mlflow",
    "airlock_owner": "airlock",
    "airlock_decider": "airlock",
    "airlock_worker": "airlock",
}
OWNERS = ("airflow_app", "mlflow_owner", "airlock_owner")
#: The SQLAlchemy driver each role's program uses.
_DRIVERS = dict.fromkeys(("airflow_app", "mlflow_owner", "mlflow_app"), "postgresql+psycopg2")


@dataclass(frozen=True)
class Server:
    """A PostgreSQL server: where it is, and the passwords of its roles."""

    host: str
    port: int
    passwords: Mapping[str, str] = field(repr=False)
    admin: str = SUPERUSER
    #: Connection options an external server's URL brought along, such as sslmode.
    options: str = ""
    #: The database the administrator connects to.
    admin_database: str = "postgres"
    external: bool = False

    def url(self, role: str, database: str = "", *, driver: str = "") -> str:
        """Return the SQLAlchemy URL of *role*, by default for its own database."""
        scheme = driver or _DRIVERS.get(role, "postgresql+psycopg")
        name = database or ROLE_DATABASE.get(role, "postgres")
        secret = f":{quote(self.passwords[role], safe='')}" if self.passwords.get(role) else ""
        query = f"?{self.options}" if self.options else ""
        return f"{scheme}://{quote(role, safe='')}{secret}@{self.host}:{self.port}/{name}{query}"

    def dsn(self, role: str, database: str = "") -> str:
        """Return the same as a plain libpq URL."""
        return self.url(role, database, driver="postgresql")

    def urls(self) -> dict[str, str]:
        """Return the URL of every role for its own database."""
        return {role: self.url(role) for role in ROLE_DATABASE}


def external_server(admin_url: str, passwords: Mapping[str, str]) -> Server:
    """Return the server an administrator's URL names."""
    parts = urlsplit(admin_url)
    if not parts.hostname or not parts.username or "postgresql" not in parts.scheme:
        raise Invalid(
            "AIRLOCK_POSTGRES_URL is not a PostgreSQL URL with a user and a host.",
            next_step="Write it as postgresql+psycopg://admin:password@host:5432/postgres.",
        )
    admin = unquote(parts.username)
    credentials = dict(passwords) | {admin: unquote(parts.password or "")}
    return Server(
        host=parts.hostname,
        port=parts.port or 5432,
        passwords=credentials,
        admin=admin,
        options=parts.query,
        admin_database=parts.path.strip("/") or "postgres",
        external=True,
    )
