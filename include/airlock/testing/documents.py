"""A small policy, its people and a pipeline, as configuration would have validated them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RULEBOOK: Mapping[str, Any] = {
    "risk": {
        "spec": {
            "facts": {"impact": ["none", "direct"]},
            "rules": [{"tier": "low", "when": {"impact": "none"}}],
            "otherwise": "high",
        }
    },
    "approval": {
        "spec": {
            "environments": {
                "staging": {"gates": True, "people": False, "alias": "staging"},
                "production": {"gates": True, "people": True, "alias": "champion"},
            },
            "requiredGates": [],
            "grantHours": 336,
            "tiers": {
                "low": {"levels": [{"name": "lead", "rules": [{"role": "algorithm_lead"}]}]},
                "high": {
                    "levels": [
                        {"name": "lead", "rules": [{"role": "algorithm_lead", "count": 1}]},
                        {"name": "compliance", "rules": [{"role": "compliance_officer"}]},
                        {"name": "committee", "rules": [{"role": "risk_committee", "count": 2}]},
                    ]
                },
            },
        }
    },
    "access": {
        "spec": {
            "roles": {
                "viewer": {"inherits": [], "permissions": ["release:read"]},
                "developer": {"inherits": ["viewer"], "permissions": ["release:withdraw"]},
                "algorithm_lead": {"inherits": ["viewer"], "permissions": ["release:vote"]},
                "compliance_officer": {"inherits": ["viewer"], "permissions": ["release:vote"]},
                "risk_committee": {"inherits": ["viewer"], "permissions": ["release:vote"]},
                "security_auditor": {
                    "inherits": ["viewer"],
                    "permissions": [
                        "audit:read",
                        "audit:verify",
                        "audit:export",
                        "evidence:export",
                        "approver:enrol",
                    ],
                },
                "admin": {
                    "inherits": ["developer"],
                    "permissions": ["user:read", "people:erase", "approver:enrol"],
                },
            },
            "airflowRoles": {
                name: name
                for name in (
                    "viewer",
                    "developer",
                    "algorithm_lead",
                    "compliance_officer",
                    "risk_committee",
                    "security_auditor",
                    "admin",
                )
            },
        }
    },
}

#: Everybody of the demo, with the roles held.
PEOPLE: Mapping[str, str] = {
    "ana": "developer",
    "lena": "algorithm_lead",
    "luis": "algorithm_lead",
    "carla": "compliance_officer",
    "mara": "risk_committee",
    "milo": "risk_committee",
    "mina": "risk_committee",
    "sam": "security_auditor",
    "vera": "viewer",
    "admin": "admin",
}


def pipeline_document(impact: str = "direct", environment: str = "production") -> dict[str, Any]:
    """Return a pipeline whose only gate is a threshold on roc_auc."""
    return {
        "metadata": {"name": "credit", "owner": "ana"},
        "spec": {
            "sourceCode": {"path": "include/models/credit"},
            "whenReleaseOpen": "keep",
            "environment": environment,
            "risk": {"impact": impact},
            "gates": [{"gate": "metrics-threshold", "metric": "roc_auc", "threshold": 0.7}],
        },
    }
