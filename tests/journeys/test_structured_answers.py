"""Answers that have to be what a schema wants: asked for, held to it when they come, asked again where that is said."""

from __future__ import annotations

import csv
import json
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest
import yaml

from tests.journeys.lab import Lab, until
from tests.journeys.lookalike import SPEC, LookAlike
from tests.journeys.terminal import terminal
from tests.journeys.test_answers_that_are_none import Answering, Bodies, chat

SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "people": {"type": "integer"},
        "scores": {"type": "array", "items": {"type": "number"}},
    },
    "required": ["city", "people"],
}
GOOD = chat('{"city": "Paris", "people": 3, "scores": [0.5, 1]}')
BAD = chat('{"city": "Paris", "people": "many"}')
TOLD = "not what the schema wants"

Started = Callable[..., Lab]


@pytest.fixture
def start(tmp_path: Path, remote: LookAlike) -> Started:
    """A lab whose prompt has such an answer, and whose remote answers each batch as given, `GOOD` where nothing is."""

    def started(*bodies: Bodies, job: str = "", output: str = "results/answers.jsonl", rows: int = 6) -> Lab:
        answering = Answering(remote)
        answering.bodies = [{f"r{n}": GOOD for n in range(rows)} | dict(one) for one in bodies or ({},)]
        remote.life = answering.life
        lab = Lab(tmp_path / "project", remote)  # type: ignore[arg-type]  # of a server a lab needs its URL alone
        spec = SPEC.replace("output: results/answers.jsonl", f"output: {output}{job}")
        lab.spec(spec.replace('word }}}}"}}', 'word }}}}", answer: {{schema: schemas/city.json}}}}'), more="")
        wanted(lab, SCHEMA)
        lab.rows(rows)
        return lab

    return started


def wanted(lab: Lab, schema: Any) -> None:
    """What the file of the schema says."""
    path = lab.root / "schemas/city.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(schema, indent=2))


def bodies_of(remote: LookAlike, number: int = 0) -> list[Any]:
    """The bodies of one batch as they came."""
    batch = list(remote.created.values())[number]
    return [json.loads(line)["body"] for line in remote.files[batch["input_file_id"]].splitlines()]


def test_it_is_asked_for_and_what_is_not_it_is_kept_and_counted(remote: LookAlike, start: Started) -> None:
    lab = start({"r1": BAD, "r2": chat("Paris"), "r3": chat('["Paris"]'), "r4": chat('{"city"', "length")})
    done = lab.apply()
    told = f"6 ok, 2 of them {TOLD}, 1 cut at the token limit, 1 not the JSON asked for, 0 error of 6"
    assert told in done.stdout and "some answers are flawed" in done.stderr
    asked = {"name": "answer", "schema": SCHEMA}
    assert [body["response_format"] for body in bodies_of(remote)] == [
        {"type": "json_schema", "json_schema": asked}
    ] * 6
    assert [row["finish"] for row in lab.results()] == ["stop", "invalid", "not_json", "invalid", "length", "stop"]
    assert lab.results()[1]["answer"] == {"city": "Paris", "people": "many"}
    assert {row["error"] for row in lab.results()} == {None}
    assert told.partition(", 0 error")[0] in lab.run("status", "specs/").stdout
    shown = lab.run("show", "answers").stdout
    assert "answer  2 rows  the answer is JSON, and not what the schema wants  (r1, r3)" in shown
    assert "`on_invalid: retry` of the job asks again" in shown
    assert "Nothing to do" in lab.apply().stdout
    assert len(remote.created) == 1


RETRY = ", on_invalid: retry"
UNTOLD = "answered, and the answer is not what its schema wants"


def test_what_is_not_it_is_asked_again_until_it_is(remote: LookAlike, start: Started) -> None:
    lab = start({"r1": BAD, "r2": chat("Paris"), "r3": chat("", "length")}, {"r2": BAD}, {}, job=RETRY)
    done = lab.apply()
    assert "answers  6 ok, 0 error of 6" in done.stdout and "flawed" not in done.stderr
    assert remote.sent == [["r0", "r1", "r2", "r3", "r4", "r5"], ["r1", "r2", "r3"], ["r2"]]
    assert {row["finish"] for row in lab.results()} == {"stop"}
    assert [row["batch"] for row in lab.results()] == [f"batch_{n}" for n in (1, 2, 3, 2, 1, 1)]
    assert lab.apply().stdout == "Nothing to do\n"


