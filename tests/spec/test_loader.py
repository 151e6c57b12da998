"""Files to nodes: values by the YAML 1.2 core rules, places, merge keys, caps."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.errors import Mark, UsageError
from runner.spec import loader
from runner.spec.composer import MAX_ALIASES, MAX_NODES
from runner.spec.loader import find_files, parse, read
from runner.spec.nodes import Mapping, Scalar, data_of
from runner.spec.problems import Problems

PARSERS = [loader._PARSER, yaml.SafeLoader]


def parsed(text: str, parser: type = loader._PARSER) -> tuple[Mapping | None, Problems]:
    problems = Problems()
    problems.add_text("f.yaml", text)
    return parse(text, "f.yaml", problems, parser), problems


def value_of(text: str) -> Any:
    top, problems = parsed(text)
    assert not problems.found and top is not None, problems.found
    return data_of(top)


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("False", False),
        ("12", 12),
        ("-3", -3),
        ("+3", 3),
        ("0o17", 15),
        ("0xfF", 255),
        ("3.10", 3.1),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("-.inf", -math.inf),
        ("123456789012345678901234567890", 123456789012345678901234567890),
        ("NO", "NO"),
        ("yes", "yes"),
        ("on", "on"),
        ("12:30", "12:30"),
        ("24:00:00", "24:00:00"),
        ("010", "010"),
        ("01.5", "01.5"),
        ("2026-11-21", "2026-11-21"),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("1.2.3", "1.2.3"),
        ("'12'", "12"),
        ('"true"', "true"),
        ("! 12", "12"),
        ("!!str 12", "12"),
        ("!!int '12'", 12),
        ("!!float 3", 3.0),
        ("!!null ''", None),
        ("9" * 5000, "9" * 5000),
        ("[1, a]", [1, "a"]),
        ("{b: 1, a: 2}", {"b": 1, "a": 2}),
    ],
)
def test_values(written: str, value: Any, parser: type) -> None:
    top, problems = parsed(f"a: {written}\n", parser)
    assert top is not None and not problems.found
    found = data_of(top)["a"]
    assert found == value
    assert isinstance(found, bool) == isinstance(value, bool)
    assert isinstance(found, float) == isinstance(value, float)


def test_nan_is_a_number() -> None:
    assert math.isnan(value_of("a: .nan\n")["a"])


def test_numbers_keep_their_source() -> None:
    found = value_of("a: 3.10\nb: 0x10\n")
    assert (found["a"].source, found["b"].source) == ("3.10", "0x10")


def test_merge_keys_give_way_to_keys_of_their_own() -> None:
    text = "x-a: &a {p: 1, q: 1}\nx-b: &b {q: 2, r: 2}\nc: {<<: [*a, *b], p: 9}\nd: {<<: *b}\n"
    found = value_of(text)
    assert found["c"] == {"p": 9, "q": 1, "r": 2}
    assert found["d"] == {"q": 2, "r": 2}


def test_a_quoted_merge_key_is_a_key() -> None:
    assert value_of('a: {"<<": 1}\n') == {"a": {"<<": 1}}


def test_places() -> None:
    top, _ = parsed("a:\n  bé: [1, 'x']\n  t: |\n    one\n    two\n")
    assert top is not None
    inner = top.get("a")
    assert isinstance(inner, Mapping)
    assert inner.key("t").mark == Mark("f.yaml", 3, 3)
    text = inner.get("t")
    assert isinstance(text, Scalar)
    assert (text.mark, text.text_mark) == (Mark("f.yaml", 3, 6), Mark("f.yaml", 4, 1))
    listed = inner.get("bé")
    assert listed is not None and listed.mark == Mark("f.yaml", 2, 7)


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "---\n", "---\n...\n", "null\n"])
def test_an_empty_file_is_a_warning(text: str) -> None:
    top, problems = parsed(text)
    assert top is None
    assert [problem.severity for problem in problems.found] == ["warning"]


def test_a_byte_order_mark_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbfproject: a\n")
    problems = Problems()
    top = read(tmp_path / "a.yaml", "a.yaml", problems)
    assert top is not None and data_of(top) == {"project": "a"}
    assert [problem.severity for problem in problems.found] == ["warning"]


def test_windows_line_ends(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"a: 1\r\nb: 2\r\nb: 3\r\n")
    problems = Problems()
    read(tmp_path / "a.yaml", "a.yaml", problems)
    assert [problem.mark for problem in problems.found] == [Mark("a.yaml", 3, 1)]


def test_a_file_of_more_than_5_mb_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"#" * 5_000_001)
    problems = Problems()
    assert read(tmp_path / "a.yaml", "a.yaml", problems) is None
    assert "larger than 5 MB" in problems.found[0].message


def test_a_file_that_is_gone_is_a_problem(tmp_path: Path) -> None:
    problems = Problems()
    assert read(tmp_path / "a.yaml", "a.yaml", problems) is None
    assert problems.found[0].message == "cannot read `a.yaml`: No such file or directory"


BOMBS = {
    "brackets": "[" * 100_000,
    "braces": "{" * 100_000,
    "dashes": "- " * 100_000,
    "questions": "? " * 100_000,
    "deep indent": "".join(f"{' ' * n}a:\n" for n in range(2_000)),
    "deep by alias": "a: &a " + "[" * 40 + "]" * 40 + "\nb: " + "[" * 40 + "*a" + "]" * 40 + "\n",
    "alias bomb": "a: &a [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1 or ''}, *a{n - 1 or ''}]\n" for n in range(1, 40)),
    "many aliases": "a: &a 1\nb: [" + "*a, " * (MAX_ALIASES + 1) + "]\n",
    "many nodes": "a: [" + "1, " * (MAX_NODES + 1) + "]\n",
    "huge scalar": "a: " + "x" * 1_000_001 + "\n",
    "many duplicates": "a: 1\n" * 50_000,
    "duplicates on one line": "{" + "a: 1, " * 50_000 + "}\n",
    "never closed": "a: '" + "x\n" * 100_000,
    "plain over many lines": "a\n" * 100_000,
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_quickly(name: str) -> None:
    started = time.process_time()
    top, problems = parsed(BOMBS[name])
    assert time.process_time() - started < 5
    assert problems.errors
    assert len(problems.found) < 500
    assert top is None or problems.errors


def test_the_python_parser_stops_at_the_caps_too() -> None:
    for text in ("[" * 5_000, "- " * 5_000):
        _, problems = parsed(text, yaml.SafeLoader)
        assert "64 levels" in problems.found[0].message


YAMLISH = st.text(alphabet="ab:{}[]&*!|>-'\"#%@`,?\n\t \\1.~<\u2028é\x07", max_size=200)


@settings(max_examples=300, deadline=None)
@given(YAMLISH)
def test_any_text_gives_nodes_or_problems(text: str) -> None:
    top, problems = parsed(text)
    assert top is not None or problems.found
    lines = text.split("\n")
    for problem in problems.found:
        assert problem.mark.line <= len(lines) + text.count("\r") + text.count("\u2028")


@settings(max_examples=200, deadline=None)
@given(YAMLISH)
def test_both_parsers_agree_on_what_is_valid(text: str) -> None:
    c_top, c_problems = parsed(text)
    py_top, py_problems = parsed(text, yaml.SafeLoader)
    if c_top is not None and py_top is not None and not c_problems.errors and not py_problems.errors:
        assert repr(data_of(c_top)) == repr(data_of(py_top))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_give_nodes_or_problems(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_bytes(raw)
    problems = Problems()
    assert read(file, "any.yaml", problems) is not None or problems.found


def tree(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("version: 1\n")
    return root


def test_files_are_found_and_sorted(tmp_path: Path) -> None:
    root = tree(tmp_path, "s/b.yml", "s/a.yaml", "s/sub/c.yaml", "s/.h/d.yaml", "s/.e.yaml", "s/readme.md", "t.yaml")
    assert find_files(["s"], root) == ["s/a.yaml", "s/b.yml", "s/sub/c.yaml"]
    assert find_files(["t.yaml", "s/sub", "./s/sub/c.yaml"], root) == ["s/sub/c.yaml", "t.yaml"]
    assert find_files([str(root / "t.yaml")], root) == ["t.yaml"]


def test_links_are_followed_once_and_only_inside_the_root(tmp_path: Path) -> None:
    root = tree(tmp_path / "root", "s/a.yaml", "other/b.yaml")
    tree(tmp_path, "out/c.yaml")
    (root / "s/inside").symlink_to(root / "other")
    (root / "s/outside").symlink_to(tmp_path / "out")
    (root / "s/loop").symlink_to(root / "s")
    (root / "s/data").symlink_to(tmp_path / "data")
    tree(tmp_path, "data/rows.csv")
    told: list[tuple[str, str]] = []
    assert find_files(["s"], root, lambda link, words: told.append((link, words))) == ["s/a.yaml", "s/inside/b.yaml"]
    words = f"is a link that leads out of the project root, to `{tmp_path / 'out'}`: no spec below it is read"
    assert told == [("s/outside", words)]
    assert find_files(["s", "other"], root) == ["other/b.yaml", "s/a.yaml"]


def test_a_folder_of_nothing_but_a_link_that_leaves_the_root_names_the_link(tmp_path: Path) -> None:
    root = tree(tmp_path / "root", "README")
    tree(tmp_path, "out/c.yaml")
    (root / "s").mkdir()
    (root / "s/shared").symlink_to(tmp_path / "out")
    told: list[tuple[str, str]] = []
    with pytest.raises(UsageError) as caught:
        find_files(["s"], root, lambda link, words: told.append((link, words)))
    out = f"`s/shared` is a link that leads out of the project root, to `{tmp_path / 'out'}`"
    assert caught.value.message == f"no .yaml or .yml files below `s`; {out}"
    assert not told  # it is said once


def test_a_linked_spec_that_leaves_the_root_or_is_hidden_is_named(tmp_path: Path) -> None:
    for target, words in (("../out/c.yaml", "out of the project root"), (".git/config", "into a hidden folder")):
        root = tree(tmp_path / "root", "s/a.yaml", ".git/config", "../out/c.yaml")
        (root / "s/linked.yaml").unlink(missing_ok=True)
        (root / "s/linked.yaml").symlink_to(root / target)
        with pytest.raises(UsageError, match=f"`s/linked.yaml` is a link (that leads )?{words}.*not read"):
            find_files(["s"], root)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nope", "no such file or folder: `nope`"),
        ("empty", "no .yaml or .yml files below `empty`"),
        ("..", "`..` lies outside the project root"),
        ("x.txt", "`x.txt` is not a .yaml or .yml file"),
        ("x" * 5000, f"no such file or folder: `{'x' * 5000}`"),
        ("a\0b", "no such file or folder: `a\\x00b`"),
    ],
)
def test_paths_that_lead_to_nothing(tmp_path: Path, path: str, message: str) -> None:
    (tmp_path / "root/empty").mkdir(parents=True)
    (tmp_path / "root/x.txt").touch()
    with pytest.raises(UsageError) as caught:
        find_files([path], tmp_path / "root")
    assert caught.value.message == message
    assert caught.value.hint


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_conflict_is_named_whatever_ends_the_lines(tmp_path: Path, end: str) -> None:
    lines = ["models:", "<<<<<<< HEAD", "  a: {}", "=======", "  b: {}", ">>>>>>> theirs", "jobs: {}", ""]
    (tmp_path / "a.yaml").write_bytes(end.join(lines).encode())
    problems = Problems()
    assert read(tmp_path / "a.yaml", "a.yaml", problems) is None
    assert [(str(one.mark), one.message) for one in problems.found] == [
        ("a.yaml:2:1", "the line is a mark of a merge conflict, `<<<<<<< HEAD`")
    ]
