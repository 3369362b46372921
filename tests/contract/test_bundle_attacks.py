"""Everything somebody could change in a bundle is found, and named."""

from __future__ import annotations

import base64
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airlock.adapters.sql_migrations import upgrade
from airlock.adapters.sql_store import SqlStore
from airlock.domain.log.checkpoint import Checkpoint, seal
from airlock.domain.log.tree import KeptCheckpoint
from airlock.services.audit import access_log, export_parts
from airlock.testing import World
from airlock_evidence import command, documents
from airlock_evidence.archive import Failed, pack, sha256, unpack
from airlock_evidence.checking import Unknown, check
from airlock_evidence.entries import line
from airlock_evidence.proofs import peek
from airlock_evidence.trust import Trust, fingerprint
from tests.contract.bundle_kit import Evidenced, Files, canonical, lines, resealed, unlines
from tests.contract.tree_kit import keys
from tests.support import rounds

pytestmark = pytest.mark.tamper


@pytest.fixture(scope="module")
def airlock(tmp_path_factory: pytest.TempPathFactory) -> Evidenced:
    folder = tmp_path_factory.mktemp("bundle")
    url = f"sqlite:///{folder / 'airlock.db'}"
    upgrade(url)

    def make(**options: Any) -> World:
        return World(SqlStore(url, pooled=False), **options)

    return Evidenced(make, folder)


@pytest.fixture(scope="module")
def release_id(airlock: Evidenced) -> str:
    return airlock.promoted()


@pytest.fixture(scope="module")
def zipped(airlock: Evidenced, release_id: str) -> bytes:
    return airlock.export(release_id)


@pytest.fixture(scope="module")
def files(zipped: bytes) -> Files:
    return unpack(zipped, "the zip")


@pytest.fixture(scope="module")
def other(airlock: Evidenced, release_id: str) -> Files:
    """Return the bundle of another release of the same log, made later."""
    return airlock.files(airlock.promoted("run-2"))


def failed(airlock: Evidenced, files: Files) -> str:
    """Return what was wrong first, or that it could not be told (exit code 3)."""
    try:
        result = airlock.check(files)
    except Unknown as error:
        return f"bundle.json: {error}"
    assert not result.ok, result.proved
    return str(result.failures[0])


# bytes


def test_the_untouched_bundle_holds(airlock: Evidenced, files: Files) -> None:
    result = airlock.check(files)
    assert result.ok, result.failures


def test_a_flipped_byte_anywhere_in_the_zip_is_found(zipped: bytes) -> None:
    random.seed(8)
    places = {*range(200), *random.sample(range(len(zipped)), rounds(200, 1500))}
    places |= {*range(len(zipped) - rounds(300, 3000), len(zipped))}
    for at in sorted(places):
        changed = bytearray(zipped)
        changed[at] ^= 1 << at % 8
        with pytest.raises(Failed):
            unpack(bytes(changed), "the zip")


