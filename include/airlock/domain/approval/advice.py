"""What to do about a release that cannot go on: how a new run gets a release of its own.

While a release is open a new run opens none, so "run the pipeline again" alone would lead into the
next refusal. A command for somebody else than the reader names that person with `--as`.
"""

from __future__ import annotations

from airlock.domain.approval.release import Release, State


def run_anew(release: Release) -> str:
    """Return how a new run gets a release of its own in place of this one."""
    if release.state is State.BLOCKED:
        return (
            "Mend what the gates found and run the pipeline again, or have a soft gate waived on "
            "the release's page."
        )
    if release.state is State.REJECTED:
        return "A no is final: change the model, then run the pipeline again."
    if not release.state.is_open:
        return "It has ended; its page says why. Run the pipeline again."
    return (
        f"While release {release.id} is open a new run opens none: withdraw it as "
        f"{release.requester} (`airlock release withdraw {release.id} --as {release.requester} "
        '--reason "..."`), then run the pipeline again.'
    )


def after_sweep() -> str:
    """Return how a new run gets a release of its own once the time of one is over."""
    return "The release expires with the next sweep. Then run the pipeline again."
