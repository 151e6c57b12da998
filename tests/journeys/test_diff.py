"""`runner diff`: two prompts, and two revisions, over the embedded server."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator

from tests.journeys import test_report
from tests.journeys.lab import Lab, serving
from tests.journeys.scorelab import TWO_PROMPTS, score_lab

SPEC = """\
project: lab
models:
  echo: {{provider: lab, name: echo, params: {{max_tokens: 64}}, price: {{input: 1, output: 10}}}}
datasets:
  rows: {{files: data/rows.csv, id: id}}
prompts:
  short: {{user: "{{{{ word }}}}"}}
  taught: {{user: "{taught}"}}
jobs:
  answers:
    matrix: {{prompt: [short, taught]}}
    dataset: rows
    model: echo
    output: results/{{{{ prompt }}}}.{suffix}
    checks:
      exact: {{equals: "{check}"}}
      length: {{measure: "{{{{ answer | length }}}}", better: lower}}
providers:
  lab:
    kind: openai
    base_url: {url}
    api_key_env: LAB_KEY
    overrides: {{settle_s: 0.1, min_poll_s: 0.02}}
"""
EXACT = "echo: {{ word }}"
WORSE = "{{ word }}{% if n | int < 12 %}!{% endif %}"
A, B = "answers:prompt=short", "answers:prompt=taught"


def spec(lab: Lab, text: str = WORSE, check: str = EXACT, suffix: str = "jsonl") -> None:
    lab.spec(SPEC, taught=text, check=check, suffix=suffix)


def rows(lab: Lab, changed: str = "") -> None:
    words = "".join(f"r{n},{changed if changed and n == 3 else f'w{n}'},{n}\n" for n in range(40))
    (lab.root / "data").mkdir(exist_ok=True)
    (lab.root / "data/rows.csv").write_text("id,word,n\n" + words)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A settled and scored project without its state: two prompts, the second of which gets 12 of 40 rows wrong."""
    folder = tmp_path_factory.mktemp("diff")
    with serving(folder / "server") as server:
        (folder / "project").mkdir()
        lab = Lab(folder / "project", server)
        spec(lab)
        rows(lab)
        lab.apply()
        shutil.rmtree(lab.root / ".runner")
        yield lab


def told(lab: Lab, *words: str, code: int = 0) -> dict[str, Any]:
    return dict(json.loads(lab.run("diff", *words, "-o", "json", code=code, LAB_KEY="").stdout))


def test_two_prompts(made: Lab) -> None:
    before = made.files()
    found = told(made, A, B)
    assert made.files() == before, "nothing is written, no state is made"
    assert (found["compared"], found["only_first"], found["only_second"], found["changed"]) == (40, 0, 0, 0)
    assert [(one["what"], one["first"], one["second"]) for one in found["differs"]] == [("prompt", "short", "taught")]
    exact, length = found["checks"]
    assert (exact["first"]["value"], exact["second"]["value"]) == (1.0, 0.7)
    assert exact["difference"]["value"] == pytest.approx(-0.3)
    assert (exact["both"], exact["only_first"], exact["only_second"], exact["neither"]) == (28, 12, 0, 0)
    assert exact["p"] == pytest.approx(2 * 0.5**12)
    assert (exact["worse"], exact["better_rows"], len(exact["worst"])) == (12, 0, 10)
    assert exact["worst"][0] == {
        "custom_id": "r0",
        "expected": "echo: w0",
        "first": "echo: w0",
        "second": "echo: w0!",
        "first_status": "right",
        "second_status": "wrong",
    }
    assert length["difference"]["value"] == pytest.approx(0.3)
    assert found["first"]["ok"] == found["second"]["ok"] == 40
    assert found["second"]["usage"]["usd"] > 0


