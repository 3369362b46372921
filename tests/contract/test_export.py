"""An export is checked with the file and the keys alone, and every change of it is found."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from airlock.domain.errors import Invalid
from airlock.entrypoints.cli.audit import verify_export
from airlock.services.audit import access_log, erasure, transparency_log
from airlock.testing import World
from tests.contract.tree_kit import copies, keys

pytestmark = pytest.mark.tamper


@pytest.fixture
def exported(make_world: Callable[..., World], tmp_path: Path) -> Path:
    """Return the export of a log with a promoted release and two checkpoints."""
    signer, keyring = keys(tmp_path)
    world = make_world(signer=signer)
    world.keys = keyring  # type: ignore[assignment]
    release_id = world.open("one")
    transparency_log.checkpoint_now(world.store, signer)
    world.approve_all(release_id)
    world.promote(release_id)
    transparency_log.checkpoint_now(world.store, signer)
    transparency_log.publish(world.store, copies(tmp_path))
    file = tmp_path / "log.jsonl"
    lines = access_log.export(world.store, keyring, world.actor("sam"), "yearly audit")
    file.write_text("".join(lines))
    return file


def check(file: Path, checkpoints: bool = False) -> dict[str, object]:
    folder = file.parent
    kept = folder / "checkpoints" if checkpoints else None
    return verify_export(file, folder / "keys", kept)


def lines_of(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def write(file: Path, lines: list[dict[str, object]]) -> None:
    file.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in lines))


def test_an_untouched_export_verifies_offline(exported: Path) -> None:
    report = check(exported, checkpoints=True)
    assert report["ok"], report["damages"]
    assert report["checkpoints"] == 4  # two in the file, two in the folder
    header, end = lines_of(exported)[0], lines_of(exported)[-1]
    assert (header["exportedBy"], header["reason"]) == ("sam", "yearly audit")
    assert end == {"end": report["events"]}


def test_every_changed_line_of_an_export_is_found(exported: Path) -> None:
    original = lines_of(exported)
    for number, line in enumerate(original):
        changed = json.loads(json.dumps(line))
        if "entry" in changed:
            changed["entry"][3] = changed["entry"][3].replace('"v":1', '"v":2')
        elif "note" in changed:
            changed["note"] = changed["note"].replace("\n\n", "\nextra\n\n", 1)
        elif "head" in changed:
            changed["seq"] += 1
        elif "end" in changed:
            changed["end"] += 1
        else:
            continue  # the header tells who made it; nothing is proved by that
        write(exported, [*original[:number], changed, *original[number + 1 :]])
        assert not check(exported)["ok"], line


@pytest.mark.parametrize("keep", [-1, -2, -5])
def test_a_cut_off_export_is_found(exported: Path, keep: int) -> None:
    write(exported, lines_of(exported)[:keep])
    assert "cut off" in str(check(exported)["damages"])


def test_checkpoints_left_out_of_an_export_are_brought_by_the_auditor(exported: Path) -> None:
    """Whoever made the export left out the last entries and the checkpoint that shows it."""
    lines = [one for one in lines_of(exported) if "note" not in one and "head" not in one]
    inside = [one for one in lines if "index" in one]
    shorter = [lines[0], *inside[:-3], {"end": len(inside) - 3}]
    write(exported, shorter)
    alone = check(exported)
    assert "entries are gone" not in str(alone["damages"])
    assert "entries are gone" in str(check(exported, checkpoints=True)["damages"])


def test_an_entry_that_is_no_text_travels_as_it_is(exported: Path) -> None:
    lines = lines_of(exported)
    place = next(at for at, one in enumerate(lines) if "index" in one)
    lines[place]["entry"][3] = {"hex": "ff00"}  # type: ignore[index]
    write(exported, lines)
    assert "edited" in str(check(exported)["damages"])


@pytest.mark.parametrize("text", ["", "nonsense\n", '{"airlock": "other"}\n', '["a"]\n'])
def test_another_file_is_no_export(exported: Path, text: str) -> None:
    exported.write_text(text)
    with pytest.raises(Invalid):
        check(exported)


@pytest.mark.parametrize("entry", ["[]", "[1, 2, 3, 4, 5, 6]", '{"a": 1}', '"x"'])
def test_a_malformed_entry_is_refused_not_crashed_on(exported: Path, entry: str) -> None:
    lines = exported.read_text().splitlines()
    place = next(at for at, one in enumerate(lines) if one.startswith('{"index"'))
    lines[place] = f'{{"index": 0, "leaf": "00", "entry": {entry}}}'
    exported.write_text("\n".join(lines) + "\n")
    with pytest.raises(Invalid):
        check(exported)


def _with_text(lines: list[dict[str, object]]) -> int:
    """Return a line with a text that no other line has."""
    said = "looked at the numbers"
    return next(at for at, one in enumerate(lines) if said in str(one.get("texts")))


def test_an_export_carries_texts_with_their_salts(exported: Path) -> None:
    texts = [one.get("texts", {}) for one in lines_of(exported)]
    said = [text for one in texts for _, text in one.values()]  # type: ignore[attr-defined]
    assert said.count("looked at the numbers") == 4
    assert "yearly audit" in said


def test_a_changed_text_of_an_export_is_named(exported: Path) -> None:
    lines = lines_of(exported)
    place = _with_text(lines)
    texts: dict[str, list[str]] = lines[place]["texts"]  # type: ignore[assignment]
    ((commitment, (salt, _)),) = texts.items()
    lines[place]["texts"] = {commitment: [salt, "I was told to"]}
    write(exported, lines)
    (damage,) = check(exported)["damages"]  # type: ignore[misc]
    stream, seq = lines[place]["entry"][:2]  # type: ignore[index]
    assert damage == (
        f"stream {stream}, entry {seq}: its text was changed: it does not match the commitment"
    )


def test_a_text_left_out_of_an_export_is_named(exported: Path) -> None:
    lines = lines_of(exported)
    del lines[_with_text(lines)]["texts"]
    write(exported, lines)
    (damage,) = check(exported)["damages"]  # type: ignore[misc]
    assert "its text is gone, but no entry says that it was erased" in str(damage)


@pytest.mark.parametrize("texts", ['"x"', "[1]", '{"a": "b"}', '{"a": ["zz", "b"]}', '{"a": [1]}'])
def test_a_malformed_text_is_refused_not_crashed_on(exported: Path, texts: str) -> None:
    lines = lines_of(exported)
    lines[_with_text(lines)]["texts"] = json.loads(texts)
    write(exported, lines)
    with pytest.raises(Invalid, match="a text of the export is malformed"):
        check(exported)


def test_an_export_made_after_an_erasure_verifies_without_the_texts(
    make_world: Callable[..., World], tmp_path: Path
) -> None:
    signer, keyring = keys(tmp_path)
    world = make_world(signer=signer)
    world.keys = keyring  # type: ignore[assignment]
    world.approve(world.open("one"), "lena", reason="to be forgotten")
    erasure.erase(world.store, world.actor("admin"), "lena", "asked for it")
    transparency_log.checkpoint_now(world.store, signer)
    file = tmp_path / "log.jsonl"
    lines = access_log.export(world.store, keyring, world.actor("sam"), "yearly audit")
    file.write_text("".join(lines))
    assert "to be forgotten" not in file.read_text()
    report = check(file)
    assert report["ok"], report["damages"]