def test_a_flipped_byte_in_any_file_is_found_and_the_file_is_named(
    airlock: Evidenced, files: Files
) -> None:
    for name, data in files.items():
        step = max(1, len(data) // rounds(60, 400))
        for at in range(0, len(data), step):
            changed = bytearray(data)
            changed[at] ^= 1 << at % 8
            said = failed(airlock, {**files, name: bytes(changed)})
            assert name in said or name == "manifest.json", (name, at, said)


def test_every_file_that_is_removed_or_added_is_named(airlock: Evidenced, files: Files) -> None:
    for name in files:
        less = {one: data for one, data in files.items() if one != name}
        assert name in failed(airlock, less)
    for name in ("extra.txt", "evidence/extra.json", "airlock_evidence/json.py", "log/more.jsonl"):
        assert name in failed(airlock, {**files, name: b"x"})


# a forger who writes fitting documents and manifest, but has no key

RAW = (
    "log/stream.jsonl",
    "log/context.jsonl",
    "log/checkpoint.txt",
    "grants/promotion.json",
    "keys.json",
    "policy.json",
    "pipeline.json",
    "bundle.json",
    "texts.json",
)


@pytest.mark.parametrize("name", RAW)
def test_a_flipped_byte_is_found_under_a_fitting_manifest_too(
    airlock: Evidenced, files: Files, name: str
) -> None:
    data = files[name]
    for at in range(0, len(data), max(1, len(data) // rounds(50, 250))):
        changed = bytearray(data)
        changed[at] ^= 1 << at % 7
        assert failed(airlock, resealed({**files, name: bytes(changed)}, readable_too=False))


def test_every_evidence_file_is_bound_to_the_log(airlock: Evidenced, files: Files) -> None:
    (name,) = [one for one in files if one.startswith("evidence/")]
    changed = files[name].replace(b"0.8", b"0.9")
    assert name in failed(airlock, resealed({**files, name: changed}))
    moved = {one: data for one, data in files.items() if one != name}
    renamed = f"evidence/{sha256(changed).removeprefix('sha256:')}.json"
    assert "is missing" in failed(
        airlock, resealed({**moved, renamed: changed}, readable_too=False)
    )
    other = {**moved, f"evidence/{'0' * 64}.json": files[name]}
    assert "is not the evidence its name says" in failed(airlock, resealed(other))


@pytest.mark.parametrize(
    "name",
    [
        "subject.json",
        "votes.json",
        "gates.json",
        "outcome.json",
        "model-card.md",
        "report.html",
        "README.txt",
    ],
)
def test_a_readable_document_cannot_say_other_things_than_the_log(
    airlock: Evidenced, files: Files, name: str
) -> None:
    changed = files[name].replace(b"e", b"a", 1)
    assert changed != files[name]
    said = failed(airlock, resealed({**files, name: changed}, readable_too=False))
    assert said == f"{name}: does not say what the signed log says"


def forged(entry: dict[str, Any], change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """Return an entry with another body, its hash computed anew."""
    import hashlib

    body = json.loads(entry["body"])
    change(body)
    text = canonical(body)
    tag = b"airlock/event/v1\x00" + bytes.fromhex(entry["prev"]) + entry["seq"].to_bytes(8, "big")
    return {**entry, "body": text.decode(), "hash": hashlib.sha256(tag + text).hexdigest()}


def rechained(files: Files, place: int, change: Callable[[dict[str, Any]], object]) -> Files:
    """Change one entry of the stream and chain all after it anew."""
    entries, prev = lines(files, "log/stream.jsonl"), "00" * 32
    for at, entry in enumerate(entries):
        entries[at] = forged({**entry, "prev": prev}, change if at == place else lambda _: None)
        prev = entries[at]["hash"]
    return {**files, "log/stream.jsonl": unlines(entries)}


def place_of(files: Files, what: str) -> int:
    entries = lines(files, "log/stream.jsonl")
    return next(at for at, one in enumerate(entries) if json.loads(one["body"])["what"] == what)


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("VoteCast", lambda body: body["who"].update(id="luis")),
        ("VoteCast", lambda body: body.update(why="something else")),
        ("VoteCast", lambda body: body["who"].update(roles=["algorithm_lead", "admin"])),
        ("ReleasePromoted", lambda body: body.update(at="2026-01-01T00:00:00.000000000Z")),
        ("GatesJudged", lambda body: body["data"]["results"][0].update(message="better")),
    ],
)
def test_a_forged_entry_has_no_proof(
    airlock: Evidenced, files: Files, what: str, change: Callable[[dict[str, Any]], object]
) -> None:
    made = resealed(rechained(files, place_of(files, what), change))
    assert "does not lead to the checkpoint" in failed(airlock, made)


def test_an_entry_cannot_be_left_out_swapped_or_cut_off(airlock: Evidenced, files: Files) -> None:
    name, entries = "log/stream.jsonl", lines(files, "log/stream.jsonl")
    for less in (entries[1:], [*entries[:4], *entries[5:]], [entries[1], entries[0], *entries[2:]]):
        with pytest.raises(Failed):
            resealed({**files, name: unlines(less)})
        assert failed(airlock, resealed({**files, name: unlines(less)}, readable_too=False))
    short = resealed({**files, name: unlines(entries[:-2])})
    assert f"at the export it had {len(entries)}" in failed(airlock, short)


def test_the_entry_of_the_export_cannot_be_exchanged(
    airlock: Evidenced, files: Files, other: Files
) -> None:
    header = {**json.loads(files["bundle.json"]), "export": 1}
    made = resealed({**files, "bundle.json": canonical(header)})
    assert "log/context.jsonl" in failed(airlock, made)
    assert "log" in failed(
        airlock, resealed({**files, "log/context.jsonl": other["log/context.jsonl"]})
    )


def proved(airlock: Evidenced, files: Files, what: str) -> list[dict[str, Any]]:
    """Return real entries of the log, with proofs to the checkpoint of a bundle."""
    size = peek(files["log/checkpoint.txt"])[1]
    with airlock.world.store.begin() as unit:
        found = list(unit.told_of("access", {what}))  # type: ignore[attr-defined]
        last = KeptCheckpoint("test", size, "")
        inside = [one for one in found if (unit.place_of(*one[:2]) or 0) < size]  # type: ignore[attr-defined]
        made = [line(export_parts._proved(unit, one, last)) for one in inside]  # type: ignore[arg-type]
    return [json.loads(one) for one in made]


def with_context(files: Files, entries: list[dict[str, Any]]) -> Files:
    order = sorted(entries, key=lambda one: (one["stream"], one["seq"]))
    return {**files, "log/context.jsonl": unlines(order)}


def test_a_real_entry_of_another_export_does_not_pass_for_this_one(airlock: Evidenced) -> None:
    one, two = airlock.promoted("run-3"), airlock.promoted("run-4")
    airlock.export(one)
    files = airlock.files(two)
    here = lines(files, "log/context.jsonl")
    others = [
        entry
        for entry in proved(airlock, files, "EvidenceExported")
        if json.loads(entry["body"])["resource"] == f"release/{one}"
    ]
    header = {**json.loads(files["bundle.json"]), "export": others[-1]["seq"]}
    texts = {**files, "bundle.json": canonical(header)}
    made = resealed(with_context(texts, [*here, others[-1]]), readable_too=False)
    said = failed(airlock, made)
    assert "tells of an export of" in said


def test_a_real_entry_that_tells_nothing_here_is_refused(
    airlock: Evidenced, release_id: str
) -> None:
    access_log.read(airlock.world.store, airlock.world.actor("sam"))
    files = airlock.files(release_id)
    (noise, *_) = proved(airlock, files, "LogRead")
    made = with_context(files, [*lines(files, "log/context.jsonl"), noise])
    said = failed(airlock, resealed(made))
    assert said == "log/context.jsonl: has an entry that tells nothing here: LogRead"


def test_a_document_nobody_registered_is_refused(airlock: Evidenced, files: Files) -> None:
    for kind in ("policy", "pipeline"):
        rest = [
            entry
            for entry in lines(files, "log/context.jsonl")
            if json.loads(entry["body"])["data"].get("kind") != kind
        ]
        said = failed(airlock, resealed(with_context(files, rest)))
        assert said.startswith(f"{kind}.json: no entry of the log says")


def test_a_swapped_signature_is_found(airlock: Evidenced, files: Files, other: Files) -> None:
    one, two = (json.loads(found["grants/promotion.json"]) for found in (files, other))
    mixed = canonical({**one, "signatures": two["signatures"]})
    said = failed(airlock, resealed({**files, "grants/promotion.json": mixed}))
    assert said.startswith("grants/promotion.json: is not the grant the log says was issued")


def test_another_releases_grant_is_found(airlock: Evidenced, files: Files, other: Files) -> None:
    grant = "grants/promotion.json"
    assert grant in failed(airlock, resealed({**files, grant: other[grant]}))


def test_another_checkpoint_is_found(airlock: Evidenced, files: Files, other: Files) -> None:
    name = "log/checkpoint.txt"
    said = failed(airlock, resealed({**files, name: other[name]}))
    assert "does not lead to the checkpoint" in said


def test_a_checkpoint_of_another_log_is_found(
    airlock: Evidenced, files: Files, tmp_path: Path
) -> None:
    stranger, _ = keys(tmp_path)
    note = seal(Checkpoint("airlock/other", 5, bytes(32)), stranger.public, stranger.sign, 1)
    said = failed(airlock, resealed({**files, "log/checkpoint.txt": note.encode()}))
    assert "not signed by a trusted key" in said


def test_an_entry_younger_than_its_checkpoint_is_found(airlock: Evidenced, files: Files) -> None:
    origin, size, root, at = peek(files["log/checkpoint.txt"])
    signer = airlock.signer
    note = seal(Checkpoint(origin, size, root), signer.public, signer.sign, at - 3600)
    said = failed(airlock, resealed({**files, "log/checkpoint.txt": note.encode()}))
    assert "after its checkpoint" in said


def test_a_bundle_forged_with_a_key_of_ones_own_is_unknown_to_who_brings_the_real_one(
    files: Files, tmp_path: Path
) -> None:
    """All of it is sound, but signed by somebody else: only keys from outside can tell."""
    stranger, _ = keys(tmp_path)
    alien = Trust({stranger.key_id: stranger.public}, {}, "another company's key")
    result = check(files, lambda _: alien)
    assert "trusted key" in str(result.failures[0])
    inside = check(files)
    assert inside.ok
    assert not inside.outside
    assert "INSIDE" in inside.trust


def test_a_key_that_is_not_what_its_id_says_is_found(airlock: Evidenced, files: Files) -> None:
    found = json.loads(files["keys.json"])
    found["log"] = {key: base64.b64encode(bytes(32)).decode() for key in found["log"]}
    made = resealed({**files, "keys.json": canonical(found)}, readable_too=False)
    assert "keys.json" in failed(airlock, made)


def test_a_text_nobody_committed_to_is_found(airlock: Evidenced, files: Files) -> None:
    import hashlib

    name = f"commitment:sha256:{hashlib.sha256(b'salt' + b'hello').hexdigest()}"
    extra = {name: {"salt": b"salt".hex(), "text": "hello"}}
    made = resealed({**files, "texts.json": canonical(extra)}, readable_too=False)
    assert "no entry commits to" in failed(airlock, made)
    extra[name]["text"] = "hullo"
    made = resealed({**files, "texts.json": canonical(extra)}, readable_too=False)
    assert "not the one that was committed to" in failed(airlock, made)


@settings(max_examples=rounds(40, 150), deadline=None)
@given(data=st.data())
def test_no_change_of_any_file_holds(airlock: Evidenced, files: Files, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(files)))
    content = bytearray(files[name])
    start = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(start, min(len(content), start + 20)))
    content[start:end] = data.draw(st.binary(max_size=20))
    if bytes(content) == files[name]:
        return
    assert failed(airlock, {**files, name: bytes(content)})
    if name in RAW:
        assert failed(airlock, resealed({**files, name: bytes(content)}, readable_too=False))


