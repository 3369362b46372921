"""Where one platform lives: its paths, addresses and secrets, as its processes see them.

A `Site` is a plain value. `make up` builds one from the folder `.airlock`; the compose test
builds one from the names of compose variables. So both describe the same processes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

#: Airflow's scheduler answers its health check on Airflow's port plus this (8080 -> 8974).
HEALTH_PORT_OFFSET = 894


@dataclass(frozen=True)
class Site:
    """Everything a process of the platform has to be told."""

    root: str
    home: str
    #: The YAML files, and the pinned data.
    config_dir: str
    data_dir: str
    #: PostgreSQL URLs by role, in SQLAlchemy's form: airflow_app, mlflow_app, airlock_*.
    urls: dict[str, str]
    #: fernet_key, jwt_secret, api_secret_key, mlflow_worker
    secrets: dict[str, str] = field(repr=False)
    airflow_port: int = 8080
    mlflow_port: int = 5000
    #: The address servers listen on, and the names others reach them by.
    bind: str = "127.0.0.1"
    airflow_host: str = "127.0.0.1"
    mlflow_host: str = "127.0.0.1"
    #: Host names MLflow answers to besides mlflow_host (it refuses other Host headers).
    mlflow_names: tuple[str, ...] = ("localhost", "127.0.0.1")
    #: How people's browsers reach Airflow.
    public_url: str = ""
    mlflow_public_url: str = ""
    #: Folders of DAGs beside `<root>/dags`.
    own_dags: tuple[str, ...] = ()
    #: Aliases in MLflow that move by grants alone, by commas; empty means the guard's own list.
    protected_aliases: str = ""
    #: What the detector sets back: "off" or "alias".
    detector_revert: str = "off"
    #: What the caller has set of Slack, by variable; empty: there is no process for it.
    slack: dict[str, str] = field(default_factory=dict, repr=False)
    #: Who hears by e-mail that Slack takes no messages, by commas.
    alert_mail: str = ""
    #: What the caller has set of the disk, by variable.
    disk: dict[str, str] = field(default_factory=dict)
    #: Airflow's number for airlock-service; known once the users exist.
    service_user_id: str = ""

    @property
    def airflow_url(self) -> str:
        """Return how processes of the platform reach Airflow's API server."""
        return f"http://{self.airflow_host}:{self.airflow_port}"

    @property
    def mlflow_url(self) -> str:
        """Return how processes of the platform reach MLflow."""
        return f"http://{self.mlflow_host}:{self.mlflow_port}"

    @property
    def health_port(self) -> int:
        """Return the port of the scheduler's own health check."""
        return self.airflow_port + HEALTH_PORT_OFFSET

    @property
    def signing_key(self) -> str:
        """Return the file of the private key; only deciders are told it."""
        return f"{self.home}/secrets/signing.pem"

    @property
    def model_signing_key(self) -> str:
        """Return the file of the private key that signs trained models; workers are told it."""
        return f"{self.home}/training/model-signing.pem"

    @property
    def gate_signing_key(self) -> str:
        """Return the file of the private key that signs gate results; workers are told it."""
        return f"{self.home}/training/gate-signing.pem"

    @property
    def service_password_file(self) -> str:
        """Return the file with the password of airlock-service."""
        return f"{self.home}/secrets/service_password"
