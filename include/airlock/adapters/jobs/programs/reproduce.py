"""Child: measure a candidate, and the model that was trained again, on the same held-out rows.

No user code runs here: both models are loaded from their folders by our own trust list.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from airlock.adapters.jobs.shared import job, pinned_rows, predict
from airlock.adapters.jobs.shared.model_loading import load_model
from airlock.adapters.jobs.statistics import metrics


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Return the metrics of both, and how far their predictions are apart."""
    data, name = request["data"], request["name"]
    test = pinned_rows.split(request, pinned_rows.load(request)).test
    truth, answers = test[data["target"]].to_numpy(), {}
    for side in ("candidate", "again"):
        label = f"the {side} of {name}" if side == "candidate" else f"{name}, trained again,"
        model = load_model(Path(request[side]), label)
        features = pinned_rows.features_of(model, test, data["target"], name)
        answers[side] = predict.predict(model, features, data["task"], label)
    apart = abs(answers["candidate"] - answers["again"])
    return {
        "rows": len(test),
        "metrics": {
            side: metrics.measure(data["task"], truth, values, f"the {side} of {name}")
            for side, values in answers.items()
        },
        "predictions": {
            "differing": int((apart > 0).sum()),
            "maxDifference": float(apart.max()),
        },
    }


if __name__ == "__main__":
    sys.exit(job.run(main))