@pytest.mark.parametrize(
    "change", [{"version": True}, {"note": "approved"}, {"release": "rel-other"}, {"export": "1"}]
)
def test_the_header_says_what_it_has_to_and_nothing_else(
    airlock: Evidenced, files: Files, change: dict[str, Any]
) -> None:
    header = {**json.loads(files["bundle.json"]), **change}
    made = resealed({**files, "bundle.json": canonical(header)}, readable_too=False)
    assert failed(airlock, made)


def test_a_key_added_to_those_shown_is_pointed_out(
    airlock: Evidenced, files: Files, tmp_path: Path
) -> None:
    strange, _ = keys(tmp_path)
    found = json.loads(files["keys.json"])
    found["log"][strange.key_id] = base64.b64encode(strange.public).decode()
    result = airlock.check(resealed({**files, "keys.json": canonical(found)}))
    assert f"shows the key {strange.key_id}, which is none you trust" in " ".join(result.notes)


def test_an_exchanged_program_is_found_by_any_other_copy(airlock: Evidenced, files: Files) -> None:
    assert not [note for note in airlock.check(files).notes if "program" in note]
    made = resealed({**files, "verify.py": b"print('HOLDS')"})
    (failure,) = airlock.check(made).failures
    assert "the program in the bundle: was replaced, so do not run it (verify.py)" in str(failure)


