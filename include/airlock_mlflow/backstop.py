"""The backstop: PostgreSQL itself refuses, whoever uses the MLflow server's password.

PostgreSQL cannot check Ed25519, so who writes a row takes the place of the signature: a permit is
written by the role `airlock_guard`, which the deciding processes hold and the MLflow server does
not. A trigger lets a protected alias move only by spending a permit in the same transaction; one
that was revoked is not spent.

Rules:
* The server's role owns nothing, creates nothing (no temporary tables either) and truncates
  nothing. Of the guard's tables it may read all and add to all but the permits.
* Functions run with the owner's rights and look names up in `pg_catalog` and `public` first and in
  `pg_temp` last: left out, PostgreSQL searches it first, and a temporary table would be believed.
* Triggers are ENABLE ALWAYS.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa

_APPEND_ONLY = (
    "airlock_grants",
    "airlock_releases",
    "airlock_revoked",
    "airlock_frozen",
    "airlock_refusals",
)

_SQL = Path(__file__).with_name("backstop.sql")


def install(work: sa.Connection, protected: Sequence[str], app_role: str, guard_role: str) -> None:
    """Install or renew tables, functions, triggers and rights, as the owner."""
    _run(work, _SQL.read_text())
    _run(work, "DELETE FROM public.airlock_protected")
    for alias in protected:
        insert = sa.text("INSERT INTO public.airlock_protected VALUES (:alias)")
        work.execute(insert, {"alias": alias})
    _trigger(work, "registered_model_aliases", "airlock_check_alias")
    _trigger(work, "model_versions", "airlock_check_version")
    _trigger(work, "registered_models", "airlock_check_model", "UPDATE OR DELETE")
    for table in _APPEND_ONLY:
        _trigger(work, table, "airlock_append_only", "UPDATE OR DELETE")
    guarded = ("registered_model_aliases", "model_versions", "registered_models", "airlock_permits")
    for table in (*guarded, *_APPEND_ONLY):
        _trigger(work, table, "airlock_no_truncate", "TRUNCATE", "STATEMENT")
    _grant(work, app_role, guard_role)


def _trigger(
    work: sa.Connection,
    table: str,
    function: str,
    events: str = "INSERT OR UPDATE OR DELETE",
    each: str = "ROW",
) -> None:
    name = function.replace("airlock_", "airlock_guards_")
    _run(
        work,
        f"""
        DROP TRIGGER IF EXISTS {name} ON public.{table};
        CREATE TRIGGER {name} BEFORE {events} ON public.{table}
            FOR EACH {each} EXECUTE FUNCTION public.{function}();
        ALTER TABLE public.{table} ENABLE ALWAYS TRIGGER {name};
        """,
    )


def _grant(work: sa.Connection, app_role: str, guard_role: str) -> None:
    app, guard = (_quoted(work, role) for role in (app_role, guard_role))
    ours = ", ".join(f"public.{table}" for table in _APPEND_ONLY)
    tables = "SELECT, INSERT, UPDATE, DELETE ON"
    _run(
        work,
        f"""
        REVOKE ALL ON SCHEMA public FROM PUBLIC;
        GRANT USAGE ON SCHEMA public TO {app}, {guard};
        GRANT {tables} ALL TABLES IN SCHEMA public TO {app};
        GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {app};
        ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT {tables} TABLES TO {app};
        ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO {app};
        REVOKE ALL ON {ours}, public.airlock_permits, public.airlock_protected FROM {app};
        GRANT SELECT, INSERT ON {ours} TO {app};
        GRANT SELECT ON public.airlock_permits, public.airlock_protected TO {app};
        REVOKE INSERT, UPDATE, DELETE ON public.alembic_version FROM {app};
        GRANT SELECT ON public.airlock_permits TO {guard};
        GRANT INSERT (grant_id, model, alias, version, expected_current, sequence, expires_at)
            ON public.airlock_permits TO {guard};
        GRANT UPDATE (revoked_at) ON public.airlock_permits TO {guard};
        """,  # noqa: S608 - role names are quoted, the rest is ours
    )


def _quoted(work: sa.Connection, role: str) -> str:
    return work.dialect.identifier_preparer.quote_identifier(role)


def _run(work: sa.Connection, text: str) -> None:
    work.execute(sa.text(text))
