"""A checker written from docs/reference/evidence-format.md alone says what Airlock's own says.

It judges every kind of good bundle good, and every forged one bad, by name of what is wrong; so
does `airlock evidence verify`. Where only one of the two refuses a forgery, one of them is wrong.
"""

from __future__ import annotations

import ast
import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from airlock_evidence import checking, story
from airlock_evidence.archive import MANIFEST, manifest, pack, unpack
from airlock_evidence.checking import Result, Unknown, check
from airlock_evidence.trust import Trust
from tests.contract import test_before_0040
from tests.contract.bundle_kit import Files, canonical
from tests.independent_checker import checker, good_bundles, insiders, outsiders, rules
from tests.independent_checker.forging import Insider, sealed
from tests.independent_checker.good_bundles import Good
from tests.support import ROOT, short_folder

pytestmark = pytest.mark.tamper

FOLDER = ROOT / "tests/independent_checker"
OUTSIDE = [(kind, name) for kind, edits in outsiders.FORGERIES.items() for name in edits]
INSIDE = [(kind, name) for kind, edits in insiders.FORGERIES.items() for name in edits]


@pytest.fixture(scope="module")
def made() -> Iterator[dict[str, Good]]:
    folder = short_folder("bundles", hasty=True)  # twenty databases
    yield good_bundles.build(folder)
    shutil.rmtree(folder, ignore_errors=True)


def ours(files: Files, good: Good) -> Result:
    """Return what Airlock's own check finds, with the real keys."""
    return check(files, lambda _: Trust(dict(good.keys), dict(good.witnesses), "our keys"))


def refused(files: Files, good: Good) -> tuple[str, str]:
    """Return what each of the two checks says is wrong; empty where it finds nothing."""
    word, why, _ = rules.judge(files, good.keys, good.witnesses)
    return why if word == "BAD" else "", " ".join(map(str, ours(files, good).failures))


def forged(made: Mapping[str, Good], kind: str, name: str) -> tuple[Good, Files]:
    """Return a forgery, and the bundle it was made from, whose keys one would bring."""
    files = outsiders.FORGERIES[kind][name](made)
    owners = {good.files["bundle.json"]: good for good in made.values()}
    good = owners.get(files["bundle.json"], made["promoted"])
    return (made["promoted"] if kind == "the keys of another" else good), files


def named(why: str) -> bool:
    """Say whether a refusal says where something is wrong, and what."""
    where, _, what = why.partition(": ")
    return bool(where and what) and where != "the bundle"


def fitting(files: Files, made: Mapping[str, Good]) -> Files:
    """Return files as a forger seals them, who leaves alone what he has changed for people."""
    shown = outsiders.READABLE
    known = [tuple(good.files[name] for name in shown) for good in made.values()]
    if tuple(files.get(name) for name in shown) in known:
        return sealed(files)
    return {**files, MANIFEST: manifest(files)}


@pytest.mark.parametrize("kind", good_bundles.KINDS)
def test_a_good_bundle_is_good_to_both(made: dict[str, Good], kind: str) -> None:
    good = made[kind]
    word, why, _ = rules.judge(good.files, good.keys, good.witnesses)
    assert (word, why.split()[-1]) == ("GOOD", good.state)
    result = ours(good.files, good)
    assert result.ok, result.failures
    assert result.state == good.state


def test_a_forger_who_changes_nothing_is_not_found(made: dict[str, Good]) -> None:
    for kind, good in made.items():
        if kind != "rotated":  # signed with two keys
            assert refused(Insider(good).write(), good) == ("", ""), kind


@pytest.mark.parametrize(("kind", "name"), OUTSIDE)
def test_what_somebody_without_the_key_forges_is_refused(
    made: dict[str, Good], kind: str, name: str
) -> None:
    good, files = forged(made, kind, name)
    independent, own = refused(fitting(files, made), good)
    assert named(independent), own
    assert named(own), independent
    assert all(refused(files, good)), "nor before the manifest was made to fit"


