"""How many rows a margin needs: the figures measured, and a warning when there are fewer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow
import pyarrow.parquet
import pytest

from airlock.config.sample_size import Plan, plans

if TYPE_CHECKING:
    from tests.unit.config.conftest import Checkout

pytestmark = pytest.mark.unit


def planned(checkout: Checkout, rows: int, *edits: tuple[str, str]) -> list[Plan]:
    """Plan the example with so many rows, every tenth of them positive."""
    table = pyarrow.table({"churned": [int(number % 10 == 0) for number in range(rows)]})
    pyarrow.parquet.write_table(table, checkout.config / "models/churn/data.parquet")
    for old, new in edits:
        checkout.edit(checkout.pipeline(), old, new)
    (pipeline,) = checkout.load().valid
    return list(plans(pipeline, checkout.root))


ACCURACY = ("metric: roc_auc\n      margin: 0.005", "metric: accuracy\n      margin: 0.01")


def test_accuracy_needs_what_was_measured_and_more_when_attempts_share_the_error(
    checkout: Checkout,
) -> None:
    (plan,) = planned(checkout, 4 * 6100, ACCURACY)
    assert (plan.needed, plan.held_out, plan.is_short) == (6100, 6100, False)
    once = ("margin: 0.01", "margin: 0.01\n      attempts: 1")
    (plan,) = planned(checkout, 4 * 3799, once)
    assert (plan.needed, plan.held_out, plan.is_short) == (3800, 3799, True)
    assert str(plan) == (
        "WARNING churn: accuracy with margin 0.01 needs about 3,800 held-out rows (95 % confidence "
        "per attempt, 80 % power); the source holds out 3,799; more rows, a larger margin or fewer "
        "attempts are needed."
    )


def test_auc_depends_on_the_share_of_positive_rows(checkout: Checkout) -> None:
    (rare,) = planned(checkout, 1000)
    assert rare.needed is not None
    assert rare.is_short
    even = pyarrow.table({"churned": [0, 1] * 500})
    pyarrow.parquet.write_table(even, checkout.config / "models/churn/data.parquet")
    (pipeline,) = checkout.load().valid
    (plan,) = plans(pipeline, checkout.root)
    assert plan.needed is not None
    assert rare.needed == pytest.approx(4 * plan.needed, rel=0.1)


def test_another_metric_waits_for_the_first_comparison(checkout: Checkout) -> None:
    (plan,) = planned(
        checkout, 1000, ("metric: roc_auc\n      margin", "metric: brier\n      margin")
    )
    assert plan.needed is None
    assert str(plan).endswith("how many rows it needs, the first comparison says.")


def test_a_source_that_cannot_be_read_is_said_so(checkout: Checkout) -> None:
    (pipeline,) = checkout.load().valid
    (checkout.config / "models/churn/data.parquet").write_bytes(b"no table")
    (plan,) = plans(pipeline, checkout.root)
    assert plan.held_out is None
    assert "the source is not known: data churn/data.parquet cannot be read" in str(plan)
