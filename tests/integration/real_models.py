"""Real models of every format on the allow-list, as MLflow logs them with its own defaults."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy
import pandas

PINNED = ["numpy==2.4.6", "scikit-learn==1.9.1", "skops==0.16.0"]


def rows() -> tuple[pandas.DataFrame, pandas.Series]:
    """A small table and its labels."""
    draw = numpy.random.default_rng(0)
    table = pandas.DataFrame(draw.normal(size=(200, 4)), columns=list("abcd"))
    return table, (table["a"] > 0).astype(int)


def _sklearn(estimator: Callable[[], Any], **options: Any) -> Callable[[Path], None]:
    def save(path: Path) -> None:
        import mlflow.sklearn

        from airlock.artifacts.skops_file import OWN_TYPES

        table, labels = rows()
        fitted = estimator().fit(table, labels)
        given = {"skops_trusted_types": list(OWN_TYPES), "pip_requirements": PINNED} | options
        mlflow.sklearn.save_model(fitted, str(path), **given)

    return save


def _logistic() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression()


def _boosted() -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(max_iter=5)


def _forest() -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(5)


def _gradient() -> Any:
    from sklearn.ensemble import GradientBoostingClassifier

    return GradientBoostingClassifier(n_estimators=5)


def _pipeline() -> Any:
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    columns = make_column_transformer(
        (StandardScaler(), ["a", "b"]), (OneHotEncoder(handle_unknown="ignore"), ["c"])
    )
    return make_pipeline(columns, LogisticRegression())


def _calibrated() -> Any:
    from sklearn.calibration import CalibratedClassifierCV

    return CalibratedClassifierCV(_logistic())


def _words() -> Any:
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    return make_pipeline(FunctionTransformer(numpy.tanh), Ridge())


def _sparse(path: Path) -> None:
    """A model that keeps a sparse matrix: an archive within the archive."""
    import mlflow.sklearn
    import scipy.sparse
    from sklearn.svm import SVC

    table, labels = rows()
    fitted = SVC().fit(scipy.sparse.csr_matrix(table), labels)
    trusted = ["scipy.sparse._csr.csr_matrix"]
    mlflow.sklearn.save_model(
        fitted, str(path), pip_requirements=PINNED, skops_trusted_types=trusted
    )


def _with_example(path: Path) -> None:
    import mlflow.sklearn

    table, labels = rows()
    mlflow.sklearn.save_model(_logistic().fit(table, labels), str(path), input_example=table[:2])


def _xgboost(model_format: str = "ubj", booster: bool = False) -> Callable[[Path], None]:
    def save(path: Path) -> None:
        import mlflow.xgboost
        import xgboost

        fitted = xgboost.XGBClassifier(n_estimators=3).fit(*rows())
        chosen = fitted.get_booster() if booster else fitted
        pins = ["xgboost==3.2.0"]
        mlflow.xgboost.save_model(
            chosen, str(path), model_format=model_format, pip_requirements=pins
        )

    return save


def _xgboost_linear(path: Path) -> None:
    import mlflow.xgboost
    import xgboost

    table, labels = rows()
    fitted = xgboost.train({"booster": "gblinear"}, xgboost.DMatrix(table, label=labels), 2)
    mlflow.xgboost.save_model(fitted, str(path), pip_requirements=["xgboost==3.2.0"])


def _xgboost_categories(path: Path) -> None:
    import mlflow.xgboost
    import xgboost

    table, labels = rows()
    table["c"] = pandas.Categorical((table["c"] > 0).astype(str))
    fitted = xgboost.XGBClassifier(n_estimators=3, enable_categorical=True).fit(table, labels)
    mlflow.xgboost.save_model(fitted, str(path), pip_requirements=["xgboost==3.2.0"])


def _lightgbm(booster: bool) -> Callable[[Path], None]:
    def save(path: Path) -> None:
        import lightgbm
        import mlflow.lightgbm

        fitted = lightgbm.LGBMClassifier(n_estimators=3, verbose=-1).fit(*rows())
        chosen = fitted.booster_ if booster else fitted
        mlflow.lightgbm.save_model(chosen, str(path), pip_requirements=["lightgbm==4.7.0"])

    return save


def _lightgbm_categories(path: Path) -> None:
    import lightgbm
    import mlflow.lightgbm

    table, labels = rows()
    table["c"] = pandas.Categorical((table["c"] > 0).astype(str))
    options = {"objective": "binary", "verbose": -1, "linear_tree": True}
    fitted = lightgbm.train(options, lightgbm.Dataset(table, label=labels), 3)
    mlflow.lightgbm.save_model(fitted, str(path), pip_requirements=["lightgbm==4.7.0"])


def _onnx(path: Path) -> None:
    import mlflow.onnx
    from skl2onnx import to_onnx

    table, labels = rows()
    fitted = _forest().fit(table.to_numpy(), labels)
    made = to_onnx(fitted, table[:1].to_numpy(dtype=numpy.float32))
    mlflow.onnx.save_model(made, str(path), pip_requirements=["onnxruntime==1.31.1"])


def _onnx_outside(path: Path) -> None:
    """A network whose weights MLflow keeps in a file beside the model."""
    import mlflow.onnx
    from onnx import TensorProto, helper, numpy_helper

    draw = numpy.random.default_rng(0)
    weights = [
        numpy_helper.from_array(draw.normal(size=(64, 64)).astype(numpy.float32), name)
        for name in ("first", "second")
    ]
    shape = [None, 64]
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "first"], ["h"]),
            helper.make_node("MatMul", ["h", "second"], ["y"]),
        ],
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        weights,
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    made.ir_version = 10
    mlflow.onnx.save_model(made, str(path), pip_requirements=["onnxruntime==1.31.1"])


REAL: dict[str, Callable[[Path], None]] = {
    "sklearn logistic regression": _sklearn(_logistic),
    "sklearn histogram boosting": _sklearn(_boosted),
    "sklearn forest": _sklearn(_forest),
    "sklearn gradient boosting": _sklearn(_gradient),
    "sklearn pipeline": _sklearn(_pipeline),
    "sklearn calibrated": _sklearn(_calibrated),
    "sklearn with a function": _sklearn(_words),
    "sklearn with a sparse matrix": _sparse,
    "sklearn with an example": _with_example,
    "xgboost": _xgboost(),
    "xgboost as JSON": _xgboost("json"),
    "xgboost booster": _xgboost(booster=True),
    "xgboost linear": _xgboost_linear,
    "xgboost with categories": _xgboost_categories,
    "lightgbm booster": _lightgbm(booster=True),
    "lightgbm estimator": _lightgbm(booster=False),
    "lightgbm with categories": _lightgbm_categories,
    "onnx": _onnx,
    "onnx with weights outside": _onnx_outside,
}


class Models:
    """Saved models; each is made once."""

    def __init__(self, base: Path) -> None:
        self.base = base

    def folder(self, name: str) -> Path:
        """Return the folder of a model; do not write into it."""
        path = self.base / name.replace(" ", "-")
        if not path.exists():
            with _tracked(self.base):
                REAL[name](path)
        return path


@contextmanager
def _tracked(folder: Path) -> Iterator[None]:
    """Keep what MLflow writes by the way out of the checkout, and out of the environment."""
    import mlflow

    before = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)
        if before is None:
            os.environ.pop("MLFLOW_TRACKING_URI", None)
