"""What answers are held to is looked at before anything is paid for, and again only when something of it changed."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from runner.apply.desire import compile_all
from runner.apply.remotes import Remotes
from runner.apply.specs import checked
from runner.clock import FastClock
from runner.errors import DataError, SpecError
from runner.spec.load import load
from runner.spec.problems import render

ROOT = Path(__file__).parents[2]
NOUNS = """\
models:
  m: {provider: embedded, name: echo}
datasets:
  tickets: {files: tickets.csv, id: id}
  truths: {files: truths.csv}
prompts:
  p: "{{ text }}"
jobs:
  j:
    dataset: tickets
    prompt: p
    model: m
    output: j.jsonl
"""


def project(root: Path, *lines: str) -> Path:
    (root / "specs").mkdir(exist_ok=True)
    (root / "specs/a.yaml").write_text(NOUNS + "".join(f"    {line}\n" for line in lines))
    (root / "tickets.csv").write_text("id,text,intent,n\n1,hi,cancel,3\n2,ho,refund,4\n")
    (root / "truths.csv").write_text("id,truth\n1,yes\n2,no\n")
    return root


def complaints(root: Path, *lines: str) -> list[str]:
    """What `validate` says, with the place it points to."""
    try:
        checked(["specs"], project(root, *lines))
    except SpecError as error:
        return [render([problem], root).splitlines()[0].replace(" error:", "") for problem in error.problems]
    return []


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ('{equals: "{{ intnt }}"}', "15:23: `equals` of check `a` of job `j` uses `intnt`, which is not a column"),
        ("{equals: {column: intnt}}", "15:28: `equals` of check `a` of job `j` names `intnt`, which is not a column"),
        ('{equals: "{{ truth }}"}', "15:23: `equals` of check `a` of job `j` uses `truth`, which is not a column"),
        ('{equals: "{{ answer }}"}', "15:23: `equals` of check `a` of job `j` uses `answer`, which is not a column"),
        (
            '{regex: a, where: "{{ anser }}"}',
            "15:32: `where` of check `a` of job `j` uses `anser`, which is not a column",
        ),
        ('{measure: "{{ answer | lenght }}"}', "15:33: `measure` of check `a` of job `j`: there is no filter `lenght`"),
        (
            "{choice: other, classes: [a, b]}",
            "15:19: the reference `other` of check `a` of job `j` is not one of its classes: `a`, `b`",
        ),
        (
            '{choice: "{{ intent }}", classes: [Yes, " yes"]}',
            "15:7: the classes `Yes` and ` yes` of check `a` of job `j` differ only in what is ignored",
        ),
        ("{number: forty}", "15:19: the reference `forty` of check `a` of job `j` is not a number"),
    ],
)
def test_what_is_wrong_is_said_where_it_stands(tmp_path: Path, written: str, said: str) -> None:
    [found] = complaints(tmp_path, "checks:", f"  a: {written}")
    assert found.removeprefix("specs/a.yaml:") == said


def test_a_schema_that_is_none_is_said_with_the_part_that_is_wrong(tmp_path: Path) -> None:
    [inline] = complaints(tmp_path, "checks:", "  a: {json: {properties: {b: {type: objekt}}}}")
    assert inline.startswith(
        "specs/a.yaml:15:41: the schema of check `a` of job `j` is not a JSON Schema at `properties.b.type`: "
    )
    (tmp_path / "a.json").write_text('{"properties": {"b": {"pattern": "("}}}')
    [filed] = complaints(tmp_path, "checks:", "  a: {json: {file: a.json}}")
    assert filed.startswith(
        "a.json:1:34: the schema of check `a` of job `j` is not a JSON Schema at `properties.b.pattern`: "
    )
    [nowhere] = complaints(tmp_path, "checks:", '  a: {json: {$ref: "#/$defs/none"}}')
    assert nowhere.startswith("specs/a.yaml:15:17: the schema of check `a` of job `j` is not a JSON Schema: ")


def test_everything_is_said_at_once(tmp_path: Path) -> None:
    found = complaints(
        tmp_path,
        "checks:",
        '  a: {equals: "{{ intnt }}"}',
        "  b: {number: forty}",
        "slices: [langage]",
        "cluster: custmer",
        "references: {dataset: truths, on: {row: idd, reference: name}}",
    )
    assert [one.partition(": ")[2] for one in found] == [
        "`equals` of check `a` of job `j` uses `intnt`, which is not a column",
        "the reference `forty` of check `b` of job `j` is not a number",
        "a slice of job `j` names `langage`, which is not a column",
        "`cluster` of job `j` names `custmer`, which is not a column",
        "`on.row` of `references` of job `j` names `idd`, which is not a column",
        "`on.reference` of `references` of job `j` names `name`, which is not a column",
    ]


def test_columns_of_references_are_seen_by_all_but_the_prompt(tmp_path: Path) -> None:
    joined = "references: {dataset: truths, on: id}"
    seen = ["checks:", '  a: {equals: "{{ truth }}"}', "slices: [truth]", 'cluster: "{{ truth }}"']
    assert complaints(tmp_path, *seen, joined) == []
    (tmp_path / "specs/a.yaml").write_text(
        (tmp_path / "specs/a.yaml").read_text().replace('p: "{{ text }}"', 'p: "{{ truth }}"')
    )
    with pytest.raises(SpecError, match="1 problem"):
        checked(["specs"], tmp_path)


def test_an_unreadable_file_of_references_is_said(tmp_path: Path) -> None:
    root = project(tmp_path, "references: {dataset: truths, on: id}")
    (root / "truths.csv").unlink()
    with pytest.raises(SpecError) as caught:
        checked(["specs"], root)
    assert [problem.mark.line for problem in caught.value.problems] == [5]


def test_recordings_have_three_columns(tmp_path: Path) -> None:
    root = project(tmp_path)
    (root / "specs/b.yaml").write_text(
        "models: {ear: {provider: embedded, name: pocketsphinx}}\n"
        "jobs:\n  heard:\n    audio: [calls/*.wav]\n    model: ear\n    output: heard/\n    allow_empty: true\n"
        '    checks: {long: {measure: "{{ answer | length / duration_s }}"}, said: {wer: "{{ sayd }}"}}\n'
    )
    with pytest.raises(SpecError) as caught:
        checked(["specs"], root)
    [problem] = caught.value.problems
    assert problem.message == "`wer` of check `said` of job `heard` uses `sayd`, which is not a column"
    assert problem.hint == "columns: `duration_s`, `file`, `size_bytes`"


def test_columns_that_checks_do_not_see_are_warned_of(tmp_path: Path) -> None:
    root = project(tmp_path, "checks:", '  a: {equals: "{{ row.answer }}"}', "references: {dataset: truths, on: id}")
    (root / "tickets.csv").write_text("id,text,answer,truth\n1,hi,cancel,3\n")
    done = subprocess.run(
        [sys.executable, "-m", "runner", "validate"], cwd=root, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr.splitlines() == [
        f"warning: job `j` at specs/a.yaml:9:3: {told}"
        for told in (
            "`answer` in its checks is of the answer; the column of that name is `row.answer` there",
            "its checks see the column `truth` of its own rows, and not that of `truths`",
        )
    ]


def compile_specs(root: Path) -> None:
    wanted = load(["specs"], root)
    remotes = Remotes(wanted, environ={}, clock=FastClock(), rng=random.Random(1), may_start=False)
    compile_all(wanted, remotes, root / "memo", keeps=True)


def test_a_plan_refuses_them_too_also_when_every_row_is_compiled_already(tmp_path: Path) -> None:
    root = project(tmp_path)
    compile_specs(root)
    project(root, "checks:", '  a: {equals: "{{ intnt }}"}')
    with pytest.raises(SpecError, match="1 problem"):
        compile_specs(root)
    project(root, "checks:", '  a: {equals: "{{ intent }}"}')
    compile_specs(root)
    # the column goes, and with it the truth: nothing but the dataset changed
    (root / "tickets.csv").write_text("id,text,other\n1,hi,cancel\n2,ho,refund\n")
    with pytest.raises(SpecError, match="1 problem"):
        compile_specs(root)


def test_keys_that_are_there_twice_are_refused_before_anything_is_paid_for(tmp_path: Path) -> None:
    root = project(tmp_path, "references: {dataset: truths, on: id}")
    (root / "truths.csv").write_text("id,truth\n1,yes\n2,no\n1,perhaps\n")
    with pytest.raises(DataError, match=r"`1` is there twice: at `truths\.csv:2` and at `truths\.csv:4`"):
        compile_specs(root)
    (root / "truths.csv").write_text("id,truth\n1,yes\n2,no\n")
    compile_specs(root)


OPENED = """
import sys
from pathlib import Path
from tests.apply.test_checkable import compile_specs
sys.addaudithook(lambda event, args: event == "open" and print(args[0]))
compile_specs(Path(sys.argv[1]))
"""


def test_what_was_right_is_not_opened_again(tmp_path: Path) -> None:
    root = project(tmp_path, "checks:", '  a: {equals: "{{ truth }}"}', "references: {dataset: truths, on: id}")

    def opens_truths() -> bool:
        command = [sys.executable, "-c", OPENED, str(root)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
        return "truths.csv" in done.stdout

    assert opens_truths()
    assert not opens_truths()
    (root / "truths.csv").write_text("id,truth\n1,yes\n2,perhaps\n")
    assert opens_truths()


PACKAGES = [
    ('{wer: "{{ intent }}"}', "rapidfuzz", "rapidfuzz"),
    ('{cer: "{{ intent }}", normalize: none}', "rapidfuzz", "rapidfuzz"),
    ('{wer: "{{ intent }}", normalize: english}', "whisper_normalizer", "whisper-normalizer"),
    ("{json: {type: object}}", "jsonschema_rs", "jsonschema-rs"),
]


@pytest.mark.parametrize(("written", "lacking", "named"), PACKAGES)
def test_a_package_that_is_not_installed_is_said_with_the_way_to_it(
    tmp_path: Path, written: str, lacking: str, named: str
) -> None:
    root = project(tmp_path, "checks:", f"  a: {written}")
    done = without(lacking, root, "validate")
    assert done.returncode == 1, done.stderr
    assert f"specs/a.yaml:15:7: error: check `a` of job `j` needs the {named} package" in done.stderr
    assert "hint: run `pip install 'runner-batch[evals]'`" in done.stderr


def test_a_schema_of_answers_needs_its_package_before_anything_is_sent(tmp_path: Path) -> None:
    """Also where the specs are known from a run that had it."""
    root = project(tmp_path, "answer: {schema: {type: object}}")
    environ = {**os.environ, "RUNNER_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-m", "runner", "apply", "specs", "-y"]
    subprocess.run(command, cwd=root, env={**environ, "PYTHONPATH": str(ROOT)}, timeout=60, check=True)
    (root / "tickets.csv").write_text("id,text,intent\n9,Nine,other\n")
    for words in (("validate",), ("plan",), ("apply", "-y")):
        done = without("jsonschema_rs", root, *words)
        assert done.returncode == 1, done.stdout
        assert "specs/a.yaml:14:5: error: `answer.schema` needs the jsonschema-rs package" in done.stderr
        assert "hint: run `pip install 'runner-batch[schema]'`" in done.stderr


def without(lacking: str, root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command in a process whose packages are all of ours but one, as where nobody installed the extra."""
    packages = root / "packages"
    packages.mkdir(exist_ok=True)
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if path.name != lacking and not (packages / path.name).is_symlink():
            (packages / path.name).symlink_to(path)
    environ = {**os.environ, "PYTHONPATH": f"{packages}{os.pathsep}{ROOT}", "RUNNER_HOME": str(root / "home")}
    command = [sys.executable, "-S", "-m", "runner", *words]
    return subprocess.run(command, cwd=root, env=environ, capture_output=True, text=True, timeout=60, check=False)
