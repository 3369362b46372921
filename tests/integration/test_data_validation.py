"""Freshness, volume and references to other tables, by Great Expectations on real rows."""

from __future__ import annotations

from pathlib import Path

import pandas
import pytest

from airlock.adapters.lab import Limits, ValidateRequest
from airlock.domain.gates import Evidence, Verdict, run_gate
from airlock.domain.recipe import Recipe
from airlock.gates.data_validation import DataValidation
from tests.integration.lab_kit import script
from tests.integration.scene_kit import ARTIFACT, Place, census, recipe_document

pytestmark = pytest.mark.integration

#: As in docs/reference/gates.md: the codes that may occur are those of another table.
REFERRING = """
    from pathlib import Path
    import pandas

    def expectations():
        import great_expectations.expectations as gxe

        codes = pandas.read_parquet(Path(__file__).with_name("codes.parquet"))
        return [
            gxe.ExpectColumnValuesToBeInSet(column=name, value_set=codes["code"].tolist())
            for name in ("RELP", "SCHL")
        ]
"""


def test_codes_that_are_in_no_other_table_fail_and_dates_are_counted(tmp_path: Path) -> None:
    place = Place(tmp_path)
    data = place.pin(census(2017, 1000))
    suite = script(tmp_path, REFERRING, "suite.py")
    pandas.DataFrame({"code": range(18)}).to_parquet(suite.with_name("codes.parquet"))
    rows = place.rows_of(Recipe(recipe_document()), data)
    limits = Limits(seconds=300, memory_mb=2048, threads=1)
    request = ValidateRequest(name="employment", data=rows, suite=suite, limits=limits)
    facts = place.lab.validate(request).facts
    assert facts["newest"] == "2017-12-31"
    champion = {"version": "3", "rows": 900}
    facts |= {"asOf": "2018-01-31", "champion": champion}
    found = Evidence("data-validation", ARTIFACT, facts)
    result = run_gate(DataValidation(max_age_days=31, max_change=1.2), {found.kind: found})
    # All 18 relations of the household are in the other table, and not all 25 levels of schooling.
    assert result.verdict is Verdict.FAILED
    assert "1 of 2 expectations hold on 1,000 rows" in result.message
    assert "broken: expect_column_values_to_be_in_set(SCHL)" in result.message
    assert "31 days before 2018-01-31" in result.message
    assert "1.11 times the champion's 900 rows" in result.message
