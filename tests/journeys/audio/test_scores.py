"""Transcripts held to what was said: references by file, word errors, scores beside a table and inside a folder."""

from __future__ import annotations

import json

import pytest

from tests.journeys.audio.lab import SPEC, AudioLab

CHECKS = """\
    checks: {{heard: {{wer: "{{{{ said }}}}"}}, any: {{regex: '\\w'}}}}
    references: {{dataset: said, on: file}}
datasets:
  said: {{files: data/said.jsonl}}
providers:
"""


@pytest.mark.parametrize("output", ["results/calls.jsonl", "results/calls/"])
def test_word_errors_of_recordings(lab: AudioLab, output: str) -> None:
    spec = SPEC.replace("calls.jsonl", output.removeprefix("results/"))
    lab.spec(spec)
    lab.first()
    results = output if output.endswith(".jsonl") else f"{output}_results.jsonl"
    lines = lab.results(results)
    texts = {line["file"]: line["response"]["text"] for line in lines}
    files = sorted(texts)
    assert all(texts.values())
    said = {file: texts[file] for file in files[:18]} | {files[0]: f"{texts[files[0]]} more words"}
    lab.put("data/said.jsonl", "".join(json.dumps({"file": f, "said": t}) + "\n" for f, t in said.items()).encode())
    posts = lab.posts()
    lab.spec(spec.replace("providers:\n", CHECKS))
    done = lab.apply()
    path = "results/calls.scores.jsonl" if output.endswith(".jsonl") else "results/calls/_scores.jsonl"
    scores = {row["custom_id"]: row["checks"]["heard"] for row in lab.results(path)}
    words = {file: len(text.split()) for file, text in said.items()}
    first = scores[files[0]]
    assert (first["status"], first["over"], first["under"]) == ("measured", 2, words[files[0]])
    assert [scores[file]["status"] for file in files[18:]] == ["no_reference"] * 2
    share = 100 * 2 / sum(words.values())
    assert f"{share:.1f} %" in done.stdout
    assert f"18 measured; 2 no reference; {sum(words.values()):,} words" in done.stdout
    assert lab.posts() == posts
    before = lab.files()
    assert lab.apply().stdout == "Nothing to do\n"
    assert {name for name, about in lab.files().items() if before.get(name) != about and "results" in name} == set()
