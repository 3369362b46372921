"""The formats of model files that are read, never loaded. What a file is, `artifacts` says."""

from __future__ import annotations

#: Formats a model may be in. Pickle and whatever contains it is not here.
MODEL_FORMATS = ("skops", "onnx", "safetensors", "xgboost", "lightgbm", "catboost")
#: What may lie beside it.
SIDE_FORMATS = (
    "mlmodel",
    "conda-env",
    "python-env",
    "requirements",
    "registered-model",
    "json",
    "onnx-data",
)