def test_attempts_are_used_up_and_the_last_answer_stands_as_an_error(remote: LookAlike, start: Started) -> None:
    worse = chat('{"city": 2, "people": "many"}')
    lab = start(
        {"r1": BAD, "r2": BAD}, {"r1": worse}, {}, job=f"{RETRY}, max_attempts: 2", output="results/answers.csv"
    )
    done = lab.apply(code=4)
    assert "answers  5 ok, 1 error of 6" in done.stdout
    assert "the answer is JSON, and not what the schema wants" in done.stdout
    assert remote.sent[1:] == [["r1", "r2"]]
    assert lab.apply(code=4).stderr.count("runner retry answers") == 1 and len(remote.created) == 2
    assert "1 error" in lab.run("status", "specs/").stdout
    assert "1 row  the answer is JSON, and not what the schema wants  (r1)" in lab.run("show", "answers").stdout
    row = rows_of(lab)[1]
    assert json.loads(row["answer"]) == {"city": 2, "people": "many"}, "it was paid for, and is the newest"
    assert json.loads(row["error"])["code"] == row["finish"] == "invalid"

    assert "1 request will be asked again" in lab.run("retry", "answers").stdout
    assert "answers  6 ok, 0 error of 6" in lab.apply().stdout
    assert remote.sent[2:] == [["r1"]]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
@pytest.mark.parametrize("columns", ["", ", columns: [custom_id, answer, status, error_code, digest, origin]"])
def test_a_fresh_clone_says_the_same_by_its_outputs_alone(
    remote: LookAlike, start: Started, suffix: str, columns: str
) -> None:
    job = f"{RETRY}, max_attempts: 2{columns}"
    lab = start({"r1": BAD, "r2": BAD}, {"r1": BAD}, {}, job=job, output=f"results/answers{suffix}")
    lab.apply(code=4)
    before = (lab.root / f"results/answers{suffix}").read_bytes()
    lab.forget()
    remote.lists = False
    for _ in range(2):
        assert "runner retry answers" in lab.apply(code=4).stderr
        assert "5 ok, 1 error of 6" in lab.run("status", "specs/").stdout
    assert len(remote.created) == 2
    assert (lab.root / f"results/answers{suffix}").read_bytes() == before
    lab.run("retry", "answers")
    assert "6 ok, 0 error of 6" in lab.apply("--first-run").stdout
    assert remote.sent[2:] == [["r1"]]


def test_the_plan_says_what_is_asked_again_and_why(remote: LookAlike, start: Started) -> None:
    """The first answers stay in the results until there are others, and cost no second look at the remote."""
    lab = start({"r1": BAD, "r2": BAD}, {})
    assert "6 ok, 2 of them" in lab.apply().stdout
    path = lab.root / "specs/lab.yaml"
    path.write_text(path.read_text().replace("results/answers.jsonl", f"results/answers.jsonl{RETRY}"))
    plan = lab.run("plan", "specs/").stdout
    assert "» " in plan and "2 requests" in plan and UNTOLD in plan
    [job] = json.loads(lab.run("plan", "specs/", "-o", "json").stdout)["jobs"]
    assert (job["state"], job["to_submit"]) == ("paying", 2) and UNTOLD in json.dumps(job["lines"])
    assert len(remote.created) == 1

    lab.run("apply", "specs/", code=5)  # nobody says yes
    assert [row["finish"] for row in lab.results()].count("invalid") == 2
    assert [row["error"] for row in lab.results()].count(None) == 6
    lab.forget()
    lab.apply("--no-wait", code=3)
    assert remote.sent[1:] == [["r1", "r2"]]
    assert [row["finish"] for row in lab.results()].count("invalid") == 2, "older answers stay until there are newer"
    assert "6 ok, 0 error of 6" in lab.apply().stdout
    assert {row["finish"] for row in lab.results()} == {"stop"}


def rows_of(lab: Lab) -> list[dict[str, str]]:
    with (lab.root / "results/answers.csv").open(newline="") as file:
        return list(csv.DictReader(file))


