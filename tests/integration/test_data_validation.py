"""Freshness, volume and references to other tables, by Great Expectations on real rows."""

from __future__ import annotations

from pathlib import Path

import numpy
import pandas
import pytest

from airlock.adapters.jobs import Limits, ValidateRequest
from airlock.adapters.jobs.programs import validate
from airlock.domain.evidence.pipeline_spec import Recipe
from airlock.domain.gates import Evidence, GateResult, Verdict, run_gate
from airlock.gates.data_validation import DataValidation
from tests.integration.lab_kit import pinned, rows, script
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


def _checked(tmp_path: Path, *expectations: str) -> GateResult:
    """Hold rows with an emptied column and a time in a zone against expectations."""
    table = rows(40).assign(
        income=numpy.nan,
        code="A",
        at=pandas.date_range("2024-01-01", periods=40, freq="h", tz="UTC"),
    )
    data = pinned(tmp_path, table)
    suite = "def expectations():\n    import great_expectations.expectations as gxe\n"
    path = script(tmp_path, f"{suite}    return [{', '.join(expectations)}]\n", "suite.py")
    asked = {"path": str(data.path), "digest": data.digest, "target": "label", "timeColumn": "day"}
    asked |= {"task": "classification", "holdout": 0.25, "seed": 0}
    out = str(tmp_path / "docs")
    facts = validate.main({"name": "demo", "data": asked, "suite": str(path), "out": out})
    found = Evidence("data-validation", ARTIFACT, facts)
    return run_gate(DataValidation(), {found.kind: found})


HOLDS = "gxe.ExpectColumnValuesToNotBeNull(column='one')"
IF_B = "row_condition=\"code=='B'\", condition_parser='pandas'"


@pytest.mark.filterwarnings("ignore")
def test_a_check_that_raised_is_errored_with_its_reason(tmp_path: Path) -> None:
    naive = "gxe.ExpectColumnValuesToBeBetween(column='at', min_value='2023-01-01')"
    absent = "gxe.ExpectColumnValuesToNotBeNull(column='salary')"
    result = _checked(tmp_path, HOLDS, naive, absent)
    assert result.verdict is Verdict.ERRORED, result.message
    assert "1 of 3 expectations hold" in result.message
    assert "expect_column_values_to_be_between(at): " in result.message
    assert "salary" in result.message
    assert "found {}" not in result.message


@pytest.mark.filterwarnings("ignore")
def test_an_expectation_that_saw_no_value_holds_nothing(tmp_path: Path) -> None:
    """Great Expectations calls each of these a success."""
    vacuous = [
        "gxe.ExpectColumnValuesToBeBetween(column='income', min_value=0)",
        "gxe.ExpectColumnSumToBeBetween(column='income', min_value=0)",
        "gxe.ExpectColumnDistinctValuesToBeInSet(column='income', value_set=[1])",
        "gxe.ExpectColumnUniqueValueCountToBeBetween(column='income', min_value=0)",
        "gxe.ExpectColumnValuesToBeUnique(column='income')",
        "gxe.ExpectColumnPairValuesToBeEqual(column_A='income', column_B='income')",
        f"gxe.ExpectColumnValuesToBeBetween(column='one', min_value=9, {IF_B})",
        f"gxe.ExpectColumnDistinctValuesToBeInSet(column='one', value_set=[1], {IF_B})",
        f"gxe.ExpectColumnValuesToNotBeNull(column='one', {IF_B})",
    ]
    about_the_table = [
        "gxe.ExpectColumnToExist(column='income')",
        "gxe.ExpectTableRowCountToBeBetween(min_value=1)",
        "gxe.ExpectColumnValuesToBeNull(column='income')",
    ]
    result = _checked(tmp_path, HOLDS, *about_the_table, *vacuous)
    assert result.verdict is Verdict.ERRORED, result.message
    assert f"{1 + len(about_the_table)} of 13 expectations hold" in result.message
    assert result.details is not None
    assert len(result.details["unseen"]) == len(vacuous)
