"""Answering in Slack: the button, then the form.

Rules:
* A click is checked from Airlock's own database alone, then the form opens, in the background:
  Slack's trigger lives three seconds, and nothing slow comes before it.
* The form that comes back is checked anew, every word: whoever sent it, not whoever opened it;
  bound to the release, round, level and digest its reader saw. One form counts once.
* Who may answer, and what an answer leads to, is decided where it is for every other door.
* A refusal says why and what to do, is in the log, and changes nothing. Where the message was out
  of date it is drawn again.
"""

from __future__ import annotations

from typing import Any

from airlock.adapters.slack.views import forms
from airlock.domain.approval.policy import Tier
from airlock.domain.approval.release import Decision, Release, State
from airlock.domain.approval.voting import Ballot
from airlock.domain.errors import AirlockError, Conflict, Forbidden, Invalid, Refused, Unreachable
from airlock.domain.people.actors import Actor
from airlock.entrypoints.context import plain_lines
from airlock.entrypoints.slack.context import Backroom, log
from airlock.entrypoints.slack.payloads import (
    Payload,
    ReviewedVersion,
    Sender,
    field,
    pressed,
    text,
    words,
)
from airlock.ports import CHAT
from airlock.ports.chat import Ack, Received
from airlock.services import outbox_messages
from airlock.services.approvals import decide
from airlock.services.notifications import slack_audit
from airlock.services.queries import releases

DECISIONS = {"airlock.approve": "approve", "airlock.reject": "reject"}
#: Buttons that open an address; Slack tells of them too.
LINKS = frozenset({"airlock.evidence", "airlock.review"})
AGAIN = "Slack could not open the form. Nothing has happened; please click again."
#: As much of a sentence as Slack shows under a field.
MOST_CHARACTERS = 1000


class Outdated(Conflict):
    """What was clicked is not what is there now."""


class Unsure(Invalid):
    """The confirmation is missing."""


class Answers:
    """Buttons and forms about releases."""

    def __init__(self, back: Backroom) -> None:
        self._back, self._airlock = back, back.airlock

    # the button
    def press(self, payload: Payload, sender: Sender, received: Received) -> Ack:
        """Take a click: open the form, or say why not."""
        action, value = pressed(payload)
        if action in LINKS:
            return Ack()
        reviewed: ReviewedVersion | None = None
        try:
            if action not in DECISIONS:
                raise Refused("this button is not one of Airlock's")
            reviewed = ReviewedVersion.of(value, DECISIONS[action])
            self._back.check_known(sender)
            form = self._form(reviewed, self._back.actor(sender))
        except AirlockError as error:
            self._back.refused(received, f"a click on {action[:60]}", error.message, sender)
            self._back.whisper(sender, sentence(error))
            self._repair(reviewed, error)
            return Ack()
        self._back.later(lambda: self._open(sender, form))
        return Ack()

    def _form(self, reviewed: ReviewedVersion, actor: Actor) -> dict[str, Any]:
        view = self._back.view(reviewed.release, actor)
        _check_current(view, reviewed)
        if not view["slackMayAnswer"]:
            raise Forbidden(
                f"release {reviewed.release} is of {view['tier']} risk, which is not answered in "
                "Slack",
                next_step=f"Open {view['page']}, log in, and answer there.",
            )
        if not view["youMayAnswer"]:
            able = ", ".join(view["mayAnswer"]) or "nobody"
            raise Forbidden(
                f"{actor.id} cannot answer release {reviewed.release}: {view['whyNot']}",
                next_step=f"May answer now: {able}.",
            )
        return forms.answer_form(view, reviewed.decision, view["yourSeats"])

    def _open(self, sender: Sender, form: dict[str, Any]) -> None:
        try:
            self._back.chat.open_form(sender.trigger, form)
        except AirlockError as error:
            log.warning("a form did not open: %s", error.message)
            self._back.whisper(sender, AGAIN)
        self._back.learn(sender.account)

    # the form
    def submit(self, payload: Payload, sender: Sender, received: Received) -> Ack:
        """Take a filled form: answer, or say why not."""
        form, reviewed = text(payload, "view", "id"), None
        try:
            reviewed = ReviewedVersion.of(text(payload, "view", "private_metadata"))
            actor = self._back.actor(sender)
            self._back.check_account(sender)
            self._check_sure(payload, reviewed)
            ballot = _ballot(payload, reviewed)
            origin = self._back.origin(sender, received, form)
            evidence = slack_audit.answered(actor, origin, reviewed.release, ballot)
            release = self._vote(reviewed, ballot, actor, form, evidence)
        except AirlockError as error:
            about = f"an answer to {reviewed.release}" if reviewed else "an answer"
            self._back.refused(received, about, error.message, sender)
            self._repair(reviewed, error)
            return refusal(error)
        view = forms.confirmed(_confirmation(release, ballot, actor))
        return Ack(body={"response_action": "update", "view": view})

    def _vote(
        self, reviewed: ReviewedVersion, ballot: Ballot, actor: Actor, form: str, evidence: Any
    ) -> Release:
        signer = self._airlock.signer
        if not form:
            raise Refused("this form has no id, so it is not one of Slack's")
        if signer is None:
            raise Unreachable(
                "nothing can be decided here",
                next_step="Answer on the Releases page in Airflow.",
            )
        return decide.vote(
            self._airlock.store,
            signer,
            reviewed.release,
            ballot,
            actor,
            f"slack/{form}",
            beside=evidence,
        )

    def _check_sure(self, payload: Payload, reviewed: ReviewedVersion) -> None:
        release = releases.outcome(self._airlock.store, reviewed.release)
        if release.tier is Tier.HIGH and not field(payload, "sure"):
            raise Unsure(
                f"release {release.id} is of high risk, so the confirmation is required",
                next_step="Tick the box once you have looked at the evidence.",
            )

    # messages that are out of date
    def _repair(self, reviewed: ReviewedVersion | None, error: AirlockError) -> None:
        """Refresh the message if its button belongs to a release or round that is over."""
        if reviewed is None or not isinstance(error, Conflict):
            return
        try:
            with self._airlock.store.begin() as unit:
                release = unit.get(reviewed.release)
                minute = unit.now().strftime("%Y%m%d%H%M")  # many clicks are one repair
                about = f"repair-{outbox_messages.place(release)}-{minute}"
                letters = outbox_messages.noted(release.id, about)
                unit.post_all([letter for letter in letters if letter[0] == CHAT])
                unit.commit()
        except AirlockError as problem:
            log.warning("the message of %s was not mended: %s", reviewed.release, problem.message)


