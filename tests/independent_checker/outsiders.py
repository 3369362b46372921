"""What somebody without the log's key can do to a bundle: kind of edit -> name -> edit."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

from airlock.domain.log.checkpoint import Checkpoint, cosign, seal
from airlock.domain.promotion.grant import enclose
from airlock_evidence.archive import sha256
from airlock_evidence.proofs import peek
from tests.contract.bundle_kit import Files, canonical, lines, unlines
from tests.independent_checker.forging import (
    BACK,
    CHECKPOINT,
    CONTEXT,
    GRANT,
    SIGNED,
    STREAM,
    Body,
    link,
)
from tests.independent_checker.good_bundles import Good

#: Bundles by kind of release -> the files of the changed one, before they are sealed.
Edit = Callable[[Mapping[str, Good]], Files]
READABLE = ("subject.json", "votes.json", "gates.json", "outcome.json")


def raw(name: str, kind: str = "promoted", place: float = 0.5) -> Edit:
    """Flip a byte of a file."""

    def edit(made: Mapping[str, Good]) -> Files:
        data = bytearray(made[kind].files[name])
        data[int(len(data) * place)] ^= 1
        return {**made[kind].files, name: bytes(data)}

    return edit


def text(name: str, old: str, new: str, kind: str = "promoted") -> Edit:
    """Write other words into a file."""

    def edit(made: Mapping[str, Good]) -> Files:
        data = made[kind].files[name]
        assert old.encode() in data, (name, old)
        return {**made[kind].files, name: data.replace(old.encode(), new.encode())}

    return edit


def document(name: str, change: Callable[[Any], object], kind: str = "promoted") -> Edit:
    """Change a file of canonical JSON."""

    def edit(made: Mapping[str, Good]) -> Files:
        found = json.loads(made[kind].files[name])
        change(found)
        return {**made[kind].files, name: canonical(found)}

    return edit


def log(change: Callable[[list[Body]], object], name: str = STREAM, kind: str = "promoted") -> Edit:
    """Change the lines of a file of entries."""

    def edit(made: Mapping[str, Good]) -> Files:
        found = lines(made[kind].files, name)
        change(found)
        return {**made[kind].files, name: unlines(found)}

    return edit


def body(what: str, change: Callable[[Body], object], *, hashed: bool, kind: str) -> Edit:
    """Change the body of an entry, with or without its hash and the chain behind it."""

    def change_all(found: list[Body]) -> None:
        at = next(n for n, one in enumerate(found) if json.loads(one["body"])["what"] == what)
        told = json.loads(found[at]["body"])
        change(told)
        found[at]["body"] = canonical(told).decode()
        for place in range(at, len(found) if hashed else at):
            prev = found[place - 1]["hash"] if place else "00" * 32
            found[place] = link({**found[place], "prev": prev})

    return log(change_all, kind=kind)


def without(name: str, kind: str = "promoted") -> Edit:
    """Leave a file out."""
    return lambda made: {one: data for one, data in made[kind].files.items() if one != name}


def taken(name: str, kind: str, other: str) -> Edit:
    """Take a file of another bundle."""
    return lambda made: {**made[kind].files, name: made[other].files[name]}


def added(name: str, data: bytes = b"{}") -> Edit:
    """Add a file."""
    return lambda made: {**made["promoted"].files, name: data}


def evidence(made: Mapping[str, Good], kind: str = "promoted") -> str:
    """Return the name of the file of evidence."""
    return next(name for name in made[kind].files if name.startswith("evidence/"))


def better_evidence(made: Mapping[str, Good]) -> Files:
    name = evidence(made, "blocked")
    data = made["blocked"].files[name].replace(b"0.1", b"0.9")
    return {**made["blocked"].files, name: data}


def renamed_evidence(made: Mapping[str, Good]) -> Files:
    files = dict(made["blocked"].files)
    data = files.pop(evidence(made, "blocked")).replace(b"0.1", b"0.9")
    return {**files, f"evidence/{sha256(data).removeprefix('sha256:')}.json": data}


def no_evidence(made: Mapping[str, Good]) -> Files:
    return without(evidence(made))(made)


def foreign_evidence(made: Mapping[str, Good]) -> Files:
    name = evidence(made, "blocked")
    return {**made["promoted"].files, name: made["blocked"].files[name]}


def payload(change: Callable[[Body], object], where: str = GRANT, kind: str = "promoted") -> Edit:
    """Change what an envelope says and keep its signature."""

    def change_envelope(found: Body) -> None:
        statement = json.loads(base64.b64decode(found["payload"]))
        change(statement["predicate"])
        found["payload"] = base64.b64encode(canonical(statement)).decode()

    return document(where, change_envelope, kind)


def strangers_grant(made: Mapping[str, Good]) -> Files:
    found = json.loads(made["promoted"].files[GRANT])
    statement = json.loads(base64.b64decode(found["payload"]))
    key = made["low tier"].signer
    envelope = enclose(statement, key.key_id, key.sign).encode()
    return {**made["promoted"].files, GRANT: envelope}


def note(
    kind: str = "promoted", *, size: int = 0, root: bytes = b"", other: str = "", late: int = 0
):  # type: ignore[no-untyped-def]
    """Sign another checkpoint: only the key of *other* is there, or the signature stays."""

    def edit(made: Mapping[str, Good]) -> Files:
        one = made[kind]
        origin, old_size, old_root, at = peek(one.files[CHECKPOINT])
        tree = Checkpoint(origin, size or old_size, root or old_root)
        if other:
            key = made[other].signer
            signed = seal(tree, key.public, key.sign, at + late)
        else:
            tail = one.files[CHECKPOINT].decode().rpartition("\n\n")[2]
            signed = f"{tree.text()}\n{tail}"
        return {**one.files, CHECKPOINT: signed.encode()}

    return edit


def by_old_key(made: Mapping[str, Good]) -> Files:
    """Sign with a key that was given up, an hour later."""
    one = made["rotated"]
    origin, size, root, at = peek(one.files[CHECKPOINT])
    assert one.given_up is not None
    key = one.given_up
    signed = seal(Checkpoint(origin, size, root), key.public, key.sign, at + 3600)
    return {**one.files, CHECKPOINT: signed.encode()}


def own_witness(made: Mapping[str, Good]) -> Files:
    """Add a cosignature by the name of a witness, with another key."""
    files, key = made["witnessed"].files, made["promoted"].signer
    note_text = files["log/witnessed.txt"].decode()
    head = note_text.rpartition("\n\n")[0] + "\n"
    (real,) = [one for one in note_text.splitlines(keepends=True) if "airlock/witness" in one]
    line = cosign(head, "airlock/witness", key.public, key.sign, peek(files[CHECKPOINT])[3]).text()
    shown = base64.b64decode(real.split()[2])[:4]  # under the id of the real key
    forged = base64.b64encode(shown + base64.b64decode(line.split()[2])[4:]).decode()
    changed = note_text.replace(real, f"\u2014 airlock/witness {forged}\n")
    return {**files, "log/witnessed.txt": changed.encode()}


def whole_log_of_another(made: Mapping[str, Good]) -> Files:
    """A bundle that is sound, by the key of somebody else."""
    return dict(made["low tier"].files)


def exchanged_key(made: Mapping[str, Good]) -> Files:
    key = made["low tier"].signer
    keys = {key.key_id: base64.b64encode(key.public).decode()}
    return {**note(other="low tier")(made), "keys.json": canonical({"log": keys, "witnesses": {}})}


def key_under_another_id(found: Body) -> None:
    (name,) = found["log"]
    found["log"] = {name: base64.b64encode(bytes(32)).decode()}


def signer_under_another_id(made: Mapping[str, Good]) -> Files:
    """Sign the results of the gates with a key of one's own, under the id of the real one."""
    files, key = made["signed gates"].files, made["promoted"].signer
    found = json.loads(files[SIGNED])
    (name,), ((gate, envelope),) = found["keys"], found["results"].items()
    statement = json.loads(base64.b64decode(json.loads(envelope)["payload"]))
    found["results"][gate] = enclose(statement, name, key.sign)
    found["keys"] = {name: base64.b64encode(key.public).decode()}
    return {**files, SIGNED: canonical(found)}


