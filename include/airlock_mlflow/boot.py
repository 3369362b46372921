"""Refuse to start half-guarded.

Every public method of MLflow's stores is classified here and in `runs`, and every address in
`surface`. One that nobody has classified (a newer MLflow) stops the start, because it may be
another way to move an alias or to write a file.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterable, Mapping

from airlock.domain.errors import Invalid
from airlock_mlflow import runs, surface
from airlock_mlflow.guard import Guard
from airlock_mlflow.places import SCHEME
from airlock_mlflow.settings import PROXIES

#: The version every list here was read from.
MLFLOW = "3.18"

#: The registry's methods the guard has its own version of.
GUARDED = frozenset(
    [
        "create_model_version",
        "create_registered_model",
        "delete_model_version",
        "delete_model_version_tag",
        "delete_registered_model",
        "delete_registered_model_alias",
        "delete_registered_model_tag",
        "get_model_version",
        "get_model_version_by_alias",
        "get_model_version_download_uri",
        "get_registered_model",
        "rename_registered_model",
        "search_registered_models",
        "set_model_version_tag",
        "set_registered_model_alias",
        "set_registered_model_tag",
        "transition_model_version_stage",
    ]
)
#: Those that write nothing.
READING = frozenset(
    [
        "get_latest_versions",
        "get_prompt",
        "get_prompt_version",
        "get_prompt_version_by_alias",
        "get_webhook",
        "list_webhooks",
        "list_webhooks_by_event",
        "search_model_versions",
        "search_prompt_versions",
        "search_prompts",
        "supports_workspaces",
        "ManagedSessionMaker",
    ]
)
#: Those that write, but neither an alias, a name, a place nor a file: texts, links and webhooks.
HARMLESS = frozenset(
    [
        "create_webhook",
        "delete_webhook",
        "link_prompt_version_to_model",
        "link_prompt_version_to_run",
        "link_prompts_to_trace",
        "test_webhook",
        "update_model_version",
        "update_registered_model",
        "update_webhook",
    ]
)
#: Those that only call the others.
COMPOSED = frozenset(
    [
        "copy_model_version",
        "create_prompt",
        "create_prompt_version",
        "delete_prompt",
        "delete_prompt_alias",
        "delete_prompt_tag",
        "delete_prompt_version",
        "delete_prompt_version_tag",
        "set_prompt_alias",
        "set_prompt_tag",
        "set_prompt_version_tag",
    ]
)
REGISTRY = GUARDED | READING | HARMLESS | COMPOSED | {"CREATE_MODEL_VERSION_RETRIES"}

#: The methods of the two kinds of stores for files.
FILES = frozenset(
    [
        "log_artifact",
        "log_artifacts",
        "log_artifact_from_stream",
        "log_artifact_from_async_stream",
        "delete_artifacts",
        "create_multipart_upload",
        "complete_multipart_upload",
        "abort_multipart_upload",
        "create_presigned_upload_url",
        "upload_archived_trace_data_bytes",
        "upload_trace_data",
        "upload_archived_trace_data",
        "upload_attachment",
        "flush_async_logging",
        "artifact_dir",
        "download_archived_trace_data",
        "download_artifacts",
        "download_trace_attachment",
        "download_trace_attachment_to_file",
        "download_trace_data",
        "download_trace_data_to_file",
        "get_download_presigned_url",
        "get_local_path",
        "get_s3_file_upload_extra_args",
        "list_artifacts",
        "max_workers",
        "parse_s3_compliant_uri",
    ]
)

#: Variable -> what it has to be for the server to be guarded, and why.
_SWITCHES: Mapping[str, tuple[str, str]] = {
    "_MLFLOW_SGI_NAME": ("uvicorn", "under another server the door would be left out"),
    "_MLFLOW_SERVER_SERVE_ARTIFACTS": ("true", "files that are not served cannot be frozen"),
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": ("false", "jobs run code on the server"),
    "MLFLOW_ENABLE_AI_GATEWAY": ("false", "the gateway calls other servers"),
}
#: Variables that have to be absent or false.
_ABSENT = {
    "_MLFLOW_SERVER_ARTIFACTS_ONLY": "the registry would be left out",
    "_MLFLOW_SERVER_READ_REPLICA_BACKEND_STORE": "a replica answers with what was true before",
    "MLFLOW_ENABLE_WORKSPACES": "deleting a workspace moves aliases past the registry",
    "MLFLOW_ENABLE_REMOTE_ASSISTANT": "the assistant runs commands on the server",
    "MLFLOW_ARTIFACTS_PRESIGNED_ONLY": "clients would write files past the server",
    "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE": "any web page could use a person's login",
}


def check(guard: Guard, environ: Mapping[str, str] = os.environ) -> None:
    """Refuse to go on unless everything is guarded.

    Raises:
        Invalid: naming what is not.
    """
    problems = [*_addresses(environ), *_switches(environ), *_proxies(guard, environ)]
    problems += unknown()
    problems += _plugins()
    missing = guard.missing_tables()
    if missing:
        problems.append(
            f"the tables {', '.join(missing)} are missing: run `python -m airlock_mlflow.schema`"
        )
    if problems:
        raise Invalid(
            "this MLflow server would not be guarded, so it does not start: " + "; ".join(problems),
            next_step="`airlock up` and docker-compose.yml show how it is started.",
        )


def unknown() -> list[str]:
    """Return what nobody has classified in this MLflow: version, methods and addresses."""
    return [
        *_version(),
        *unclassified(_registry_methods(), REGISTRY, "registry operations"),
        *unclassified(_file_methods(), FILES, "operations on files"),
        *unclassified(runs.unclassified(), frozenset(), "operations on runs"),
        *unclassified(_addresses_of_mlflow(), frozenset(), "addresses"),
    ]


def end_server() -> None:
    """End the process that would start this one again, so that the whole server ends, not zero.

    With several workers uvicorn's parent replaces a worker that does not start for ever, and ends
    with zero when it is asked to end. A signal it does not handle makes it end as it should.
    """
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid == os.getppid():
        os.kill(os.getppid(), signal.SIGUSR1)


def unclassified(names: Iterable[str], classified: frozenset[str], kind: str) -> list[str]:
    """Return a problem if there are methods nobody has classified."""
    new = sorted(set(names) - classified)
    return [f"this MLflow has {kind} nobody has classified: {', '.join(new)}"] if new else []


def check_switched_off(count: int) -> None:
    """Refuse to go on if what is to be off was not found: MLflow has changed."""
    if count < 20:
        raise Invalid(f"only {count} of MLflow's dangerous addresses were found to switch off")


def _addresses(environ: Mapping[str, str]) -> Iterable[str]:
    if not environ.get("_MLFLOW_SERVER_REGISTRY_STORE", "").startswith("airlock:"):
        yield "--registry-store-uri is not airlock://backend"
    if not environ.get("_MLFLOW_SERVER_ARTIFACT_DESTINATION", "").startswith(
        (f"{SCHEME}file:", f"{SCHEME}s3:")
    ):
        yield f"--artifacts-destination is neither {SCHEME}file:///... nor {SCHEME}s3://..."
    if not environ.get("_MLFLOW_SERVER_ARTIFACT_ROOT", "").startswith("mlflow-artifacts:"):
        yield "--default-artifact-root is set, so clients would write files past the server"


def _switches(environ: Mapping[str, str]) -> Iterable[str]:
    for name, (expected, why) in _SWITCHES.items():
        if environ.get(name, "").lower() != expected:
            yield f"{name} is not {expected}: {why}"
    for name, why in _ABSENT.items():
        if environ.get(name, "").lower() not in ("", "false", "0"):
            yield f"{name} is set: {why}"


def _proxies(guard: Guard, environ: Mapping[str, str]) -> Iterable[str]:
    if guard.settings.proxies and environ.get("FORWARDED_ALLOW_IPS") != "":
        yield f"{PROXIES} needs FORWARDED_ALLOW_IPS set and empty, or addresses can be forged"


def _version() -> Iterable[str]:
    from mlflow.version import VERSION

    if not VERSION.startswith(f"{MLFLOW}."):
        yield f"MLflow is {VERSION}, and the guard was read against {MLFLOW}"


def _plugins() -> Iterable[str]:
    from mlflow.server.handlers import _model_registry_store_registry
    from mlflow.store.artifact.artifact_repository_registry import _artifact_repository_registry

    for scheme, registry in (
        ("airlock", _model_registry_store_registry),
        (f"{SCHEME}file", _artifact_repository_registry),
        (f"{SCHEME}s3", _artifact_repository_registry),
    ):
        entry = registry._registry.get(scheme)
        if getattr(entry, "__module__", "") != "airlock_mlflow.plugin":
            yield f"MLflow has not found the guard's {scheme}: is it installed beside it?"


def _registry_methods() -> Iterable[str]:
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore

    return (name for name in dir(SqlAlchemyStore) if not name.startswith("_"))


def _addresses_of_mlflow() -> Iterable[str]:
    from mlflow.server import app as flask_app
    from mlflow.server.fastapi_app import app
    from starlette.routing import Mount

    own = [route for route in app.router.routes if not _is_flask(route, Mount)]
    return surface.unclassified(own, flask_app.view_functions.values())


def _is_flask(route: object, mount: type) -> bool:
    """Say whether a route is the one behind which all older handlers are."""
    return isinstance(route, mount) and getattr(route, "path", None) == ""


def _file_methods() -> Iterable[str]:
    from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
    from mlflow.store.artifact.s3_artifact_repo import S3ArtifactRepository

    for kind in (LocalArtifactRepository, S3ArtifactRepository):
        yield from (name for name in dir(kind) if not name.startswith("_"))
    if not hasattr(LocalArtifactRepository, "_publish_staged_artifact"):
        yield "(files are published in another way)"