PICKS = ", columns: {{city: answer.city, people: answer.people, best: 'answer.scores[0]', scores: answer.scores}}"


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_values_are_picked_out_of_answers(remote: LookAlike, start: Started, suffix: str) -> None:
    few = chat('{"city": "=Lima", "people": 4.0, "scores": []}')
    bodies = {"r1": few, "r2": BAD, "r3": chat("no"), "r4": {"error": {"code": "bad", "message": "no"}}}
    lab = start(bodies, job=PICKS, output=f"results/answers{suffix}")
    done = lab.apply(code=4)
    assert (
        "`city` is missing in 1 answer; `people` is missing in 1 answer and of another type in 1 answer;" in done.stdout
    )
    assert "`best` is missing in 3 answers" in done.stdout
    path = lab.root / f"results/answers{suffix}"
    good = ("Paris", 3, 0.5, [0.5, 1])
    if suffix == ".jsonl":
        rows = [(row["city"], row["people"], row["best"], row["scores"]) for row in lab.results()]
        assert rows[:4] == [good, ("=Lima", 4.0, None, []), ("Paris", None, None, None), (None,) * 4]
        assert rows[4] == (None,) * 4 and list(lab.results()[0])[6:10] == ["city", "people", "best", "scores"]
    elif suffix == ".csv":
        found = [(row["city"], row["people"], row["best"], row["scores"]) for row in rows_of(lab)]
        assert found[:3] == [("Paris", "3", "0.5", "[0.5,1]"), ("'=Lima", "4.0", "", "[]"), ("Paris", "", "", "")]
    else:
        table = pq.read_table(path)
        types = [str(table.schema.field(name).type) for name in ("city", "people", "best", "scores")]
        assert types == ["string", "int64", "double", "list<element: double>"]
        assert [tuple(row.values()) for row in table.select(["city", "people"]).to_pylist()] == [
            ("Paris", 3), ("=Lima", 4), ("Paris", None), (None, None), (None, None), ("Paris", 3)
        ]  # fmt: skip
        assert pd.read_parquet(path)["best"].tolist()[0] == 0.5
        assert pl.read_parquet(path)["people"].to_list()[:2] == [3, 4]
    assert lab.run("status", "specs/").returncode == 0
    assert "wrote" not in lab.apply(code=4).stderr
    # another choice writes the file anew, at no cost, and a fresh clone the same file
    spec = lab.root / "specs/lab.yaml"
    spec.write_text(spec.read_text().replace("city: answer.city", "town: answer.city"))
    lab.apply(code=4)
    assert len(remote.created) == 1
    if suffix == ".jsonl":
        assert [row["town"] for row in lab.results()][:2] == ["Paris", "=Lima"] and "city" not in lab.results()[0]


def test_picks_stand_where_a_list_names_them_and_are_no_columns_of_the_input(remote: LookAlike, start: Started) -> None:
    job = ", columns: [custom_id, {{city: answer.city}}, row_city, digest, origin, answer]"
    lab = start(job=job, output="results/answers.csv")
    path = lab.root / "data/rows.csv"
    path.write_text(
        path.read_text().replace("id,word", "id,word,city").replace("\nr", "\nr").replace("0\n", "0,home\n", 1)
    )
    path.write_text("id,word,city\n" + "".join(f"r{n},word {n},home\n" for n in range(6)))
    lab.apply()
    assert list(rows_of(lab)[0]) == ["custom_id", "city", "row_city", "digest", "origin", "answer"]
    assert (rows_of(lab)[0]["city"], rows_of(lab)[0]["row_city"]) == ("Paris", "home")


@pytest.mark.parametrize(
    ("picked", "said"),
    [
        ("{{city: answer.town}}", "the schema of the answer has no `answer.town`"),
        ("{{city: answer.city.name}}", "the schema of the answer has no `answer.city.name`"),
        ("{{city: {{from: answer.city, type: integer}}}}", "`answer.city` is no integer in the schema of the answer"),
        ("{{finish: answer.city}}", "the column `finish` has the name of one of ours"),
        ("{{city: row.city}}", "column `city` of `answers` must say where in the answer its value stands"),
        ("{{city: 'answer..x'}}", "column `city` of `answers` must say where in the answer its value stands"),
        ("{{city: {{from: answer.city, type: text}}}}", "`type` of column `city` of `answers`"),
        ("[custom_id, [a]]", "`columns` of job `answers` must name columns, not a list"),
    ],
)
def test_what_cannot_be_picked_is_said_before_anything_is_sent(
    remote: LookAlike, start: Started, picked: str, said: str
) -> None:
    lab = start(job=f", columns: {picked}")
    for command in (["validate"], ["plan"], ["apply"]):
        done = lab.run(*command, "specs/", code=1)
        assert said in done.stderr + done.stdout and "specs/lab.yaml:" in done.stderr + done.stdout
    assert not remote.created


