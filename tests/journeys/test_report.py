"""`runner report`: what jobs came to, from results and scores files alone."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator
from junitparser import JUnitXml

from runner.reports import facts
from tests.journeys.lab import RUNNER
from tests.journeys.scorelab import FAILED, TWO_PROMPTS, ScoreLab, score_lab

CHECKS = """\
checks:
  intent: {choice: "{{ intent }}", extract: '^Intent: (\\w+)'}
  said: {contains: "{{ word }}"}
slices: [language]
expect:
  answered: ">= 90 %"
  intent: ">= 95 %"
"""
ROWS = [
    {"id": f"r{n}", "word": f"w{n}", "intent": ("refund", "order")[n % 2], "language": ("en", "ja")[n % 5 == 0]}
    for n in range(40)
]


def said(n: int) -> Any:
    """One error; the rows in Japanese are got wrong, one cannot be read."""
    if n == 7:
        return FAILED
    if n == 11:
        return "<script>alert(1)</script> w11"
    right = ROWS[n]["intent"]
    wrong = "order" if right == "refund" else "refund"
    return f"Intent: {wrong if n % 5 == 0 else right}, w{n}"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScoreLab]:
    """A project whose two jobs are settled and scored. To be read only."""
    with score_lab(tmp_path_factory.mktemp("report") / "project") as lab:
        yield settled(lab)


def settled(lab: ScoreLab, suffix: str = "jsonl") -> ScoreLab:
    lab.table(ROWS)
    lab.answers = {f"r{n}": said(n) for n in range(40)}
    lab.job(CHECKS, TWO_PROMPTS.replace("SUFFIX", suffix))
    lab.apply(code=4)
    return lab


def told(lab: ScoreLab, *more: str) -> facts.Facts:
    return facts.decode(lab.run("report", "specs/", "-o", "json", *more).stdout.encode())


def test_the_facts_are_those_of_the_files(made: ScoreLab) -> None:
    found = told(made)
    (group,) = found.groups
    assert [cell.label for cell in group.cells] == ["short", "taught"]
    cell = group.cells[0]
    assert (cell.accounting.wanted, cell.accounting.ok, cell.accounting.error) == (40, 39, 1)
    intent, contains = cell.checks
    assert dict(intent.statuses) == {"right": 30, "wrong": 8, "unreadable": 1, "unanswered": 1}
    assert intent.number.value == pytest.approx(30 / 39)
    assert intent.signature.startswith("choice|extract:^Intent: (\\w+)|")
    assert contains.number.value == 1.0
    assert [(one.expected, one.got, one.rows) for one in intent.confusion][:2] == [
        ("order", "refund", 4),
        ("refund", "order", 4),
    ]
    assert {gate.metric: gate.verdict for gate in cell.gates} == {"answered": "met", "intent": "unmet"}
    assert [(one.code, one.rows, one.example) for one in cell.failures] == [("bad_request", 1, "r7")]
    assert (cell.usage.input_tokens, cell.usage.output_tokens) == (390, 78)
    assert cell.usage.usd == pytest.approx((390 * 1 + 78 * 10) / 1e6)
    assert cell.provenance.output == "results/answers-short.jsonl"
    assert cell.provenance.data == ("data/rows.jsonl",)
    assert found.notes == ()


def test_the_published_schema_holds_for_what_is_printed(made: ScoreLab) -> None:
    report = json.loads(made.run("report", "specs/", "-o", "json").stdout)
    of_report = Draft202012Validator(json.loads(made.run("schema", "report").stdout))
    of_report.validate(report)
    cell = report["groups"][0]["cells"][0]
    for facts_of, name, value in (
        (report, "version", "1"),
        (cell["accounting"], "wanted", None),
        (cell["checks"][0], "form", "share"),
        (cell["checks"][0]["number"], "low", "0.5"),
        (cell["gates"][0], "verdict", "maybe"),
        (cell["checks"][0]["statuses"], "right", "30"),
    ):
        before = facts_of[name]
        facts_of[name] = value
        assert not of_report.is_valid(report), name
        facts_of[name] = before
    assert of_report.is_valid(report)


def test_what_apply_says_is_what_the_report_says(made: ScoreLab) -> None:
    checks = made.status_of("answers:prompt=short")["scores"]["checks"]
    cell = told(made).groups[0].cells[0]
    for one, check in zip(checks, cell.checks, strict=True):
        assert one["counts"] == dict(check.statuses)
        assert one["signature"] == check.signature
        figure = one["figure"]
        assert (figure["value"], figure["low"], figure["high"], figure["n"]) == (
            check.number.value,
            check.number.low,
            check.number.high,
            check.number.n,
        )


EVERY_KIND = """\
checks:
  intent: {choice: "{{ intent }}", extract: '^Intent: (\\w+)'}
  said: {contains: "{{ word }}"}
  length: {measure: "{{ answer | length }}", better: lower}
