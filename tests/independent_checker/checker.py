"""A checker of evidence bundles, written from docs/reference/evidence-format.md alone.

It shares no code with Airlock: the standard library, and `cryptography` for Ed25519.
This file is about bytes, keys and the log: what anybody could have changed. `documents.py` is about
signed results and grants; `story.py` and `rules.py` judge what the log tells, and find what the
holder of its key could forge. `python -m tests.independent_checker.rules BUNDLE KEY.pem ...`
"""

import base64
import hashlib
import json
import re
from datetime import datetime
from types import SimpleNamespace

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

STREAM, CONTEXT, CHECKPOINT = "log/stream.jsonl", "log/context.jsonl", "log/checkpoint.txt"
WITNESSED, CONSISTENCY, SIGNED = "log/witnessed.txt", "log/consistency.json", "attestations.json"
GRANT, BACK, WAITS = "grants/promotion.json", "grants/rollback.json", "AWAITING_APPROVAL"
PROGRAM = r"verify\.py|airlock_evidence/[a-z0-9_]+\.py|airlock/((domain|gates)/)?[a-z0-9_]+\.py"
NAMES = (
    rf"(bundle|keys|texts|policy|pipeline|subject|votes|gates|outcome)\.json|{STREAM}"
    rf"|{CONTEXT}|{CHECKPOINT}|{WITNESSED}|{CONSISTENCY}|{SIGNED}|{GRANT}|{BACK}|model-card\.md"
    rf"|README\.txt|report\.html|evidence/[0-9a-f]{{64}}\.json|{PROGRAM}"
)
AROUND = (
    "Registered RightsChanged Delegated DelegationEnded KeyRotated EvidenceExported "
    "PersonalTextErased"
)


class Verdict(Exception):
    """BAD or UNKNOWN, and why."""


def demand(good, where, why):
    if not good:
        raise Verdict("BAD", f"{where}: {why}")


def same(where, found, wanted):
    for name, value in wanted.items():
        demand(found.get(name) == value, where, f"{name} is {found.get(name)!r}, not {value!r}")


def sha(data):
    return hashlib.sha256(data).digest()


def digest(data):
    return f"sha256:{sha(data).hex()}"


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def load(files, name):
    demand(name in files, name, "is missing")
    try:
        return json.loads(files[name])
    except ValueError as error:
        raise Verdict("BAD", f"{name}: is not JSON, {error}") from error


def exact(files, name):
    value = load(files, name)
    demand(canonical(value) == files[name], name, "is not canonical JSON")
    return value


def b64(text):
    raw = base64.b64decode(re.sub("[^A-Za-z0-9+/=]", "", text) + "==")
    demand(base64.b64encode(raw).decode() == text, text[:20], "is not canonical base64")
    return raw


def seconds(text):
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d*Z$", r"\1+00:00", text)).timestamp()


def verifies(public, signature, message):
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def check(files, trusted, witnesses=()):
    """Judge files (name -> bytes) by keys (id or name -> 32 bytes); return what they say."""
    head = exact(files, "bundle.json")
    if head["airlock"] == "evidence" and type(head["version"]) is int and head["version"] != 2:
        raise Verdict("UNKNOWN", f"bundle.json has form {head['version']}, this checker knows 2")
    shape = {name: type(value) for name, value in head.items()}
    good = shape == {"airlock": str, "version": int, "release": str, "export": int}
    demand(good and head["airlock"] == "evidence", "bundle.json", "is no header of a bundle")
    listed = load(files, "manifest.json")["files"]
    made = json.dumps({"files": listed}, sort_keys=True, indent=2, ensure_ascii=False) + "\n"
    demand(made.encode() == files["manifest.json"], "manifest.json", "is spelled otherwise")
    for name in sorted({*listed, *files} - {"manifest.json"}):
        here = digest(files[name]) if name in files else "missing"
        demand(listed.get(name) == here, name, f"is {here}, the manifest says {listed.get(name)}")
        demand(re.fullmatch(NAMES, name), name, "has no place in a bundle")
    stream, context = log_entries(files, STREAM), log_entries(files, CONTEXT)
    around, notes = [one["told"] for one in context], []
    trusted, given_up = trust(files, around, trusted)
    check_log(files, head, stream, context, (trusted, given_up, dict(witnesses)), notes)
    check_texts(files, [one["told"] for one in [*stream, *context]], around, notes)
    s = SimpleNamespace(files=files, name=head["release"], stream=[one["told"] for one in stream])
    s.around, s.trusted, s.given_up, s.notes = around, trusted, given_up, notes
    asked = of(s.stream, "ReleaseRequested", "ReleaseVoided")
    demand(asked, STREAM, "asks for no release")
    s.subject = asked[-1]["data"]["subject"]
    check_documents(s)
    return s


