"""The report for a person: one HTML page, to be read on a screen or on paper."""

from __future__ import annotations

from typing import Any

from airlock_evidence import facts
from airlock_evidence.claims import PROMOTION, ROLLBACK
from airlock_evidence.dossier import Dossier
from airlock_evidence.history import sentence
from airlock_evidence.markup import (
    Markup,
    bullets,
    code,
    page,
    pairs,
    paragraph,
    pill,
    section,
    table,
    text,
)
from airlock_evidence.report_people import approvals
from airlock_evidence.trust import fingerprint
from airlock_evidence.waivers import weight
from airlock_evidence.words import NONE, apart, number, optional, short, since_1970, when


def report(dossier: Dossier) -> str:
    """Return report.html."""
    subject = dossier.release.subject
    title = f"Evidence: {subject['model']} version {subject['version']}, {dossier.release.id}"
    body = "".join(
        part(dossier)
        for part in (
            _head,
            _subject,
            approvals,
            _gates,
            _measured,
            _about,
            _grant,
            _events,
            _proof,
        )
    )
    return page(title, f"{body}{_foot(dossier)}")


def _head(dossier: Dossier) -> str:
    release, subject = dossier.release, dossier.release.subject
    tone = {"high": "bad", "medium": "wait"}.get(release.tier, "")
    return (
        '<header>\n<p class="over">Evidence of a model release</p>\n'
        f"<h1>{text(subject['model'])} version {text(subject['version'])}</h1>\n"
        f"<p>{pill(release.state)} {pill(release.tier + ' risk', tone)} "
        f"{pill('into ' + subject['environment'])}</p>\n</header>\n"
        f'<p class="lead">{text(_summary(dossier))}</p>\n{_alarms(dossier)}'
    )


def _summary(dossier: Dossier) -> str:
    release, subject = dossier.release, dossier.release.subject
    summary = (
        f"{release.requester} asked on {when(release.opened_at)} to release version "
        f"{subject['version']} of {subject['model']} into {subject['environment']}. "
    )
    passed = sum(result["verdict"] == "PASSED" for result in release.gates)
    summary += f"{passed} of {len(release.gates)} gates passed. "
    if dossier.levels:
        summary += (
            f"{len(release.complete)} of {len(dossier.levels)} levels of approval are complete, "
        )
        summary += f"with {len(release.votes_now())} answers. "
    else:
        summary += f"{subject['environment']} needs no approval by people. "
    if release.promotion:
        promotion = release.promotion
        return (
            summary
            + f"It was promoted on {when(promotion['at'])}: {promotion['alias']} is version "
            f"{promotion['after']}."
        )
    grant = (
        "A grant was issued but not used" if PROMOTION in dossier.grants else "There is no grant"
    )
    if release.state == "APPROVED" and not release.grants:
        grant = "It gets a grant when it is promoted"
    ended = f" ({release.why})" if release.why else ""
    return f"{summary}{grant}: the release is {release.state.replace('_', ' ').lower()}{ended}."


def _alarms(dossier: Dossier) -> str:
    release, alarms = dossier.release, []
    if release.emergency.get("people"):
        people = " and ".join(person["person"] for person in release.emergency["people"])
        reviewed = (
            f"reviewed by {release.reviews[-1]['by']}" if release.reviews else "not reviewed yet"
        )
        alarms.append(
            f"The glass was broken for {release.emergency['incident']} by {people}: the levels "
            f"were not completed. {reviewed.capitalize()}."
        )
    if release.rollback:
        alarms.append(
            f"Rolled back on {when(release.rollback['at'])} to version "
            f"{release.rollback['after']} of release {release.rollback['to']}."
        )
    alarms += [
        f"The subject changed on {when(change['at'])} ({', '.join(change['differs'])}): every "
        f"answer until then is void. {change['why']}"
        for change in release.voided
    ]
    return "".join(f'<p class="alarm">{text(alarm)}</p>\n' for alarm in alarms)


def _subject(dossier: Dossier) -> str:
    release, subject = dossier.release, dossier.release.subject
    place = dossier.policy["approval"]["spec"]["environments"][subject["environment"]]
    alias = place.get("alias") or subject["environment"]
    return section(
        "What exactly is approved",
        paragraph("Change one of these and every answer is void.", "quiet"),
        pairs(
            [
                ("Subject", code(release.digest)),
                ("Model", f"{subject['model']} version {subject['version']}"),
                ("Environment", Markup(f"{text(subject['environment'])}, served as {code(alias)}")),
                ("Artifact", code(subject["artifact_digest"])),
                ("Data", code(subject["data_digest"])),
                ("Code", code(subject["code_commit"])),
                ("Pipeline", code(subject["pipeline_digest"])),
                ("Policy", code(subject["policy_digest"])),
                ("Bytes at", code(release.location)),
                ("Run", code(release.origin)),
                ("Requested by", release.requester),
                *([("After the rejection of", release.attempt_of)] if release.attempt_of else []),
            ]
        ),
    )


def _gates(dossier: Dossier) -> str:
    rows = [
        [
            result["key"],
            pill(str(result["verdict"])),
            weight(dossier, str(result["gate"])),
            _measure(result, "measured"),
            _measure(result, "threshold"),
            number(result["n"]),
            result["message"],
        ]
        for result in dossier.release.gates
    ]
    head = ["Gate", "Verdict", "Weight", "Measured", "Limit", "n", "Found"]
    note = "Judged on evidence whose digest is in the log; the check judges it again."
    parts = [paragraph(note, "quiet"), table(head, rows, (3, 4, 5))]
    waived = [
        [waiver["gate"], waiver["person"], when(waiver["at"]), when(waiver["until"]), waiver["why"]]
        for waiver in dossier.release.waivers
    ]
    if waived:
        parts.append("<h3>Waivers</h3>\n" + table(["Waived", "By", "When", "Until", "Why"], waived))
    return section("Gates", *parts)


