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
        return [gxe.ExpectColumnValuesToBeInSet(column="RELP", value_set=codes["code"].tolist())]
"""


@pytest.mark.parametrize(("codes", "verdict"), [(18, Verdict.PASSED), (17, Verdict.FAILED)])
def test_a_code_that_is_in_no_other_table_fails(
    tmp_path: Path, codes: int, verdict: Verdict
) -> None:
    place = Place(tmp_path)
    data = place.pin(census(2017, 1000))
    suite = script(tmp_path, REFERRING, "suite.py")
    pandas.DataFrame({"code": range(codes)}).to_parquet(suite.with_name("codes.parquet"))
    rows = place.rows_of(Recipe(recipe_document()), data)
    limits = Limits(seconds=300, memory_mb=2048, threads=1)
    request = ValidateRequest(name="employment", data=rows, suite=suite, limits=limits)
    facts = place.lab.validate(request).facts
    assert facts["newest"] == "2017-12-31"
    champion = {"version": "3", "rows": 900}
    found = Evidence(
        "data-validation", ARTIFACT, facts | {"asOf": "2018-01-31", "champion": champion}
    )
    gate = DataValidation(max_age_days=31, min_rows=1000, max_change=1.2)
    result = run_gate(gate, {found.kind: found})
    assert result.verdict is verdict, result.message
    assert "31 days before 2018-01-31" in result.message
    old = run_gate(DataValidation(max_age_days=30), {found.kind: found})
    assert (old.verdict, "wait for newer rows" in old.message) == (Verdict.FAILED, True)
