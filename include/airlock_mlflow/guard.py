"""What the store, the files and the doors share: the rules' memory, the keys and the clock.

* A grant counts by its signature alone, whoever delivers it.
* A key that was given up signs nothing new: it counts for grants issued while it was in use.
* Whatever is refused is written down with who, what and from where, in a transaction of its own.
* A failure (database, keys, clock) closes: `Closed` says which, and the next request tries again.
* The clock is wrong when the database and this machine disagree, or when something that is signed
  comes from the future. One clock alone that is too fast is seen by nobody: grants end early then.
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, ParamSpec, TypeVar

import sqlalchemy as sa

from airlock.adapters.ed25519_keys import FileKeyring
from airlock.domain.access_token import SKEW, AccessToken, read
from airlock.domain.clock import readable
from airlock.domain.errors import AirlockError
from airlock.domain.grant import PROTECTED, Grant, GrantInvalid, unseal
from airlock_mlflow import ledger
from airlock_mlflow.caller import caller
from airlock_mlflow.denial import Closed, Denied
from airlock_mlflow.naming import Aliases
from airlock_mlflow.places import ancestors
from airlock_mlflow.settings import GuardSettings, from_environment
from airlock_mlflow.tables import FROZEN, METADATA, REFUSALS

log = logging.getLogger("airlock.guard")
#: Asks the database what time it is.
Clock = Callable[[sa.Connection], datetime]
#: Asks this machine.
Host = Callable[[], datetime]
#: Refused reads that are written down once in a while, not each time.
_READING, _AGAIN_S = ("read alias", "download"), 60.0
P = ParamSpec("P")
R = TypeVar("R")


class Guard:
    """The guard of one MLflow server. Parts are made when first used."""

    def __init__(
        self, settings: GuardSettings, clock: Clock | None = None, host: Host | None = None
    ) -> None:
        self.settings = settings
        self._host = host or _host_clock
        self._clock = clock or self._database_clock
        self._keys: FileKeyring | None = None
        self._told: dict[tuple[str, str, str], float] = {}

    @functools.cached_property
    def engine(self) -> sa.Engine:
        """Connections to MLflow's database, apart from MLflow's own."""
        patience = {"timeout": 20} if self.settings.database.startswith("sqlite") else {}
        return sa.create_engine(
            self.settings.database, pool_pre_ping=True, connect_args=patience, pool_size=3
        )

    @functools.cached_property
    def aliases(self) -> Aliases:
        """The protected aliases: those the database protects, and those the guard was told of."""
        told = self.settings.protected
        if self.backstop:
            with self.database() as connection:
                known = ledger.protected(connection)
            told = known | (told - PROTECTED if known else told)
        return Aliases(told)

    @functools.cached_property
    def backstop(self) -> bool:
        """Say whether the database itself asks for a permit (PostgreSQL with its own roles)."""
        with self.database() as connection:
            return sa.inspect(connection).has_table("airlock_permits")

    @contextmanager
    def database(self) -> Iterator[sa.Connection]:
        """Return a transaction that is kept unless something is raised."""
        try:
            with self.engine.begin() as connection:
                yield connection
        except sa.exc.OperationalError as error:
            raise Closed(f"its database does not answer ({_first_line(error)})") from error

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Return a connection for single questions: no transaction is begun and ended for one."""
        try:
            with self._readers.connect() as connection:
                yield connection
        except sa.exc.OperationalError as error:
            raise Closed(f"its database does not answer ({_first_line(error)})") from error

    @functools.cached_property
    def _readers(self) -> sa.Engine:
        return self.engine.execution_options(isolation_level="AUTOCOMMIT")

    def now(self, connection: sa.Connection) -> datetime:
        """Return the database's clock. Closes when it is not the time on this machine."""
        found, here = self._clock(connection), self._host()
        if abs(found - here) > SKEW:
            raise Closed(
                f"its database says that it is {found.isoformat()}, and this machine that it is "
                f"{here.isoformat()}: one of the two clocks is wrong"
            )
        return found

    def _database_clock(self, connection: sa.Connection) -> datetime:
        if connection.dialect.name != "postgresql":
            return self._host()
        found: datetime = connection.execute(sa.text("SELECT clock_timestamp()")).scalar_one()
        return found.astimezone(UTC)

    def missing_tables(self) -> list[str]:
        """Return which of the guard's own tables are not there."""
        with self.database() as connection:
            known = set(sa.inspect(connection).get_table_names())
        return sorted(set(METADATA.tables) - known)

    # -- signatures --------------------------------------------------------------------------

    def keyring(self) -> FileKeyring:
        """Return the trusted keys, read again when they change."""
        try:
            if self._keys is None:
                self._keys = FileKeyring(self.settings.keys)
            self._keys.keys()
        except (AirlockError, OSError) as error:
            self._keys = None
            raise Closed(f"the trusted keys cannot be read ({error})") from error
        return self._keys

    def open_grant(self, envelope: str) -> Grant:
        """Return the grant in an envelope that a key in use at that time has signed.

        Raises:
            GrantInvalid: if it is not one.
        """
        keyring, used = self.keyring(), []

        def verify(key: str, signature: bytes, message: bytes) -> bool:
            good = keyring.verify(key, signature, message)
            used.extend([key] if good else [])
            return good

        try:
            grant = unseal(envelope, verify)
            in_time = any(keyring.valid_at(key, grant.issued_at) for key in used)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise GrantInvalid(f"the signed statement is not a grant: {error!r}") from error
        if not in_time:
            raise GrantInvalid(f"grant {grant.id} is signed by a key that was given up before")
        return grant

    def open_token(self, token: str) -> AccessToken:
        """Return what an access token says. Raises Unauthenticated."""
        return read(token, self.keyring().verify, self._host())

    def check_clock(self, grant: Grant, now: datetime) -> None:
        """Close when a good grant comes from the future: one of the clocks is wrong."""
        if grant.issued_at > now + SKEW:
            raise Closed(
                f"grant {grant.id} was issued at {readable(grant.issued_at)}, and here it is "
                f"{readable(now)}: one of the two clocks is wrong"
            )

    # -- frozen files ------------------------------------------------------------------------

    def frozen_by(self, places: frozenset[str]) -> str:
        """Return the frozen version that writing to one of *places* would touch, or empty."""
        known = FROZEN.c.place
        for place in places:
            escaped = place.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
            inside = known.like(f"{escaped}/%", escape="\\") if place else sa.true()
            query = sa.select(FROZEN.c.model, FROZEN.c.version).where(
                sa.or_(known.in_(ancestors(place)), inside)
            )
            with self.database() as connection:
                row = connection.execute(query.limit(1)).first()
            if row:
                return f"{row.model} version {row.version}"
        return ""

    # -- refusals ----------------------------------------------------------------------------

    def record(self, denied: Denied) -> None:
        """Write a refusal down, once; that it cannot be written changes nothing about it."""
        who = caller()
        if denied.recorded or self._told_lately(denied, who.name):
            return
        denied.recorded = True
        log.warning(
            "refused %s of %s to %s from %s: %s",
            *(_plain(one, 300) for one in (denied.what, denied.thing, who.name, who.source)),
            _plain(denied.why, 500),
        )
        row = {
            "who": _plain(who.name, 256),
            "source": _plain(who.source, 100),
            "request": _plain(who.request, 500),
            "what": _plain(denied.what, 100),
            "thing": _plain(denied.thing, 500),
            "why": _plain(denied.why, 2000),
        }
        try:
            with self.database() as connection:
                at = millis(self.now(connection))
                connection.execute(REFUSALS.insert().values(at_ms=at, **row))
        except (Closed, sa.exc.SQLAlchemyError) as error:
            log.error("a refusal could not be written down: %s", error)

    def _told_lately(self, denied: Denied, name: str) -> bool:
        """Say whether a refused read is the same as a moment ago: serving asks all the time."""
        if denied.what not in _READING:
            return False
        now, key = time.monotonic(), (name, denied.thing, denied.why)
        self._told = {one: at for one, at in self._told.items() if now - at < _AGAIN_S}
        return self._told.setdefault(key, now) != now

    def refusals(self, after: int, limit: int, model: str = "") -> list[dict[str, Any]]:
        """Return refusals in order, after number *after*; those about a *model* newest first."""
        query = sa.select(REFUSALS).where(REFUSALS.c.id > after).order_by(REFUSALS.c.id)
        if model:
            thing, about = REFUSALS.c.thing, [f"{model}@", f"{model}/"]
            named = [thing.startswith(one, autoescape=True) for one in about]
            query = query.where(sa.or_(thing == model, *named)).order_by(None)
            query = query.order_by(REFUSALS.c.id.desc())
        with self.database() as connection:
            return [dict(row._mapping) for row in connection.execute(query.limit(limit))]


@functools.cache
def guard() -> Guard:
    """Return the guard of this process, from its environment."""
    return Guard(from_environment())


def recorded(method: Callable[P, R]) -> Callable[P, R]:
    """Write down what a method of something with a `_guard` refuses."""

    @functools.wraps(method)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(*args, **kwargs)
        except Denied as denied:
            args[0]._guard.record(denied)  # type: ignore[attr-defined] # self
            raise

    return wrapper


def millis(at: datetime) -> int:
    """Return a time as milliseconds since 1970, as MLflow counts."""
    return int(at.timestamp() * 1000)


def _host_clock() -> datetime:
    return datetime.now(UTC)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200]


def _plain(text: str, longest: int) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)[:longest]
