"""`airlock policy check|schema`: works offline, on files."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from airlock.entrypoints.presentation.terminal import AsJson, print_json, say, settings

if TYPE_CHECKING:
    from airlock.config.load import PipelineConfig

policies = typer.Typer(help="Check policies and pipelines.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the main program."""
    policies.command("check")(check_command)
    policies.command("schema")(schema_command)
    app.add_typer(policies, name="policy")


def check_command(
    directory: Annotated[
        Path | None, typer.Argument(help="The folder with pipelines/ and policies/.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check every file; name what is wrong, what model cards lack, and the rows margins need."""
    from airlock.config.load import check

    here = settings()
    folder = directory or here.config_dir
    findings = check(folder, here.root)
    if as_json:
        print_json([finding.as_dict() for finding in findings])
    else:
        for finding in findings:
            place = f"{finding.file}:{finding.line}" if finding.line else finding.file
            where = f"{finding.path}: " if finding.path else ""
            hint = f' Did you mean "{finding.nearest}"?' if finding.nearest else ""
            say(f"{place}: {where}expected {finding.expected}; found {finding.actual}.{hint}")
        say(_summary(len(findings), folder))
        for line in _advice(folder, here.root):
            say(line)
    if findings:
        raise typer.Exit(2)


def _advice(folder: Path, root: Path) -> list[str]:
    """Return how many held-out rows each margin needs, and what each model card lacks."""
    from airlock.config.card_check import gaps
    from airlock.config.load import load_pipelines
    from airlock.config.sample_size import plans

    valid = load_pipelines(folder, root).valid
    rows = [line for pipeline in valid for line in _lines(plans, pipeline, root)]
    rows += [line for pipeline in valid for line in _lines(gaps, pipeline, root)]
    return rows + [_owned(pipeline) for pipeline in valid]


def _owned(pipeline: PipelineConfig) -> str:
    return (
        f"{pipeline.file}: owned by {pipeline.owner}. It is registered once Airflow has an account "
        "of that name, which is not looked up here."
    )


def _lines(
    advice: Callable[[PipelineConfig, Path], Iterable[object]], pipeline: PipelineConfig, root: Path
) -> list[str]:
    """Return the lines of one pipeline; what breaks there hides no other one."""
    try:
        return [str(line) for line in advice(pipeline, root)]
    except Exception as error:
        text = " ".join(str(error).split())[:200]
        return [f"{pipeline.name}: no advice, {type(error).__name__}: {text}"]


def _summary(count: int, folder: Path) -> str:
    if not count:
        return f"Everything in {folder} may be used."
    return "1 problem." if count == 1 else f"{count} problems."


def schema_command(
    kind: Annotated[str, typer.Argument(help="Such as ModelPipeline or ApprovalPolicy.")],
) -> None:
    """Print the JSON Schema of one kind of document, for editors."""
    from airlock.config.editor import schema

    print_json(schema(kind))
