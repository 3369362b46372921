from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from airlock.config.problems import ConfigurationError
from airlock.config.source import MAX_BYTES, parse, read

pytestmark = pytest.mark.unit

#: What is wrong -> (text, line, path, words of the message)
SMALL_SINS = {
    "a key twice": ("a: 1\nb: 2\na: 3\n", 3, "a", "once; found it again, first on line 1"),
    "a key twice below": ("x:\n  b: 1\n  b: 1\n", 3, "x.b", "first on line 2"),
    "an anchor": ("a: &one 1\n", 1, "a", "without an anchor; found the anchor &one"),
    "an alias": ("a: &one 1\nb: *one\n", 2, "b", "written out; found the alias *one"),
    "a merge": ("a: &m {x: 1}\nb:\n  <<: *m\n", 3, "b.<<", "found the alias *m"),
    "a python tag": (
        "a: !!python/object/apply:os.system [id]\n",
        1,
        "a",
        "without a tag; found the tag tag:yaml.org,2002:python/object/apply:os.system",
    ),
    "a custom tag": ("a:\n  - !vault x\n", 2, "a[0]", "found the tag !vault"),
    "a standard tag": ("a: !!str 1\n", 1, "a", "found the tag tag:yaml.org,2002:str"),
    "a key without a value": ("a:\nb: 1\n", 1, "a", "a value; found nothing"),
    "a null": ("a: 1\nb: ~\n", 2, "b", "a value; found nothing"),
    "a list as key": ("? [a, b]\n: 1\n", 1, "", "a plain name as key; found a list or mapping"),
    "an empty key": ("'': 1\n", 1, "", "a plain name as key"),
}

#: What is wrong -> (bytes, line, words): nothing more can be said about such a file.
FATAL = {
    "empty": (b"", 0, "expected a document; found an empty file"),
    "comments only": (b"# nothing\n", 0, "an empty file"),
    "two documents": (b"a: 1\n---\na: 2\n", 2, "one document; found a second one"),
    "not UTF-8": (b"a: 1\nb: \xff\n", 2, "UTF-8 text; found byte 0xff"),
    "UTF-16": ("a: 1".encode("utf-16"), 1, "UTF-8 text"),
    "too big": (b"#" * (MAX_BYTES + 1), 0, "at most 256 KB; found a bigger file"),
    "too deep": (b"[" * 22 + b"1" + b"]" * 22, 1, "at most 20 levels; found a deeper nesting"),
    "far too deep": (b"[" * 200_000, 1, "at most 20 levels"),
    "unclosed": (b"a: [1\nb: 2\n", 2, "valid YAML; found a slip: did not find expected"),
    "a tab": (b"a:\n\tb: 1\n", 2, "valid YAML; found a slip"),
    "a control character": (b"a: \x01\n", 0, "valid YAML; found a slip"),
    "an unclosed loop": (b"&a [*a, *a", 2, "valid YAML"),
}


@pytest.mark.parametrize("case", SMALL_SINS)
def test_small_sins_name_line_and_place(case: str) -> None:
    text, line, path, words = SMALL_SINS[case]
    problems = parse(text, "f.yaml").problems
    assert problems, case
    last = problems[-1]
    assert (last.file, last.line, last.path) == ("f.yaml", line, path)
    assert words in str(last)


@pytest.mark.parametrize("case", FATAL)
def test_files_that_are_no_document_are_refused(case: str, tmp_path: Path) -> None:
    raw, line, words = FATAL[case]
    path = tmp_path / "f.yaml"
    path.write_bytes(raw)
    with pytest.raises(ConfigurationError, match=r"f\.yaml is refused") as caught:
        read(path)
    (problem,) = caught.value.problems
    assert problem.line == line
    assert words in str(problem)


def test_a_billion_laughs_takes_no_time_and_is_refused() -> None:
    laughs = 'a: &a ["lol","lol"]\n' + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(20)
    )
    assert parse(laughs, "f.yaml").problems


def test_missing_file_folder_and_pipe_are_refused_without_waiting(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe.yaml")
    for name in ("none.yaml", "pipe.yaml", "."):
        with pytest.raises(ConfigurationError):
            read(tmp_path / name)


TRAPS = """yes no on off True FALSE y 010 0x1F 0o17 1_000 12:30 2024-01-01 .inf .nan 1e999
+ 1. .5 9999999999999999999"""


@pytest.mark.parametrize("text", TRAPS.split())
def test_yaml_traps_stay_text(text: str) -> None:
    assert parse(f"a: {text}\n", "f").data == {"a": text}


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("false", False), ("0", 0), ("-7", -7), ("0.5", 0.5), ("1e3", 1000.0)],
)
def test_plain_booleans_and_decimal_numbers_are_read(text: str, value: object) -> None:
    data = parse(f"a: {text}\n", "f").data
    assert data == {"a": value}
    assert type(data["a"]) is type(value)
    assert parse(f'a: "{text}"\n', "f").data == {"a": text}


def test_lines_are_those_of_the_keys() -> None:
    source = parse("a: 1\nb:\n  - c: 2\n    d: 3\n  - e\n", "f")
    assert source.line(("b", 0, "d")) == 4
    assert source.line(("b", 1)) == 5
    assert source.line(("b", 0, "absent")) == 3


def test_both_parsers_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "a: {b: [1, 'x', true], c: 0.5}\nd: |\n  two\n  lines\n"
    fast = parse(text, "f")
    monkeypatch.setattr("airlock.config.source._PARSER", yaml.SafeLoader)
    slow = parse(text, "f")
    assert (fast.data, fast.lines) == (slow.data, slow.lines)


_LEAF = st.booleans() | st.integers(-(10**17), 10**17) | st.text("abc: -#'\"é", max_size=8)
_TREE = st.recursive(
    _LEAF,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1), inner),
    max_leaves=12,
)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.text("abc", min_size=1), _TREE, min_size=1))
def test_what_pyyaml_writes_is_read_back_the_same(data: dict[str, object]) -> None:
    class NoAliases(yaml.SafeDumper):
        def ignore_aliases(self, data: object) -> bool:
            return True

    source = parse(yaml.dump(data, Dumper=NoAliases, allow_unicode=True), "f")
    assert source.problems == ()
    assert source.data == data


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=60))
def test_no_text_at_all_breaks_the_reader(text: str) -> None:
    with suppress(ConfigurationError):
        parse(text, "f")
