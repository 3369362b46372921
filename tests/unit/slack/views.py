"""What the renderers are given: documents of real releases, made by the services over SQLite.

Ids and digests are random, or change with the test policy; `steady` gives them fixed ones, so that
a golden file changes when what people see does, and not otherwise. What the small test pipeline
cannot measure (other gates, a champion's metrics) is laid over the document by `measured`.
"""

from __future__ import annotations

import copy
import json
import re
from datetime import timedelta
from typing import Any

from airlock.adapters.sql_store import SqlStore
from airlock.domain.clock import stamp
from airlock.domain.people.actors import Actor, Channel
from airlock.services.approvals import break_glass, policy_registry
from airlock.services.queries import releases
from airlock.testing import PEOPLE, RULEBOOK, FakeClock, World, pipeline_document

View = dict[str, Any]

ACCOUNTS = {"lena": "U01LENA", "carla": "W02CARLA", "mara": "U03MARA", "ana": "U04ANA"}
PAGE = "https://airflow.example.org/airlock/releases"
GATE = "metrics-threshold:roc_auc"
RUN = Actor.system("run", Channel.DAG)
_ID = r"(?:rel|grant|fin|del)-[0-9a-f]{10,16}"


def rulebook() -> dict[str, Any]:
    """Return the test policy with what a policy may have on top: a glass, waivers, superiors."""
    document = copy.deepcopy(dict(RULEBOOK))
    access, approval = document["access"]["spec"], document["approval"]["spec"]
    access["roles"]["operator"] = {"inherits": ["viewer"], "permissions": ["release:promote"]}
    access["roles"]["compliance_officer"]["permissions"].append("gate:waive")
    access["superiors"] = {"algorithm_lead": "mina"}
    approval["enforcement"] = {
        "metrics-threshold": dict.fromkeys(("high", "medium", "low"), "soft")
    }
    approval["breakGlass"] = {
        "roles": ["algorithm_lead", "compliance_officer"],
        "people": 2,
        "hours": 4,
        "reviewers": ["security_auditor"],
    }
    return document


class Scene:
    """A world on a clock of its own, and the views of its releases."""

    def __init__(self, url: str) -> None:
        """Begin at a fixed time."""
        self.clock = FakeClock()
        self.store = SqlStore(url, pooled=False, clock=self.clock)
        folks = {**PEOPLE, "bea": "compliance_officer", "otto": "operator"}
        self.world = World(self.store, rulebook=rulebook(), folks=folks)
        self.keys, self.actor = self.world.keys, self.world.actor

    def view(self, release_id: str, viewer: str = "", **more: Any) -> View:
        """Return the document of a release that the renderers receive."""
        release = releases.show(
            self.store, self.keys, release_id, self.actor(viewer) if viewer else None
        )
        with self.store.begin() as unit:
            names = {person.id: person.name for person in unit.people()}
        names["luis"] = "Luis Alonso"
        due = stamp(self.clock.at + timedelta(hours=72))
        added = {
            "deadline": due if release["state"] == "AWAITING_APPROVAL" else None,
            "slackMayAnswer": True,
            "accounts": ACCOUNTS,
            "names": names,
            "page": f"{PAGE}/{release_id}",
        }
        return steady({**release, **added, **more})

    def promoted(self, run: str) -> str:
        """Take a release the whole way."""
        release_id = self.world.open(run)
        self.world.approve_all(release_id)
        self.world.promote(release_id, run)
        return release_id

    def blocked(self, run: str = "weak") -> str:
        """Open a release whose only gate says no."""
        opened = self.world.request(self.world.measure(run, auc=0.6)).release
        assert opened is not None
        return opened.id

    def asks(self, threshold: float) -> None:
        """Register the pipeline with another threshold, and use it from now on."""
        document = pipeline_document()
        document["spec"]["gates"][0]["threshold"] = threshold
        policy_registry.register(self.store, self.world.rulebook.document, [document])
        self.world.pipeline = document

    def smash(self, release_id: str, *names: str) -> None:
        """Break the glass, each in turn."""
        for name in names:
            signer, actor = self.world.signer, self.actor(name)
            reason = "the fraud model lets everything through"
            break_glass.break_glass(self.store, signer, release_id, actor, reason, "INC-4711")


def measured(view: View) -> View:
    """Return a view with gates of every verdict and weight, and a champion to compare with."""
    gates = [
        gate("data-validation", "PASSED", 1.0, 1.0),
        gate("latency", "FAILED", 180.25, 150.0, unit="ms", enforcement="advisory"),
        gate("fairness", "ERRORED", enforcement="soft"),
        gate("performance-regression:roc_auc", "PASSED", 0.0021, -0.005),
    ]
    metrics = [
        {"metric": "rmse", "direction": "lower", "candidate": 3.25, "champion": 3.5},
        {"metric": "roc_auc", "direction": "higher", "candidate": 0.8, "champion": 0.7979},
    ]
    line = {"version": "6", "epoch": 6}
    extras = {"gates": [*view["gates"], *gates], "metrics": metrics, "line": line}
    return {**view, **extras, "championVersion": "6"}


def gate(
    key: str,
    verdict: str,
    measured: float | None = None,
    threshold: float | None = None,
    *,
    unit: str = "",
    enforcement: str = "hard",
) -> dict[str, Any]:
    """Return a gate's result as a release's document has it."""
    return {
        "gate": key.partition(":")[0],
        "key": key,
        "verdict": verdict,
        "message": f"{key} was measured",
        "measured": measured,
        "threshold": threshold,
        "n": 1000,
        "unit": unit,
        "evidence": [],
        "details": {},
        "enforcement": enforcement,
    }


def steady(view: View) -> View:
    """Return a view with fixed ids and digests."""
    text = json.dumps(view)
    digests = dict.fromkeys(re.findall(r"sha256:[0-9a-f]{64}", text))
    for number, original in enumerate(digests, 1):
        text = text.replace(original, f"sha256:{number:012x}{number:052x}")
        text = text.replace(original[7:19], f"{number:012x}")
    for number, original in enumerate(dict.fromkeys(re.findall(_ID, text)), 1):
        text = text.replace(original, f"{original.partition('-')[0]}-{number:010x}")
    fixed: View = json.loads(text)
    return fixed


INBOX: dict[str, Any] = {
    "waiting": [
        {
            "id": "rel-0000000001",
            "model": "credit",
            "version": "7",
            "environment": "production",
            "tier": "high",
            "level": 2,
            "deadline": "2026-11-27T12:00:00.000000000Z",
            "page": f"{PAGE}/rel-0000000001",
        },
        {
            "id": "rel-0000000002",
            "model": "churn",
            "version": "3",
            "environment": "production",
            "tier": "low",
            "level": 1,
            "deadline": None,
            "page": f"{PAGE}/rel-0000000002",
        },
    ],
    "decided": [
        {
            "id": "rel-0000000003",
            "model": "churn",
            "version": "2",
            "decision": "reject",
            "at": "2026-11-20T09:30:00.000000000Z",
            "page": f"{PAGE}/rel-0000000003",
        }
    ],
    "delegations": [
        {
            "giver": "mara",
            "taker": "milo",
            "start": "2026-11-24T00:00:00.000000000Z",
            "end": "2026-12-01T00:00:00.000000000Z",
            "reason": "on leave",
        }
    ],
    "page": PAGE,
}