def test_the_first_file_alone_refuses_most_of_it(made: dict[str, Good]) -> None:
    """What looks at bytes, keys and log needs none of the rules."""
    refusals = set()
    for kind, name in OUTSIDE:
        good, files = forged(made, kind, name)
        try:
            checker.check(fitting(files, made), good.keys, good.witnesses)
        except checker.Verdict:
            refusals.add((kind, name))
    assert len(refusals) >= 100
    assert len({kind for kind, _ in refusals}) >= 10


@pytest.mark.parametrize(("kind", "name"), INSIDE)
def test_what_the_holder_of_the_key_forges_is_refused(
    made: dict[str, Good], kind: str, name: str
) -> None:
    bundle, edit = insiders.FORGERIES[kind][name]
    forger = Insider(made[bundle])
    edit(forger)
    independent, own = refused(forger.write(), made[bundle])
    assert named(independent) or name == "malformed", own
    assert named(own), independent


def test_there_are_enough_of_every_kind() -> None:
    assert len(OUTSIDE) >= 100
    assert len(INSIDE) >= 100
    assert len(outsiders.FORGERIES) + len(insiders.FORGERIES) >= 20


def test_the_page_names_every_event_and_every_file(made: dict[str, Good]) -> None:
    page = (ROOT / "docs/reference/evidence-format.md").read_text()
    files = {name for good in made.values() for name in good.files if not name.endswith(".py")}
    files = {name for name in files if not name.startswith("evidence/")}
    for word in (*story._STEPS, *checking._AROUND, *sorted(files)):
        assert f"`{word}`" in page, word


def test_it_shares_no_code_with_airlock() -> None:
    """Standard library and `cryptography`; every file is read in one sitting."""
    for name in ("checker", "documents", "story", "rules"):
        text = (FOLDER / f"{name}.py").read_text()
        assert len(text.splitlines()) <= 300, name
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom):
                module = str(node.module)
                assert module.split(".")[0] in {*sys.stdlib_module_names, "cryptography", "tests"}
                assert not module.startswith("tests.") or "independent_checker" in module
            elif isinstance(node, ast.Import):
                assert {one.name for one in node.names} <= sys.stdlib_module_names


def test_it_is_a_program(
    made: dict[str, Good], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bundle, folder = made["promoted"], tmp_path / "bundle.zip", tmp_path / "bundle"
    for name, data in good.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    bundle.write_bytes(pack(good.files))
    pems = [str(path) for path in good.folder.glob("keys/*.pem")]
    for place in (bundle, folder):
        assert rules.main(str(place), *pems) == 0
        assert "GOOD: " in capsys.readouterr().out
    (folder / "texts.json").write_bytes(b"{}")
    assert rules.main(str(folder), *pems) == 1
    assert "BAD: texts.json" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["approved", "promoted", "rolled-back"])
def test_a_bundle_of_before_the_grant_had_an_attempt_is_good_to_both(name: str) -> None:
    files = unpack(test_before_0040.bundles()[name], "the zip")
    word, why, _ = rules.judge(files, test_before_0040.KEYS)
    assert word == "GOOD", why


def test_another_form_is_neither_good_nor_bad(made: dict[str, Good]) -> None:
    good = made["promoted"]
    header = {**json.loads(good.files["bundle.json"]), "version": 3}
    files = fitting({**good.files, "bundle.json": canonical(header)}, made)
    assert rules.judge(files, good.keys)[0] == "UNKNOWN"
    with pytest.raises(Unknown):
        ours(files, good)


@pytest.mark.parametrize("name", ["report.html", "model-card.md", "README.txt"])
def test_what_the_page_does_not_specify_is_compared_by_airlock_alone(
    made: dict[str, Good], name: str
) -> None:
    """The page says so, and so does the checker: it never vouches for a text it cannot make."""
    good = made["promoted"]
    changed = good.files[name].replace(b"e", b"a", 1)
    files = {**good.files, name: changed}
    files[MANIFEST] = manifest(files)
    word, _, notes = rules.judge(files, good.keys)
    assert (word, notes[-1]) == ("GOOD", "documents for people: not all compared")
    assert "does not say what the signed log says" in str(ours(files, good).failures[0])