def signed_result(change: Callable[[Body], object]) -> Edit:
    """Change what was signed of a gate."""

    def change_result(found: Body) -> None:
        for key, envelope in found["results"].items():
            outer = json.loads(envelope)
            statement = json.loads(base64.b64decode(outer["payload"]))
            change(statement["predicate"])
            outer["payload"] = base64.b64encode(canonical(statement)).decode()
            found["results"][key] = canonical(outer).decode()

    return document(SIGNED, change_result, "signed gates")


def rotated(change: Callable[[Body], object]) -> Edit:
    """Change the entry of a rotation."""

    def change_context(found: list[Body]) -> None:
        for at, one in enumerate(found):
            told = json.loads(one["body"])
            if told["what"] == "KeyRotated":
                change(told["data"])
                found[at] = link({**one, "body": canonical(told).decode()})

    return log(change_context, CONTEXT, "rotated")


def drop_registered(kind: str) -> Edit:
    def change(found: list[Body]) -> None:
        found[:] = [one for one in found if json.loads(one["body"])["data"].get("kind") != kind]

    return log(change, CONTEXT)


def foreign_entry(made: Mapping[str, Good]) -> Files:
    found = lines(made["promoted"].files, STREAM)
    found.append(lines(made["low tier"].files, STREAM)[-1])
    return {**made["promoted"].files, STREAM: unlines(found)}


