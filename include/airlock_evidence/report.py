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
    subject = dossier.told.subject
    title = f"Evidence: {subject['model']} version {subject['version']}, {dossier.told.id}"
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
    told, subject = dossier.told, dossier.told.subject
    tone = {"high": "bad", "medium": "wait"}.get(told.tier, "")
    return (
        '<header>\n<p class="over">Evidence of a model release</p>\n'
        f"<h1>{text(subject['model'])} version {text(subject['version'])}</h1>\n"
        f"<p>{pill(told.state)} {pill(told.tier + ' risk', tone)} "
        f"{pill('into ' + subject['environment'])}</p>\n</header>\n"
        f'<p class="lead">{text(_summary(dossier))}</p>\n{_alarms(dossier)}'
    )


def _summary(dossier: Dossier) -> str:
    told, subject = dossier.told, dossier.told.subject
    said = (
        f"{told.requester} asked on {when(told.opened_at)} to release version "
        f"{subject['version']} of {subject['model']} into {subject['environment']}. "
    )
    passed = sum(one["verdict"] == "PASSED" for one in told.gates)
    said += f"{passed} of {len(told.gates)} gates passed. "
    if dossier.levels:
        said += f"{len(told.complete)} of {len(dossier.levels)} levels of approval are complete, "
        said += f"with {len(told.votes_now())} answers. "
    else:
        said += f"{subject['environment']} needs no approval by people. "
    if told.promotion:
        done = told.promotion
        return (
            said
            + f"It was promoted on {when(done['at'])}: {done['alias']} is version {done['after']}."
        )
    grant = (
        "A grant was issued but not used" if PROMOTION in dossier.grants else "There is no grant"
    )
    if told.state == "APPROVED" and not told.grants:
        grant = "It gets a grant when it is promoted"
    ended = f" ({told.why})" if told.why else ""
    return f"{said}{grant}: the release is {told.state.replace('_', ' ').lower()}{ended}."


def _alarms(dossier: Dossier) -> str:
    told, found = dossier.told, []
    if told.emergency.get("people"):
        people = " and ".join(one["person"] for one in told.emergency["people"])
        reviewed = f"reviewed by {told.reviews[-1]['by']}" if told.reviews else "not reviewed yet"
        found.append(
            f"The glass was broken for {told.emergency['incident']} by {people}: the levels "
            f"were not completed. {reviewed.capitalize()}."
        )
    if told.rollback:
        found.append(
            f"Rolled back on {when(told.rollback['at'])} to version "
            f"{told.rollback['after']} of release {told.rollback['to']}."
        )
    found += [
        f"The subject changed on {when(one['at'])} ({', '.join(one['differs'])}): every answer "
        f"until then is void. {one['why']}"
        for one in told.voided
    ]
    return "".join(f'<p class="alarm">{text(one)}</p>\n' for one in found)


def _subject(dossier: Dossier) -> str:
    told, subject = dossier.told, dossier.told.subject
    place = dossier.policy["approval"]["spec"]["environments"][subject["environment"]]
    alias = place.get("alias") or subject["environment"]
    return section(
        "What exactly is approved",
        paragraph("Change one of these and every answer is void.", "quiet"),
        pairs(
            [
                ("Subject", code(told.digest)),
                ("Model", f"{subject['model']} version {subject['version']}"),
                ("Environment", Markup(f"{text(subject['environment'])}, served as {code(alias)}")),
                ("Artifact", code(subject["artifact_digest"])),
                ("Data", code(subject["data_digest"])),
                ("Code", code(subject["code_commit"])),
                ("Pipeline", code(subject["pipeline_digest"])),
                ("Policy", code(subject["policy_digest"])),
                ("Bytes at", code(told.location)),
                ("Run", code(told.origin)),
                ("Requested by", told.requester),
                *([("After the rejection of", told.attempt_of)] if told.attempt_of else []),
            ]
        ),
    )


