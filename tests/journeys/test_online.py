"""A server without batches is asked row by row: nothing is lost, and what may be asked twice is counted."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.lab import Lab, until
from tests.online import LOST, OnlineServer, Reply, error, serving

SPEC = """\
project: lab
models:
  echo: {{provider: mine, name: echo, params: {{max_tokens: 16}}}}
datasets:
  rows: {{files: data/rows.csv, id: id}}
prompts:
  ask: {{user: "Say {{{{ word }}}}"}}
jobs:
  answers: {{dataset: rows, prompt: ask, model: echo, output: results/answers.jsonl{job}}}
providers:
  mine: {{kind: openai, base_url: {url}, batch: false{block}}}
"""


@contextmanager
def asking(
    tmp_path: Path, rows: int, *, job: str = "", block: str = "", **how: Any
) -> Iterator[tuple[Lab, OnlineServer]]:
    """A project whose provider is a server like vLLM, with no key set anywhere."""
    with serving(**how) as server:
        lab = Lab(tmp_path, server)  # type: ignore[arg-type]  # of which only its address is read
        write(lab, server, job=job, block=block)
        lab.rows(rows)
        yield lab, server


def write(lab: Lab, server: OnlineServer, *, job: str = "", block: str = "") -> None:
    path = lab.root / "specs" / "lab.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(SPEC.format(url=server.url, job=job, block=block))


def run(lab: Lab, *words: str, code: int | None = 0) -> str:
    done = lab.apply(*words, code=code)
    return done.stdout + done.stderr


def duplicates_in(said: str) -> int:
    """How many were counted."""
    found = re.search(r"(\d+) possible duplicate", said)
    return int(found[1]) if found else 0


def once(fault: Reply, times: int = 1, prompts: tuple[str, ...] = ("Say word 3",)) -> Any:
    def answer(server: OnlineServer, prompt: str, asked: int) -> Reply | None:
        return fault if prompt in prompts and asked <= times else None

    return answer


def test_rows_are_asked_one_by_one_and_remembered(tmp_path: Path) -> None:
    with asking(tmp_path, 30, block=", parallelism: 4") as (lab, server):
        said = lab.run("plan", "specs/").stdout
        assert "30 requests online" in said and "30 requests to send online" in said
        run(lab)
        rows = lab.results()
        assert [row["answer"] for row in rows] == [f"You said: Say word {n}" for n in range(30)]
        assert rows[0]["response"]["usage"]["total_tokens"] == 14
        assert server.paths() == {"/v1/chat/completions"}
        assert server.most_open <= 4
        assert not any("authorization" in one.headers for one in server.seen)
        assert server.seen[0].body["model"] == "echo" and server.seen[0].body["max_tokens"] == 16
        assert "Nothing to do" in run(lab)

        path = lab.root / "data/rows.csv"
        path.write_text(path.read_text().replace("word 7\n", "word seven\n") + "r30,word 30\n")
        run(lab)
        assert sum(server.times.values()) == 32
        assert lab.results()[7]["answer"] == "You said: Say word seven"
        kept = [one.name for one in (lab.root / ".runner/objects").rglob("requests*")]
        assert not kept  # a batch that has ended needs its requests no more


def test_answers_of_batch_and_online_are_the_same(lab: Lab) -> None:
    """What a batch has answered is not asked online, whatever the job says by then."""
    lab.apply()
    spec = lab.root / "specs/lab.yaml"
    spec.write_text(
        spec.read_text().replace("    model: echo\n    output", "    model: echo\n    transport: online\n    output")
    )
    before = lab.server.asked()
    assert "Nothing to do" in lab.apply().stdout
    assert not any("chat/completions" in route for route in lab.server.asked())
    assert before["POST /v1/batches"] == 1


def test_a_lost_reply_is_asked_again_and_counted(tmp_path: Path) -> None:
    with asking(tmp_path, 8, fault=once(LOST)) as (lab, server):
        said = run(lab)
        assert server.times["Say word 3"] == 2 and sum(server.times.values()) == 9
        assert "8 of 8 ok, 1 possible duplicate" in said


def test_a_lost_reply_is_held_where_the_specs_say_so(tmp_path: Path) -> None:
    with asking(tmp_path, 8, job=", on_unknown: hold", fault=once(LOST)) as (lab, server):
        said = run(lab, code=5)
        assert "`r3` is held" in said and "`--clear` or `--resubmit`" in said
        assert server.times["Say word 3"] == 1
        listed = lab.run("state", "resolve", "answers", "specs/", code=5).stdout
        assert "1 request held" in listed
        refused = lab.run("state", "resolve", "answers", "specs/", "--row", "r3", "--adopt", "x", code=64)
        assert "has no id at the remote" in refused.stderr
        lab.run("state", "resolve", "answers", "specs/", "--row", "r3", "--resubmit")
        assert "1 possible duplicate" in run(lab)
        assert server.times["Say word 3"] == 2 and len(lab.results()) == 8


def test_a_server_error_is_tried_again_so_often(tmp_path: Path) -> None:
    broken = once(error(500, "out of memory"), times=99)
    with asking(tmp_path, 8, fault=broken) as (lab, server):
        said = run(lab, code=4)
        assert server.times["Say word 3"] == 3
        assert "7 of 8 ok, 2 possible duplicates" in said
        assert "sent 3 times" in lab.results()[3]["error"]["message"]
        run(lab, code=4)
        assert server.times["Say word 3"] == 3


def test_what_no_reply_came_of_is_counted_when_it_is_asked_again_while_its_batch_goes_on(tmp_path: Path) -> None:
    def fault(server: OnlineServer, prompt: str, times: int) -> Reply | None:
        if prompt == "Say word 3":
            return error(500, "out of memory")
        if prompt == "Say word 5":  # the job stops, and what is left of the batch waits
            until(lambda: server.times["Say word 3"] == 3)
            return error(401, "bad key")
        return None

    with asking(tmp_path, 8, fault=fault) as (lab, server):
        run(lab, code=1)
        lab.run("retry", "answers", "specs/")
        server.fault = lambda server, prompt, times: None
        run(lab)
        assert server.times["Say word 3"] == 4
        assert duplicates_in(lab.run("status", "specs/").stdout) == 3


def test_what_a_server_refuses_is_the_outcome_of_that_row(tmp_path: Path) -> None:
    with asking(tmp_path, 8, fault=once(error(400, "context too long"), times=9)) as (lab, server):
        run(lab, code=4)
        assert server.times["Say word 3"] == 1
        assert "context too long" in json.dumps(lab.results()[3]["error"])


@pytest.mark.parametrize(("status", "words"), [(401, "bad key"), (404, "no such model")])
def test_what_is_wrong_with_all_stops_the_job_and_loses_nothing(tmp_path: Path, status: int, words: str) -> None:
    wrong = error(status, words)
    with asking(tmp_path, 40, block=", parallelism: 4", fault=lambda server, prompt, times: wrong) as (lab, server):
        assert words in run(lab, code=1)
        assert len(server.seen) <= 8
        server.fault = lambda server, prompt, times: None
        run(lab)
        assert len(lab.results()) == 40 and set(server.answered.values()) == {1}


def test_a_server_that_only_fails_is_not_asked_for_ever(tmp_path: Path) -> None:
    """Each reply that is lost may have been paid for: after some in a row nobody goes on."""
    with asking(tmp_path, 200, block=", parallelism: 4", fault=lambda server, prompt, times: LOST) as (lab, server):
        run(lab, code=1)
        assert len(server.seen) < 40
        server.fault = lambda server, prompt, times: None
        run(lab)
        assert [row["error"] for row in lab.results()] == [None] * 200


def test_a_storm_and_a_kill_lose_nothing(tmp_path: Path) -> None:
    """2,000 rows over 32 connections: nobody asks again before the time that the remote named, a kill -9 in the middle
    leaves no more in doubt than were under way, and each of those is counted.
    """
    refused: list[float] = []
    early: list[float] = []

    def storm(server: OnlineServer, prompt: str, times: int) -> Reply | None:
        now = time.monotonic()
        with server.lock:
            last = refused[-1] if refused else 0.0
            # what was under way when the first was refused may still come within a moment
            early.extend([now - last] if 0.25 < now - last < 0.45 else [])
            answered = len(server.answered)
            if len(refused) < 150 and (now - last < 0.2 or answered % 500 == 499):
                refused.append(last if now - last < 0.2 else now)
                return error(429 if len(refused) % 2 else 503, "slow down", Retry_After="0.5")
        return None

    with asking(tmp_path, 2_000, block=", parallelism: 32", fault=storm) as (lab, server):
        process = lab.start("apply", "specs/", "-y")
        until(lambda: len(server.answered) > 1_200, 60)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        time.sleep(0.2)
        said = run(lab)
        assert len(set(refused)) >= 2 and not early
        assert len(server.answered) == 2_000 and max(server.answered.values()) <= 2
        twice = sum(times > 1 for times in server.answered.values())
        assert twice <= duplicates_in(said) <= 32
        rows = lab.results()
        assert [row["answer"] for row in rows] == [f"You said: Say word {n}" for n in range(2_000)]
        assert server.most_open <= 32


def test_per_minute_limits_space_the_calls(tmp_path: Path) -> None:
    with asking(tmp_path, 12, block=", parallelism: 8, rpm: 1200") as (lab, server):
        run(lab)
        times = [one.at for one in server.seen]
        assert times[-1] - times[0] >= 11 * 0.05 * 0.9
        assert server.most_open <= 4  # quick answers, far between: no need for all eight


def test_what_a_kill_leaves_is_asked_again_and_counted(tmp_path: Path) -> None:
    with asking(tmp_path, 120, block=", parallelism: 8", seconds=0.02) as (lab, server):
        process = lab.start("apply", "specs/", "-y")
        until(lambda: len(server.answered) > 40)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        time.sleep(0.1)
        # the dataset is edited meanwhile: what was begun goes out as it was agreed to, and what left is not sent
        path = lab.root / "data/rows.csv"
        path.write_text(path.read_text().replace("r119,word 119\n", "r119,word new\n"))
        said = run(lab)
        twice = [prompt for prompt, times in server.answered.items() if times > 1]
        assert len(twice) <= 8 and max(server.answered.values()) <= 2
        assert len(twice) <= duplicates_in(said) <= 8
        rows = lab.results()
        assert len(rows) == 120 and all(row["error"] is None for row in rows)
        assert rows[119]["answer"] == "You said: Say word new"
        assert server.answered["Say word new"] == 1


def test_a_stop_finishes_what_is_under_way(tmp_path: Path) -> None:
    with asking(tmp_path, 200, block=", parallelism: 4", seconds=0.05) as (lab, server):
        process = lab.start("apply", "specs/", "-y")
        until(lambda: len(server.answered) > 10)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
        assert process.returncode == 130
        asked = len(server.seen)
        assert asked < 100
        run(lab)
        assert set(server.answered.values()) == {1} and len(lab.results()) == 200


def test_a_server_that_comes_back_is_waited_for(tmp_path: Path) -> None:
    """Nothing can have reached it, so nothing is counted."""
    with asking(tmp_path, 5) as (lab, server):
        free = server.url
    port = int(free.rsplit(":", 1)[1].split("/")[0])
    process = lab.start("apply", "specs/", "-y")
    time.sleep(2.0)
    with serving(port=port) as server:
        out, err = process.communicate(timeout=40)
        assert process.returncode == 0, err
        assert set(server.answered.values()) == {1} and "duplicate" not in out + err


@pytest.mark.parametrize(
    ("job", "block", "words"),
    [
        (", transport: batch", "", "says `batch: false`"),
        ("", ", rpm: 0", "rpm"),
        (", transport: sideways", "", "transport"),
    ],
)
def test_what_cannot_be_asked_is_told_with_its_place(tmp_path: Path, job: str, block: str, words: str) -> None:
    with asking(tmp_path, 1, job=job, block=block) as (lab, _):
        said = lab.run("validate", "specs/", code=1)
        assert words in said.stdout + said.stderr and "specs/lab.yaml:" in said.stdout + said.stderr


def test_the_full_price_is_told_or_that_of_the_tier(lab: Lab) -> None:
    text = """\