# keys and log: 4 to 6 of the page


def log_entries(files, name):
    demand(name in files, name, "is missing")
    found = [json.loads(line) for line in files[name].split(b"\n")[:-1]]
    demand(b"".join(canonical(one) + b"\n" for one in found) == files[name], name, "is misspelled")
    for one in found:
        body, where = one["body"].encode(), f"log entry {one['stream']} {one['seq']}"
        before = bytes.fromhex(one["prev"]) + one["seq"].to_bytes(8, "big")
        made = sha(b"airlock/event/v1\0" + before + body).hex()
        demand(made == one["hash"], where, "was edited: its hash is another")
        one["told"] = json.loads(body)
        same(where, one["told"], {"stream": one["stream"], "seq": one["seq"]})
    return found


def keys_of(where, shown):
    for name, text in shown.items():
        demand(sha(b64(text)).hex()[:16] == name, where, f"the key {name} has another id")
    return {name: b64(text) for name, text in shown.items()}


def trust(files, around, trusted):
    """Return the trusted keys with those they have signed, and until when old ones sign."""
    demand(keys_of("keys.json", exact(files, "keys.json")["log"]), "keys.json", "has no key")
    trusted, given_up = dict(trusted), {}
    for one in sorted((e for e in around if e["what"] == "KeyRotated"), key=lambda e: e["at"]):
        old, new, signature = one["data"]["old"], one["data"]["new"], b64(one["data"]["signature"])
        public = keys_of(CONTEXT, {new: one["data"]["publicKey"]})[new]
        given_up.setdefault(old, seconds(one["at"]) + 600)
        good = old not in trusted or verifies(trusted[old], signature, b"airlock/key/v1\n" + public)
        demand(good, CONTEXT, f"the key {new} is not signed by {old}")
        trusted |= {new: public} if old in trusted else {}
    return trusted, given_up


def climb(index, last, path, hashes):
    """Return what a path of RFC 9162 leads to: the last hash is the newer tree's."""
    for one in path:
        demand(last, "log", "a proof is too long")
        if index & 1 or index == last:
            hashes = [sha(b"\1" + one + mine) for mine in hashes]
        else:
            hashes = [*hashes[:-1], sha(b"\1" + hashes[-1] + one)]
        while index == last and index and not index & 1:
            index, last = index >> 1, last >> 1
        index, last = index >> 1, last >> 1
    return hashes if not last else []


def extends(old, new, path):
    index, last = old[0] - 1, new[0] - 1
    while index & 1:
        index, last = index >> 1, last >> 1
    path = path if index else [old[1], *path]
    if old == new or not (path and 0 < old[0] < new[0]):
        return old == new and path[1:] == []
    return climb(index, last, path[1:], [path[0], path[0]]) == [old[1], new[1]]


def checkpoint(files, name, keys):
    """Return origin, (size, root), time and cosigners of a checkpoint the log has signed."""
    demand(name in files, name, "is missing")
    (trusted, given_up, witnesses), (text, _, tail) = keys, files[name].decode().rpartition("\n\n")
    lines = re.findall(r"\u2014 ([^ +\n]+) ([A-Za-z0-9+/=]+)\n", tail)
    found = re.fullmatch(r"(.+)\n(0|[1-9][0-9]{0,17})\n([A-Za-z0-9+/]{43}=)", text)
    good = found and lines and "".join(f"\u2014 {who} {raw}\n" for who, raw in lines) == tail
    demand(good, name, "is no signed note of a checkpoint")
    origin, message, by, times = found[1], f"{text}\n".encode(), "", {}
    known = [(origin, kind, key, mine) for mine, key in trusted.items() for kind in (1, 4)]
    for who, kind, key, mine in [*known, *((who, 4, key, "") for who, key in witnesses.items())]:
        head = sha(who.encode() + b"\n" + bytes([kind]) + key)[:4]
        for raw in (b64(raw) for signer, raw in lines if signer == who and b64(raw)[:4] == head):
            at = int.from_bytes(raw[4:12], "big")
            timed = f"cosignature/v1\ntime {at}\n".encode() + message
            good = verifies(key, raw[4:], message) if kind == 1 else verifies(key, raw[12:], timed)
            demand(good, name, f"the signature of {who} does not verify")
            by, times = (mine, times) if kind == 1 else (by, {**times, who: at})
    demand(by and origin in times, name, "is not signed by a trusted key of the log")
    at = times.pop(origin)
    demand(at <= given_up.get(by, at), name, f"is signed by {by}, which had been given up")
    return origin, (int(found[2]), b64(found[3])), at, times


