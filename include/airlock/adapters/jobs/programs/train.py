"""Child: run the user's train() on the training part and save the model in a safe format.

The user's code runs in this process and could write whatever it likes as the result. So nothing
reported here is believed for a release: the parent takes the digests from the files, and metrics
that gates judge come from the evaluation, another process that runs no user code.
"""

from __future__ import annotations

import random
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airlock.adapters.jobs.errors import (
    ModelUnsafe,
    TrainingFailed,
    TrainingOutOfMemory,
    TrainingReturnedNothing,
)
from airlock.adapters.jobs.shared import job, pinned_rows, predict, user_script
from airlock.adapters.jobs.shared.model_loading import TRUSTED_TYPES, refuse_untrusted
from airlock.adapters.jobs.statistics import metrics

if TYPE_CHECKING:
    import pandas

_MAX_PARAMS = 100
_MAX_VALUE = 250
_EXAMPLE_ROWS = 10_000


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Train, check what came back, save it, and report."""
    name, target = request["name"], request["data"]["target"]
    part = pinned_rows.split(request, pinned_rows.load(request)).train
    model = _call(request, part)
    _check(model, name, request["data"]["task"])
    features = pinned_rows.features_of(model, part, target, name)
    predicted = predict.predict(model, features, request["data"]["task"], f"the model {name}")
    truth = part[target].to_numpy()
    measured = metrics.measure(request["data"]["task"], truth, predicted, f"the model {name}")
    _save(model, features, Path(request["out"]), name)
    return {
        "params": _params(model),
        "metrics": measured,
        "features": [str(column) for column in features.columns],
        "rows": len(part),
    }


def _call(request: dict[str, Any], part: pandas.DataFrame) -> Any:
    """Call the user's train(); whatever it raises, SystemExit too, is named with its place."""
    import numpy

    path, seed = Path(request["script"]), request["data"]["seed"]
    random.seed(seed)
    numpy.random.seed(seed % 2**32)
    failed = f"training of {request['name']}"
    try:
        module = user_script.load(path)
        train = getattr(module, "train", None)
        if not callable(train):
            raise TrainingFailed(f"{failed}: {path.name} defines no function train()")
        return train(part.copy(), request["data"]["target"], seed)
    except TrainingFailed:
        raise
    except MemoryError as error:
        where = user_script.place(error, path.parent)
        raise TrainingOutOfMemory(f"{failed} ran out of memory{where}") from error
    except BaseException as error:
        traceback.print_exc()
        raised = user_script.describe(error, path.parent)
        raise TrainingFailed(
            f"{failed} raised {raised}", next_step="the whole traceback is in the log of the task"
        ) from error


def _check(model: Any, name: str, task: str) -> None:
    if model is None:
        raise TrainingReturnedNothing(
            f"training of {name} returned None; expected a fitted estimator",
            next_step="end train() with `return model`",
        )
    methods = ["predict", "predict_proba"] if task == "classification" else ["predict"]
    for method in methods:
        if not callable(getattr(model, method, None)):
            raise TrainingReturnedNothing(
                f"training of {name} returned {type(model).__name__}, which has no {method}()"
            )


def _save(model: Any, features: pandas.DataFrame, out: Path, name: str) -> None:
    """Write MLflow's model folder in the skops format; anything unsafe is refused here."""
    import skops.io

    try:
        refuse_untrusted(skops.io.get_untrusted_types(data=skops.io.dumps(model)), name)
    except ModelUnsafe:
        raise
    except Exception as error:
        raise ModelUnsafe(f"model {name} cannot be saved as skops: {error}") from error
    import mlflow.sklearn
    from mlflow.models import infer_signature

    example, template = examples(features)
    method = "predict_proba" if hasattr(model, "predict_proba") else "predict"
    mlflow.sklearn.save_model(
        model,
        str(out),
        serialization_format="skops",
        skops_trusted_types=list(TRUSTED_TYPES),
        signature=infer_signature(template, getattr(model, method)(example)),
        input_example=example,
        pip_requirements=_requirements(),
        pyfunc_predict_fn=method,
    )


def examples(features: pandas.DataFrame) -> tuple[pandas.DataFrame, pandas.DataFrame]:
    """Return a row of the commonest values, and rows that show the types and where gaps are.

    An example must not publish a real person's row. It is counted in some of the rows: in a million
    of thirty columns it took as long as the rest of training. The second table has the example
    twice, once empty where the data has gaps: so the signature allows gaps there alone.
    """
    import pandas

    some = features.iloc[:: -(-len(features) // _EXAMPLE_ROWS)]
    example = pandas.DataFrame({name: some[name].mode().iloc[:1] for name in features})
    template = pandas.concat([example, example], ignore_index=True)
    template.loc[1, [name for name in features if features[name].isna().any()]] = None
    return example, template


def _requirements() -> list[str]:
    """Return what the model needs, pinned; MLflow's own guess would load the model to find out."""
    from importlib.metadata import version

    return [f"{package}=={version(package)}" for package in ("numpy", "scikit-learn", "skops")]


def _params(model: Any) -> dict[str, str]:
    """Return the estimator's parameters as bounded text; nested objects by their own entries."""
    params = model.get_params(deep=True) if hasattr(model, "get_params") else {}
    plain = {
        str(key)[:_MAX_VALUE]: str(value)[:_MAX_VALUE]
        for key, value in sorted(params.items())
        if isinstance(value, str | int | float | bool | None)
    }
    return dict(list(plain.items())[:_MAX_PARAMS])


if __name__ == "__main__":
    sys.exit(job.run(main))
