"""The databases and least-privilege roles, created on any PostgreSQL, as often as one likes.

Each role may connect to its own database only. The owner of a database runs its migrations;
`airlock_decider` and `airlock_worker` own nothing and cannot create anything: what they may do
is granted table by table by Airlock's migrations. This module grants no table rights.
"""

from __future__ import annotations

from typing import Any

from airlock.adapters.embedded.server import OWNERS, ROLE_DATABASE, Server
from airlock.domain.errors import Refused, Unreachable

#: Only a superuser may even say these; they are what a new role starts with anyway.
_PLAIN = "NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"


def prepare(server: Server) -> None:
    """Create or mend roles, databases and rights; safe to repeat."""
    import psycopg

    try:
        with psycopg.connect(server.dsn(server.admin, server.admin_database)) as admin:
            admin.autocommit = True
            _create_roles(admin, server)
            _create_databases(admin, server)
        for owner in OWNERS:
            _tighten_schema(server, owner)
    except psycopg.Error as error:
        raise Unreachable(
            f"Could not prepare the databases on {server.host}:{server.port}: "
            f"{str(error).strip().splitlines()[0]}",
            next_step="Check that the server runs and that its administrator may create roles "
            "and databases.",
        ) from error


def _create_roles(admin: Any, server: Server) -> None:
    from psycopg import sql

    known = {row[0] for row in admin.execute("select rolname from pg_roles")}
    superuser = admin.execute("select rolsuper from pg_roles where rolname = user").fetchone()[0]
    for role in ROLE_DATABASE:
        verb = "ALTER" if role in known else "CREATE"
        admin.execute(
            sql.SQL(f"{verb} ROLE {{}} LOGIN {_PLAIN if superuser else ''} PASSWORD {{}}").format(
                sql.Identifier(role), sql.Literal(server.passwords[role])
            )
        )
    _refuse_mighty_roles(admin)


def _refuse_mighty_roles(admin: Any) -> None:
    """Refuse roles that existed before and may do more than ours should."""
    query = (
        "select rolname from pg_roles where rolname = any(%s) and "
        "(rolsuper or rolcreatedb or rolcreaterole or rolreplication or rolbypassrls)"
    )
    mighty = [row[0] for row in admin.execute(query, [list(ROLE_DATABASE)])]
    if mighty:
        raise Refused(
            f"The PostgreSQL role {mighty[0]} exists already and has more rights than it may have.",
            next_step=f"Take them away as a superuser: ALTER ROLE {mighty[0]} {_PLAIN};",
        )


def _create_databases(admin: Any, server: Server) -> None:
    from psycopg import sql

    known = {row[0] for row in admin.execute("select datname from pg_database")}
    for owner in OWNERS:
        names = {"db": sql.Identifier(ROLE_DATABASE[owner]), "owner": sql.Identifier(owner)}
        if ROLE_DATABASE[owner] not in known:
            # Managed servers have no superuser: only a member may give a database to a role.
            admin.execute(sql.SQL("GRANT {owner} TO CURRENT_USER").format(**names))
            admin.execute(sql.SQL("CREATE DATABASE {db} OWNER {owner}").format(**names))
        elif owner == "mlflow_owner":
            _hand_over(admin, server, names)
        admin.execute(sql.SQL("REVOKE ALL ON DATABASE {db} FROM PUBLIC").format(**names))
    for role, database in ROLE_DATABASE.items():
        admin.execute(
            sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(
                sql.Identifier(database), sql.Identifier(role)
            )
        )
    if not server.external:
        # The server is ours alone: nobody but the superuser has business in its own databases.
        admin.execute("REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC")


def _hand_over(admin: Any, server: Server, names: dict[str, Any]) -> None:
    """Give what the role of an older MLflow server still owns to the owner it has now."""
    import psycopg
    from psycopg import sql

    for role in ("mlflow_owner", "mlflow_app"):
        admin.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(role)))
    admin.execute(sql.SQL("ALTER DATABASE {db} OWNER TO {owner}").format(**names))
    with psycopg.connect(server.dsn(server.admin, "mlflow"), autocommit=True) as inside:
        inside.execute("REASSIGN OWNED BY mlflow_app TO mlflow_owner")


def _tighten_schema(server: Server, owner: str) -> None:
    """As the owner, who alone has rights on the schema from PostgreSQL 15 on."""
    import psycopg

    with psycopg.connect(server.dsn(owner), autocommit=True) as connection:
        connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        if owner == "airlock_owner":
            connection.execute("GRANT USAGE ON SCHEMA public TO airlock_decider, airlock_worker")