def _gates(dossier: Dossier) -> str:
    rows = [
        [
            one["key"],
            pill(str(one["verdict"])),
            weight(dossier, str(one["gate"])),
            _measure(one, "measured"),
            _measure(one, "threshold"),
            number(one["n"]),
            one["message"],
        ]
        for one in dossier.told.gates
    ]
    head = ["Gate", "Verdict", "Weight", "Measured", "Limit", "n", "Found"]
    note = "Judged on evidence whose digest is in the log; the check judges it again."
    parts = [paragraph(note, "quiet"), table(head, rows, (3, 4, 5))]
    waived = [
        [one["gate"], one["person"], when(one["at"]), when(one["until"]), one["why"]]
        for one in dossier.told.waivers
    ]
    if waived:
        parts.append("<h3>Waivers</h3>\n" + table(["Waived", "By", "When", "Until", "Why"], waived))
    return section("Gates", *parts)


def _measure(gate: Any, name: str) -> str:
    return NONE if gate[name] is None else f"{number(gate[name])} {gate['unit']}".strip()


def _measured(dossier: Dossier) -> str:
    rows = [
        [
            Markup(f'{text(one.name)} <span class="quiet">{text(one.better)}</span>'),
            one.candidate,
            one.champion,
            one.difference,
        ]
        for one in facts.metrics(dossier)
    ]
    head = ["Metric (which way is better)", "This version", "Champion then", "Difference"]
    parts = [table(head, rows, (1, 2))] if rows else []
    found = facts.slices(dossier)
    if found:
        columns = sorted({str(key) for one in found for key in one})
        parts += [
            "<h3>By group</h3>\n",
            table(columns, [[number(one.get(key)) for key in columns] for one in found]),
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
    told = dossier.told
    rows = [["Started", when(one["at"]), str(one["attempt"])] for one in told.started]
    rows += [
        [step, when(one["at"]), f"{one['alias']}: {optional(one['before'])} to {one['after']}"]
        for step, one in (("Promoted", told.promotion), ("Rolled back", told.rollback))
        if one
    ]
    if rows:
        parts.append("<h3>What was done with it</h3>\n" + table(["Step", "When", "What"], rows))
    if not parts:
        yet = " yet" if told.state == "APPROVED" else ""
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
            one["seq"],
            Markup(f'<span class="time">{text(when(one["at"]))}</span>'),
            one["who"]["id"],
            one["channel"],
            sentence(one),
        ]
        for one in dossier.contents
    ]
    return section("Log of this release", table(["No", "When", "Who", "By", "What"], rows))


def _proof(dossier: Dossier) -> str:
    found: list[Any] = []
    export = dossier.export
    if export:
        found.append(
            ("Exported", f"{when(export['at'])} by {export['who']['id']}: {export['why']}")
        )
    for name, one in (("Checkpoint", dossier.checkpoint), ("Cosigned earlier", dossier.witnessed)):
        if one is not None:
            origin, size, root, at = one
            found.append(
                (
                    name,
                    Markup(
                        f"{number(size)} entries of {text(origin)}, "
                        f"{text(since_1970(at))}<br>{code(root.hex())}"
                    ),
                )
            )
    found += [
        (f"Key {key}", code(fingerprint(public)))
        for key, public in sorted(dossier.keys.log.items())
    ]
    found += [
        (f"Witness {name}", code(fingerprint(public)))
        for name, public in sorted(dossier.keys.witnesses.items())
    ]
    last = dossier.entries[-1]
    found.append(("End of this log", Markup(f"entry {last.seq}, {code(last.hash.hex())}")))
    note = (
        "This page proves nothing by itself. It is part of a bundle that anybody can check without "
        "network or trust in its sender; README.txt says how. Compare the fingerprints with those "
        "you get by another way."
    )
    return section("Proof", paragraph(note, "quiet"), pairs(found))


def _foot(dossier: Dossier) -> str:
    told = dossier.told
    return (
        f"<footer>Release {text(told.id)}, subject {text(short(told.digest))}. Times are UTC. "
        "People are named by their user names. Generated from the signed log; nobody has edited "
        "it.</footer>\n"
    )