def test_slices_and_clusters_do_not_stand_in_the_way(made: Lab, tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(made.root, project)
    lab = Lab(project, made.server)
    spec(lab)
    path = project / "specs/lab.yaml"
    path.write_text(path.read_text().replace("    checks:\n", "    slices: [word]\n    cluster: n\n    checks:\n"))
    before = told(made, A, B)["checks"][0]["difference"]
    after = told(lab, A, B)["checks"][0]["difference"]
    assert (after["value"], after["clusters"]) == (before["value"], 40)


def test_the_other_way_round_it_is_better(made: Lab) -> None:
    there, back = told(made, A, B)["checks"][0], told(made, B, A)["checks"][0]
    assert back["difference"]["value"] == -there["difference"]["value"]
    assert back["difference"]["low"] == pytest.approx(-there["difference"]["high"])
    assert (back["only_first"], back["only_second"], back["worse"], back["better_rows"]) == (0, 12, 0, 12)


@pytest.mark.parametrize(
    ("first", "second", "options", "code"),
    [
        (A, B, ["--fail-if-worse"], 4),
        (B, A, ["--fail-if-worse"], 0),
        (B, A, ["--no-worse-than", "0.01"], 0),
        (A, B, ["--no-worse-than", "0.01"], 4),
        (A, B, ["--no-worse-than", "1"], 0),
        (A, B, ["--check", "length", "--fail-if-worse"], 4),  # longer, and lower is better
        (A, A, ["--fail-if-worse"], 0),
        (A, A, ["--check", "exact", "--no-worse-than", "0.001"], 4),  # forty rows cannot tell that
        (A, A, ["--check", "exact", "--no-worse-than", "10%"], 0),
    ],
)
def test_gates(made: Lab, first: str, second: str, options: list[str], code: int) -> None:
    done = made.run("diff", first, second, *options, code=code)
    assert ("✕" in done.stdout) is (code == 4)


def test_the_published_schema_holds_for_what_is_printed(made: Lab) -> None:
    of_diff = Draft202012Validator(json.loads(made.run("schema", "diff").stdout))
    found = told(made, A, B)
    of_diff.validate(found)
    for name, value in (("compared", "40"), ("checks", {}), ("first", None), ("version", None)):
        assert not of_diff.is_valid({**found, name: value}), name


def test_a_job_against_itself(made: Lab) -> None:
    found = told(made, B, B)
    assert found["differs"] == found["notes"] == []
    for check in found["checks"]:
        assert (check["difference"]["value"], check["p"], check["worse"], check["better_rows"]) == (0.0, 1.0, 0, 0)
        assert check["first"] == check["second"]


def test_words_and_markdown(made: Lab) -> None:
    words = made.run("diff", A, B).stdout
    assert "40 rows compared; 0 only in A, 0 only in B, 0 changed" in words
    assert "prompt: short → taught" in words
    assert "exact  A 100.0 %, B 70.0 %" in words
    assert "−30.0 points" in words and "both right 28, only A 12, only B 0 of 40 rows" in words
    assert "worse in B: 12 rows, 10 of them" in words
    assert "    r0  expected echo: w0: A echo: w0, B echo: w0!" in words
    page = made.run("diff", A, B, "-o", "markdown", "--fail-if-worse", code=4).stdout
    assert page.startswith("- ❌ exact: B is worse than A\n")
    assert "| exact | 100.0 % (" in page and "<details><summary>Exact: worse in B, 12 rows</summary>" in page


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["answers", A], "`answers` means 2 jobs"),
        ([A, "nobody"], "there is no job `nobody`"),
        ([A, f"nowhere:{B}"], "git knows no revision `nowhere`"),
        ([A, f"--upload-pack=x:{B}"], "No such option"),
        ([A, B, "--check", "exat"], "there is no check `exat`"),
        ([A, B, "--no-worse-than", "-1"], "is not a margin"),
    ],
)
def test_what_cannot_be_meant(made: Lab, words: list[str], said: str) -> None:
    assert said in made.run("diff", *words, code=64).stderr


# --- revisions ----------------------------------------------------------------------------------------------------


def git(lab: Lab, *words: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *who, *words], cwd=lab.root, check=True, capture_output=True)


@pytest.fixture
def committed(tmp_path: Path) -> Iterator[Lab]:
    """The same, committed; then the prompt is mended, one row of the input is another, and it is applied again."""
    with serving(tmp_path / "server") as server:
        (tmp_path / "project").mkdir()
        lab = Lab(tmp_path / "project", server)
        spec(lab)
        rows(lab)
        lab.apply()
        git(lab, "init", "-q")
        git(lab, "add", "specs", "results", "data")
        git(lab, "commit", "-qm", "first")
        spec(lab, "{{ word }}")
        rows(lab, "another")
        lab.apply("--confirm-repay")
        shutil.rmtree(lab.root / ".runner")
        yield lab


