"""Equal options have one digest, however they were written; unequal ones have two."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock.domain.digest import digest_json, plain
from airlock.domain.evidence.pipeline_spec import Recipe
from airlock.domain.gates import options_digest
from airlock.gates import build, written

if TYPE_CHECKING:
    from tests.unit.config.conftest import Checkout

pytestmark = pytest.mark.unit

numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | st.text(max_size=3) | numbers,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


def respelled(value: Any) -> Any:
    """The same value, each number written the other way where it can be, each list a tuple."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int) and abs(value) < 2**53:
        return float(value) if value else -0.0
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return tuple(respelled(item) for item in value)
    if isinstance(value, dict):
        return {key: respelled(item) for key, item in reversed(value.items())}
    return value


def same(first: Any, other: Any) -> bool:
    if isinstance(first, bool) or isinstance(other, bool):
        return first is other
    if isinstance(first, list) and isinstance(other, list):
        return len(first) == len(other) and all(map(same, first, other))
    if isinstance(first, dict) and isinstance(other, dict):
        return first.keys() == other.keys() and all(same(first[key], other[key]) for key in first)
    return bool(first == other)


@given(values)
def test_equal_values_have_one_digest(value: Any) -> None:
    assert digest_json(plain(respelled(value))) == digest_json(plain(value))


@given(values, values)
def test_unequal_values_have_two(first: Any, other: Any) -> None:
    assert (digest_json(plain(first)) == digest_json(plain(other))) == same(first, other)


@given(st.integers(1, 600_000), st.floats(1, 600_000))
def test_equal_gates_have_one_digest_and_one_document(whole: int, other: float) -> None:
    from_int = build({"gate": "latency", "p95Ms": whole})
    from_float = build({"gate": "latency", "p95Ms": float(whole)})
    assert options_digest(from_int) == options_digest(from_float)
    assert written(from_int) == written(from_float)
    assert str(written(from_int)) == str(written(from_float)), "and it is spelled the same"
    third = build({"gate": "latency", "p95Ms": other})
    assert (options_digest(from_int) == options_digest(third)) == (from_int == third)


def test_a_written_default_is_the_default() -> None:
    metric = {"gate": "performance-regression", "metric": "roc_auc", "margin": 0.005}
    silent = build(metric)
    assert options_digest(build(written(silent))) == options_digest(silent)
    assert "confidence" in written(silent)


def pipeline_digest(checkout: Checkout, old: str = "", new: str = "") -> str:
    if old:
        checkout.edit(checkout.pipeline(), old, new)
    loaded = checkout.load()
    assert loaded.refused == ()
    return Recipe(loaded.valid[0].document).digest


EQUAL = {
    "a number with a point": ("latencyMs: 150", "latencyMs: 150.0"),
    "a number with an exponent": ("latencyMs: 150", "latencyMs: 1.5e+2"),
    "more digits": ("margin: 0.005", "margin: 0.0050"),
    "cores with a point": ("cpu: 1,", "cpu: 1.0,"),
    "minus nothing": ("margin: 0.005", "margin: 0.005\n      material: -0.0"),
    "a path with a dot": ("path: include/models/churn", "path: ./include/models/churn"),
    "a path with a slash behind": ("path: include/models/churn", "path: include/models/churn/"),
    "data with a dot": ("source: include/", "source: ./include//"),
    "a script with a dot": ("trainingScript: train.py", "trainingScript: ./train.py"),
    "wider cron": ('cron: "0 2 * * *"', 'cron: " 0  2 * *   * "'),
    "a default that is said": ("  environment: production", "  seed: 0\n  environment: production"),
    "an empty table": ("target: churned", "target: churned\n    slices: []"),
    "a gate's default": ("gate: data-validation", "gate: data-validation\n      minRows: 1"),
    "a key in another place": (
        "metadata: {name: churn, owner: ana}",
        "metadata: {owner: ana, name: churn}",
    ),
}
UNEQUAL = {
    "another number": ("latencyMs: 150", "latencyMs: 150.5"),
    "a margin a little wider": ("margin: 0.005", "margin: 0.0051"),
    "another hour": ('cron: "0 2 * * *"', 'cron: "0 3 * * *"'),
    "another seed": ("  environment: production", "  seed: 1\n  environment: production"),
    "another owner": ("owner: ana", "owner: bob"),
}


@pytest.mark.parametrize(("old", "new"), EQUAL.values(), ids=EQUAL)
def test_a_pipeline_written_otherwise_keeps_its_digest(
    checkout: Checkout, old: str, new: str
) -> None:
    before = pipeline_digest(checkout)
    if "material" in new:  # nothing below the margin is another option than none
        before = pipeline_digest(checkout, old, new.replace("-0.0", "0"))
        old = "material: 0"
        new = "material: -0.0"
    assert pipeline_digest(checkout, old, new) == before


@pytest.mark.parametrize(("old", "new"), UNEQUAL.values(), ids=UNEQUAL)
def test_a_pipeline_that_says_something_else_has_another(
    checkout: Checkout, old: str, new: str
) -> None:
    before = pipeline_digest(checkout)
    assert pipeline_digest(checkout, old, new) != before


@pytest.mark.parametrize(
    ("preset", "fields"),
    [("@daily", "0 0 * * *"), ("@weekly", "0 0 * * 0"), ("0 2 * * MON", "0 2 * * mon")],
)
def test_one_schedule_is_spelled_one_way(checkout: Checkout, preset: str, fields: str) -> None:
    before = pipeline_digest(checkout, '"0 2 * * *"', f'"{preset}"')
    assert pipeline_digest(checkout, f'"{preset}"', f'"{fields}"') == before
