"""What specs say of answers, and what it becomes: every default filled in, every expectation with its own cell."""

from __future__ import annotations

import json
import os
import re
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.errors import Mark, SpecError
from runner.job.checks import ANSWER, Better, Check, Ignore, Kind, Lacking, Normalize, Occurrence, Reference, Within
from runner.job.expect import By, Expectation, Part
from runner.job.project import AnyJob, Evals
from runner.spec.evalfields import CheckSpec, ExpectSpec
from runner.spec.load import load
from runner.spec.memo import load as load_remembered

NOUNS = """\
models:
  qwen: {provider: embedded, name: echo}
  llama: {provider: embedded, name: smollm2-135m}
  ear: {provider: embedded, name: pocketsphinx}
datasets:
  tickets: {files: data/tickets.csv, id: id}
  truths: {files: data/truths.csv}
prompts:
  short: "{{ text }}"
  taught: "Well, {{ text }}"
jobs:
"""
ONE = "  reply:\n    dataset: tickets\n    prompt: short\n    model: qwen\n    output: results/reply.jsonl\n"
MATRIX = """\
  reply:
    matrix: {model: [qwen, llama], prompt: [short, taught], window: [24h, 48h]}
    dataset: tickets
    output: results/reply-{{ model }}-{{ prompt }}-{{ window }}.jsonl
"""


def jobs_of(root: Path, text: str) -> dict[str, AnyJob]:
    (root / "specs").mkdir(exist_ok=True)
    (root / "specs" / "a.yaml").write_text(NOUNS + text, encoding="utf-8")
    return {job.address: job for job in load(["specs"], root).jobs}


def check(root: Path, written: str) -> Check:
    [found] = jobs_of(root, f"{ONE}    checks:\n      it: {written}\n")["reply"].evals.checks
    return found


def texts(reference: Reference) -> list[str]:
    return [source.text for source in reference.templates]


def test_a_job_that_says_nothing_is_held_to_nothing(tmp_path: Path) -> None:
    assert jobs_of(tmp_path, ONE)["reply"].evals == Evals()


def test_every_default_is_filled_in(tmp_path: Path) -> None:
    found = check(tmp_path, '{equals: "{{ intent }}"}')
    assert (found.name, found.kind, texts(found.reference)) == ("it", Kind.EQUALS, ["{{ intent }}"])
    assert found.text.text == ANSWER and found.looks_at_answer
    assert (found.ignore, found.where, found.is_negated, found.extract) == ((), None, False, None)
    assert (found.unreadable, found.unanswered, found.empty_counts) == (Lacking.WRONG, None, False)
    assert found.mark == Mark("specs/a.yaml", 18, 7)
    assert found.reference.templates[0].mark == Mark("specs/a.yaml", 18, 20)
    assert found.reference.templates[0].what == "`equals` of check `it` of job `reply`"


def test_what_is_ignored_is_in_the_order_in_which_it_is_taken_away(tmp_path: Path) -> None:
    assert check(tmp_path, "{contains: a, ignore: [space, case]}").ignore == (Ignore.CASE, Ignore.SPACE)
    assert check(tmp_path, '{choice: "{{ intent }}"}').ignore == (Ignore.CASE, Ignore.SPACE)
    assert check(tmp_path, '{choice: "{{ intent }}", ignore: width}').ignore == (Ignore.WIDTH,)


@pytest.mark.parametrize(
    ("written", "within"),
    [
        ("0.5", Within(Decimal("0.5"), False)),
        ("1 %", Within(Decimal("0.01"), True)),
        ("'2.5%'", Within(Decimal("0.025"), True)),
        ("3", Within(Decimal(3), False)),
    ],
)
def test_a_number_may_be_near_its_reference(tmp_path: Path, written: str, within: Within) -> None:
    assert check(tmp_path, f"{{number: 42, within: {written}}}").within == within


def test_a_reference_is_one_text_or_many_or_a_column(tmp_path: Path) -> None:
    assert texts(check(tmp_path, "{number: 3.10}").reference) == ["3.10"], "a number stays as it is written"
    assert texts(check(tmp_path, '{equals: [yes, 1, "{{ intent }}"]}').reference) == ["yes", "1", "{{ intent }}"]
    assert check(tmp_path, "{equals: {column: a b}}").reference.column == "a b"


def test_an_unanswered_row_that_is_excluded_by_hand_is_told_from_one_nobody_spoke_of(tmp_path: Path) -> None:
    assert check(tmp_path, "{regex: a, unanswered: excluded}").unanswered is Lacking.EXCLUDED
    assert check(tmp_path, "{regex: a, unanswered: wrong, unreadable: excluded}").unanswered is Lacking.WRONG