def check_log(files, head, stream, context, keys, notes):
    shown = {who: b64(key) for who, key in exact(files, "keys.json")["witnesses"].items()}
    keys = (*keys[:2], {**shown, **keys[2]})
    origin, tree, at, seen = checkpoint(files, CHECKPOINT, keys)
    demand(
        (WITNESSED in files) == (CONSISTENCY in files), CONSISTENCY, f"or {WITNESSED} is missing"
    )
    if WITNESSED in files:
        other, older, _, more = checkpoint(files, WITNESSED, keys)
        good = extends(older, tree, [b64(one) for one in exact(files, CONSISTENCY)["path"]])
        demand(good and other == origin, CONSISTENCY, "does not extend the older checkpoint")
        seen = seen | more
    places, prev = set(), "00" * 32
    for place, one in enumerate(stream, 1):
        same(f"{STREAM} {place}", one, {"stream": head["release"], "seq": place, "prev": prev})
        prev = one["hash"]
    order = [(one["stream"], one["seq"]) for one in context]
    demand(order == sorted(set(order)), CONTEXT, "is out of order")
    for one in [*stream, *context]:
        where, path = f"log entry {one['stream']} {one['seq']}", [b64(part) for part in one["path"]]
        good = 0 <= one["index"] < tree[0] and one["index"] not in places
        leaf = sha(b"\0" + bytes.fromhex(one["hash"]))
        good = good and climb(one["index"], tree[0] - 1, path, [leaf]) == [tree[1]]
        demand(good, where, "has no proof that leads to the checkpoint")
        demand(seconds(one["told"]["at"]) <= at + 1, where, "is younger than its checkpoint")
        demand(one in stream or one["told"]["what"] in AROUND.split(), where, "means nothing here")
        places.add(one["index"])
    place = ("access", head["export"])
    export = [one["told"] for one in context if (one["stream"], one["seq"]) == place]
    demand(export, CONTEXT, "does not have the entry of this export")
    resource = f"release/{head['release']}"
    same(CONTEXT, export[0], {"what": "EvidenceExported", "resource": resource})
    same(
        STREAM,
        {"entries": len(stream), "head": prev},
        {name: export[0]["data"][name] for name in ("entries", "head")},
    )
    made = {name: digest(files[name]) for name in files if re.fullmatch(PROGRAM, name)}
    good = export[0]["data"].get("program") in (None, digest(canonical(made)))
    demand(good, "verify.py", "the program in the bundle was exchanged: do not run it")
    notes += [f"cosigned by {', '.join(sorted(seen)) or 'no witness'}"]


def check_texts(files, told, around, notes):
    texts, used = exact(files, "texts.json"), set()
    for name, one in texts.items():
        made = sha(bytes.fromhex(one["salt"]) + one["text"].encode()).hex()
        demand(name == f"commitment:sha256:{made}", "texts.json", f"has another text for {name}")
    for one in told:
        findings = ((one["data"] or {}).get("conditions") or {}).get("findings", [])
        said = [one["why"], *(finding["text"] for finding in findings)]
        used |= {text for text in said if re.fullmatch("commitment:sha256:[0-9a-f]{64}", text)}
    gone = [
        text
        for one in around
        if one["what"] == "PersonalTextErased"
        for text in one["data"]["commitments"]
    ]
    demand({*texts} <= used, "texts.json", "has a text that no entry commits to")
    demand(used <= {*texts, *gone}, "texts.json", "lacks a text that was not erased")
    notes += [f"{len(used - {*texts})} texts were erased"] if used - {*texts} else []


# what the log has a digest of: 7, 10 and 11 of the page


def of(told, *words):
    return [one for one in told if one["what"] in words]


def check_documents(s):
    registered = [one["new"]["digest"] for one in of(s.around, "Registered")]
    for kind in ("policy", "pipeline"):
        name, wanted = f"{kind}.json", s.subject[f"{kind}_digest"]
        here = digest(s.files[name]) if name in s.files else "missing"
        demand(here == wanted, name, f"is {here}, the {kind} of the subject is {wanted}")
        demand(wanted in registered, name, "was never registered")
    told = [one["data"]["results"] for one in of(s.stream, "GatesJudged")]
    judged = {name for results in told for one in results for name in one["evidence"]}
    s.evidence, s.results = {}, told[-1] if told else []
    for name in (name for name in s.files if name.startswith("evidence/")):
        made, one = digest(s.files[name]), json.loads(s.files[name])
        demand(name == f"evidence/{made[7:]}.json", name, "is not the evidence its name says")
        about = one["artifactDigest"] == s.subject["artifact_digest"]
        demand(about or made in judged, name, "is about another artifact")
        s.evidence[made] = one
    lost = {name for one in s.results for name in one["evidence"]} - {*s.evidence}
    demand(
        not lost, f"evidence of {', '.join(sorted(lost))}", "is missing, a gate was judged on it"
    )