project: prices
models:
  usual: {provider: openai, name: gpt-x, params: {max_tokens: 100}, price: {input: 2, output: 10}}
  flex: {provider: openai, name: gpt-x, params: {max_tokens: 100, service_tier: flex}, price: {input: 2, output: 10}}
datasets:
  rows: {files: data/rows.csv, id: id}
prompts:
  one: {user: "Say {{ word }}"}
  two: {user: "Sag {{ word }}"}
  tri: {user: "Dis {{ word }}"}
defaults: {dataset: rows}
jobs:
  batch: {prompt: one, model: usual, output: results/batch.jsonl}
  online: {prompt: two, model: usual, output: results/online.jsonl, transport: online}
  flex: {prompt: tri, model: flex, output: results/flex.jsonl, transport: online}
"""
    (lab.root / "specs/lab.yaml").write_text(text)
    view = json.loads(lab.run("plan", "specs/", "-o", "json", code=None).stdout)
    usd = {job["address"]: job["usd"] for job in view["jobs"]}
    assert usd["online"] == pytest.approx(2 * usd["batch"])
    assert usd["flex"] == pytest.approx(usd["batch"])


def test_a_server_of_ones_own_needs_no_key_and_no_word(tmp_path: Path) -> None:
    """What looks and what rehearses say the same as an apply does."""
    with asking(tmp_path, 3) as (lab, server):
        told = lab.run("doctor", "specs/", code=None).stdout
        assert "key mine: none is needed" in told and "provider mine: not asked" in told
        rehearsed = lab.run("apply", "specs/", "--rehearse")
        said = rehearsed.stdout + rehearsed.stderr
        assert "3 requests online" in said and "A real run needs" not in said
        assert not server.seen