def test_each_kind_keeps_what_is_its_own(tmp_path: Path) -> None:
    pattern = check(tmp_path, r"{regex: '^\d+$', extract: 'is (.*)', occurrence: only, not: true}")
    assert (pattern.pattern and pattern.pattern.text, pattern.occurrence) == (r"^\d+$", Occurrence.ONLY)
    assert pattern.is_negated and not pattern.takes_references
    measured = check(tmp_path, '{measure: "{{ answer | length }}", better: lower}')
    assert (measured.text.text, measured.better) == ("{{ answer | length }}", Better.LOWER)
    assert measured.unreadable is Lacking.EXCLUDED
    spoken = check(tmp_path, '{wer: "{{ said }}", normalize: english}')
    assert (spoken.normalize, spoken.better) == (Normalize.ENGLISH, Better.LOWER)
    assert check(tmp_path, "{contains: [a, b], all: true, whole_words: true}").every
    assert check(tmp_path, '{choice: "{{ intent }}", classes: [1, two]}').classes == ("1", "two")
    assert check(tmp_path, "{json: true}").schema is None


def test_a_schema_in_the_specs_is_as_one_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "a.json").write_text('{"type": "object", "minProperties": 1, "x": {"$ref": "#/$defs/n"}}')
    filed = check(tmp_path, "{json: {file: ./schemas/a.json}}")
    inline = check(tmp_path, '{json: {type: object, minProperties: 1, x: {$ref: "#/$defs/n"}}}')
    assert filed.schema == inline.schema == {"type": "object", "minProperties": 1, "x": {"$ref": "#/$defs/n"}}
    assert (filed.schema_file, inline.schema_file) == ("schemas/a.json", "")


def test_expectations_are_of_the_cells_they_name(tmp_path: Path) -> None:
    more = """\
    checks: {intent: {choice: "{{ intent }}"}, order: {contains: "{{ order }}"}}
    slices: [language]
    expect:
      answered: ">= 99 %"
      intent: {is: ">= 0.85", only: {model: qwen, window: 2d}, by: interval}
      intent.macro_f1: ">= 0.8"
      order: {not_worse_than: {prompt: short}, margin: 0.01}
      intent.unreadable:
        - {is: "< 0.1", slice: {language: de}}
        - "< 0.2"
"""
    jobs = jobs_of(tmp_path, MATRIX + more)
    told = {
        address: [(one.metric, one.bound.written if one.bound else one.not_worse_than) for one in job.evals.expect]
        for address, job in jobs.items()
    }
    everywhere = [
        ("answered", ">= 99 %"),
        ("intent.macro_f1", ">= 0.8"),
        ("intent.unreadable", "< 0.1"),
        ("intent.unreadable", "< 0.2"),
    ]
    baseline = told["reply:model=llama,prompt=short,window=24h"]
    assert baseline == everywhere, "neither its own model, nor compared with itself"
    assert told["reply:model=qwen,prompt=taught,window=48h"] == [
        ("answered", ">= 99 %"),
        ("intent", ">= 0.85"),
        ("intent.macro_f1", ">= 0.8"),
        ("order", "reply:model=qwen,prompt=short,window=48h"),
        ("intent.unreadable", "< 0.1"),
        ("intent.unreadable", "< 0.2"),
    ]
    by_metric: dict[str, Expectation] = {}
    for one in jobs["reply:model=qwen,prompt=taught,window=48h"].evals.expect:
        by_metric.setdefault(one.metric, one)
    assert by_metric["intent"].by is By.INTERVAL
    assert (by_metric["intent.macro_f1"].check, by_metric["intent.macro_f1"].part) == ("intent", Part.MACRO_F1)
    assert by_metric["order"].margin == 0.01
    assert by_metric["intent.unreadable"].slice == ("language", "de")
    assert all(
        job.evals.checks == jobs["reply:model=llama,prompt=short,window=24h"].evals.checks for job in jobs.values()
    )


def test_slices_cluster_and_references(tmp_path: Path) -> None:
    more = """\
    slices: [language, {size: "{{ 'long' if text | length > 9 else 'short' }}"}]
    cluster: customer
    references: {dataset: truths, on: {row: "{{ id }}", reference: key}}
"""
    evals = jobs_of(tmp_path, ONE + more)["reply"].evals
    column, template = evals.slices
    assert (column.name, column.of.column, column.of.template) == ("language", "language", None)
    assert template.name == "size" and template.of.template is not None
    assert template.of.template.what == "slice `size` of job `reply`"
    assert evals.cluster is not None and evals.cluster.column == "customer"
    join = evals.references
    assert join is not None and (join.dataset.key, join.reference.column) == ("truths", "key")
    assert join.row.template is not None and join.row.template.text == "{{ id }}"


def test_one_column_may_be_the_key_of_both_sides(tmp_path: Path) -> None:
    audio = "  heard: {audio: calls/*.wav, model: ear, output: heard/, references: {dataset: truths, on: file}}\n"
    join = jobs_of(tmp_path, audio)["heard"].evals.references
    assert join is not None and (join.row.column, join.reference.column) == ("file", "file")


