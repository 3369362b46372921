"""What the employment data must look like: the census code lists, and shares that cannot jump."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from great_expectations.expectations.expectation import Expectation

#: The codes of each column, as in the Census Bureau's data dictionary of the survey.
CODES = {
    "SCHL": range(25),
    "MAR": range(1, 6),
    "RELP": range(18),
    "DIS": range(1, 3),
    "ESP": range(9),
    "CIT": range(1, 6),
    "MIG": range(4),
    "MIL": range(5),
    "ANC": range(1, 5),
    "NATIVITY": range(1, 3),
    "DEAR": range(1, 3),
    "DEYE": range(1, 3),
    "DREM": range(3),
    "SEX": range(1, 3),
    "RAC1P": range(1, 10),
    "employed": range(2),
}


def expectations() -> list[Expectation]:
    """Return the expectations every data window of this model must meet."""
    import great_expectations.expectations as gxe

    present: list[Any] = [
        gxe.ExpectColumnValuesToNotBeNull(column=name) for name in ["AGEP", "observed_on", *CODES]
    ]
    coded = [
        gxe.ExpectColumnValuesToBeInSet(column=name, value_set=list(codes))
        for name, codes in CODES.items()
    ]
    return [
        gxe.ExpectTableRowCountToBeBetween(min_value=10_000),
        *present,
        *coded,
        gxe.ExpectColumnValuesToBeBetween(column="AGEP", min_value=0, max_value=99),
        # Half of all residents, children included, are employed; far off means wrong rows.
        gxe.ExpectColumnMeanToBeBetween(column="employed", min_value=0.40, max_value=0.60),
        gxe.ExpectColumnMeanToBeBetween(column="AGEP", min_value=35, max_value=50),
    ]
