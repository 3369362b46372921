"""PostgreSQL's 64-bit transaction number as a column type; SQLite has a plain number there."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.types import UserDefinedType


class Xid8(UserDefinedType[Any]):
    """`xid8`: grows with every transaction that writes, and never wraps round."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """Return the type's name."""
        return "xid8"


ischema_names["xid8"] = Xid8  # so that a database's own columns are recognised
TRANSACTION = BigInteger().with_variant(Xid8(), "postgresql")
