"""The operator, the demo people and the rights of each role in Airflow: data only.

`provision.py` in plugins/ writes this into Airflow's own login. Rules: everybody may look;
a developer may also start a run; nobody but Airflow's `Admin` may change a task's state;
only airlock-service may answer the prompt a waiting release parks on. These are rights in
Airflow. Who may vote on a release is decided by Airlock's AccessPolicy, never here.
"""

from __future__ import annotations

SERVICE = "airlock-service"

_READ = (
    *("DAGs", "DAG Code", "DAG Dependencies", "DAG Runs", "DAG Versions", "DAG Warnings"),
    *("Task Instances", "Task Logs", "XComs", "Assets", "Asset Aliases", "HITL Detail"),
    *("ImportError", "Jobs", "Pools", "Cluster Activity", "Website", "My Profile", "My Password"),
    # The navigation asks the server for the plugins; without this right "Releases" is missing.
    "Plugins",
)
_MENU = (
    *("Browse", "DAGs", "DAG Runs", "DAG Dependencies", "Task Instances", "Assets", "HITL Detail"),
    *("Docs", "Documentation"),
)

#: What everybody may do: read, open the menus, change the own password.
LOOK: tuple[tuple[str, str], ...] = (
    *(("can_read", resource) for resource in _READ),
    *(("menu_access", resource) for resource in _MENU),
    ("can_edit", "My Profile"),
    ("can_edit", "My Password"),
)
#: Starting a run; pausing a DAG is an edit of the DAG.
RUN: tuple[tuple[str, str], ...] = (("can_create", "DAG Runs"), ("can_edit", "DAGs"))
#: Waking a parked task. Airflow asks for the right to edit the DAG as well.
WAKE: tuple[tuple[str, str], ...] = (
    ("can_edit", "HITL Detail"),
    ("can_edit", "DAGs"),
    ("can_edit", "DAG Runs"),
    # An event that starts the runs of a pipeline whose code was committed.
    ("can_create", "Assets"),
    # Its DAG that sends an e-mail.
    ("can_create", "DAG Runs"),
    # Airlock keeps its list of approvers in step with Airflow's log-ins.
    ("can_read", "Users"),
)

#: Rights in Airflow, by role. The names are Airlock's role names.
ROLES: dict[str, tuple[tuple[str, str], ...]] = {
    "viewer": LOOK,
    "developer": (*LOOK, *RUN),
    "operator": (*LOOK, *RUN),
    "algorithm_lead": LOOK,
    "compliance_officer": LOOK,
    "risk_committee": LOOK,
    "security_auditor": LOOK,
    "airlock_service": (*LOOK, *WAKE),
}

#: User name, given name, family name, role in Airflow.
Entry = tuple[str, str, str, str]
#: The account `airlock up` makes: whoever runs the platform, and nobody else.
OPERATOR: Entry = ("admin", "Ada", "Admin", "Admin")
#: Everybody of the demo; they come with `airlock demo` alone.
PEOPLE: tuple[Entry, ...] = (
    ("ana", "Ana", "Requester", "developer"),
    ("lena", "Lena", "Lead", "algorithm_lead"),
    ("luis", "Luis", "Lead", "algorithm_lead"),
    ("carla", "Carla", "Compliance", "compliance_officer"),
    ("mara", "Mara", "Committee", "risk_committee"),
    ("milo", "Milo", "Committee", "risk_committee"),
    ("mina", "Mina", "Committee", "risk_committee"),
    ("sam", "Sam", "Auditor", "security_auditor"),
    OPERATOR,
    ("vera", "Vera", "Viewer", "viewer"),
)
