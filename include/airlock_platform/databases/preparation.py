"""The databases and least-privilege roles, created on any PostgreSQL, as often as one likes.

Each role may connect to its own database only. The owner of a database runs its migrations;
`airlock_decider` and `airlock_worker` own nothing and cannot create anything: what they may do
is granted table by table by Airlock's migrations. This module grants no table rights.

Code in a task may be hostile, so the worker's role has limits: how many connections, how long a
statement, a lock, an idle transaction, how much disk. A session can lengthen its own time-outs; it
cannot have more connections, and a decider finds reserved ones (ADR 0038).
"""

from __future__ import annotations

from typing import Any

from airlock.domain.errors import Refused, Unreachable
from airlock_platform.databases.server import OWNERS, ROLE_DATABASE, Server

#: How many connections all tasks together may have; well below what the server has.
WORKER_CONNECTIONS = 60
#: What the worker's sessions begin with.
_TIMEOUTS = {
    "statement_timeout": "60s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "60s",
    "idle_session_timeout": "1h",
}
#: Only a superuser can set it, so no session can change it.
_DISK = ("temp_file_limit", "256MB")
#: Functions everybody may call in a fresh database, and a task has no use for: large objects fill
#: the disk, advisory locks and notifications are other people's signals.
_NOT_FOR_ALL = """
select p.oid::regprocedure::text from pg_proc p
where p.pronamespace = 'pg_catalog'::regnamespace and p.prokind = 'f' and (
    p.proname ~ '^(be_)?lo_' or p.proname in ('loread', 'lowrite', 'pg_notify')
    or p.proname ~ '^pg_(try_)?advisory_')
"""
#: The first PostgreSQL that keeps connections for a role; on an older one the worker's limit alone
#: leaves some to deciders.
_RESERVED_SINCE = 160_000
#: Only a superuser may even say these; they are what a new role starts with anyway.
_PLAIN = "NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"


def prepare(server: Server) -> None:
    """Create or repair roles, databases and rights; safe to repeat."""
    import psycopg

    try:
        with psycopg.connect(server.dsn(server.admin, server.admin_database)) as admin:
            admin.autocommit = True
            _create_roles(admin, server)
            _create_databases(admin, server)
            _limit_the_worker(admin)
        _close_functions(server)
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

    existing = {row[0] for row in admin.execute("select rolname from pg_roles")}
    superuser = admin.execute("select rolsuper from pg_roles where rolname = user").fetchone()[0]
    for role in ROLE_DATABASE:
        verb = "ALTER" if role in existing else "CREATE"
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


def _limit_the_worker(admin: Any) -> None:
    from psycopg import sql

    superuser = admin.execute("select rolsuper from pg_roles where rolname = user").fetchone()[0]
    admin.execute(f"ALTER ROLE airlock_worker CONNECTION LIMIT {WORKER_CONNECTIONS}")
    for name, value in (*_TIMEOUTS.items(), *((_DISK,) if superuser else ())):
        setting = sql.SQL("ALTER ROLE airlock_worker SET {} = {}")
        admin.execute(setting.format(sql.Identifier(name), sql.Literal(value)))
    if superuser and admin.info.server_version >= _RESERVED_SINCE:
        admin.execute("GRANT pg_use_reserved_connections TO airlock_decider")


def _close_functions(server: Server) -> None:
    """Take from the public, in Airlock's database, what PostgreSQL gives it; a superuser can."""
    import psycopg

    with psycopg.connect(server.dsn(server.admin, "airlock"), autocommit=True) as inside:
        superuser = inside.execute("select rolsuper from pg_roles where rolname = user").fetchone()
        if not superuser or not superuser[0]:
            return
        for (function,) in inside.execute(_NOT_FOR_ALL).fetchall():
            inside.execute(f"REVOKE EXECUTE ON FUNCTION {function} FROM PUBLIC")
        inside.execute(
            "GRANT EXECUTE ON FUNCTION pg_notify(text, text) TO airlock_owner, airlock_decider"
        )


def _create_databases(admin: Any, server: Server) -> None:
    from psycopg import sql

    existing = {row[0] for row in admin.execute("select datname from pg_database")}
    for owner in OWNERS:
        names = {"db": sql.Identifier(ROLE_DATABASE[owner]), "owner": sql.Identifier(owner)}
        if ROLE_DATABASE[owner] not in existing:
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
