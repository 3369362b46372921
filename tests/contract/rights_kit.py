"""What a database role can really do, found out by trying everything; and the table it is held to.

`python -m tests.contract.rights_kit` writes the table anew; read the difference before you keep it.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg import sql

from tests.support import ROOT, short_folder

TABLE = ROOT / "docs" / "reference" / "database-rights.csv"
ROLES = ("airlock_decider", "airlock_worker")
WHOLE = "(table)"
#: From weak to strong.
MODES = (
    "ACCESS SHARE",
    "ROW SHARE",
    "ROW EXCLUSIVE",
    "SHARE UPDATE EXCLUSIVE",
    "SHARE",
    "SHARE ROW EXCLUSIVE",
    "EXCLUSIVE",
    "ACCESS EXCLUSIVE",
)
_COLUMNS = """
SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
    AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY c.relname, a.attnum
"""
Rights = dict[tuple[str, str], str]


def columns(admin: psycopg.Connection) -> list[tuple[str, str]]:
    """Return every column there is, after a line for its table."""
    found: list[tuple[str, str]] = []
    for table, column in admin.execute(_COLUMNS).fetchall():
        if not found or found[-1][0] != table:
            found.append((table, WHOLE))
        found.append((table, column))
    return found


def tried(role: psycopg.Connection, places: list[tuple[str, str]]) -> Rights:
    """Try everything everywhere as one role; nothing of it is kept."""
    return {place: ", ".join(_possible(role, *place)) or "nothing" for place in places}


def _possible(role: psycopg.Connection, table: str, column: str) -> Iterator[str]:
    names = {"t": sql.Identifier("public", table), "c": sql.Identifier(column)}
    if column != WHOLE:
        for word, statement in (
            ("select", "SELECT {c} FROM {t} LIMIT 0"),
            ("insert", "INSERT INTO {t} ({c}) VALUES (DEFAULT)"),
            ("update", "UPDATE {t} SET {c} = DEFAULT WHERE false"),
        ):
            if _may(role, sql.SQL(statement).format(**names)):
                yield word
        return
    for word, statement in (
        ("delete", "DELETE FROM {t} WHERE false"),
        ("truncate", "TRUNCATE {t}"),
        ("lock rows", "SELECT 1 FROM {t} LIMIT 0 FOR UPDATE"),
        ("share rows", "SELECT 1 FROM {t} LIMIT 0 FOR KEY SHARE"),
    ):
        if _may(role, sql.SQL(statement).format(**names)):
            yield word
    locks = [
        mode
        for mode in MODES
        if _may(role, sql.SQL(f"LOCK TABLE {{t}} IN {mode} MODE NOWAIT").format(**names))
    ]
    if locks:
        assert tuple(locks) == MODES[: len(locks)], (table, locks)
        yield f"lock up to {locks[-1]}"


def _may(role: psycopg.Connection, statement: sql.Composed) -> bool:
    """Say whether PostgreSQL lets it through, whatever else then is wrong with it."""
    try:
        with role.transaction(force_rollback=True):
            role.execute(statement)
    except psycopg.errors.InsufficientPrivilege as error:
        return "permission denied for" not in str(error)  # our own triggers say it otherwise
    except psycopg.Error:
        return True
    return True


def written() -> dict[str, Rights]:
    """Return the table of rights, by role."""
    found: dict[str, Rights] = {role: {} for role in ROLES}
    with TABLE.open(newline="") as file:
        for row in csv.DictReader(file):
            for role in ROLES:
                found[role][row["table"], row["column"]] = row[role]
    return found


def write(rights: dict[str, Rights]) -> None:
    """Write the table anew."""
    with TABLE.open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("table", "column", *ROLES))
        for place in rights[ROLES[0]]:
            rows.writerow((*place, *(rights[role][place] for role in ROLES)))


def main() -> None:
    """Migrate an empty database and write down what its roles can do."""
    from airlock.adapters.sql_migrations import upgrade
    from airlock_platform.databases.postgres import ephemeral_postgres

    folder = Path(short_folder("pg", hasty=True))
    try:
        with ephemeral_postgres(folder) as server:
            upgrade(server.url("airlock_owner"))
            with psycopg.connect(server.dsn("postgres", "airlock")) as admin:
                places = columns(admin)
            rights = {}
            for role in ROLES:
                with psycopg.connect(server.dsn(role, "airlock")) as connection:
                    rights[role] = tried(connection, places)
            write(rights)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