def _check_current(view: dict[str, Any], reviewed: ReviewedVersion) -> None:
    if view["state"] != State.AWAITING_APPROVAL.value:
        raise Outdated(
            f"release {reviewed.release} is {view['state']}, so there is nothing to answer any "
            "more",
            next_step="The message is being mended.",
        )
    here = (view["round"], view["level"], view["subject"]["digest"])
    if here != (reviewed.round, reviewed.level, reviewed.digest):
        raise Outdated(
            f"this button is for round {reviewed.round}, level {reviewed.level}; release "
            f"{reviewed.release} is in round {view['round']} at level {view['level']}",
            next_step="The message is being mended: look at what changed, then click again.",
        )


def _ballot(payload: Payload, reviewed: ReviewedVersion) -> Ballot:
    behind = words(payload, "seat")[:120]
    try:
        reason = plain_lines(words(payload, "reason"))
    except ValueError as error:
        raise Invalid("the reason has control characters", next_step="Use plain text.") from error
    return Ballot(
        decision=Decision(reviewed.decision),
        reason=reason,
        level=reviewed.level,
        round=reviewed.round,
        subject_digest=reviewed.digest,
        behind="" if behind == forms.OWN else behind,
    )


def _confirmation(release: Release, ballot: Ballot, actor: Actor) -> str:
    did = "approved" if ballot.decision is Decision.APPROVE else "rejected"
    now = f"is {release.state.value.lower()}"
    if release.state is State.AWAITING_APPROVAL:
        same = release.level == ballot.level
        now = f"still waits at level {release.level}" if same else f"is at level {release.level}"
    subject = release.subject
    return (
        f"You {did} {subject.model} version {subject.version} for {subject.environment} as "
        f"{actor.id}, at level {ballot.level}. Release {release.id} {now}."
    )


def refusal(error: AirlockError, block: str = "reason") -> Ack:
    """Return a refusal as a form shows it: at the field where it can be corrected."""
    if isinstance(error, Invalid | Unreachable):
        place = "sure" if isinstance(error, Unsure) else block
        return Ack(
            body={"response_action": "errors", "errors": {place: sentence(error)[:MOST_CHARACTERS]}}
        )
    view = forms.refused(sentence(error))
    return Ack(body={"response_action": "update", "view": view})


def sentence(error: AirlockError) -> str:
    """Return an error as somebody in Slack reads it."""
    message = error.message[:1].upper() + error.message[1:]
    return f"{message.rstrip('.')}. {error.next_step}".strip()
