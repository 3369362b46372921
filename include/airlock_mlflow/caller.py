"""Who makes the request that is being answered, and from where; set once by the door."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody at the door. `program` is one of the accounts the operator configured."""

    name: str
    source: str = ""
    request: str = ""
    permissions: frozenset[str] = frozenset()
    program: bool = False


#: Who acts where no request is answered: the server itself while it starts.
NOBODY = Caller("nobody")
_current: ContextVar[Caller] = ContextVar("airlock_caller", default=NOBODY)


def caller() -> Caller:
    """Return the caller of the request being answered."""
    return _current.get()


def enter(sender: Caller) -> None:
    """Set the caller of the request that this context answers."""
    _current.set(sender)
