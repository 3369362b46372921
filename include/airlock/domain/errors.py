"""The error tree, drawn once.

AirlockError
├── Refused           a rule said no: final for this attempt, never retried     (exit 1)
│   ├── Conflict      somebody else was first, or what was seen is stale
│   ├── Forbidden     this person may not do this
│   └── NotFound      no such release, model, pipeline
├── Invalid           wrong use or bad input: mend the input                    (exit 2)
├── Unauthenticated   nobody is logged in                                       (exit 1)
└── Unreachable       we could not tell: something outside did not answer, retry (exit 3)

Every error is one sentence that names the thing, what was expected and what was found;
`next_step` says what to do about it. A gate verdict is a value, not an error.
"""

from __future__ import annotations


class AirlockError(Exception):
    """Base of everything Airlock raises on purpose."""

    #: Process exit code of the CLI.
    exit_code = 1
    #: HTTP status at the API's edge.
    http_status = 500

    def __init__(self, message: str, *, next_step: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step


class Refused(AirlockError):
    """A rule said no."""

    exit_code = 1
    http_status = 409


class Conflict(Refused):
    """Somebody else was first, or what was seen is stale."""

    http_status = 409


class Forbidden(Refused):
    """This person may not do this."""

    http_status = 403


class NotFound(Refused):
    """There is no such thing."""

    http_status = 404


class Unauthenticated(AirlockError):
    """Nobody is logged in."""

    exit_code = 1
    http_status = 401


class Invalid(AirlockError):
    """Wrong use or bad input."""

    exit_code = 2
    http_status = 422


class Unreachable(AirlockError):
    """Something outside did not answer, so we could not tell."""

    exit_code = 3
    http_status = 503


class OddFolder(Invalid, ValueError):
    """A folder holds something that no digest could cover, or more than anybody hashes."""
