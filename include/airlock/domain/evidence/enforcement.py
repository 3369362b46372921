"""How much a gate's no weighs, tier by tier.

Rules:
* `hard`, unless the policy says otherwise: a gate that does not pass stops the release.
* `soft`: it stops the release unless somebody named waives this result (`domain.waivers`).
* `advisory`: it is shown to everybody who answers, and stops nothing. It has to be judged all the
  same: a result that is missing blocks.
* A riskier tier never weighs a gate less than a safer one, and in every tier a gate is left that
  can block.

What could not be judged (ERRORED) weighs as much as a no.
"""

from __future__ import annotations

from enum import StrEnum


class Enforcement(StrEnum):
    """The three weights, the lightest first."""

    ADVISORY = "advisory"  #: shown, never blocks
    SOFT = "soft"  #: blocks unless waived
    HARD = "hard"  #: blocks

    @property
    def rank(self) -> int:
        """Order of the weights: 0 is advisory."""
        return list(Enforcement).index(self)
