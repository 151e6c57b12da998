"""`runner try`: a few rows asked now, and the later batch holds the others only."""

from __future__ import annotations

import json
import signal
import time
import wave
from pathlib import Path
from typing import Any

import pytest

from tests.cli.snapshots import must_fit
from tests.journeys.lab import Lab, until
from tests.journeys.test_online import asking, once
from tests.online import LOST, OnlineServer, Reply

PRICED = """\
project: lab
models:
  one: {{provider: mine, name: one, params: {{max_tokens: 16}}, price: {{input: 1, output: 2}}}}
  two: {{provider: mine, name: two, params: {{max_tokens: 16}}, price: {{input: 1, output: 2}}}}
datasets:
  rows: {{files: data/rows.csv, id: id}}
prompts:
  ask: {{user: "Say {{{{ word }}}}"}}
  long: {{user: "Be brief.\\nWhat does this mean to you and to all of us here, said in one sentence: {{{{ word }}}}"}}
defaults: {{dataset: rows}}
jobs:
  answers: {{prompt: ask, model: one, output: results/answers.jsonl{job}}}
  compare: {{prompt: long, matrix: {{model: [one, two]}}, output: "results/{{{{ model }}}}.jsonl"}}
providers:
  mine: {{kind: openai, base_url: {url}, batch: false}}
"""


def tried(lab: Lab, *words: str, code: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(lab.run("try", *words, "-o", "json", code=code).stdout)
    must_fit(found, "try")
    return found


def priced(lab: Lab, server: OnlineServer, job: str = "") -> None:
    (lab.root / "specs/lab.yaml").write_text(PRICED.format(url=server.url, job=job))


def test_the_later_batch_holds_the_others(lab: Lab) -> None:
    """Asked by single calls and in a batch: the digests are the same, and the results are whole."""
    lab.rows(300)
    said = lab.run("try", "answers", "specs/").stdout
    assert "r0" in said and "Say word 0" in said and "word 2" in said
    view = tried(lab, "answers", "specs/")
    assert (view["asked"], view["known"]) == (0, 3)
    assert lab.server.batches() == []
    assert "the rest, not sent before" in lab.run("plan").stdout
    lab.apply()
    (sent,) = lab.server.sent()
    assert len(sent) == 297 and not {"r0", "r1", "r2"} & set(sent)
    rows = lab.results()
    assert len(rows) == 300 and all(row["error"] is None for row in rows)
    assert lab.server.asked()["POST /v1/chat/completions"] == 3
    assert "Nothing to do" in lab.apply().stdout


def test_rows_are_told_by_what_differs_between_them(tmp_path: Path) -> None:
    """And where nothing was answered, nothing is said of asking it anew."""
    with asking(tmp_path, 3) as (lab, server):
        spec = lab.root / "specs/lab.yaml"
        spec.write_text(spec.read_text().replace('"Say {{ word }}"', '"Hear this: {{ word }}\\nAnswer in a word."'))
        assert {row["prompt"] for row in tried(lab, "answers", "--rows", "1")["rows"]} == {"Answer in a word."}
        told = lab.run("try", "answers")
        assert "r1  Hear this: word 1" in told.stdout and "2 requests asked" in told.stderr
        assert "`--again` asks anew" in lab.run("try", "answers").stderr
        spec.write_text(spec.read_text().replace("Hear", "Read"))
        server.fault = lambda _, prompt, times: (404, {}, b'{"error":{"message":"no such model"}}')
        told = lab.run("try", "answers", code=1)
        assert "nothing asked" in told.stderr and "--again" not in told.stderr


def test_rows_are_named_and_asked_once(tmp_path: Path) -> None:
    with asking(tmp_path, 20) as (lab, server):
        first = tried(lab, "answers", "specs/", "--row", "r7", "--row", "r1")
        assert {row["id"] for row in first["rows"]} == {"r1", "r7"}
        again = tried(lab, "answers", "specs/", "--row", "r7", "--rows", "1")
        assert again["rows"][0]["cells"][0]["came"] == "known" and server.times["Say word 7"] == 1
        anew = tried(lab, "answers", "specs/", "--row", "r7", "--again")
        assert anew["rows"][0]["cells"][0]["came"] == "asked" and not anew["kept"]
        assert server.times["Say word 7"] == 2
        assert "has no row `nope`" in lab.run("try", "answers", "specs/", "--row", "nope", code=64).stderr
        lab.apply()
        assert server.times["Say word 7"] == 2 and sum(server.times.values()) == 21
        # an edited prompt is another request
        spec = lab.root / "specs/lab.yaml"
        spec.write_text(spec.read_text().replace('"Say ', '"Do say '))
        assert tried(lab, "answers", "specs/", "--rows", "1")["asked"] == 1


def test_a_lost_reply_is_counted(tmp_path: Path) -> None:
    with asking(tmp_path, 20, fault=once(LOST, prompts=("Say word 1",))) as (lab, server):
        assert tried(lab, "answers", "specs/")["asked"] == 3
        assert server.times["Say word 1"] == 2
        assert "1 possible duplicate" in lab.apply().stdout


def test_what_is_killed_is_gone_on_with(tmp_path: Path) -> None:
    def slow(server: OnlineServer, prompt: str, times: int) -> Reply | None:
        time.sleep(0.0 if prompt == "Say word 0" or times > 1 else 1.5)
        return None

    with asking(tmp_path, 20, fault=slow) as (lab, server):
        process = lab.start("try", "answers", "specs/")
        until(lambda: len(server.seen) == 3 and server.answered["Say word 0"] == 1)
        time.sleep(0.3)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        lab.apply()
        rows = lab.results()
        assert len(rows) == 20 and all(row["error"] is None for row in rows)
        assert server.times["Say word 0"] == 1
        assert max(server.times.values()) <= 2


def test_a_stop_is_one_and_says_what_was_not_sent(tmp_path: Path) -> None:
    with asking(tmp_path, 20, block=", parallelism: 1", seconds=0.7) as (lab, server):
        process = lab.start("try", "answers", "specs/")
        until(lambda: len(server.seen) == 1)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=20)
        assert process.returncode == 130
        assert said.count("You said: Say word") == 1 and said.count("! not sent") == 2
        lab.apply()
        assert set(server.times.values()) == {1} and len(lab.results()) == 20