def test_a_program_of_another_version_holds_if_the_log_names_it(
    airlock: Evidenced, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = {**documents.code(), "airlock_evidence/words.py": b"# of the next version"}
    monkeypatch.setattr(documents, "code", lambda: newer)  # the one that checks is another
    result = airlock.check(files)
    assert not result.failures
    assert "that of another version of Airlock" in " ".join(result.notes)
    replaced = resealed({**files, "airlock_evidence/words.py": b"# of the next version"})
    assert airlock.check(replaced).failures  # as the checking program is, but not as was exported


# the program a stranger runs


@pytest.fixture(scope="module")
def unpacked(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("stranger")
    for name, data in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
    yield folder
    shutil.rmtree(folder)


def stranger(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the program as on a machine with nothing but Python."""
    program = [sys.executable, "-I", "-S", "-B", str(folder / "verify.py"), *arguments]
    return subprocess.run(program, capture_output=True, text=True, env={}, cwd="/")


def test_a_stranger_checks_folder_and_zip_with_nothing_but_python(
    airlock: Evidenced, unpacked: Path, zipped: bytes, tmp_path: Path
) -> None:
    zip_file = tmp_path / "bundle.zip"
    zip_file.write_bytes(zipped)
    mark = fingerprint(airlock.signer.public)
    for place in ((), (str(zip_file),), (str(unpacked),)):
        alone = stranger(unpacked, *place)
        assert alone.returncode == 0, alone.stdout + alone.stderr
        assert "INSIDE the bundle" in alone.stdout
        assert "AGREES WITH ITSELF" in alone.stdout
        for brought in (("--keys", str(airlock.folder / "keys")), ("--fingerprint", mark)):
            done = stranger(unpacked, *place, *brought)
            assert done.returncode == 0, done.stdout + done.stderr
            assert "brought from outside" in done.stdout
            assert "HOLDS" in done.stdout
    assert not list(unpacked.rglob("__pycache__"))


def test_a_stranger_is_told_what_failed(unpacked: Path, tmp_path: Path) -> None:
    folder = tmp_path / "changed"
    shutil.copytree(unpacked, folder)
    votes = folder / "votes.json"
    votes.write_bytes(votes.read_bytes().replace(b"lena", b"luis"))
    done = stranger(folder)
    assert done.returncode == 1
    assert "FAILED  votes.json: was changed" in done.stdout
    assert "DOES NOT HOLD" in done.stdout
    found = json.loads(stranger(folder, "--json").stdout)
    assert (found["ok"], found["failures"][0]["where"]) == (False, "votes.json")


def test_unknown_keys_are_a_failure_and_no_keys_are_wrong_use(
    unpacked: Path, tmp_path: Path
) -> None:
    keys(tmp_path)
    unknown = stranger(unpacked, "--keys", str(tmp_path / "keys"))
    assert unknown.returncode == 1
    assert "not signed by a trusted key" in unknown.stdout
    assert stranger(unpacked, "--fingerprint", "0" * 64).returncode == 1
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.pem").write_text(
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"
    )
    for wrong in (
        ("--keys", str(tmp_path / "empty")),
        ("--keys", str(tmp_path / "bad")),
        ("--fingerprint", "abc"),
        ("/nowhere.zip",),
        ("--nonsense",),
        ("--keys", str(tmp_path / "keys"), "--fingerprint", "0" * 64),
    ):
        assert stranger(unpacked, *wrong).returncode == 2, wrong


def test_a_bundle_of_another_form_cannot_be_told(files: Files, tmp_path: Path) -> None:
    header = {**json.loads(files["bundle.json"]), "version": 99}
    made = resealed({**files, "bundle.json": canonical(header)}, readable_too=False)
    file = tmp_path / "bundle.zip"
    file.write_bytes(pack(made))
    assert command.main([str(file)], str(tmp_path)) == 3
