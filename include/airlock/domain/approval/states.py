"""Where a release can be, and its legal moves.

REQUESTED -> BLOCKED                     a gate said no, or there were none
REQUESTED -> AWAITING_APPROVAL           gates open, level 1 opens
REQUESTED -> APPROVED                    the environment needs gates alone
BLOCKED -> AWAITING_APPROVAL | APPROVED  every gate that blocked it was waived by somebody named
AWAITING_APPROVAL -> AWAITING_APPROVAL   a level is complete, the next one opens
AWAITING_APPROVAL -> APPROVED            the last level is complete
AWAITING_APPROVAL -> REJECTED            one no, with a reason, is final
AWAITING_APPROVAL | APPROVED -> VOIDED -> AWAITING_APPROVAL   the subject changed: next round
AWAITING_APPROVAL | APPROVED -> WITHDRAWN (requester)
AWAITING_APPROVAL | APPROVED -> SUPERSEDED (a newer candidate of the same line)
AWAITING_APPROVAL | APPROVED -> EXPIRED  nobody answered, or nobody promoted, in time; or
                                         the rules in force have no place for it any more
APPROVED -> PROMOTING                    an attempt has it, with a lease and a grant of two minutes
PROMOTING -> PROMOTED                    the grant is spent and the alias moved
PROMOTING -> APPROVED                    the attempt ended without a move; its grant is revoked
PROMOTED -> ROLLED_BACK                  the alias went back to a version still approved
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class State(StrEnum):
    """Where a release is."""

    REQUESTED = "REQUESTED"  #: asked for, gates not yet counted
    BLOCKED = "BLOCKED"  #: a gate did not open; final, unless it is waived
    AWAITING_APPROVAL = "AWAITING_APPROVAL"  #: a level is open
    APPROVED = "APPROVED"  #: everything needed is there; a grant is given when it is used
    PROMOTING = "PROMOTING"  #: one attempt has it until its lease is over; nothing else ends it
    PROMOTED = "PROMOTED"  #: the alias points at it, or did until a later release
    REJECTED = "REJECTED"  #: somebody said no; final
    WITHDRAWN = "WITHDRAWN"  #: the requester took it back; final
    VOIDED = "VOIDED"  #: the subject changed, all votes are void; the next round opens at once
    ROLLED_BACK = "ROLLED_BACK"  #: an older version serves again; final
    SUPERSEDED = "SUPERSEDED"  #: a newer candidate took its place; final
    EXPIRED = "EXPIRED"  #: nobody answered or promoted it in time, or rules ended it; final

    @property
    def is_open(self) -> bool:
        """Say whether the release still occupies its line (model and environment)."""
        return self in (
            State.REQUESTED,
            State.AWAITING_APPROVAL,
            State.APPROVED,
            State.PROMOTING,
        )


MOVES: Mapping[State, frozenset[State]] = {
    State.REQUESTED: frozenset({State.BLOCKED, State.AWAITING_APPROVAL, State.APPROVED}),
    State.AWAITING_APPROVAL: frozenset(
        {
            State.AWAITING_APPROVAL,
            State.APPROVED,
            State.VOIDED,
            State.REJECTED,
            State.WITHDRAWN,
            State.SUPERSEDED,
            State.EXPIRED,
        }
    ),
    State.APPROVED: frozenset(
        {State.PROMOTING, State.WITHDRAWN, State.SUPERSEDED, State.EXPIRED, State.VOIDED}
    ),
    State.PROMOTING: frozenset({State.APPROVED, State.PROMOTED}),
    State.VOIDED: frozenset({State.AWAITING_APPROVAL}),
    State.BLOCKED: frozenset({State.AWAITING_APPROVAL, State.APPROVED}),
    State.PROMOTED: frozenset({State.ROLLED_BACK}),
    State.ROLLED_BACK: frozenset(),
    State.REJECTED: frozenset(),
    State.WITHDRAWN: frozenset(),
    State.SUPERSEDED: frozenset(),
    State.EXPIRED: frozenset(),
}
