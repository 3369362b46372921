"""Evidence model-card: the owner's answers and what was measured, on one page.

The page holds its own style and plots, runs no script and loads nothing; every text is escaped.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airlock.adapters.jobs.collection_context import Collected, Scene
from airlock.domain.digest import file_digest
from airlock.gates.model_card import CARD

PAGE = "model_card.html"
#: How many slices a plot shows.
_MOST = 20


def collect(scene: Scene) -> Collected:
    """Read the card, draw the plots, and render the page."""
    path = scene.root / scene.recipe.folder / CARD
    relative = f"{scene.recipe.folder}/{CARD}"
    facts: dict[str, Any] = {
        "path": relative,
        "pipeline": scene.recipe.name,
        "owner": scene.recipe.owner,
        "card": None,
        "cardDigest": None,
        "problems": [],
        "generated": {"metrics": [], "plots": []},
        "captions": {},
        "files": {},
    }
    if not path.is_file():
        missing = {"place": "", "expected": f"a file {relative}", "found": "no such file"}
        return Collected(facts | {"problems": [missing]})
    card, problems = scene.card_of(path)
    facts |= {"card": card, "cardDigest": file_digest(path), "problems": problems}
    if card is None:
        return Collected(facts)
    evaluation = scene.facts("evaluation")
    plots, folder = _plots(scene)
    facts["generated"] = {
        "metrics": sorted(evaluation["candidate"]["metrics"]),
        "plots": [plot["file"] for plot in plots],
    }
    page = folder / PAGE
    page.write_text(render(_content(scene, card, plots)), "utf-8")
    facts["captions"] = {plot["file"]: plot["caption"] for plot in plots}
    return Collected(facts, {PAGE: page} | {plot["file"]: folder / plot["file"] for plot in plots})


def _plots(scene: Scene) -> tuple[list[dict[str, str]], Path]:
    """Draw from the predictions that were evaluated; return the pictures and their folder."""
    evaluation = scene.facts("evaluation")
    predictions = scene.evidence_file(evaluation["predictionsDigest"])
    drawn, work = scene.lab.child(
        "plots",
        scene.recipe.name,
        scene.rows,
        scene.limits("model-card"),
        {
            "predictions": str(predictions.resolve()),
            "predictionsDigest": evaluation["predictionsDigest"],
            "comparisons": list(scene.facts("comparison")["comparisons"]),
            "slices": _slices(evaluation, scene.facts("comparison")),
        },
    )
    folder = work / "out"
    return [{**plot, "data": _data(folder / plot["file"])} for plot in drawn["plots"]], folder


def _data(path: Path) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(path.read_bytes()).decode()}"


def _slices(evaluation: Mapping[str, Any], comparison: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the slices of the first metric that has some; one too small has its rows alone.

    Slices the evaluation has none of are no error: the pipeline declares which there are.
    """
    for line in (*comparison["comparisons"], *evaluation.get("bounds", ())):
        if rows := line.get("slices"):
            return [
                {
                    "name": row["slice"],
                    "metric": line["metric"],
                    "n": row["n"],
                    "candidate": row.get("candidate", row.get("value")),
                    "champion": row.get("champion"),
                }
                for row in rows[:_MOST]
            ]
    return []


def _content(scene: Scene, card: Mapping[str, Any], plots: list[dict[str, str]]) -> dict[str, Any]:
    """Return everything the page shows."""
    candidate, recipe = scene.case.candidate, scene.recipe
    evaluation = scene.facts("evaluation")
    profile, validation = scene.facts("data-profile"), scene.facts("data-validation")
    champion = (evaluation["champion"] or {}).get("metrics", {})
    return {
        "name": recipe.name,
        "version": candidate.version,
        "owner": card["metadata"]["owner"],
        "card": card["spec"],
        "task": recipe.task,
        "rows": evaluation["rows"],
        "champion": (evaluation["champion"] or {}).get("version"),
        "metrics": [
            (name, value, champion.get(name))
            for name, value in sorted(evaluation["candidate"]["metrics"].items())
        ],
        "comparisons": scene.facts("comparison")["comparisons"],
        "slices": _slices(evaluation, scene.facts("comparison")),
        "risk": sorted(recipe.risk.items()),
        "profile": [
            ("source", profile["source"]),
            ("rows", f"{profile['rows']:,}"),
            ("columns", ", ".join(profile["columns"])),
            ("window", " to ".join(str(v or "open") for v in profile["window"].values())),
            ("target", profile["target"]),
            ("expectations", f"{validation['successful']} of {validation['evaluated']} hold"),
        ],
        "digests": [
            ("model files", candidate.artifact_digest),
            ("data", candidate.data_digest),
            ("pipeline", candidate.pipeline_digest),
            ("code commit", candidate.code_commit),
            ("MLflow run", candidate.run_id),
        ],
        "plots": plots,
    }


def render(content: Mapping[str, Any]) -> str:
    """Return the page."""
    import jinja2

    place = Path(__file__).parents[1] / "templates"
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(place),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(f"{PAGE}.j2").render(content)
