"""How many equal rows chance explains, and how many are copies.

A table of a few coarse columns honestly holds equal rows: two people of the same age, schooling and
household. So equal rows alone are no leak. Two comparisons tell copies from coincidence:

* **Held out against trained on.** Of honest rows, a held-out one has an equal row in training about
  as often as a training row has another one there. Rows copied from training into the held-out part
  have one always.
* **Twins against singles and triplets.** If rows come independently, the number of rows that occur
  exactly k times follows a mixture of Poisson laws, and then, by the Cauchy-Schwarz inequality,
  f2 <= sqrt(3/2 f1 f3), and likewise for every k. A table in which rows were doubled, by a join or
  by appending it twice, has twins without the triplets that coincidence brings along.

Three standard errors are given away in both before anything counts as a copy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

#: Standard errors that chance is given.
_ERRORS = 3.0


def copied_across(held_twins: int, held_out: int, training_twins: int, training: int) -> float:
    """Return the share of the held-out rows that chance does not explain, at least 0."""
    for part, whole in ((held_twins, held_out), (training_twins, training)):
        if whole < 1 or not 0 <= part <= whole:
            raise ValueError(f"{part} of {whole} rows have an equal one")
    here, there = held_twins / held_out, training_twins / training
    error = math.sqrt(here * (1 - here) / held_out + there * (1 - there) / training)
    return max(0.0, here - there - _ERRORS * error)


def repeated(spectrum: Sequence[int], rows: int) -> float:
    """Return the share of all rows that occur several times beyond chance, at least 0.

    *spectrum* says how many different rows occur exactly once, twice, three times and so on.
    """
    occurring = sum(times * kinds for times, kinds in enumerate(spectrum, 1))
    if rows < 1 or len(spectrum) < 3 or min(spectrum) < 0 or occurring > rows:
        raise ValueError(f"{list(spectrum)} kinds of rows in {rows} rows")
    return max(
        _excess(times, *spectrum[times - 2 : times + 1]) / rows for times in range(2, len(spectrum))
    )


def _excess(times: int, fewer: int, equal: int, more: int) -> float:
    """Return the rows in groups of *times* that chance does not explain, at least 0."""
    chance = math.sqrt((times + 1) / times * fewer * more)
    spread = chance**2 / 4 * (1 / max(fewer, 1) + 1 / max(more, 1))
    return max(0.0, times * (equal - chance - _ERRORS * math.sqrt(equal + spread)))