def test_the_page_about_them_runs_as_it_stands(tmp_path: Path) -> None:
    """On the embedded server, whose answers are what a schema wants: without a key, or a network."""
    page = (Path(__file__).parents[2] / "docs/structured-answers.md").read_text()
    blocks = re.findall(r"```yaml[^\n]*\n(.*?)```", page, re.DOTALL)
    first = next(block for block in blocks if "jobs:" in block)
    columns = [block for block in blocks if block.startswith("columns:")]
    assert len(columns) == 2
    lab = Lab(tmp_path / "project", None)  # type: ignore[arg-type]  # nothing but the embedded server is asked
    (lab.root / "specs").mkdir(parents=True)
    (lab.root / "data").mkdir()
    (lab.root / "data/reviews.csv").write_text("id,text\n" + "".join(f"r{n},Good {n}\n" for n in range(3)))
    for shown in columns:
        picked = yaml.safe_load(shown)["columns"]
        names = [*picked] if isinstance(picked, dict) else [n for one in picked if isinstance(one, dict) for n in one]
        assert names and isinstance(picked, dict | list)
    (lab.root / "specs/ratings.yaml").write_text(first.replace("ratings.jsonl", "ratings.parquet"))
    assert "ratings  3 ok, 0 error of 3  results/ratings.parquet" in lab.apply().stdout
    table = pq.read_table(lab.root / "results/ratings.parquet")
    assert table.schema.field("stars").type == "int64" and table.column("stars").to_pylist() == [1, 1, 1]
    assert table.column("first_topic").to_pylist() == ["synthetic"] * 3
    assert table.column("finish").to_pylist() == ["stop"] * 3


def test_an_edited_schema_is_another_request_and_a_check_of_old_ones_is_none(remote: LookAlike, start: Started) -> None:
    lab = start({"r1": BAD}, {}, job=RETRY)
    path = lab.root / "specs/lab.yaml"
    spec = path.read_text()
    written = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}
    path.write_text(
        spec.replace("answer: {schema: schemas/city.json}", f"response_format: {written}").replace(RETRY, "")
    )
    lab.apply()
    path.write_text(spec)  # asks for the same, and is held to it from now on
    assert "1 of 6 requests in 1 batch" in lab.run("plan", "specs/").stdout
    assert "6 ok, 0 error of 6" in lab.apply().stdout and remote.sent[1:] == [["r1"]]
    wanted(lab, {**SCHEMA, "required": ["city"]})
    plan = lab.run("plan", "specs/").stdout
    assert "6 requests" in plan and "every request changed: 6 answered requests are no longer wanted" in plan
    lab.apply("--confirm-repay", "answers")
    assert remote.sent[2:] == [[f"r{n}" for n in range(6)]]
    assert lab.apply().stdout == "Nothing to do\n"


def test_killed_between_two_attempts(lab: Lab) -> None:
    path = lab.root / "specs/lab.yaml"
    asking = '{user: "Say {{ word }}", answer: {schema: {type: object, properties: {n: {type: integer}}}}}'
    path.write_text(
        path.read_text()
        .replace('{user: "Say {{ word }}"}', asking)
        .replace("output: results/answers.jsonl", "on_invalid: retry\n    output: results/answers.jsonl")
    )
    lab.server.fault(invalid_answer={"match": "r1- r2-", "times": 1}, row_delay=0.2)
    first = lab.start("apply", "specs/", "-y")
    until(lambda: lab.server.creates() == 2)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    plan = lab.run("plan", "specs/").stdout
    assert "2 requests" in plan and UNTOLD not in plan  # running, or a create of which the kill left no receipt
    assert "10 ok, 0 error" in lab.apply().stdout
    assert lab.server.sent() == [[f"r{n}" for n in range(10)], ["r1", "r2"]]
    assert [row["answer"] for row in lab.results()] == [{"n": 0}] * 10