def test_limits_of_money_hold(tmp_path: Path) -> None:
    with asking(tmp_path, 20) as (lab, server):
        priced(lab, server)
        stopped = lab.run("try", "answers", "specs/", "--max-usd", "0.00001", code=5)
        assert "`--max-usd` is" in stopped.stderr and not server.seen
        priced(lab, server, job=", budget: 0.00001")
        assert "`budget` of `answers`" in lab.run("try", "answers", "specs/", code=5).stderr
        assert not server.seen
        priced(lab, server)
        view = tried(lab, "answers", "specs/")
        assert view["usd"] == pytest.approx(3 * (9 * 1 + 5 * 2) / 1e6)


def test_a_provider_without_an_online_side_says_what_to_do(tmp_path: Path) -> None:
    with asking(tmp_path, 1) as (lab, _):
        (lab.root / "calls").mkdir()
        with wave.open(str(lab.root / "calls/a.wav"), "wb") as sound:
            sound.setparams((1, 2, 8000, 0, "NONE", ""))
            sound.writeframes(bytes(range(256)) * 40)
        (lab.root / "specs/lab.yaml").write_text(
            "project: lab\nmodels:\n  w: {provider: fireworks-audio, name: whisper-v3}\n"
            "jobs:\n  heard: {audio: calls/*.wav, model: w, output: heard.jsonl}\n"
        )
        said = lab.run("try", "heard", "specs/", code=64).stderr
        assert "takes no such requests one by one" in said and "--sample 3" in said
