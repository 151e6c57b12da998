"""Why rows failed: the same reasons and counts from results of every format, in `show` and in what `apply` sums up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runner.cli.failures import Failed, FailureReason, failures_in, lines_of, top_reason
from runner.job.observed import Phase
from runner.results import columns
from runner.results.export import writer_for
from runner.results.index import build_index
from runner.results.locate import OutcomeSource, locate
from runner.results.merge import merge
from tests.journeys.audio.lab import SPEC, AudioLab
from tests.journeys.lab import Lab
from tests.results import heard, made

SUFFIXES = [".jsonl", ".csv", ".parquet"]
ERRORS = {
    "a": ("bad", "line 1 is wrong"),
    "b": ("bad", "line 22 is wrong"),
    "c": ("slow", "=no, later"),
    "e": ("bad", 'a "quote"'),
}
NAMES = ("a", "b", "c", "d", "e")
REASONS = (
    FailureReason("bad", "line 1 is wrong", 2, ("a", "b")),
    FailureReason("slow", "=no, later", 1, ("c",)),
    FailureReason("bad", 'a "quote"', 1, ("e",)),
)


def line(name: str) -> bytes:
    if name not in ERRORS:
        return made.ok(name)
    code, message = ERRORS[name]
    return made.line(name, error={"code": code, "message": message})


def written(path: Path, *, chosen: tuple[str, ...] = ()) -> Path:
    """Results of rows whose own columns are called as ours are."""
    file = made.raw(path.parent / "raw", *map(line, NAMES))
    index = build_index([file], made.expected(*NAMES), ended=Phase.COMPLETED).index
    source = OutcomeSource(index, 0, "b", made.ORIGIN, (file,))
    rows = [made.row(name, error="mine", error_code="also", finish="length", status="x") for name in NAMES]
    given = columns.input_of((row.row_json for row in rows), typed=path.suffix == ".parquet")
    with writer_for(path, path.parent, columns.table(path.suffix, columns.About(), given, chosen=chosen)) as writer:
        merge(rows, locate(made.keys(*NAMES), [source]), [source], writer)
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_table_tells_its_reasons(tmp_path: Path, suffix: str) -> None:
    found = failures_in(written(tmp_path / f"o{suffix}"))
    assert found.reasons == REASONS
    assert found.rows[0] == Failed("a", "bad", "line 1 is wrong") and len(found.rows) == 4
    assert top_reason(found) == "bad: line 1 is wrong (2 of 4)"
    assert lines_of(found)[0] == "  error  2 rows  bad: line 1 is wrong  (a, b)"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_chosen_columns_tell_them_too(tmp_path: Path, suffix: str) -> None:
    path = written(tmp_path / f"o{suffix}", chosen=("custom_id", "row_error", "error_code", "error_message"))
    assert [(one.code, one.rows) for one in failures_in(path).reasons] == [("bad", 2), ("slow", 1), ("bad", 1)]


def test_a_folder_of_transcripts_tells_its_reasons(tmp_path: Path) -> None:
    paths = [f"{name}.wav" for name in NAMES]
    told = [
        heard.text(path, "hello")
        if name not in ERRORS
        else made.line(path, error={"code": ERRORS[name][0], "message": ERRORS[name][1]})
        for name, path in zip(NAMES, paths, strict=True)
    ]
    heard.write_folder(tmp_path / "out", tmp_path, paths, [heard.source(tmp_path / "raw", paths, *told)])
    found = failures_in(tmp_path / "out")
    assert [(one.code, one.message, one.rows) for one in found.reasons] == [
        (one.code, one.message, one.rows) for one in REASONS
    ]
    assert found.reasons[0].examples == ("a.wav", "b.wav")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_apply_and_show_say_why(lab: Lab, suffix: str) -> None:
    path = lab.root / "specs/lab.yaml"
    path.write_text(path.read_text().replace("answers.jsonl", f"answers{suffix}"))
    lab.server.fault(row_error={"value": 0.0001, "status": 400, "match": "r3- r7-"})
    told = lab.apply(code=4).stdout.splitlines()
    assert told[0].startswith("answers  8 ok, 2 error of 10  results/answers")
    assert told[1].startswith("  ! ") and told[1].endswith(" (2)")
    why = told[1].removeprefix("  ! ").removesuffix(" (2)")
    assert lab.run("show", "answers").stdout.splitlines()[-1] == f"  error  2 rows  {why}  (r3, r7)"
    (reason,) = json.loads(lab.run("show", "answers", "-o", "json").stdout)["jobs"][0]["reasons"]
    assert (reason["rows"], reason["examples"]) == (2, ["r3", "r7"])


@pytest.mark.parametrize("output", ["transcripts/", "results/calls.parquet"])
def test_apply_and_show_say_why_recordings_failed(lab: Lab, output: str) -> None:
    root = lab.root.parent / "recordings"
    root.mkdir()
    audio = AudioLab(root, lab.server)
    audio.spec(SPEC.replace("results/calls.jsonl", output))
    audio.record(12)
    lab.server.fault(audio_failed=0.5)  # always the same ones, by what they hold
    told = audio.first(code=4).stdout.splitlines()
    failed = int(told[0].split(" error")[0].split()[-1])
    assert told[0] == f"calls  {12 - failed} ok, {failed} error of 12  {output}" and 0 < failed < 12
    why = told[1].removeprefix("  ! ").removesuffix(f" ({failed})")
    assert why.endswith("The recording could not be processed (a fault).")
    last = audio.run("show", "calls").stdout.splitlines()[-1]
    assert last.startswith(f"  error  {failed} row") and f"  {why}  (calls/c0" in last
