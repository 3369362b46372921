"""Child: hold the data against the model's suite, and write the data docs as static HTML.

A suite that raises or is empty is a failure of its own: no expectation met is not a success. An
expectation that raised, and one that looked at no value, are told apart from those that hold.
"""

from __future__ import annotations

import logging
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airlock.adapters.jobs.errors import SuiteInvalid
from airlock.adapters.jobs.shared import job, pinned_rows, user_script

if TYPE_CHECKING:
    import pandas

_MAX_FAILED = 200
#: Expectations that name a column and look at none of its values.
_OF_THE_TABLE = ("expect_column_to_exist",)


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Validate all rows and report each expectation that was not met."""
    table = pinned_rows.load(request)
    pinned_rows.split(request, table)
    # Left alone it prints hundreds of lines on import when structlog is set up.
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    result = _run(request, table, _expectations(request))
    outcomes = list(result.results)
    raised = [(outcome, why) for outcome in outcomes if (why := _exception(outcome))]
    evaluated = [outcome for outcome in outcomes if not _exception(outcome)]
    good = [outcome for outcome in evaluated if outcome.success]
    unseen = [outcome for outcome in good if _count_values(outcome, table) == 0]
    return {
        "suite": request["name"],
        "success": len(good) == len(outcomes),
        "evaluated": len(outcomes),
        "successful": len(good) - len(unseen),
        "failed": [_failed(outcome) for outcome in evaluated if not outcome.success][:_MAX_FAILED],
        "raised": [_named(outcome) | {"why": why} for outcome, why in raised],
        "unseen": [_named(outcome) for outcome in unseen],
        "rows": len(table),
        "newest": _newest(table, request["data"]["timeColumn"]),
    }


def _newest(table: pandas.DataFrame, column: str | None) -> str | None:
    """Return the day of the newest row, if the rows have times."""
    return str(table[column].max())[:10] if column else None


def _run(request: dict[str, Any], table: pandas.DataFrame, expectations: list[Any]) -> Any:
    """Run the suite through a checkpoint that also writes the docs."""
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    docs = Path(request["out"])
    context.add_data_docs_site(
        site_name="docs",
        site_config={
            "class_name": "SiteBuilder",
            "show_how_to_buttons": False,
            "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
            "store_backend": {
                "class_name": "TupleFilesystemStoreBackend",
                "base_directory": str(docs),
            },
        },
    )
    suite = context.suites.add(gx.ExpectationSuite(request["name"], expectations=expectations))
    asset = context.data_sources.add_pandas("rows").add_dataframe_asset(request["name"])
    batch = asset.add_batch_definition_whole_dataframe("all")
    definition = gx.ValidationDefinition(name=request["name"], data=batch, suite=suite)
    checked = context.validation_definitions.add(definition)
    checkpoint = gx.Checkpoint(
        name=request["name"],
        validation_definitions=[checked],
        actions=[gx.checkpoint.UpdateDataDocsAction(name="docs")],
        result_format="SUMMARY",
    )
    run = context.checkpoints.add(checkpoint).run(batch_parameters={"dataframe": table})
    (result,) = run.run_results.values()
    return result


def _expectations(request: dict[str, Any]) -> list[Any]:
    """Return the user's expectations."""
    path = Path(request["suite"])
    try:
        expectations = list(user_script.load(path).expectations())
    except BaseException as error:
        traceback.print_exc()
        raise SuiteInvalid(
            f"suite of {request['name']} raised {user_script.describe(error, path.parent)}"
        ) from error
    if not expectations:
        raise SuiteInvalid(
            f"suite of {request['name']} has no expectations; an empty suite proves nothing"
        )
    return expectations


def _named(outcome: Any) -> dict[str, str]:
    """Return the name of an expectation and its column."""
    config = outcome.expectation_config
    return {"expectation": str(config.type), "column": ", ".join(_columns(config.kwargs))}


def _columns(settings: Any) -> list[str]:
    single = [settings.get(key) for key in ("column", "column_A", "column_B")]
    return [str(name) for name in [*single, *settings.get("column_list", ())] if name is not None]


def _exception(outcome: Any) -> str:
    """Return the exception of a check; GX keeps it plainly, or once per failed metric."""
    about = outcome.exception_info or {}
    entries = [about] if "raised_exception" in about else list(about.values())
    for entry in entries:
        if isinstance(entry, dict) and entry.get("raised_exception"):
            return " ".join(str(entry.get("exception_message") or "an exception").split())[:300]
    return ""


def _count_values(outcome: Any, table: pandas.DataFrame) -> int | None:
    """Count the values an expectation looked at; None if it is about the table itself."""
    settings, result = outcome.expectation_config.kwargs, outcome.result or {}
    if "element_count" in result:
        return int(result["element_count"]) - int(result.get("missing_count") or 0)
    names = [name for name in _columns(settings) if name in table.columns]
    if not names or outcome.expectation_config.type in _OF_THE_TABLE:
        return None
    if condition := settings.get("row_condition"):
        try:
            table = table.query(str(condition))
        except Exception:  # a condition in another language: nobody knows what was looked at
            return 0
    return int(table[names].notna().any(axis=1).sum())


def _failed(outcome: Any) -> dict[str, str]:
    """Return one unmet expectation in words."""
    settings = outcome.expectation_config.kwargs
    expected = {key: value for key, value in settings.items() if key not in ("batch_id", "column")}
    return _named(outcome) | {"detail": f"expected {expected}, {_observed(outcome)}"[:500]}


def _observed(outcome: Any) -> str:
    """Return the values that were observed instead."""
    result = outcome.result or {}
    if "unexpected_count" in result:
        return (
            f"found {result['unexpected_count']} of {result.get('element_count')} otherwise, "
            f"such as {result.get('partial_unexpected_list', [])[:5]}"
        )
    return f"found {result.get('observed_value', result)}"


if __name__ == "__main__":
    sys.exit(job.run(main))