def _measure(gate: Any, name: str) -> str:
    return NONE if gate[name] is None else f"{number(gate[name])} {gate['unit']}".strip()


def _measured(dossier: Dossier) -> str:
    rows = [
        [
            Markup(f'{text(metric.name)} <span class="quiet">{text(metric.better)}</span>'),
            metric.candidate,
            metric.champion,
            metric.difference,
        ]
        for metric in facts.metrics(dossier)
    ]
    head = ["Metric (which way is better)", "This version", "Champion then", "Difference"]
    parts = [table(head, rows, (1, 2))] if rows else []
    slices = facts.slices(dossier)
    if slices:
        columns = sorted({str(key) for row in slices for key in row})
        parts += [
            "<h3>By group</h3>\n",
            table(columns, [[number(row.get(key)) for key in columns] for row in slices]),
        ]
    return section("Measured on held-out rows", *parts)


def _about(dossier: Dossier) -> str:
    owner = str(dossier.pipeline["metadata"].get("owner", "not declared"))
    declared = [(apart(key).capitalize(), value) for key, value in facts.risk(dossier).items()]
    return section(
        "About the model",
        pairs([("Intended use", facts.intended_use(dossier)), ("Owner", owner), *declared]),
        "<h3>Data</h3>\n",
        pairs(
            (name, code(value) if name == "Digest" else value)
            for name, value in facts.data(dossier).items()
        ),
        "<h3>Limits</h3>\n",
        bullets(facts.limits(dossier)),
    )


def _grant(dossier: Dossier) -> str:
    parts = [
        f"<h3>{title}</h3>\n{_claims(dossier.grants[name])}"
        for name, title in (
            (PROMOTION, "Permission to promote"),
            (ROLLBACK, "Permission to go back"),
        )
        if name in dossier.grants
    ]
    release = dossier.release
    rows = [
        ["Started", when(attempt["at"]), str(attempt["attempt"])] for attempt in release.started
    ]
    rows += [
        [
            step,
            when(outcome["at"]),
            f"{outcome['alias']}: {optional(outcome['before'])} to {outcome['after']}",
        ]
        for step, outcome in (("Promoted", release.promotion), ("Rolled back", release.rollback))
        if outcome
    ]
    if rows:
        parts.append("<h3>What was done with it</h3>\n" + table(["Step", "When", "What"], rows))
    if not parts:
        yet = " yet" if release.state == "APPROVED" else ""
        parts.append(paragraph(f"No grant was issued{yet}: nothing could be promoted.", "quiet"))
    return section("Grant and promotion", *parts)


def _claims(grant: Any) -> str:
    claims = grant["claims"]
    signed = ", ".join(str(key) for key, _ in grant["signatures"])
    becomes = f"{claims['alias']} of {claims['model']} to be version {claims['version']}"
    return pairs(
        [
            ("Grant", code(claims["id"])),
            ("Signed with key", code(signed)),
            ("Allows", becomes),
            ("In place of", claims["expected_current"] or "nothing: the first release"),
            ("Number", f"{claims['sequence']} of this line"),
            ("Issued", when(claims["issued_at"])),
            ("Usable until", when(claims["expires_at"])),
        ]
    )


def _events(dossier: Dossier) -> str:
    rows = [
        [
            content["seq"],
            Markup(f'<span class="time">{text(when(content["at"]))}</span>'),
            content["who"]["id"],
            content["channel"],
            sentence(content),
        ]
        for content in dossier.contents
    ]
    return section("Log of this release", table(["No", "When", "Who", "By", "What"], rows))


def _proof(dossier: Dossier) -> str:
    rows: list[Any] = []
    export = dossier.export
    if export:
        rows.append(("Exported", f"{when(export['at'])} by {export['who']['id']}: {export['why']}"))
    for name, checkpoint in (
        ("Checkpoint", dossier.checkpoint),
        ("Cosigned earlier", dossier.witnessed),
    ):
        if checkpoint is not None:
            origin, size, root, at = checkpoint
            rows.append(
                (
                    name,
                    Markup(
                        f"{number(size)} entries of {text(origin)}, "
                        f"{text(since_1970(at))}<br>{code(root.hex())}"
                    ),
                )
            )
    rows += [
        (f"Key {key}", code(fingerprint(public)))
        for key, public in sorted(dossier.keys.log.items())
    ]
    rows += [
        (f"Witness {name}", code(fingerprint(public)))
        for name, public in sorted(dossier.keys.witnesses.items())
    ]
    last = dossier.entries[-1]
    rows.append(("End of this log", Markup(f"entry {last.seq}, {code(last.hash.hex())}")))
    note = (
        "This page proves nothing by itself. It is part of a bundle that anybody can check without "
        "network or trust in its sender; README.txt says how. Compare the fingerprints with those "
        "you get by another way."
    )
    return section("Proof", paragraph(note, "quiet"), pairs(rows))


def _foot(dossier: Dossier) -> str:
    release = dossier.release
    return (
        f"<footer>Release {text(release.id)}, subject {text(short(release.digest))}. Times are "
        "UTC. People are named by their user names. Generated from the signed log; nobody has "
        "edited it.</footer>\n"
    )
