"""What the doctor-visits data must look like: the ranges the study's own description gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from great_expectations.expectations.expectation import Expectation

#: Smallest and largest possible value of each column.
RANGES: dict[str, tuple[float, float]] = {
    "mdvis": (0, 366),
    "lncoins": (0, 4.6152),  # ln(coinsurance + 1) of at most 100 percent
    "idp": (0, 1),
    "lpi": (0, 10),
    "fmde": (0, 10),
    "physlm": (0, 1),
    "disea": (0, 100),
    "hlthg": (0, 1),
    "hlthf": (0, 1),
    "hlthp": (0, 1),
}


def expectations() -> list[Expectation]:
    """Return the expectations every data window of this model must meet."""
    import great_expectations.expectations as gxe

    present: list[Any] = [gxe.ExpectColumnValuesToNotBeNull(column=name) for name in RANGES]
    bounded = [
        gxe.ExpectColumnValuesToBeBetween(column=name, min_value=low, max_value=high)
        for name, (low, high) in RANGES.items()
    ]
    return [
        gxe.ExpectTableRowCountToBeBetween(min_value=5_000),
        *present,
        *bounded,
        gxe.ExpectColumnMeanToBeBetween(column="mdvis", min_value=2, max_value=4),
    ]
