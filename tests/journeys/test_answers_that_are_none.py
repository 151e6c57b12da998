"""An answer that is cut, refused, filtered or not what was asked for is paid for, kept, and never silently ok."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.journeys.lab import Lab
from tests.journeys.lookalike import SPEC, LookAlike, Raw

Bodies = Mapping[str, Any]  # by row; what is not named is answered well


def chat(content: Any, finish: str | None = "stop", **message: Any) -> Raw:
    said = {"role": "assistant", "content": content, **message}
    usage = {"prompt_tokens": 10, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}
    return {"choices": [{"index": 0, "message": said, "finish_reason": finish}], "usage": usage}


GOOD = chat('{"ok": true}')
FLAWED: Bodies = {
    "r1": chat("", "length"),
    "r2": chat('{"half', "length"),
    "r3": chat(None, "stop", refusal="I would rather not"),
    "r4": chat("so it is not JSON"),
    "r5": chat("", "content_filter"),
}
TOLD = "6 ok, 2 of them cut at the token limit, 1 stopped by a content filter, 1 not the JSON asked for, 1 refused"


class Answering:
    """What each row is answered, batch after batch."""

    def __init__(self, remote: LookAlike) -> None:
        self.remote = remote
        self.bodies: list[Bodies] = []

    def life(self, batch: Raw, polls: int) -> Mapping[str, Any]:
        number = list(self.remote.created).index(batch["id"])
        bodies = self.bodies[min(number, len(self.bodies) - 1)]
        lines = [
            json.dumps(
                {
                    "custom_id": one,
                    "response": {"status_code": 200, "body": bodies.get(one[:-23], GOOD)},
                    "error": None,
                }
            )
            for one in self.remote.ids_of(batch)
        ]
        output = self.remote.file(f"{batch['id']}-output", lines)
        counts = {"total": len(lines), "completed": len(lines), "failed": 0}
        now = self.remote.now()
        return {"status": "completed", "output_file_id": output, "completed_at": now, "request_counts": counts}


Started = Callable[..., Lab]


@pytest.fixture
def start(tmp_path: Path, remote: LookAlike) -> Started:
    def started(*bodies: Bodies, job: str = "", output: str = "results/answers.jsonl", json_asked: bool = True) -> Lab:
        answering = Answering(remote)
        answering.bodies = list(bodies)
        remote.life = answering.life
        lab = Lab(tmp_path / "project", remote)  # type: ignore[arg-type]  # of a server a lab needs its URL alone
        spec = SPEC.replace("output: results/answers.jsonl", f"output: {output}{job}")
        if json_asked:
            spec = spec.replace('word }}}}"}}', 'word }}}}", response_format: {{type: json_object}}}}')
        lab.spec(spec, more="")
        lab.rows(6)
        return lab

    return started


def test_they_are_counted_and_said(remote: LookAlike, start: Started) -> None:
    lab = start(FLAWED)
    done = lab.apply("-y")
    assert TOLD in done.stdout
    finishes = ["stop", "length", "length", "refusal", "not_json", "content_filter"]
    assert [row["finish"] for row in lab.results()] == finishes
    assert [row["answer"] for row in lab.results()] == [{"ok": True}, "", '{"half', None, "so it is not JSON", ""]
    assert TOLD in lab.run("status", "specs/").stdout
    shown = lab.run("show", "answers").stdout
    assert "answer  2 rows  the answer was cut at the token limit  (r1, r2)" in shown
    assert "raise `max_tokens` in the `params` of the model" in shown
    assert "Nothing to do" in lab.apply("-y").stdout
    assert len(remote.created) == 1


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
@pytest.mark.parametrize("columns", ["", "answer, finish, status, ", "answer, finish, "])
def test_a_fresh_clone_counts_them_by_its_file(remote: LookAlike, start: Started, suffix: str, columns: str) -> None:
    """Where there is no response to be judged again, the column `finish` says how each answer ended."""
    chosen = f", columns: [custom_id, word, {columns}digest, origin]" if columns else ""
    lab = start(FLAWED, job=chosen, output=f"results/answers{suffix}")
    assert TOLD in lab.apply("-y").stdout
    lab.forget()
    remote.lists = False
    assert lab.apply("-y").stdout == "Nothing to do\n"
    assert TOLD in lab.run("status", "specs/").stdout
    shown = lab.run("show", "answers").stdout
    assert TOLD in shown and "answer  2 rows  the answer was cut at the token limit  (r1, r2)" in shown
    lab.rows(7)
    lab.forget()
    assert TOLD.replace("6 ok", "7 ok") in lab.apply("-y", "--first-run").stdout
    assert len(remote.created) == 2


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_a_strict_job_takes_them_for_errors_and_a_retry_asks_them_again(
    remote: LookAlike, start: Started, suffix: str
) -> None:
    lab = start(FLAWED, {"r4": chat("still not")}, {}, job=", strict_answers: true", output=f"results/answers{suffix}")
    done = lab.apply("-y", code=4)
    assert "1 ok, 5 error of 6" in done.stdout
    assert "the answer was cut at the token limit (2 of 5)" in done.stdout
    assert lab.apply("-y", code=4).stderr.count("runner retry answers")
    assert "5 error" in lab.run("status", "specs/").stdout
    assert "length: the answer was cut at the token limit  (r1, r2)" in lab.run("show", "answers").stdout.replace(
        "answer  2 rows  the", "error  2 rows  length: the"
    )
    assert len(remote.created) == 1

    shutil.copytree(lab.root, lab.root.with_name("clone"), ignore=shutil.ignore_patterns(".runner"))
    clone = Lab(lab.root.with_name("clone"), remote)  # type: ignore[arg-type]
    remote.lists = False
    clone.apply("-y", code=4)  # what is paid for is known from the file
    assert len(remote.created) == 1

    assert "5 requests will be asked again" in lab.run("retry", "answers").stdout
    assert "5 ok, 1 error of 6" in lab.apply("-y", code=4).stdout
    assert remote.sent[1] == ["r1", "r2", "r3", "r4", "r5"]
    lab.run("retry", "answers")
    assert "6 ok, 0 error of 6" in lab.apply("-y").stdout
    assert remote.sent[2] == ["r4"]


@pytest.mark.parametrize(
    "nothing", [{"choices": []}, {}, None, '{"choices":[]}', {"output": []}, {"data": []}], ids=str
)
def test_a_success_that_holds_nothing_is_asked_again_then_an_error(
    remote: LookAlike, start: Started, nothing: Any
) -> None:
    lab = start({"r1": nothing, "r2": nothing}, {"r2": nothing}, job=", max_attempts: 2", json_asked=False)
    done = lab.apply("-y", code=4)
    assert remote.sent == [["r0", "r1", "r2", "r3", "r4", "r5"], ["r1", "r2"]]
    assert "5 ok, 1 error of 6" in done.stdout
    assert "no_answer: the remote reported success and gave no answer: " in done.stdout
    assert lab.results()[2]["error"]["code"] == "no_answer"


def test_a_body_that_is_json_text_is_read_as_the_body_it_is(remote: LookAlike, start: Started) -> None:
    lab = start({"r1": json.dumps(chat("from text")), "r2": json.dumps(chat("cut", "length"))}, json_asked=False)
    assert "6 ok, 1 of them cut at the token limit, 0 error of 6" in lab.apply("-y").stdout
    assert [row["answer"] for row in lab.results()[1:3]] == ["from text", "cut"]
    assert lab.results()[1]["response"] == chat("from text")


def test_failures_are_shown_for_every_format(remote: LookAlike, start: Started) -> None:
    lab = start(
        {"r1": {"error": {"code": "bad", "message": "no"}}}, job=", columns: [digest, origin, custom_id, error]"
    )
    lab.apply("-y", code=4)
    assert "error  1 row  bad: no  (r1)" in lab.run("show", "answers").stdout


def test_columns_and_the_guard_are_the_job_s_to_choose(remote: LookAlike, start: Started) -> None:
    more = ", columns: [custom_id, word, answer, output_tokens, digest, origin], csv_guard: false"
    lab = start({"r1": chat("=1+1")}, job=more, output="results/answers.csv", json_asked=False)
    lab.apply("-y")
    with (lab.root / "results/answers.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[1]) == ["custom_id", "word", "answer", "output_tokens", "digest", "origin"]
    assert (rows[1]["answer"], rows[1]["output_tokens"]) == ("=1+1", "2")


def test_a_matrix_has_a_column_for_each_axis(remote: LookAlike, start: Started) -> None:
    job = ", matrix: {{replicate: [1, 2]}}"
    lab = start({}, job=job, output='"results/{{{{ replicate }}}}.parquet"', json_asked=False)
    lab.apply("-y")
    table = pq.read_table(lab.root / "results/2.parquet")
    first = table.to_pylist()[0]
    assert (first["job"], first["model"], first["replicate"], first["cached_tokens"]) == ("answers", "m", 2, 4)
