"""A rehearsal sends what a real apply would send, to stand-ins, and leaves no trace outside its folder."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests import warm
from tests.journeys.lab import SPEC, Lab, until

ROOT = Path(__file__).parents[2]
STAGE = ".runner/rehearsal"

EVERYWHERE = """\
project: everywhere
models:
  gpt: {provider: openai, name: gpt-4o-mini, params: {max_tokens: 64}, price: {input: 0.15, output: 0.6}}
  llama: {provider: fireworks, name: accounts/fireworks/models/llama-v3p1-8b-instruct, params: {max_tokens: 64}}
  small: {provider: embedded, name: smollm2-135m}
  quick: {provider: groq, name: llama-3.1-8b-instant}
  away: {provider: nobody-listens, name: a-model}
datasets: {rows: {files: rows.csv, id: id}}
prompts: {ask: "Say {{ word }}"}
jobs:
  a-gpt: {dataset: rows, prompt: ask, model: gpt, output: results/gpt.jsonl}
  b-llama: {dataset: rows, prompt: ask, model: llama, window: 48h, output: results/llama.jsonl}
  c-small: {dataset: rows, prompt: ask, model: small, output: results/small.csv}
  d-quick: {dataset: rows, prompt: ask, model: quick, window: 48h, output: results/quick.jsonl}
  e-away: {dataset: rows, prompt: ask, model: away, output: results/away.jsonl}
providers:
  nobody-listens: {kind: openai, base_url: "http://127.0.0.1:9/v1", overrides: {limits: {lines: 4}}}