slices: [language]
cluster: language
expect:
  answered: ">= 97 %"
  intent: {is: ">= 76 %", by: interval}
  intent.macro_f1: {is: ">= 77 %", slice: {language: en}}
  intent.unreadable: "<= 3 %"
  said: {not_worse_than: {prompt: short}, margin: 0.01}
  length: "<= 100"
"""


def test_every_expectation_comes_out_as_apply_says(tmp_path: Path) -> None:
    with score_lab(tmp_path / "project") as lab:
        lab.table(ROWS)
        lab.answers = {f"r{n}": said(n) for n in range(40)}
        lab.job(EVERY_KIND, TWO_PROMPTS.replace("SUFFIX", "jsonl"))
        lab.apply(code=4)
        verdicts = set()
        for cell in told(lab).groups[0].cells:
            gates = lab.status_of(cell.address)["scores"]["gates"]
            verdicts |= {gate["verdict"] for gate in gates}
            for one, gate in zip(gates, cell.gates, strict=True):
                assert (one["metric"], one["expected"], one["verdict"]) == (gate.metric, gate.expected, gate.verdict)
                assert one["sentence"] == gate.sentence
                assert one["figure"]["value"] == (gate.number.value if gate.number else None)
                assert bool(gate.way_out) is (gate.verdict == "undecided")
        assert verdicts >= {"met", "unmet", "undecided"}


def test_replicates_are_pooled_as_apply_does(tmp_path: Path) -> None:
    with score_lab(tmp_path / "project") as lab:
        lab.table(ROWS)
        lab.answers = {f"r{n}": said(n) for n in range(40)}
        spec = TWO_PROMPTS.replace("prompt: [short, taught]", "prompt: [short], replicate: [1, 2, 3]")
        spec = spec.replace("answers-{{ prompt }}", "answers-{{ replicate }}").replace("SUFFIX", "jsonl")
        lab.job(CHECKS, spec)
        lab.apply(code=4)
        (pooled,) = told(lab).groups[0].pooled
        assert (pooled.label, len(pooled.addresses)) == ("short", 3)
        theirs = lab.status_of("answers:prompt=short,replicate=1")["scores"]["pooled"]
        for one, check in zip(theirs["checks"], pooled.checks, strict=True):
            assert (one["figure"]["value"], one["figure"]["low"]) == (check.number.value, check.number.low)
            assert (check.number.n, check.number.clusters) == (3 * 39, 39)
        first = lab.run("report", "specs/", "-o", "markdown").stdout.partition("<details>")[0]
        assert "All 3 replicates of short: intent 76.9 %" in first
        lab.run("report", "specs/")
        assert "All 3 replicates of short: intent 76.9 %" in (lab.root / "report.html").read_text()


def test_cells_are_compared_on_the_same_rows(made: ScoreLab) -> None:
    group = told(made).groups[0]
    (intent, _) = group.comparisons
    assert (intent.check, intent.first, intent.second) == ("intent", "answers:prompt=short", "answers:prompt=taught")
    assert (intent.both, intent.only_first, intent.only_second, intent.neither) == (30, 0, 0, 9)
    assert (intent.difference.value, intent.p) == (0.0, 1.0)
    worse = [one for one in group.slices if one.direction]
    assert {(one.value, one.direction) for one in worse} == {("ja", "worse"), ("en", "better")}
    assert sum(one.rows for one in group.slices if one.address == intent.first) == 40


def test_the_page_is_one_file(made: ScoreLab) -> None:
    done = made.run("report", "specs/")
    assert re.fullmatch(r"report\.html  2 jobs, 80 rows, \d+ kB\n", done.stdout), done.stdout
    page = (made.root / "report.html").read_text()
    assert "<title>lab / answers</title>" in page
    assert "alert(1)" not in page
    assert "<b>short</b> gets intent right in <b>76.9 %</b>" in page
    made.run("report", "specs/")  # over the one before


def test_forms_and_where_they_go(made: ScoreLab, tmp_path: Path) -> None:
    first = made.run("report", "specs/", "-o", "markdown").stdout
    assert first.startswith("## lab / answers\n")
    made.run("report", "specs/", "--out", str(tmp_path / "new/report.md"))
    assert (tmp_path / "new/report.md").read_text() == first
    made.run("report", "specs/", "--out", str(tmp_path / "report.xml"), "--junit-rows", "3")
    suites = list(JUnitXml.fromfile(str(tmp_path / "report.xml")))
    assert [(suite.name, suite.tests, suite.failures) for suite in suites] == [
        ("answers:prompt=short", 6, 5),
        ("answers:prompt=taught", 6, 5),
    ]
    page = made.run("report", "specs/", "--out", "-", "-o", "html", "-s", "answers:prompt=taught").stdout
    assert page.startswith("<!doctype html>")
    assert "prompt=short" not in page


def test_neither_network_nor_state_is_needed(made: ScoreLab, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    for name in ("specs", "data", "results"):
        shutil.copytree(made.root / name, clone / name)
    away = ScoreLab(clone, made.server)
    path = clone / "specs/lab.yaml"
    path.write_text(path.read_text().replace(made.remote.url, "http://127.0.0.1:9"))
    assert told(away) == told(made)
    assert not (clone / ".runner").exists()


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_tables_say_the_same(made: ScoreLab, tmp_path: Path, suffix: str) -> None:
    with score_lab(tmp_path / "project") as lab:
        settled(lab, suffix)
        mine, theirs = told(lab).groups[0], told(made).groups[0]
        for one, other in zip(mine.cells, theirs.cells, strict=True):
            assert one.checks == other.checks
            assert one.accounting == other.accounting
            assert one.failures == other.failures
            assert one.usage == other.usage
        lab.run("report", "specs/")
        assert "gets intent right" in (lab.root / "report.html").read_text()


def test_columns_that_are_left_out(made: ScoreLab) -> None:
    from tests.reports.test_pack import unpacked

    def texts(*more: str) -> str:
        page = made.run("report", "specs/", "--out", "-", "-o", "html", *more).stdout
        return "".join(unpacked(one).decode() for one in re.findall(r'id="b\d+-\d+">([^<]+)<', page))

    assert '"language"' not in texts() and "ja" in texts()
    hidden = made.run(
        "report", "specs/", "--out", "-", "-o", "html", "--redact", "language", "--redact", "intent"
    ).stdout
    assert "language" not in hidden
    rows = texts("--redact", "intent")
    assert '"refund"' not in re.sub(r"Intent: \w+", "", rows).replace('["refund","⟨redacted⟩"', "")
    assert texts("--rows", "none") == ""
    assert len(texts("--rows", "5").split("\n")) == 5
    wrong = made.run("report", "specs/", "--redact", "lang", code=64)
    assert "`--redact lang`: no row has such a column" in wrong.stderr
    assert "`language`" in wrong.stderr


def test_what_is_not_there_yet_is_said(made: ScoreLab, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    for name in ("specs", "data", "results"):
        shutil.copytree(made.root / name, clone / name)
    away = ScoreLab(clone, made.server)
    scores = clone / "results/answers-taught.scores.jsonl"
    scores.write_text("".join(scores.read_text().splitlines(keepends=True)[1:]))
    (clone / "results/answers-short.jsonl").unlink()
    done = away.run("report", "specs/", "-o", "json")
    assert "answers:prompt=short has no results yet: `runner apply specs/` writes" in done.stderr
    assert "answers:prompt=taught: its scores belong to other results" in done.stderr
    found = json.loads(done.stdout)["groups"][0]["cells"]
    assert [check["number"]["value"] for cell in found for check in cell["checks"]] == [None] * 4
    assert {gate["verdict"] for cell in found for gate in cell["gates"]} == {"not_yet"}
    away.run("report", "specs/")
    page = (clone / "report.html").read_text()
    assert "has no number for intent yet" in page
    away.table([*ROWS, {"id": "new", "word": "x"}])
    assert "answer other requests than the specs say now" in away.run("report", "specs/", "-o", "markdown").stderr


def test_a_strangers_file_is_left_alone(made: ScoreLab, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    for name in ("specs", "data", "results"):
        shutil.copytree(made.root / name, clone / name)
    away = ScoreLab(clone, made.server)
    (clone / "report.html").write_text("<p>mine</p>")
    refused = away.run("report", "specs/", code=64)
    assert "`report.html` is there already" in refused.stderr
    assert (clone / "report.html").read_text() == "<p>mine</p>"
    damaged = clone / "results/answers-short.jsonl"
    damaged.write_text(damaged.read_text() + "half a li\n")
    refused = away.run("report", "specs/", "-o", "json", code=1)
    assert "`answers-short.jsonl`: line 41 is not a line of a results file" in refused.stderr


@pytest.mark.parametrize("arguments", [("--rows", "many"), ("-o", "pdf"), ("-s", "nobody"), ("--open", "-o", "json")])
def test_bad_words(made: ScoreLab, arguments: tuple[str, ...]) -> None:
    assert "Traceback" not in made.run("report", "specs/", *arguments, code=64).stderr


def test_recordings_and_files_of_an_earlier_version(tmp_path: Path) -> None:
    """Without checks, keys or state: what ten jobs of format 1 answered."""
    clone = tmp_path / "old"
    shutil.copytree(Path(__file__).parents[1] / "fixtures/results_1", clone)
    done = subprocess.run([*RUNNER, "report", "specs/", "-o", "json"], cwd=clone, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    cells = {cell.address: cell for group in facts.decode(done.stdout).groups for cell in group.cells}
    calls = cells["calls_jsonl"]
    assert (calls.accounting.wanted, calls.accounting.ok, calls.checks) == (2, 2, ())
    assert calls.usage.seconds == pytest.approx(3.8)
    assert cells["plain_csv"].provenance.answered_as
    page = subprocess.run(
        [*RUNNER, "report", "specs/", "-s", "calls_folder"], cwd=clone, capture_output=True, timeout=60
    )
    assert page.returncode == 0, page.stderr
    assert "calls_folder</b> has answered <b>2 of 2 rows" in (clone / "report.html").read_text()
