"""Which of MLflow's addresses answer on a guarded server, and which are switched off.

Off is what a model registry does not need and what runs code, calls other servers or hands out
addresses of the store. Every address is classified by the function behind it: one that nobody has
classified (a newer MLflow) stops the start, because it may be another way to move an alias or to
write a file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

#: Modules of MLflow's whose addresses run jobs, tools, skills or other people's models.
OFF_MODULES = (
    "mlflow.server.job_api",
    "mlflow.server.gateway_api",
    "mlflow.server.assistant",
    "mlflow.server.mcp_server_api",
    "mlflow.server.skill_registry_api",
)
#: The same among its older handlers, by the names of their functions.
OFF_HANDLERS = re.compile(
    r"gateway|_job\b|invoke_|_workspace|presigned_upload|promptlab|demo|online_scoring|"
    r"supported_(models|providers)|provider_config|secrets_config|issue_detection"
)
#: What answers, by module and function. Whatever writes does so through the guarded stores.
ON_ROUTES = frozenset(
    [
        "mlflow.server.artifact_router.download_artifact",
        "mlflow.server.artifact_router.upload_artifact",
        "mlflow.server.otel_api.export_traces",
        "mlflow.server.server_info_api.get_server_info",
        "mlflow.server.server_info_api.health",
    ]
)
#: The same among its older handlers.
ON_HANDLERS = frozenset(
    ["Flask.__init__.<locals>.<lambda>", "_abort_multipart_upload_artifact",
     "_add_dataset_to_experiments_handler", "_add_guardrail_to_endpoint",
     "_add_items_to_review_queue", "_batch_get_trace_infos", "_batch_get_traces",
     "_calculate_trace_filter_correlation", "_complete_multipart_upload_artifact",
     "_create_assessment", "_create_budget_policy", "_create_dataset_handler",
     "_create_experiment", "_create_issue", "_create_label_schema", "_create_logged_model",
     "_create_model_version", "_create_multipart_upload_artifact",
     "_create_presigned_download_url", "_create_registered_model", "_create_review_queue",
     "_create_run", "_create_webhook", "_delete_artifact_mlflow_artifacts",
     "_delete_assessment", "_delete_budget_policy", "_delete_dataset_handler",
     "_delete_dataset_records_handler", "_delete_dataset_tag_handler", "_delete_experiment",
     "_delete_experiment_tag", "_delete_label_schema", "_delete_logged_model",
     "_delete_logged_model_tag", "_delete_model_version", "_delete_model_version_tag",
     "_delete_registered_model", "_delete_registered_model_alias",
     "_delete_registered_model_tag", "_delete_review_queue", "_delete_run",
     "_delete_scorer", "_delete_tag", "_delete_trace_tag", "_delete_trace_tag_v3",
     "_delete_traces", "_delete_webhook", "_deprecated_end_trace_v2",
     "_deprecated_get_trace_info_v2", "_deprecated_search_traces_v2",
     "_deprecated_start_trace_v2", "_download_artifact", "_finalize_logged_model",
     "_get_assessment", "_get_budget_policy", "_get_dataset_experiment_ids_handler",
     "_get_dataset_handler", "_get_dataset_records_handler", "_get_experiment",
     "_get_experiment_by_name", "_get_issue", "_get_label_schema",
     "_get_label_schema_by_name", "_get_latest_versions", "_get_logged_model",
     "_get_metric_history", "_get_model_version", "_get_model_version_by_alias",
     "_get_model_version_download_uri", "_get_or_create_user_queue",
     "_get_presigned_download_url", "_get_registered_model", "_get_review_queue",
     "_get_review_queue_by_name", "_get_run", "_get_scorer", "_get_server_info",
     "_get_trace", "_get_trace_info_v3", "_get_webhook", "_graphql",
     "_link_prompts_to_trace", "_link_traces_to_run", "_list_artifacts",
     "_list_artifacts_mlflow_artifacts", "_list_budget_policies", "_list_budget_windows",
     "_list_endpoint_guardrail_configs", "_list_label_schemas",
     "_list_logged_model_artifacts", "_list_review_queue_items", "_list_review_queues",
     "_list_scorer_versions", "_list_scorers", "_list_webhooks", "_log_batch",
     "_log_inputs", "_log_logged_model_params", "_log_metric", "_log_model", "_log_outputs",
     "_log_param", "_not_implemented", "_query_trace_metrics", "_register_scorer",
     "_remove_dataset_from_experiments_handler", "_remove_guardrail_from_endpoint",
     "_remove_items_from_review_queue", "_rename_registered_model", "_restore_experiment",
     "_restore_run", "_search_evaluation_datasets_handler", "_search_experiments",
     "_search_issues", "_search_logged_models", "_search_model_versions",
     "_search_prompt_optimization_jobs", "_search_registered_models", "_search_runs",
     "_search_traces_v3", "_set_dataset_tags_handler", "_set_experiment_tag",
     "_set_logged_model_tags", "_set_model_version_tag", "_set_registered_model_alias",
     "_set_registered_model_tag", "_set_review_queue_item_status", "_set_tag",
     "_set_trace_tag", "_set_trace_tag_v3", "_start_trace_v3", "_test_webhook",
     "_transition_stage", "_update_assessment", "_update_budget_policy",
     "_update_endpoint_guardrail_config", "_update_experiment", "_update_issue",
     "_update_label_schema", "_update_model_version", "_update_registered_model",
     "_update_review_queue", "_update_run", "_update_webhook", "_upload_artifact",
     "_upsert_dataset_records_handler", "get_metric_history_bulk_interval_handler",
     "health", "serve", "serve_artifacts", "serve_get_logged_model_artifact",
     "serve_get_metric_history_bulk", "serve_get_metric_history_bulk_interval",
     "serve_get_trace_artifact", "serve_get_ui_telemetry", "serve_model_version_artifact",
     "serve_post_ui_telemetry", "serve_search_datasets", "serve_static_file",
     "serve_upload_artifact", "version"]
)  # fmt: skip


def is_off(route: Any) -> bool:
    """Say whether a route of MLflow's FastAPI application is switched off."""
    return _module(route).startswith(OFF_MODULES)


def unclassified(routes: Iterable[Any], views: Iterable[Callable[..., Any]]) -> list[str]:
    """Return the addresses nobody has classified, by the functions behind them."""
    names = {_name(route) for route in routes if not is_off(route)} - ON_ROUTES
    handlers = {view_name(view) for view in views}
    return sorted(names) + sorted(
        name for name in handlers - ON_HANDLERS if not OFF_HANDLERS.search(name)
    )


def view_name(view: Callable[..., Any]) -> str:
    """Return the name a handler is classified by."""
    return str(getattr(view, "__qualname__", type(view).__name__))


def _module(route: Any) -> str:
    return str(getattr(getattr(route, "endpoint", None), "__module__", ""))


def _name(route: Any) -> str:
    return f"{_module(route)}.{view_name(route.endpoint)}" if _module(route) else repr(route)
