"""What the operator of a pipeline's DAG reads in Airflow: what each state means, what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airlock.config.load import PipelineConfig
    from airlock.domain.approval.policy import Level, Tier

_STATES = (
    (
        "a step before the gates is red",
        "data, code or a service failed; its log has one sentence why",
        "mend it, then start a new run; accidents were already tried again",
    ),
    (
        "a gate is red",
        "the answer is no, or nobody could tell; the numbers are in its log",
        "improve the model or the data and run again; clearing changes nothing",
    ),
    (
        '`request_release` is red with "refused"',
        "the gates block; the release is recorded as BLOCKED",
        "look at the [release](/airlock/releases)",
    ),
    (
        '`request_release` is red with "a no is final"',
        "these bytes were rejected before; no release is opened",
        "change the model, or start a run that names the rejection (`after_rejection`) with a "
        "reason",
    ),
    (
        "a level waits (awaiting input)",
        "people have to answer; no worker is held",
        "answer on the [Releases](/airlock/releases) page; Airflow's own prompt decides nothing",
    ),
    (
        'a level is green and says "rejected"',
        "somebody said no, with a reason; that is final",
        "read the reason on the page",
    ),
    (
        '`promote` is red with "refused"',
        "votes are missing or no longer count",
        "marking tasks as success approves nothing; get the votes, then "
        "`airlock release promote ID`",
    ),
    (
        "everything after `request_release` is skipped",
        "a dry run, or another release is still open (kept)",
        "`outcome` says which",
    ),
)
_END = "`outcome` ends every run with one word: promoted, refused, kept, measured or failed."


def guide(config: PipelineConfig, tier: Tier, levels: Sequence[Level]) -> str:
    """Return the text shown with the DAG."""
    spec = config.spec
    steps = "\n".join(f"{n}. {level.name}: {level.sentence()}" for n, level in enumerate(levels, 1))
    return "\n\n".join(
        (
            f"# {config.name}",
            config.model.metadata.description or "A model released under control by Airlock.",
            f"Owner **{config.owner}**, risk tier **{tier.value}** (a run may raise it), goes to "
            f"**{spec.environment}**. Configured in `{config.file}`.",
            f"## Who has to agree\n\n{steps or 'Nobody: this environment needs gates alone.'}",
            f"## What to do when\n\n{_table()}",
            _END,
        )
    )


def _table() -> str:
    rows = (("what you see", "what it means", "what to do"), ("---",) * 3, *_STATES)
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
