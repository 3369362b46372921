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

from airlock.adapters.keys.ed25519 import FileKeyring
from airlock.domain.clock import readable
from airlock.domain.errors import AirlockError
from airlock.domain.people.access_token import SKEW, AccessToken, read
from airlock.domain.promotion.grant import PROTECTED, Grant, GrantInvalid, unseal
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
        self._recent: dict[tuple[str, str, str], float] = {}

    @functools.cached_property
    def engine(self) -> sa.Engine:
        """Connections to MLflow's database, apart from MLflow's own."""
        patience = {"timeout": 20} if self.settings.database.startswith("sqlite") else {}
        return sa.create_engine(
            self.settings.database, pool_pre_ping=True, connect_args=patience, pool_size=3
        )

    @functools.cached_property
    def aliases(self) -> Aliases:
        """The protected aliases: those the database protects, and those in the guard's settings."""
        names = self.settings.protected
        if self.backstop:
            with self.database() as connection:
                registered = ledger.protected(connection)
            names = registered | (names - PROTECTED if registered else names)
        return Aliases(names)

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
        now, here = self._clock(connection), self._host()
        if abs(now - here) > SKEW:
            raise Closed(
                f"its database says that it is {now.isoformat()}, and this machine that it is "
                f"{here.isoformat()}: one of the two clocks is wrong"
            )
        return now

    def _database_clock(self, connection: sa.Connection) -> datetime:
        if connection.dialect.name != "postgresql":
            return self._host()
        now: datetime = connection.execute(sa.text("SELECT clock_timestamp()")).scalar_one()
        return now.astimezone(UTC)

    def missing_tables(self) -> list[str]:
        """Return the guard's own tables that are missing."""
        with self.database() as connection:
            present = set(sa.inspect(connection).get_table_names())
        return sorted(set(METADATA.tables) - present)

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
        """Return the claims of an access token. Raises Unauthenticated."""
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
        frozen = FROZEN.c.place
        for place in places:
            escaped = place.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
            inside = frozen.like(f"{escaped}/%", escape="\\") if place else sa.true()
            query = sa.select(FROZEN.c.model, FROZEN.c.version).where(
                sa.or_(frozen.in_(ancestors(place)), inside)
            )
            with self.database() as connection:
                row = connection.execute(query.limit(1)).first()
            if row:
                return f"{row.model} version {row.version}"
        return ""

    # -- refusals ----------------------------------------------------------------------------

    def record(self, denied: Denied) -> None:
        """Record a refusal once; a failure to record it does not undo it."""
        sender = caller()
        if denied.recorded or self._recorded_lately(denied, sender.name):
            return
        denied.recorded = True
        log.warning(
            "refused %s of %s to %s from %s: %s",
            *(
                _plain(text, 300)
                for text in (denied.action, denied.target, sender.name, sender.source)
            ),
            _plain(denied.why, 500),
        )
        row = {
            "who": _plain(sender.name, 256),
            "source": _plain(sender.source, 100),
            "request": _plain(sender.request, 500),
            "what": _plain(denied.action, 100),
            "thing": _plain(denied.target, 500),
            "why": _plain(denied.why, 2000),
        }
        try:
            with self.database() as connection:
                at = millis(self.now(connection))
                connection.execute(REFUSALS.insert().values(at_ms=at, **row))
        except (Closed, sa.exc.SQLAlchemyError) as error:
            log.error("a refusal could not be written down: %s", error)

    def _recorded_lately(self, denied: Denied, name: str) -> bool:
        """Say whether a refused read is the same as a moment ago: serving asks all the time."""
        if denied.action not in _READING:
            return False
        now, key = time.monotonic(), (name, denied.target, denied.why)
        self._recent = {
            recorded: at for recorded, at in self._recent.items() if now - at < _AGAIN_S
        }
        return self._recent.setdefault(key, now) != now

    def refusals(self, after: int, limit: int, model: str = "") -> list[dict[str, Any]]:
        """Return refusals in order, after number *after*; those about a *model* newest first."""
        query = sa.select(REFUSALS).where(REFUSALS.c.id > after).order_by(REFUSALS.c.id)
        if model:
            target, about = REFUSALS.c.thing, [f"{model}@", f"{model}/"]
            named = [target.startswith(prefix, autoescape=True) for prefix in about]
            query = query.where(sa.or_(target == model, *named)).order_by(None)
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
