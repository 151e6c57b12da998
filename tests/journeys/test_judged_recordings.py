"""Recordings whose transcripts a judge is shown, by a check of their own job, at the embedded server's stand-ins."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.journeys.audio.lab import AudioLab
from tests.journeys.lab import serving

# The model says what it is told, so its verdict is the one word of the prompt that is one
SPEC = """\
project: lab
models:
  ear: {{provider: fireworks-audio, name: whisper-v3, params: {{response_format: json}}, price: {{per_minute: 0.0015}}}}
  echo: {{provider: lab, name: echo, params: {{max_tokens: 100}}, price: {{input: 1, output: 2}}}}
prompts:
  grade:
    user: "{{{{ 'bad' if '001' in file else 'good' }}}}: {{{{ answer | fenced }}}} {{{{ speech }}}} {{{{ duration_s}}}}"
datasets:
  truth: {{files: data/truth.jsonl}}
jobs:
  calls:
    audio: "calls/*.wav"
    model: ear
    output: OUTPUT
    references: {{dataset: truth, on: file}}
    checks:
      faithful: {{judge: grade, model: echo, verdicts: {{good: 1, bad: 0}}, human: "{{{{ hand }}}}"}}
      words: {{wer: "{{{{ speech }}}}"}}
    slices: [speaker]
providers:
  fireworks-audio: {{overrides: {{min_poll_s: 0.02, max_poll_s: 0.1, defer_s: 0.1}}}}
  lab: {{kind: openai, base_url: "{url}", api_key_env: LAB_KEY, overrides: {{settle_s: 0.1, min_poll_s: 0.02}}}}
"""
FILES = [f"calls/c{n:03}.wav" for n in range(4)]
OUTPUTS = ("results/calls.jsonl", "results/calls.csv", "results/calls/")


def statuses(lab: AudioLab, output: str) -> list[tuple[str, str]]:
    path = lab.root / (
        f"{output}_scores.jsonl" if output.endswith("/") else f"{output.rpartition('.')[0]}.scores.jsonl"
    )
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [(line["custom_id"], line["checks"]["faithful"]["status"]) for line in lines]


@pytest.mark.parametrize("output", OUTPUTS)
def test_a_judge_hears_of_every_recording_once(tmp_path: Path, output: str) -> None:
    root = tmp_path / "project"
    root.mkdir()
    with serving(tmp_path / "server") as server:
        lab = AudioLab(root, server)
        lab.spec(SPEC.replace("OUTPUT", output))
        rows = [{"file": file, "speech": "w w", "hand": "good" * (n < 2), "speaker": f"s{n % 2}"}
                for n, file in enumerate([*FILES, "calls/c100.wav"])]  # fmt: skip
        lab.put("data/truth.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode())
        lab.record(len(FILES))
        assert "known after `calls`" in lab.run("plan", "specs/", code=5).stdout
        done = lab.apply("--first-run")
        assert "3 right, 1 wrong" in done.stdout and "judge and person agree on 50.0 % of 2 rows" in done.stdout
        assert "corrected mean 100.0 %" in done.stdout, "no score is above 1"
        assert lab.posts() == 4 and [len(rows) for rows in server.sent()] == [4]
        graded = ["right", "wrong", "right", "right"]
        assert statuses(lab, output) == list(zip(FILES, graded, strict=True))
        # again: nothing
        assert lab.apply().stdout.startswith("Nothing to do\n")
        # one recording more: one of each
        lab.record(["c100"])
        lab.apply()
        assert lab.posts() == 5 and [len(rows) for rows in server.sent()] == [4, 1]
        # every form of what is shown, from files alone
        assert lab.run("lock", "specs/").stdout.startswith("runner.lock  2 jobs")
        shutil.rmtree(root / ".runner")
        assert "2 jobs as locked" in lab.run("verify", LAB_KEY="").stdout
        page = lab.run("report", "specs/", "-o", "markdown", "--out", "-").stdout
        assert "80.0 %" in page and "faithful" in page
        # a fresh clone with its outputs: recordings and verdicts are read back
        assert lab.run("plan", "specs/").stdout.endswith("Nothing to do\n")
        lab.apply()
        assert lab.posts() == 5 and server.creates() == 2
        assert statuses(lab, output) == [*zip(FILES, graded, strict=True), ("calls/c100.wav", "right")]
