"""A character of a text is found again in its file, however YAML wrote it."""

from __future__ import annotations

import random

import pytest
import yaml

from runner.errors import Mark
from runner.spec.within import place_of

WAYS = {
    "plain": "p: Say {{ word|upperr }} twice",
    "plain, folded": "p: Say\n  this\n\n  {{ word|upperr }}\n  twice",
    "literal": "p: |\n  Say\n\n    this: {{ word|upperr }}\n  twice\n",
    "literal, kept": "p: |2+\n    Say {{ word|upperr }}\n\n",
    "literal, after blank lines": "p: |\n\n\n  Say {{ word|upperr }}",
    "folded": "p: >-\n  Say\n  this:\n\n  {{ word|upperr }}\n",
    "single": "p: 'It''s {{ word|upperr }}'",
    "single, folded": "p: 'It''s\n\n   this ''here''\n   {{ word|upperr }}'",
    "double": 'p: "\\"Say\\"\\n\\t\\u00e9 \\x41\\U0001F600 {{ word|upperr }}"',
    "double, folded": 'p: "Say \\\n     this\\n\n\n  and \\"{{ word|upperr }}"',
    "carriage returns": "p: |\r\n  Say\r\n  {{ word|upperr }}\r\n",
}


def start_of(written: str) -> Mark:
    """As the loader has it: at the text, or on the line below the sign of a block."""
    first = written.split("\n")[0].rstrip("\r")
    return Mark("specs/a.yaml", 2, 1) if first[3] in "|>" else Mark("specs/a.yaml", 1, 4)


@pytest.mark.parametrize("way", WAYS)
def test_a_word_is_found_where_it_is_written(way: str) -> None:
    written = WAYS[way]
    text = yaml.safe_load(written)["p"]
    lines = written.replace("\r\n", "\n").split("\n")
    found = place_of(lines, start_of(written), text, text.index("upperr"))
    assert found is not None
    assert lines[found.line - 1][found.column - 1 :].startswith("upperr")


@pytest.mark.parametrize("seed", range(40))
def test_whatever_a_text_holds(seed: int) -> None:
    rng = random.Random(seed)
    text = "".join(rng.choice("ab '\"\\{}|: \n\té\u2028😀#-") for _ in range(60)).strip() + "X"
    for style in ("'", '"', "|", ">", None):
        written = yaml.safe_dump({"p": text}, default_style=style, allow_unicode=rng.random() < 0.5, width=30)
        key = written.index(":") + 1
        at = next(n for n in range(key, len(written)) if not written[n].isspace())
        line = written.count("\n", 0, at) + 1
        column = at - written.rfind("\n", 0, at)
        start = Mark("a.yaml", line + 1, 1) if written[at] in "|>" else Mark("a.yaml", line, column)
        lines = written.split("\n")
        found = place_of(lines, start, text, len(text) - 1)
        assert found is not None, written
        assert lines[found.line - 1][found.column - 1] == "X"


def test_what_the_file_does_not_say_has_no_place() -> None:
    assert place_of(["p: other"], Mark("a.yaml", 1, 4), "text", 2) is None
    assert place_of([], Mark("a.yaml", 1, 4), "text", 2) is None
    assert place_of(["'tis {{ x }}"], Mark("a.md", 1, 1), "'tis {{ x }}", 5) == Mark("a.md", 1, 6)