"""


def everything(root: Path) -> dict[str, tuple[int, int, str]]:
    """Every file but those of the rehearsal: time of change, time of any change, content."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if STAGE not in name and path.is_file():
            about = path.stat()
            found[name] = (about.st_mtime_ns, about.st_ctime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
    return found


def rows_of(lab: Lab, output: str = "results/answers.jsonl") -> list[dict[str, object]]:
    return lab.results(f"{STAGE}/outputs/{output}")


def bare(root: Path) -> dict[str, str]:
    """No key, no account, no way out."""
    dead = "http://127.0.0.1:9"
    proxies = {"HTTPS_PROXY": dead, "HTTP_PROXY": dead, "ALL_PROXY": dead}
    return {**warm.environ(), "HOME": str(root / "home"), **proxies}


def run(root: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    done = warm.run("runner", *words, cwd=root, env={**bare(root), **environ}, timeout=60)
    assert "Traceback" not in done.stderr, done.stderr
    return done


def test_every_provider_is_rehearsed_without_key_account_or_network(tmp_path: Path) -> None:
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs/a.yaml").write_text(EVERYWHERE)
    (tmp_path / "rows.csv").write_text("id,word\n" + "".join(f"r{n},word {n}\n" for n in range(10)))
    before = everything(tmp_path)
    done = run(tmp_path, "apply", "--rehearse")
    assert done.returncode == 0, done.stdout + done.stderr
    assert everything(tmp_path) == before
    assert not (tmp_path / "home").exists()  # the embedded server's own data neither
    sent = {line.split()[0]: line.split() for line in done.stdout.split("\n\n")[0].split("\n")[1:]}
    assert {name: words[3:6] for name, words in sent.items()} == {
        "a-gpt": ["24h", "10", "1"],
        "b-llama": ["48h", "10", "1"],
        "c-small": ["24h", "10", "1"],
        "d-quick": ["48h", "10", "1"],
        "e-away": ["24h", "10", "3"],
    }
    assert done.stdout.count("10 ok + 0 error = 10") == 5
    assert "50 requests in 7 batches" in done.stdout.split("\n")[-2]
    assert done.stdout.endswith("run `runner apply specs`\n")
    assert "a key in `FIREWORKS_API_KEY` and an account for provider `fireworks`" in done.stderr
    for name in ("gpt", "llama", "quick", "away"):
        lines = (tmp_path / STAGE / f"outputs/results/{name}.jsonl").read_bytes().splitlines()
        for number, line in enumerate(map(json.loads, lines)):
            assert (line["custom_id"], line["origin"]) == (f"r{number}", "synthetic")
            assert line["response"]["system_fingerprint"] == "synthetic-echo"
            assert line["answer"] == f"echo: Say word {number}"
    with (tmp_path / STAGE / "outputs/results/small.csv").open(newline="") as table:
        assert {row["origin"] for row in csv.DictReader(table)} == {"synthetic"}
    assert not (tmp_path / STAGE / "server/server.json").exists()  # the server has ended


def test_what_is_sent_is_what_the_real_apply_sends_then(lab: Lab) -> None:
    lab.apply("--rehearse")
    assert lab.server.batches() == []
    rehearsed = {file.read_bytes() for file in (lab.root / STAGE / "server/files").iterdir()}
    lab.apply()
    (batch,) = lab.server.batches()
    assert lab.server.raw("GET", f"/v1/files/{batch['input_file_id']}/content") in rehearsed


def test_only_what_is_missing_is_rehearsed_and_nothing_real_is_touched(lab: Lab) -> None:
    lab.apply()
    lab.rows(12)
    before, asked = everything(lab.root.parent / "project"), changing(lab)
    done = lab.apply("--rehearse")
    assert everything(lab.root.parent / "project") == before
    assert changing(lab) == asked
    assert "12 ok + 0 error = 12" in done.stdout
    assert "2 requests in 1 batch" in done.stdout
    origins = [str(row["origin"]) for row in rows_of(lab)]
    assert origins[10:] == ["synthetic", "synthetic"]
    assert all(origin.startswith("lab@127.0.0.1") for origin in origins[:10])
    assert len(lab.results()) == 10
    assert "Nothing to do" not in lab.apply().stdout  # the real one has still to send them
    assert [len(ids) for ids in lab.server.sent()] == [10, 2]


def test_in_sync_says_that_nothing_would_be_sent(lab: Lab) -> None:
    lab.apply()
    done = lab.apply("--rehearse")
    assert done.stdout == "1 job unchanged\n\nRehearsed: `runner apply specs/` would send nothing\n"
    assert not (lab.root / STAGE / "outputs").exists()
    assert not (lab.root / STAGE / "server").exists()  # nor is a server started


def test_a_rehearsal_that_could_not_be_says_nothing_of_a_real_run(lab: Lab) -> None:
    shadow = lab.root.parent / "shadow"
    shadow.mkdir()
    (shadow / "uvicorn.py").write_text("raise ImportError('as if it were broken')")
    done = lab.apply("--rehearse", code=1, PYTHONPATH=str(shadow))
    assert "the embedded server did not start" in done.stderr
    assert "would send" not in done.stdout
    assert lab.server.batches() == []


def test_what_a_real_remote_holds_stays_in_flight(lab: Lab) -> None:
    lab.server.fault(stuck_validating=1)
    lab.apply("--no-wait", code=3)
    lab.rows(13)
    before, asked = everything(lab.root), changing(lab)
    done = lab.apply("--rehearse")
    assert (everything(lab.root), changing(lab)) == (before, asked)
    assert "10 requests in flight at the remote, not rehearsed" in done.stdout
    assert "3 ok + 0 error + 10 in flight = 13" in done.stdout
    assert "3 requests in 1 batch" in done.stdout


def test_the_state_a_killed_apply_left_is_read_and_not_repaired(lab: Lab) -> None:
    lab.server.fault(stuck_validating=1)
    applying = lab.start("apply", "specs/", "-y")
    until(lab.server.batches)
    time.sleep(0.3)
    applying.kill()
    applying.communicate()
    assert (lab.root / ".runner/state/cache.db-wal").exists()
    before = everything(lab.root)
    done = lab.apply("--rehearse")
    assert everything(lab.root) == before
    assert "10 requests in flight at the remote, not rehearsed" in done.stdout


def test_answers_are_read_back_from_outputs_when_the_state_is_lost(lab: Lab) -> None:
    lab.apply()
    lab.forget()
    lab.rows(11)
    before = everything(lab.root)
    done = lab.apply("--rehearse")
    assert everything(lab.root) == before
    assert "1 request in 1 batch" in done.stdout
    assert [row["origin"] == "synthetic" for row in rows_of(lab)] == [False] * 10 + [True]
    assert "was not asked" not in done.stderr


def changing(lab: Lab) -> dict[str, int]:
    """The calls so far that changed something: a rehearsal reads what the remote holds, and no more."""
    return {route: times for route, times in lab.server.asked().items() if not route.startswith("GET ")}


def test_answers_of_an_account_nobody_told_us_count(tmp_path: Path) -> None:
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs/a.yaml").write_text(EVERYWHERE)
    (tmp_path / "rows.csv").write_text("id,word\nr0,word 0\nr1,word 1\n")
    run(tmp_path, "apply", "--rehearse")
    (tmp_path / "results").mkdir()
    for name in ("gpt", "llama"):
        shutil.copy(tmp_path / STAGE / f"outputs/results/{name}.jsonl", tmp_path / "results")
    llama = tmp_path / "results/llama.jsonl"
    llama.write_text(llama.read_text().replace('"synthetic"', '"fireworks@api.fireworks.ai/acme"'))
    done = run(tmp_path, "apply", "--rehearse")
    assert done.returncode == 0, done.stdout
    requests = {line.split()[0]: line.split()[4] for line in done.stdout.split("\n\n")[0].split("\n")}
    assert requests["a-gpt"] == "2"  # what was made up is no answer, whoever copies it
    assert "b-llama" not in requests and "1 job unchanged" in done.stdout


@pytest.mark.parametrize(
    ("field", "words", "says"),
    [
        ("budget: 0.000001", (), "`budget:` of the job"),
        ("max_attempts: 3", ("--max-usd", "0.000001"), "`--max-usd` is $0.000001"),
    ],
)
def test_money_guards_block_as_the_real_run_does(lab: Lab, field: str, words: tuple[str, ...], says: str) -> None:
    priced = SPEC.replace("    params:", "    price: {{input: 1, output: 1}}\n    params:")
    lab.spec(priced.replace("    model: echo", f"    model: echo\n    {field}"))
    plan = lab.run("plan", "specs/", *words, code=5).stdout
    done = lab.apply("--rehearse", *words, code=5)
    block = [line for line in plan.split("\n") if "blocked" in line or "create" in line]
    assert says in plan
    assert all(line in done.stdout for line in block)
    assert "would send nothing" in done.stdout
    assert lab.server.batches() == []


def test_rows_a_remote_would_refuse_are_errors(lab: Lab) -> None:
    lab.spec(SPEC.replace("max_tokens: 16", "max_tokens: many"))
    done = lab.apply("--rehearse", code=4)
    assert "0 ok + 10 error = 10" in done.stdout
    (why,) = [line for line in done.stdout.splitlines() if line.startswith("  ! ")]
    assert "`int | null`" in why and why.endswith("(10)")
    last = done.stdout.splitlines()[-1]
    assert "To send them" not in last
    assert last.endswith("Every one of them failed: put that right before you run `runner apply specs/`")


def test_where_some_rows_are_answered_it_may_be_sent(lab: Lab) -> None:
    (lab.root / "data/rows.csv").write_text("id,word\na,one\nb,two,three\n")
    lab.spec(SPEC.replace("id: id}}", "id: id, skip_bad: true}}"))
    done = lab.apply("--rehearse", code=4)
    assert "1 ok + 1 error (1 of them a row that cannot be sent) = 2" in done.stdout
    assert "To send them, run `runner apply specs/`" in done.stdout


def test_a_path_with_a_space_can_be_copied(lab: Lab) -> None:
    (lab.root / "my specs").mkdir()
    (lab.root / "specs/lab.yaml").rename(lab.root / "my specs/lab.yaml")
    done = lab.run("apply", "my specs", "--rehearse")
    assert done.stdout.splitlines()[-1].endswith("To send them, run `runner apply 'my specs'`")


def test_each_rehearsal_starts_from_nothing(lab: Lab) -> None:
    first = lab.apply("--rehearse").stdout
    (lab.root / STAGE / "outputs/results/stale.jsonl").write_text("{}\n")
    (lab.root / STAGE / "memo/link").symlink_to(lab.root / "specs")
    (lab.root / STAGE / "tmp/old").write_text("")
    assert lab.apply("--rehearse").stdout == first
    assert not (lab.root / STAGE / "outputs/results/stale.jsonl").exists()
    assert (lab.root / "specs/lab.yaml").exists()  # links were removed, not followed


@pytest.mark.parametrize("link", [".runner", STAGE])
def test_a_link_in_its_place_is_refused(lab: Lab, link: str) -> None:
    elsewhere = lab.root.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_text("kept")
    (lab.root / link).parent.mkdir(exist_ok=True)
    (lab.root / link).symlink_to(elsewhere)
    done = lab.apply("--rehearse", code=1)
    assert "is a link" in done.stderr
    assert [file.name for file in elsewhere.iterdir()] == ["precious"]


@pytest.mark.parametrize("words", [("--no-wait",), ("--wait", "5s")])
def test_a_rehearsal_cannot_be_left_early(lab: Lab, words: tuple[str, ...]) -> None:
    assert "A rehearsal ends by itself" in lab.apply("--rehearse", *words, code=64).stderr


def test_two_rehearsals_do_not_meet(lab: Lab) -> None:
    lab.rows(30_000)
    first = lab.start("apply", "specs/", "--rehearse")
    until((lab.root / STAGE / "server/server.json").exists)
    assert "another command is working" in lab.apply("--rehearse", code=6).stderr
    out, words = first.communicate(timeout=60)
    assert (first.returncode, "30,000 ok" in out) == (0, True), words


@pytest.mark.sweep  # ten seconds: a connection that is refused is tried again for a while
def test_a_killed_stand_in_is_started_again(lab: Lab) -> None:
    lab.rows(30_000)
    rehearsing = lab.start("apply", "specs/", "--rehearse")
    record = lab.root / STAGE / "server/server.json"
    until(record.exists)
    time.sleep(0.4)
    with contextlib.suppress(OSError, ValueError):
        os.kill(json.loads(record.read_bytes())["pid"], signal.SIGKILL)
    out, words = rehearsing.communicate(timeout=60)
    assert (rehearsing.returncode, "30,000 ok" in out) == (0, True), words


def test_read_only_is_about_real_remotes(lab: Lab) -> None:
    assert "10 ok" in lab.apply("--rehearse", RUNNER_READONLY="1").stdout


def test_the_fireworks_example_can_be_rehearsed(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "docs/examples", tmp_path / "docs/examples")
    done = run(tmp_path, "apply", "docs/examples/fireworks", "--rehearse")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "12 ok + 0 error = 12" in done.stdout
    assert done.stdout.endswith("run `runner apply docs/examples/fireworks`\n")


def test_an_interrupted_rehearsal_leaves_nothing_behind(lab: Lab) -> None:
    lab.rows(100_000)
    rehearsing = lab.start("apply", "specs/", "--rehearse")
    record = lab.root / STAGE / "server/server.json"
    until(record.exists)
    rehearsing.send_signal(signal.SIGINT)
    out, words = rehearsing.communicate(timeout=60)
    assert (rehearsing.returncode, out) == (130, ""), words
    assert "nothing was sent" in words
    assert not record.exists()
    assert lab.server.batches() == []


def test_a_rehearsal_finds_params_that_the_remote_refuses(tmp_path: Path) -> None:
    """Nothing was paid for, and the words are those that OpenAI would have answered each row with."""
    (tmp_path / "specs").mkdir()
    (tmp_path / "rows.csv").write_text("id,word\n1,a\n2,b\n")
    for params, words in (
        ("{max_token: 64}", "Unrecognized request argument supplied: max_token"),
        ("{temperature: hot}", "Expected `float | null`, got `str` - at `$.temperature`"),
    ):
        spec = EVERYWHERE.split("  b-llama")[0].replace("{max_tokens: 64}", params, 1)
        spec = spec.replace("  away: {provider: nobody-listens, name: a-model}\n", "")
        (tmp_path / "specs/a.yaml").write_text(spec)
        environ = {**warm.environ(), "HOME": str(tmp_path), "RUNNER_HOME": str(tmp_path / "home")}
        done = warm.run("runner", "apply", "specs/", "--rehearse", cwd=tmp_path, env=environ, timeout=90)
        assert done.returncode == 4, done.stderr
        table = (tmp_path / STAGE / "outputs/results/gpt.jsonl").read_text().splitlines()
        assert [words in json.loads(row)["error"]["message"] for row in table] == [True, True]
        assert "sent as it stands" in done.stderr
