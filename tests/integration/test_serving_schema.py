"""What a loaded model may be asked: real signatures, real tables, every refusal named."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy
import pandas
import pytest

from airlock.artifacts.mlmodel import read_mlmodel
from airlock.domain.digest import folder_manifest, manifest_digest
from airlock.domain.errors import Invalid, Refused
from airlock.serving.loading import Loaded, load_files
from airlock.serving.schema import Column, InputRefused, Schema, read_schema, type_of
from tests.integration.lab_kit import pinned, rows, trained
from tests.integration.real_models import Models
from tests.integration.real_models import rows as model_rows

pytestmark = pytest.mark.integration

SCHEMA = Schema(
    (
        Column("age", "long", True),
        Column("income", "double", False),
        Column("town", "string", True),
        Column("member", "boolean", True),
    )
)


def table(**changes: Any) -> pandas.DataFrame:
    columns = {"age": [30, 40], "income": [1.5, None], "town": ["a", "b"], "member": [True, False]}
    return pandas.DataFrame(columns | changes)


def test_no_rows_and_no_table_are_never_answered() -> None:
    for nothing in (table().iloc[:0], pandas.DataFrame(), None, [[1, 2.0, "a", True]]):
        with pytest.raises(InputRefused, match=r"at least one row|a table with columns"):
            SCHEMA.check(nothing)  # type: ignore[arg-type]


def test_rows_as_declared_come_back_in_the_order_of_the_model() -> None:
    given_rows = table()[["town", "member", "age", "income"]]
    assert SCHEMA.check(given_rows).equals(table())
    whole = table(income=[1, 2], age=numpy.array([3, 4], dtype="int8"))
    assert list(SCHEMA.check(whole)) == SCHEMA.names
    assert len(SCHEMA.check(table(town=pandas.Categorical(["a", "b"])))) == 2
    assert len(SCHEMA.check(table(income=[None, None]))) == 2


@pytest.mark.parametrize(
    ("rows_given", "said"),
    [
        (table().drop(columns=["age"]), "the column 'age' is missing"),
        (table(height=1.0), "'height' is no column of the model"),
        (pandas.concat([table(), table()[["age"]]], axis=1), "the column 'age' is there twice"),
        (table(age=["x", "y"]), "'age' holds string, expected long"),
        (table(age=[30.5, 40.0]), "'age' holds double, expected long"),
        (table(age=[True, False]), "'age' holds boolean, expected long"),
        (table(town=[1, 2]), "'town' holds long, expected string"),
        (table(town=["a", 2]), "'town' holds object, expected string"),
        (table(member=[0, 1]), "'member' holds long, expected boolean"),
        (table(town=["a", None]), "1 values of 'town' are missing"),
        (table(age=[None, 40]), "1 values of 'age' are missing"),
    ],
)
def test_what_is_wrong_is_named(rows_given: pandas.DataFrame, said: str) -> None:
    with pytest.raises(InputRefused, match=said) as caught:
        SCHEMA.check(rows_given)
    assert caught.value.next_step == "Send the columns age, income, town, member."


def test_everything_that_is_wrong_is_named_at_once_and_bounded() -> None:
    wide = table(**{f"extra{number}": 1 for number in range(7)})
    with pytest.raises(InputRefused, match=r"'extra4' is no column of the model; 2 more"):
        SCHEMA.check(wide)


@pytest.mark.parametrize(
    "dtype", ["int8", "int32", "int64", "uint8", "uint32", "float32", "float64", "bool"]
)
@pytest.mark.filterwarnings("ignore:Hint. Inferred schema contains integer")
def test_a_type_is_what_mlflow_calls_it(dtype: str) -> None:
    from mlflow.models import infer_signature

    one = pandas.DataFrame({"x": numpy.array([0, 1], dtype=dtype)})
    assert type_of(one["x"]) == infer_signature(one).inputs.inputs[0].type.name


def loaded(folder: Path, into: Path) -> Loaded:
    private = Path(shutil.copytree(folder, into / "private"))
    digest = manifest_digest(folder_manifest(private))
    return load_files(private, digest, "demo", "version 1")


def test_gaps_are_allowed_where_the_training_data_had_them(tmp_path: Path) -> None:
    made = rows(400)
    made.loc[::7, "two"] = None
    script = """
        from sklearn.ensemble import HistGradientBoostingClassifier

        def train(rows, target, seed):
            features = rows.drop(columns=[target])
            return HistGradientBoostingClassifier(max_iter=3).fit(features, rows[target])
    """
    model = loaded(trained(tmp_path, pinned(tmp_path, made), script).model, tmp_path)
    schema = model.schema
    assert schema == Schema((Column("one", "double", True), Column("two", "double", False)))
    assert model.predict(made[["two", "one"]]).shape == (400, 2)
    with pytest.raises(InputRefused, match="1 values of 'one' are missing"):
        model.predict(pandas.DataFrame({"one": [None], "two": [1.0]}).astype(float))
    with pytest.raises(InputRefused, match="'label' is no column"):
        model.predict(made[["one", "two", "label"]])


def test_a_model_without_a_signature_answers_only_for_itself(
    tmp_path: Path, models: Models
) -> None:
    model = loaded(models.folder("sklearn logistic regression"), tmp_path)
    assert model.schema is None
    with pytest.raises(Invalid, match="does not say which columns it takes"):
        model.predict(model_rows()[0])
    assert len(model.model.predict(model_rows()[0])) == 200


def test_the_signature_and_the_method_are_read_from_the_folder(
    tmp_path: Path, models: Models
) -> None:
    folder = models.folder("sklearn with an example")
    schema = read_schema(folder)
    assert schema is not None
    assert schema.names == list("abcd")
    assert read_mlmodel(folder / "MLmodel").predict == "predict"
    assert len(loaded(folder, tmp_path).predict(model_rows()[0])) == 200


def test_other_bytes_than_expected_are_not_loaded(tmp_path: Path, models: Models) -> None:
    private = Path(shutil.copytree(models.folder("sklearn with an example"), tmp_path / "model"))
    with pytest.raises(Refused, match="somebody changed them"):
        load_files(private, "sha256:" + "0" * 64, "demo", "version 1")
