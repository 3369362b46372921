"""The reference page lists every setting and every key, and the schemas for editors agree."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pytest
import yaml
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from tests.unit.config.conftest import PIPELINE

if TYPE_CHECKING:
    from tests.unit.config.conftest import Checkout

from airlock.config.access import Permission
from airlock.config.editor import schema
from airlock.config.gate_options import options_of
from airlock.config.load import KINDS
from airlock.config.schemas import inner_type
from airlock.config.settings import SETTINGS
from airlock.domain.errors import Invalid
from airlock.domain.metrics import DIRECTIONS
from airlock.gates import GATES

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/reference/configuration.md").read_text()


def section(heading: str) -> str:
    """The text below one heading, up to the next of its rank."""
    match = re.search(rf"^(#+) {re.escape(heading)}$(.*?)(?=^\1 |\Z)", PAGE, re.M | re.S)
    assert match, f"docs/reference/configuration.md has no heading {heading!r}"
    return match[2]


def keys(annotation: Any, above: str = "", inside: tuple[Any, ...] = ()) -> Iterator[str]:
    """Every key of a model, lists as `[]`, free names as `NAME`; rules within rules once."""
    if annotation in inside:
        return
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        inside = (*inside, annotation)
        for name, field in annotation.model_fields.items():
            key = field.alias or name
            yield f"{above}{key}"
            yield from keys(inner_type(annotation, key), f"{above}{key}.", inside)
    elif getattr(annotation, "__origin__", None) is tuple:
        yield from keys(inner_type(annotation, 0), f"{above.removesuffix('.')}[].", inside)
    elif getattr(annotation, "__origin__", None) is dict:
        yield from keys(inner_type(annotation, "NAME"), f"{above}NAME.", inside)


@pytest.mark.parametrize("setting", [setting.name for setting in SETTINGS])
def test_every_setting_is_on_the_page(setting: str) -> None:
    assert f"| `{setting}` |" in section("The environment")


def known_keys(kind: str) -> list[str]:
    """List the keys of one kind as the page writes them, with one TIER for all three."""
    names = (re.sub(r"tiers\.\w+\.", "tiers.TIER.", key) for key in keys(KINDS[kind]))
    return list(dict.fromkeys(names))


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_is_on_the_page(kind: str) -> None:
    general, own = section("All kinds"), section(kind)
    missing = [
        key for key in known_keys(kind) if f"| `{key}` |" not in (own if "." in key else general)
    ]
    assert missing == []


@pytest.mark.parametrize("gate", GATES, ids=lambda gate: gate.name)
def test_every_gate_and_option_is_on_the_page(gate: Any) -> None:
    text = section(gate.name)
    for key in keys(options_of(gate)):
        assert f"| `{key}` |" in text


def test_every_path_on_the_page_exists() -> None:
    schema_keys = {key for kind in KINDS for key in known_keys(kind)}
    page_keys = set(re.findall(r"^\| `((?:spec|metadata)[^`]*)` \|", PAGE, re.M))
    assert page_keys <= schema_keys


def test_the_keys_found_go_to_the_bottom() -> None:
    schema_keys = {key for kind in KINDS for key in keys(KINDS[kind])}
    assert "spec.tiers.high.levels[].rules[].people" in schema_keys
    assert "spec.roles.NAME.inherits" in schema_keys
    assert "spec.stages[].resources.memoryMb" in schema_keys


@pytest.mark.parametrize("block", re.findall(r"```yaml\n(.*?)```", PAGE, re.S))
def test_every_example_on_the_page_fits_its_schema(block: str) -> None:
    document = yaml.safe_load(block)
    Draft202012Validator(schema(document["kind"])).validate(document)


@pytest.mark.parametrize("kind", KINDS)
def test_schemas_are_schemas_and_fit_the_real_files(kind: str) -> None:
    Draft202012Validator.check_schema(schema(kind))
    files = [*ROOT.glob("include/policies/*.yaml"), *ROOT.glob("include/pipelines/*.yaml")]
    documents = [yaml.safe_load(file.read_text()) for file in files]
    fitting = [document for document in documents if document["kind"] == kind]
    assert fitting
    for document in fitting:
        Draft202012Validator(schema(kind)).validate(document)


def test_the_pipeline_schema_knows_the_gates() -> None:
    validator = Draft202012Validator(schema("ModelPipeline"))
    assert validator.is_valid(yaml.safe_load(PIPELINE))
    for old, new in (
        ("margin:", "margn:"),
        ("gate: artifact-format", "gate: artifact"),
        ("memoryMb: 1024", "memoryMb: lots"),
        ("name: churn", "name: Churn"),
    ):
        assert not validator.is_valid(yaml.safe_load(PIPELINE.replace(old, new)))


def test_the_refusal_on_the_page_is_what_is_really_said(checkout: Checkout) -> None:
    checkout.edit(checkout.pipeline(), "roc_auc: 0.74", "rocauc: 0.74")
    checkout.edit(checkout.pipeline(), "gate: artifact-format", "gate: artefact-format")
    (error,) = checkout.load().refused
    assert f"```\n{error}\n```" in PAGE


def test_every_permission_and_metric_is_on_the_page() -> None:
    assert all(f"`{permission}`" in section("AccessPolicy") for permission in get_args(Permission))
    assert all(f"`{metric}`" in section("ModelPipeline") for metric in DIRECTIONS)


def test_an_unknown_kind_is_refused_with_the_nearest() -> None:
    with pytest.raises(Invalid, match="unknown kind 'RiskPolcy'") as caught:
        schema("RiskPolcy")
    assert caught.value.next_step == 'Did you mean "RiskPolicy"?'