def test_a_remembered_project_holds_all_of_it_and_forgets_when_a_schema_changes(tmp_path: Path) -> None:
    """The memo is read without the specs: what it gives back is what they say, to the last bound."""
    (tmp_path / "specs").mkdir()
    schema = tmp_path / "a.json"
    schema.write_text('{"type": "object"}')
    more = """\
    checks:
      parses: {json: {file: a.json}}
      near: {number: 42, within: 1 %}
    expect: {near: {is: ">= 0.85", only: {model: qwen}}}
    cluster: customer
    slices: [language]
    references: {dataset: truths, on: id}
"""
    (tmp_path / "specs" / "a.yaml").write_text(NOUNS + MATRIX + more)
    _make_old(tmp_path / "specs" / "a.yaml", schema)
    memo = tmp_path / "memo"
    fresh = load_remembered(["specs"], tmp_path, memo, keeps=True)
    assert list(memo.iterdir()), "what does not come back as it was is not kept"
    kept = load_remembered(["specs"], tmp_path, memo, keeps=False)
    assert kept == fresh == load(["specs"], tmp_path)
    schema.write_text('{"type": "array"}')
    [parses, _] = load_remembered(["specs"], tmp_path, memo, keeps=True).jobs[0].evals.checks
    assert parses.schema == {"type": "array"}


def _make_old(*paths: Path) -> None:
    """What was written within one tick of the clock is not trusted."""
    for path in paths:
        about = path.stat()
        os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns - 10**9))


# Whatever may stand in YAML, with the words that mean something among it.
_WRITTEN = (
    "equals choice json wer regex measure number text file column is only by slice not_worse_than margin within "
    "classes all not model prompt qwen short a a.macro_f1 answered row reference dataset on tickets "
    ">=0.5 <=3% {{x}} {{x ( $ref 1%"
)
_WORDS = st.sampled_from(["", *_WRITTEN.split()])
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 300) | st.floats(allow_nan=False, width=16) | _WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=4),
    max_leaves=8,
)
_KEYS = ("checks", "expect", "slices", "cluster", "references", "needs")


@settings(max_examples=100)
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(_KEYS, _VALUES)), st.dictionaries(_WORDS, _VALUES, max_size=4))
def test_whatever_is_written_is_a_project_or_problems_with_a_place(
    written: dict[str, Any], check: dict[str, Any]
) -> None:
    written.setdefault("checks", {"a": check})
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "specs").mkdir()
        job = {"matrix": {"model": ["qwen", "llama"], "prompt": ["short", "taught"]}, "dataset": "tickets",
               "output": "results/{{ model }}-{{ prompt }}.jsonl", **written}  # fmt: skip
        (root / "specs" / "a.yaml").write_text(NOUNS + f"  reply: {json.dumps(job)}\n")
        try:
            project = load(["specs"], root)
        except SpecError as error:
            assert all(problem.mark.line for problem in error.problems)
        else:
            assert load_remembered(["specs"], root, root / "memo", keeps=True) == project
            assert list((root / "memo").iterdir()), "what does not come back as it was is not kept"


DOCS = Path(__file__).parents[2] / "docs/evals.md"
KNOWN = """\
models:
  qwen: {provider: embedded, name: echo}
  llama: {provider: embedded, name: echo}
  large: {provider: embedded, name: echo}
  ear: {provider: embedded, name: pocketsphinx}
datasets:
  tickets: {files: data/tickets.csv}
  some: {files: data/some.csv}
prompts: {short: "{{ text }}", taught: "Well, {{ text }}", ask: "{{ text }}", grade: "{{ answer }}"}
"""


def test_what_the_documentation_shows_is_read(tmp_path: Path) -> None:
    text = DOCS.read_text()
    checks = re.findall(rf"`(\{{(?:{'|'.join(Kind)}):.*?\}})`(?= \||,)", text)
    assert {kind for kind in Kind if any(one.startswith(f"{{{kind}:") for one in checks)} >= set(Kind) - {Kind.CER}
    of_rows = [one for one in checks if not one.startswith("{preference:")]  # that is of a job over pairs
    written = "".join(f"      c{number}: {one}\n" for number, one in enumerate(of_rows))
    shown = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    specs = [block for block in shown if not block.startswith("version:")]  # one is a lock
    blocks = [*specs, f"jobs:\n{ONE}    checks:\n{written}"]
    assert len(blocks) == 6
    for number, block in enumerate(blocks):
        root = tmp_path / str(number)
        (root / "specs").mkdir(parents=True)
        (root / "schemas").mkdir()
        (root / "schemas/answer.json").write_text("{}")
        (root / "specs/known.yaml").write_text(KNOWN)
        (root / "specs/shown.yaml").write_text(block)
        assert load(["specs"], root).jobs


def test_the_documentation_names_every_kind_and_key() -> None:
    text = DOCS.read_text()
    names = [field.alias or name for name, field in [*CheckSpec.model_fields.items(), *ExpectSpec.model_fields.items()]]
    assert [name for name in names if not re.search(rf"`{name}[`:]|[{{ ,]{name}: ", text)] == []