def test_each_endpoint_has_its_own_way(lab: Lab) -> None:
    schema = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}
    path = lab.root / "specs/lab.yaml"
    spec = path.read_text().replace(
        '{user: "Say {{ word }}"}', f'{{user: "{{{{ word }}}}", answer: {{schema: {schema}}}}}'
    )
    spec = spec.replace("name: echo", "name: echo\n    endpoint: responses")
    path.write_text(spec.replace("max_tokens: 16", "text: {verbosity: low}"))
    lab.server.fault(invalid_answer={"match": "r1-"})
    assert "10 ok, 1 of them not what the schema wants" in lab.apply().stdout
    [batch] = lab.server.batches()
    line = lab.server.raw("GET", f"/v1/files/{batch['input_file_id']}/content").split(b"\n")[0]
    asked = {"verbosity": "low", "format": {"type": "json_schema", "name": "answer", "schema": schema}}
    assert json.loads(line)["body"]["text"] == asked
    assert [row["finish"] for row in lab.results()].count("invalid") == 1
    assert lab.results()[0]["answer"] == {"n": 0}


def test_many_that_are_asked_again_want_a_yes_of_their_own(lab: Lab) -> None:
    """Ten answers for $10, none of which is what the schema wants: a yes to ten requests is none to twenty."""
    path = lab.root / "specs/lab.yaml"
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    spec = path.read_text().replace(
        '{user: "Say {{ word }}"}', f'{{user: "{{{{ word }}}}", answer: {{schema: {schema}}}}}'
    )
    spec = spec.replace(
        "    params: {max_tokens: 16}", "    params: {max_tokens: 16}\n    price: {input: 0, output: 62500}"
    )
    path.write_text(spec.replace("output: results", "on_invalid: retry\n    output: results"))
    lab.server.fault(invalid_answer={"value": 1, "times": 1})
    with terminal(lab.root, lab.environ(), "apply", "specs/") as screen:
        screen.wait_for("Send 10 requests in 1 batch")
        screen.type("y\n")
        screen.wait_for("10 that were answered, estimated at $10.00")
        screen.wait_for("[y/N]")
        screen.type("n\n")
        screen.wait_for("Nothing more was sent")
        screen.end()
    assert lab.server.creates() == 1 and len(lab.results()) == 10
    blocked = lab.apply(code=5)
    assert UNTOLD in blocked.stdout and "--confirm-repay answers" in blocked.stdout
    assert lab.server.creates() == 1
    assert "10 ok, 0 error of 10" in lab.apply("--confirm-repay", "answers").stdout
    assert lab.server.creates() == 2


def test_picks_are_no_part_of_the_rows_that_two_jobs_are_compared_by(remote: LookAlike, start: Started) -> None:
    other = chat('{"city": "Lima", "people": 4}')
    job = ", checks: {{named: {{contains: Paris}}}}, columns: {{city: answer.city}}"
    lab = start({}, {f"r{n}": other for n in range(6)}, job=job, output="results/answers.csv")
    path = lab.root / "specs/lab.yaml"
    spec = path.read_text()
    line = next(one for one in spec.splitlines() if one.strip().startswith("answers:"))
    second = line.replace("answers:", "others:", 1).replace("results/answers", "results/others")
    asking = next(one for one in spec.splitlines() if one.strip().startswith("ask:"))
    again = asking.replace("ask:", "anew:", 1).replace("Say", "Tell")
    path.write_text(
        spec.replace(line, f"{line}\n{second.replace('prompt: ask', 'prompt: anew')}").replace(
            asking, f"{asking}\n{again}"
        )
    )
    lab.apply()
    told = json.loads(lab.run("diff", "answers", "others", "-o", "json", code=None).stdout)
    assert (told["compared"], told["changed"], told["checks"][0]["worse"]) == (6, 0, 6)


def test_an_edited_schema_is_shown_with_both_values(remote: LookAlike, start: Started) -> None:
    lab = start({})
    lab.apply()
    for words in (("init", "-q"), ("add", "."), ("-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qm", "x")):
        subprocess.run(["git", *words], cwd=lab.root, check=True)
    wanted(lab, {**SCHEMA, "required": ["city"]})
    plan = lab.run("plan", "specs/", "--against", "HEAD").stdout
    assert "prompt.response_format  schemas/city.json" in plan
    changed = [one.strip() for one in plan.splitlines() if one.lstrip()[:2] in ("- ", "+ ")]
    assert changed[0].split() == ["-", '"city",'] and changed[1].split() == ["+", '"city"'], plan
