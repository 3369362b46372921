"""In the quarantine: unpickle a model and write it in a safe format. Runs nowhere else.

A script of its own: Airlock's code is not in the sandbox. It is called as `convert.py skops|onnx`,
reads /quarantine/model.pkl and writes one file below /quarantine/out.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

PLACE = Path("/quarantine")


def main(to: str) -> None:
    """Convert; whatever goes wrong is the last line of the output."""
    import joblib  # reads plain and compressed pickles alike

    model = joblib.load(PLACE / "model.pkl")
    if not hasattr(model, "predict"):
        sys.exit(f"it holds {type(model).__name__}, which has no predict()")
    (to_onnx if to == "onnx" else to_skops)(model)


def to_skops(model: Any) -> None:
    """Write the estimator as skops."""
    import skops.io

    skops.io.dump(model, PLACE / "out" / "model.skops")


def to_onnx(model: Any) -> None:
    """Write the estimator as ONNX, with one input of as many numbers as it was trained on."""
    from skl2onnx import to_onnx as converted
    from skl2onnx.common.data_types import FloatTensorType

    features = getattr(model, "n_features_in_", None)
    if not isinstance(features, int):
        sys.exit("it does not say how many features it takes")
    onnx_model = converted(model, initial_types=[("input", FloatTensorType([None, features]))])
    (PLACE / "out" / "model.onnx").write_bytes(onnx_model.SerializeToString())


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except Exception as error:
        sys.exit(f"{type(error).__name__}: {error}")