def test_a_revision(committed: Lab) -> None:
    lab = committed
    lab_files = lab.files()
    found = told(lab, f"HEAD:{B}", B)
    assert {name for name in lab.files() if not name.startswith(".git/")} == {
        name for name in lab_files if not name.startswith(".git/")
    }
    assert (found["compared"], found["changed"], found["only_first"], found["only_second"]) == (39, 1, 0, 0)
    assert [(one["what"], one["first"], one["second"]) for one in found["differs"]] == [
        ("prompt", "taught", "taught, edited")
    ]
    exact = found["checks"][0]
    assert (exact["both"], exact["only_first"], exact["only_second"], exact["neither"]) == (28, 0, 11, 0)
    assert (found["first"]["revision"], len(found["first"]["commit"])) == ("HEAD", 40)
    lab.run("diff", f"HEAD:{B}", B, "--fail-if-worse")
    lab.run("diff", B, f"HEAD:{B}", "--fail-if-worse", code=4)


def test_both_sides_are_held_to_the_checks_of_today(committed: Lab) -> None:
    """An exclamation mark is now what is wanted: neither scores file says so."""
    spec(committed, "{{ word }}", "echo: {{ word }}!")
    exact = told(committed, f"HEAD:{B}", B)["checks"][0]
    assert (exact["both"], exact["only_first"], exact["only_second"], exact["neither"]) == (0, 11, 0, 28)


def test_what_a_revision_does_not_hold_is_said(committed: Lab) -> None:
    git(committed, "rm", "-q", "--cached", "results/short.jsonl")
    git(committed, "commit", "-qm", "second")
    done = committed.run("diff", f"HEAD:{A}", A, code=64)
    assert "there is no `results/short.jsonl` in " in done.stderr
    spec(committed, "{{ word }}", "{{ new }}")
    found = told(committed, f"HEAD:{B}", f"HEAD:{B}")
    assert found["checks"] == [] and "cannot be held to the checks of today" in found["notes"][0]
    done = committed.run("diff", f"HEAD:{B}", f"HEAD:{B}", "--fail-if-worse", code=4)
    assert "✕ no check could be compared" in done.stdout


# --- tables -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_tables_go_by_the_scores_beside_them(made: Lab, tmp_path: Path, suffix: str) -> None:
    (tmp_path / "project").mkdir()
    lab = Lab(tmp_path / "project", made.server)
    spec(lab, suffix=suffix)
    rows(lab)
    lab.apply()
    found = told(lab, A, B)
    assert found["compared"] == 40
    assert found["checks"] == told(made, A, B)["checks"]
    (lab.root / "results/taught.scores.jsonl").unlink()
    found = told(lab, A, B)
    assert found["checks"] == [] and f"`{B}` has no scores" in found["notes"][0]


# --- classes ------------------------------------------------------------------------------------------------------


def test_macro_f1_of_a_choice(tmp_path: Path) -> None:
    """Each side has the macro F1 that its own job has; the difference says how far it can be trusted."""
    with score_lab(tmp_path / "project") as lab:
        lab.table(test_report.ROWS)
        of = {row["id"]: row["intent"] for row in test_report.ROWS}
        lab.says = lambda row, prompt: f"Intent: {'order' if prompt == 'beg' and row < 'r2' else of[row]}, w"
        lab.job(test_report.CHECKS, TWO_PROMPTS.replace("SUFFIX", "jsonl"))
        lab.apply(code=4)
        intent, said = json.loads(lab.run("diff", A, B, "-o", "json").stdout)["checks"]
        assert said["macro_f1"] is None
        found = intent["macro_f1"]
        own = [
            next(one for one in lab.status_of(address)["scores"]["checks"] if one["name"] == "intent")["macro_f1"]
            for address in (A, B)
        ]
        for side, mine in zip((found["first"], found["second"]), own, strict=True):
            assert all(side[name] == mine[name] for name in ("value", "low", "high", "n", "clusters"))
        assert found["difference"]["value"] == pytest.approx(found["second"]["value"] - found["first"]["value"])
        assert found["difference"]["high"] < 0 and found["p"] < 0.05
        words = lab.run("diff", A, B).stdout
        assert "  macro F1  A 100.0 %, B " in words and "; B − A −" in words
        assert r"| intent.macro\_f1 | 100.0 % (" in lab.run("diff", A, B, "-o", "markdown").stdout
