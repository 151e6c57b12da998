"""How problems read."""

from __future__ import annotations

from pathlib import Path

from runner.errors import Mark, Problem
from runner.spec.problems import Problems, nearest, render


def test_a_problem_in_full(tmp_path: Path) -> None:
    problem = Problem(
        Mark("specs/reviews.yaml", 14, 5), "unknown field `windw`", "did you mean `window`?", "    windw: 24h"
    )
    assert render([problem], tmp_path) == (
        "specs/reviews.yaml:14:5: error: unknown field `windw`\n"
        "    14 |     windw: 24h\n"
        "       |     ^\n"
        "\n"
        "hint: did you mean `window`?"
    )


def test_a_line_that_was_not_kept_is_read_from_the_file(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("a,b\n1\n")
    shown = render([Problem(Mark("d.csv", 2, 1), "too few columns")], tmp_path)
    assert shown == "d.csv:2:1: error: too few columns\n     2 | 1\n       | ^"
    assert render([Problem(Mark("gone.csv", 2), "gone")], tmp_path) == "gone.csv:2:1: error: gone"


def test_long_lines_are_cut_around_the_place(tmp_path: Path) -> None:
    line = "x" * 500 + "HERE" + "y" * 500
    shown = render([Problem(Mark("f", 1, 501), "m", snippet=line)], tmp_path).splitlines()
    assert len(shown[1]) < 140
    assert shown[1].index("HERE") == shown[2].index("^")


def test_what_users_wrote_cannot_steer_a_terminal(tmp_path: Path) -> None:
    problems = Problems()
    problems.add_text("f", "a: \x1b[31m\u202e\n")
    problems.error(Mark("f", 1, 1), "bad \x1b[31m name", "write `\u202e`")
    shown = render(problems.found, tmp_path)
    assert all(char.isprintable() or char == "\n" for char in shown)


def test_tabs_keep_the_caret_in_place(tmp_path: Path) -> None:
    shown = render([Problem(Mark("f", 1, 3), "m", snippet="\ta: 1")], tmp_path).splitlines()
    assert shown[1].index(":", 8) == shown[2].index("^") + 0


def test_nearest() -> None:
    assert nearest("windw", ["window", "output"]) == "window"
    assert nearest("LLAMA", ["llama", "llamas"]) == "llama"
    assert nearest("zzz", ["window"]) is None
    assert nearest("", ["a"]) is None


def test_warnings_alone_raise_nothing() -> None:
    problems = Problems()
    problems.warning(Mark("b"), "two")
    problems.warning(Mark("a"), "one")
    problems.raise_errors()
    assert problems.warnings() == ("a: one", "b: two")


def test_what_a_problem_quotes_cannot_steer_a_terminal() -> None:
    problem = Problem(Mark("a.yaml", 1, 1), "the `id` \u202e is not a column\x1b[2J", "columns: `a\n`")
    assert (problem.message, problem.hint) == ("the `id` \\u202e is not a column\\x1b[2J", "columns: `a\\n`")
