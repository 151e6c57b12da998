"""A fresh clone: what the outputs remember is not sent, and where nobody remembers, a person says so first."""

from __future__ import annotations

import os
import pty
import subprocess
import threading

import pytest

from tests.journeys.audio.lab import SPEC, SUBMIT, AudioLab
from tests.journeys.foretold import apply_as_foretold
from tests.journeys.lab import RUNNER

EMBEDDED = SPEC.replace("provider: fireworks-audio", "provider: embedded").replace("name: whisper-v3", "name: echo")
EMBEDDED = EMBEDDED[: EMBEDDED.index("providers:")].replace("    price: {{per_minute: 0.0015}}\n", "")


@pytest.mark.parametrize("output", ["results/calls.jsonl", "transcripts/"])
def test_answers_are_read_back_from_the_outputs(lab: AudioLab, output: str) -> None:
    lab.spec(SPEC.replace("results/calls.jsonl", output))
    lab.first()
    lab.forget()
    assert lab.run("plan", code=None).returncode == 0
    done = apply_as_foretold(lab, "-y")
    assert "read back 20 answers" in done.stderr
    assert lab.posts() == 20
    lab.done()


def test_only_what_the_outputs_do_not_know_is_sent(lab: AudioLab) -> None:
    lab.first()
    lab.forget()
    lab.record(["new"])
    apply_as_foretold(lab, "-y")
    assert lab.posts() == 21
    lab.whole(21)


@pytest.mark.parametrize("output", ["results/calls.jsonl", "results/calls.csv", "transcripts/"])
def test_what_was_held_is_held_again(lab: AudioLab, output: str) -> None:
    lab.spec(SPEC.replace("results/calls.jsonl", output))
    lab.server.fault(lose_create_reply={"value": 2, "route": SUBMIT})
    lab.first(code=5)
    held = [one["row"] for one in lab.held()]
    lab.forget()
    assert "18 ok, 0 error, 2 unknown" in apply_as_foretold(lab, "-y", code=5).stdout
    assert lab.posts() == 20
    assert [one["row"] for one in lab.held()] == held
    lab.run("state", "resolve", "calls", "--row", held[0], "--resubmit")
    lab.run("state", "resolve", "calls", "--row", held[1], "--adopt", lab.ids_of(held[1])[-1], "--account", "runner")
    assert "1 possible duplicate:" in lab.apply("-y").stdout
    assert lab.posts() == 21
    lab.done()


def test_without_any_memory_a_first_run_is_explained_and_wanted(lab: AudioLab) -> None:
    blocked = lab.apply("-y", code=5)
    assert "cannot be asked what was sent before" in blocked.stdout
    assert "runner apply specs/ --first-run" in blocked.stdout
    assert lab.posts() == 0
    assert lab.apply("-y", code=5, RUNNER_FIRST_RUN="0").stdout == blocked.stdout
    lab.apply("-y", RUNNER_FIRST_RUN="1")
    assert lab.posts() == 20
    lab.done()
    lab.record(["more"])  # it is wanted once
    lab.apply("-y")
    assert lab.posts() == 21


@pytest.mark.parametrize(("answer", "posts"), [("y", 20), ("n", 0)])
def test_on_a_terminal_the_question_explains_it(lab: AudioLab, answer: str, posts: int) -> None:
    code, words = on_a_terminal(lab, answer, "apply", "specs/")
    assert "This is a first run: `fireworks-audio` cannot be asked what was sent before" in words
    assert "Send 20 recordings in 1 calls batch, at most $" in words
    assert (code, lab.posts()) == (0, posts)


def test_on_a_terminal_a_second_run_is_not_called_a_first(lab: AudioLab) -> None:
    lab.first()
    lab.record(["more"])
    code, words = on_a_terminal(lab, "y", "apply", "specs/")
    assert "first run" not in words and "Send 1 recording in 1 calls batch, at most " in words
    assert (code, lab.posts()) == (0, 21)


def test_the_embedded_server_asks_nothing(lab: AudioLab) -> None:
    lab.spec(EMBEDDED)
    lab.apply()
    rows = lab.results("results/calls.jsonl")
    assert len(rows) == 20 and all(row["text"] for row in rows)
    assert lab.apply().stdout == "Nothing to do\n"


def on_a_terminal(lab: AudioLab, answer: str, *words: str) -> tuple[int, str]:
    """Exit code and stderr of a command whose stdin is a terminal on which somebody types `answer`."""
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            [*RUNNER, *words], cwd=lab.root, env=lab.environ(), stdin=theirs, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        threading.Timer(0.1, lambda: os.write(ours, f"{answer}\n".encode())).start()
        said, _ = process.communicate(timeout=60)
    finally:
        os.close(ours)
        os.close(theirs)
    return process.returncode, said