def first_text(found: Body) -> str:
    return next(iter(found))


def _events() -> dict[str, Edit]:
    changes: dict[str, tuple[str, str, Callable[[Body], object]]] = {
        "another requester": (
            "promoted",
            "ReleaseRequested",
            lambda one: one["data"].update(requester="eve"),
        ),
        "another time": (
            "promoted",
            "ReleasePromoted",
            lambda one: one.update(at="2026-01-01T00:00:00.000000000Z"),
        ),
        "another artifact": (
            "promoted",
            "ReleaseRequested",
            lambda one: one["data"]["subject"].update(artifact_digest="sha256:" + "1" * 64),
        ),
        "another alias": (
            "promoted",
            "ReleasePromoted",
            lambda one: one["data"].update(alias="prod"),
        ),
        "another verdict": (
            "blocked",
            "GatesJudged",
            lambda one: one["data"]["results"][0].update(verdict="PASSED"),
        ),
        "another voter": ("promoted", "VoteCast", lambda one: one["who"].update(id="luis")),
        "another role": ("promoted", "VoteCast", lambda one: one["who"].update(roles=["admin"])),
        "a yes for a no": (
            "rejected",
            "ReleaseRejected",
            lambda one: one.update(what="LevelCompleted"),
        ),
        "another reason": ("rejected", "ReleaseRejected", lambda one: one.update(why="too early")),
        "another end of a waiver": (
            "waived",
            "WaiverGranted",
            lambda one: one["data"].update(until="2099-01-01T00:00:00.000000000Z"),
        ),
        "another giver": ("delegated", "VoteCast", lambda one: one["data"].update(behind="mara")),
        "another incident": (
            "emergency",
            "GlassBroken",
            lambda one: one["data"].update(incident="INC-8"),
        ),
        "another target": (
            "rolled back",
            "ReleaseRolledBack",
            lambda one: one["data"].update(to="rel-x"),
        ),
        "another state": (
            "open",
            "LevelOpened",
            lambda one: one["new"].update(state="APPROVED"),
        ),
        "another owner": (
            "conditional",
            "FindingRaised",
            lambda one: one["data"].update(owner="eve"),
        ),
    }
    return {
        f"{name}, {'hash and chain made to fit' if hashed else 'nothing else'}": body(
            what, change, hashed=hashed, kind=kind
        )
        for name, (kind, what, change) in changes.items()
        for hashed in (False, True)
    }


def swap(first: int, second: int) -> Callable[[list[Body]], object]:
    def change(found: list[Body]) -> None:
        found[first], found[second] = found[second], found[first]

    return change


