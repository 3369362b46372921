"""The guard's own tables in MLflow's database. Rows are added, never changed or taken away.

* `airlock_grants`: envelopes that were delivered and whose signature was good.
* `airlock_releases`: a grant that was spent. A grant appears here once: that is what "single use"
  means. The newest row of a model and alias backs what the alias serves.
* `airlock_revoked`: a grant that can no longer be spent. No grant is both here and there.
* `airlock_frozen`: versions whose files may not change any more, and where they lie.
* `airlock_refusals`: what was tried and refused.
* `airlock_permits`, `airlock_protected`: only on PostgreSQL, see `backstop`.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, String, Table, Text

METADATA = MetaData()
_NAME, _PLACE = 256, 500
_NUMBER = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up INTEGER keys alone

GRANTS = Table(
    "airlock_grants",
    METADATA,
    Column("id", String(100), primary_key=True),
    Column("model", String(_NAME), nullable=False),
    Column("alias", String(_NAME), nullable=False),
    Column("version", Integer, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("envelope", Text, nullable=False),
    Column("delivered_ms", BigInteger, nullable=False),
    Column("delivered_by", String(_NAME), nullable=False),
    Index("airlock_grants_of", "model", "alias", "version"),
)
RELEASES = Table(
    "airlock_releases",
    METADATA,
    Column("model", String(_NAME), primary_key=True),
    Column("alias", String(_NAME), primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("grant_id", String(100), nullable=False, unique=True),
    Column("version", Integer, nullable=False),
    Column("spent_ms", BigInteger, nullable=False),
    Column("spent_by", String(_NAME), nullable=False),
)
REVOKED = Table(
    "airlock_revoked",
    METADATA,
    Column("grant_id", String(100), primary_key=True),
    Column("revoked_ms", BigInteger, nullable=False),
    Column("revoked_by", String(_NAME), nullable=False),
)
FROZEN = Table(
    "airlock_frozen",
    METADATA,
    Column("model", String(_NAME), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("location", String(_PLACE), nullable=False),
    Column("place", String(_PLACE), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("frozen_ms", BigInteger, nullable=False),
    Column("frozen_by", String(_NAME), nullable=False),
    Index("airlock_frozen_places", "place"),
)
REFUSALS = Table(
    "airlock_refusals",
    METADATA,
    Column("id", _NUMBER, primary_key=True, autoincrement=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("who", String(_NAME), nullable=False),
    Column("source", String(100), nullable=False),
    Column("request", String(_PLACE), nullable=False),
    Column("what", String(100), nullable=False),
    Column("thing", String(_PLACE), nullable=False),
    Column("why", String(2000), nullable=False),
)