FORGERIES: dict[str, dict[str, Edit]] = {
    "a flipped byte": {
        **{
            name: raw(name)
            for name in (STREAM, CONTEXT, CHECKPOINT, GRANT, "keys.json", "policy.json")
        },
        **{name: raw(name) for name in ("pipeline.json", "bundle.json", "texts.json")},
        "the middle of the signed results": raw(SIGNED, "signed gates"),
        "the grant to go back": raw(BACK, "rolled back"),
        "the end of the stream": raw(STREAM, "promoted", 0.99),
        "the program": raw("verify.py"),
        "a gate of the program": raw("airlock/gates/metrics_threshold.py"),
    },
    "a file too few": {
        name: without(name)
        for name in (STREAM, CONTEXT, CHECKPOINT, GRANT, "texts.json", "policy.json", *READABLE)
    }
    | {
        "evidence": no_evidence,
        "the grant to go back": without(BACK, "rolled back"),
        "a gate of the program": without("airlock/gates/latency.py"),
        "the consistency proof": without("log/consistency.json", "witnessed"),
        "the witness": without("log/witnessed.txt", "witnessed"),
    },
    "a file too many": {
        name: added(name)
        for name in ("approved.txt", "log/more.jsonl", "airlock_evidence/json/x.py", BACK)
    }
    | {
        "foreign evidence": foreign_evidence,
        "a grant for what was rejected": lambda made: {
            **made["rejected"].files,
            GRANT: made["promoted"].files[GRANT],
        },
    },
    "the body of an event": _events(),
    "the order of events": {
        "the first two": log(swap(0, 1)),
        "two votes": log(swap(9, 10)),
        "the last two": log(swap(-1, -2)),
        "the context": log(lambda found: found.reverse(), CONTEXT),
    },
    "a dropped event": {
        "the first": log(lambda found: found.pop(0)),
        "one in the middle": log(lambda found: found.pop(5)),
        "the last": log(lambda found: found.pop()),
        "the no of a rejected release": log(lambda found: found.pop(), kind="rejected"),
        "the rollback": log(lambda found: found.pop(), kind="rolled back"),
        "all": log(lambda found: found.clear()),
        "the export": log(
            lambda found: found.remove(
                next(one for one in found if "EvidenceExported" in one["body"])
            ),
            CONTEXT,
        ),
        "the registered policy": drop_registered("policy"),
        "the registered pipeline": drop_registered("pipeline"),
        "the erasure": log(
            lambda found: found.remove(
                next(one for one in found if "PersonalTextErased" in one["body"])
            ),
            CONTEXT,
            "erased",
        ),
        "the rights": log(
            lambda found: found.__setitem__(
                slice(None), [one for one in found if "RightsChanged" not in one["body"]]
            ),
            CONTEXT,
            "delegated",
        ),
    },
    "a foreign event": {
        "at the end": foreign_entry,
        "twice": log(lambda found: found.append(found[-1])),
        "the stream of another release": taken(STREAM, "promoted", "low tier"),
        "the context of another release": taken(CONTEXT, "promoted", "low tier"),
        "from the stream in the context": lambda made: {
            **made["promoted"].files,
            CONTEXT: made["promoted"].files[CONTEXT]
            + made["promoted"].files[STREAM].splitlines(keepends=True)[3],
        },
    },
    "the tree": {
        "another index": log(lambda found: found[3].update(index=found[3]["index"] + 1)),
        "an index twice": log(lambda found: found[3].update(index=found[2]["index"])),
        "an index outside": log(lambda found: found[3].update(index=10_000)),
        "a shorter path": log(lambda found: found[3]["path"].pop()),
        "a longer path": log(lambda found: found[3]["path"].append(found[3]["path"][0])),
        "another sibling": log(lambda found: found[3]["path"].reverse()),
        "another hash": log(lambda found: found[3].update(hash="ab" * 32)),
        "another end of the chain before": log(lambda found: found[3].update(prev="ab" * 32)),
        "base64 in another spelling": log(
            lambda found: found[3]["path"].__setitem__(0, found[3]["path"][0][:-2] + "9=")
        ),
    },
    "the checkpoint": {
        "another size": note(size=7),
        "another root": note(root=bytes(32)),
        "that of another bundle": taken(CHECKPOINT, "promoted", "rejected"),
        "that of another log": taken(CHECKPOINT, "promoted", "low tier"),
        "signed by a stranger": note(other="low tier"),
        "without its time": lambda made: {
            **made["promoted"].files,
            CHECKPOINT: b"".join(made["promoted"].files[CHECKPOINT].splitlines(keepends=True)[:-1]),
        },
        "the time in the cosignature": raw(CHECKPOINT, "promoted", 0.75),
        "older than its entries": note(other="promoted", late=-3600),
        "by a key given up an hour before": by_old_key,
    },
    "the witness": {
        "another path": document(
            "log/consistency.json", lambda one: one["path"].pop(), "witnessed"
        ),
        "no path": document("log/consistency.json", lambda one: one["path"].clear(), "witnessed"),
        "another checkpoint": lambda made: {
            **made["witnessed"].files,
            "log/witnessed.txt": made["promoted"].files[CHECKPOINT],
        },
        "another's signature": own_witness,
    },
    "the keys of another": {
        "a bundle of another's key": whole_log_of_another,
        "signed with, and showing, another key": exchanged_key,
    },
    "the keys": {
        "another key under the known id": document("keys.json", key_under_another_id),
        "no key": document("keys.json", lambda one: one["log"].clear()),
        "another new key": rotated(lambda data: data.update(publicKey="A" * 43 + "=")),
        "a rotation nobody signed": rotated(lambda data: data.update(signature="A" * 86 + "==")),
    },
    "texts": {
        "another text": document(
            "texts.json", lambda one: one[first_text(one)].update(text="fine")
        ),
        "another salt": document("texts.json", lambda one: one[first_text(one)].update(salt="00")),
        "a text too few": document("texts.json", lambda one: one.pop(first_text(one))),
        "a text too many": document(
            "texts.json",
            lambda one: one.update(
                {
                    "commitment:" + sha256(b"\0hello"): {"salt": "00", "text": "hello"},
                }
            ),
        ),
        "blanks": text("texts.json", '":{', '": {'),
    },
    "policy and pipeline": {
        "a smaller quorum": text("policy.json", '"count":2', '"count":1'),
        "another role": text("policy.json", '"role":"compliance_officer"', '"role":"viewer"'),
        "nobody is asked": text("policy.json", '"people":true', '"people":false'),
        "a lower threshold": text("pipeline.json", "0.7", "0.1", "blocked"),
        "less risk": text("pipeline.json", "direct", "none"),
        "the policy of another": lambda made: {
            **made["promoted"].files,
            "policy.json": made["promoted"].files["pipeline.json"],
        },
    },
    "evidence": {
        "better numbers": better_evidence,
        "better numbers under their own digest": renamed_evidence,
        "about another artifact": foreign_evidence,
    },
    "the grant": {
        **{
            f"another {name}": payload(
                lambda one, name=name, value=value: one.update({name: value})
            )
            for name, value in {
                "release": "rel-other",
                "model": "other",
                "version": "9",
                "alias": "prod",
                "environment": "staging",
                "artifact_digest": "sha256:" + "0" * 64,
                "sequence": 7,
                "round": 2,
                "expires_at": "2099-01-01T00:00:00+00:00",
                "expected_current": "4",
            }.items()
        },
        "that of another release": taken(GRANT, "promoted", "conditional"),
        "signed by a stranger": strangers_grant,
        "no signature": document(GRANT, lambda one: one["signatures"].clear()),
        "another type": document(GRANT, lambda one: one.update(payloadType="text/plain")),
        "back to another release": payload(
            lambda one: one.update(release="rel-other"), BACK, "rolled back"
        ),
        "blanks": text(GRANT, '","', '", "'),
    },
    "signed results": {
        "another verdict": signed_result(lambda one: one.update(verdict="FAILED")),
        "other evidence": signed_result(lambda one: one.update(evidence=[])),
        "another run": signed_result(lambda one: one.update(run="other/run")),
        "none": document(SIGNED, lambda one: one["results"].clear(), "signed gates"),
        "no key": document(SIGNED, lambda one: one["keys"].clear(), "signed gates"),
        "another key under the known id": signer_under_another_id,
    },
    "what people read": {
        "another subject": text("subject.json", '"version": "1"', '"version": "2"'),
        "another voter": text("votes.json", '"lena"', '"luis"'),
        "another decision": text("votes.json", '"reject"', '"approve"', "rejected"),
        "another verdict": text("gates.json", '"FAILED"', '"PASSED"', "blocked"),
        "another number": text("gates.json", "0.1", "0.9", "blocked"),
        "another state": text("outcome.json", '"REJECTED"', '"PROMOTED"', "rejected"),
        "another tier": text("outcome.json", '"tier": "high"', '"tier": "low"'),
        "other claims": text("outcome.json", '"champion"', '"challenger"'),
        "somebody less excluded": text("outcome.json", '"ana": "requested', '"eve": "requested'),
        "another voter's role": text("votes.json", '"algorithm_lead"', '"admin"'),
        "another round": text("outcome.json", '"round": 1', '"round": 2', "withdrawn"),
    },
    "the program": {
        "another": lambda made: {**made["promoted"].files, "verify.py": b"print('HOLDS')\n"},
        "one more file": added("airlock_evidence/sitecustomize.py", b"pass\n"),
        "a kinder gate": text("airlock/gates/metrics_threshold.py", ">=", "<="),
    },
    "the header": {
        "another release": document("bundle.json", lambda one: one.update(release="rel-other")),
        "another export": document("bundle.json", lambda one: one.update(export=1)),
        "one more field": document("bundle.json", lambda one: one.update(note="approved")),
        "no number": document("bundle.json", lambda one: one.update(version=True)),
    },
}
