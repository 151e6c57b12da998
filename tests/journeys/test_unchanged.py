"""A command that had nothing to do is not worked out again before something changes; then it says what it would have.

What one file after the other may do to that is tested in `tests/cli/test_unchanged.py`, without a project; here, that
all which a command looks at is among what it is held to.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import warm
from tests.journeys.audio.lab import SPEC as RECORDINGS
from tests.journeys.audio.lab import AudioLab
from tests.journeys.lab import SPEC, Lab

CALM = 0.08  # seconds in which nothing is written: only then stats tell
NOTHING = "Nothing to do\n"
KINDS = (
    SPEC.replace('ask: {{user: "Say {{{{ word }}}}"}}', "ask: {{file: prompts/ask.txt}}")
    .replace("data/rows.csv, id: id", "data/*.csv, id: id")
    .replace("providers:", "    checks: {{there: {{regex: '.'}}}}\nproviders:")
)


def is_remembered(lab: Lab, *words: str, **environ: str) -> bool:
    done = warm.run("tests.journeys.said_before", *words, cwd=lab.root, env=lab.environ(**environ), timeout=30)
    assert not done.stderr
    return done.returncode == 0


def settled(lab: Lab) -> None:
    """Nothing is to be done, and that is remembered for a plan."""
    time.sleep(CALM)
    assert lab.run("plan").stdout == NOTHING
    assert is_remembered(lab, "plan")


@pytest.fixture
def applied(lab: Lab) -> Iterator[Lab]:
    lab.spec(KINDS)
    (lab.root / "prompts").mkdir()
    (lab.root / "prompts/ask.txt").write_text("Say {{ word }}")
    lab.apply()
    settled(lab)
    yield lab


def _write(name: str, text: str) -> Callable[[Path], object]:
    def write(root: Path) -> None:
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)

    return write


def _edit(root: Path) -> None:
    """To the same size, with the time that it had."""
    path = root / "data/rows.csv"
    about = path.stat()
    path.write_text(path.read_text().replace("word 4", "WORD 4"))
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


CHANGES: dict[str, Callable[[Path], object]] = {  # each on top of those before, and put right by an apply
    "a prompt": _write("prompts/ask.txt", "Say {{ word }} please"),
    "rows": _edit,
    "rows more": _write("data/more.csv", "id,word\nx,y\n"),
    "specs more": _write("specs/new/more.yaml", "datasets: {other: {files: data/rows.csv}}\n"),
    "scores": lambda root: (root / "results/answers.scores.jsonl").unlink(),
    "results": lambda root: (root / "results/answers.jsonl").unlink(),
}


def test_after_a_change_a_plan_says_what_one_says_that_remembers_nothing(applied: Lab) -> None:
    for what, change in CHANGES.items():
        change(applied.root)
        assert not is_remembered(applied, "plan"), what
        plain = applied.run("plan", RUNNER_OF_ANOTHER=what)
        assert applied.run("plan").stdout == plain.stdout, what
        applied.apply()
        settled(applied)
    applied.run("retry", "answers", "--replace")
    assert "11 requests" in applied.run("plan").stdout
    shutil.rmtree(applied.root / ".runner/state")
    assert not is_remembered(applied, "plan")


def test_what_came_with_a_copy_or_is_tracked_is_not_believed(applied: Lab) -> None:
    copy = applied.root.with_name("copy")
    shutil.copytree(applied.root, copy, copy_function=shutil.copy2)
    assert not is_remembered(Lab(copy, applied.server), "plan")
    subprocess.run(["git", "init", "-q"], cwd=applied.root, check=True)
    assert not is_remembered(applied, "plan")
    settled(applied)
    subprocess.run(["git", "add", "-f", ".runner/state/cache.db"], cwd=applied.root, check=True)
    assert "git tracks" in applied.run("plan", code=5).stderr


def test_it_is_remembered_for_the_same_words_and_surroundings(applied: Lab) -> None:
    for words in (["plan", "-o", "json"], ["apply", "-y"], ["plan", "specs", "--detailed-exitcode"]):
        first = applied.run(*words)
        assert is_remembered(applied, *words), words
        again = applied.run(*words)
        assert (again.stdout, again.stderr) == (first.stdout, first.stderr)
    assert is_remembered(applied, "plan", LAB_KEY="another")  # what a key is, is not kept; whether there is one, is
    for environ in ({"LAB_KEY": ""}, {"RUNNER_MAX_USD": "1"}, {"HOME": str(applied.root.parent)}):
        assert not is_remembered(applied, "plan", **environ), environ
    for other in (["plan", "./specs"], ["plan", "--max-usd", "1"], ["status"], ["plan", "-o"], ["plan", "-C"], []):
        assert not is_remembered(applied, *other), other
    applied.run("cache", "clear")
    assert not is_remembered(applied, "plan")


def test_work_in_flight_is_never_remembered(lab: Lab) -> None:
    lab.server.fault(stuck_validating=1)
    lab.apply("--no-wait", code=3)
    time.sleep(CALM)
    assert ". wait" in lab.run("plan").stdout
    assert not is_remembered(lab, "plan")


def test_recordings_and_transcripts_that_come_go_and_change_are_seen(tmp_path: Path, lab: Lab) -> None:
    root = tmp_path / "sounds"
    root.mkdir()
    audio = AudioLab(root, lab.server)
    audio.spec(RECORDINGS.replace("results/calls.jsonl", "transcripts/"))
    first, second, _ = audio.record(3)
    audio.first()
    settled(audio)
    transcript = next((root / "transcripts").rglob("c001.*"))
    for path in (first, transcript):
        moved = path.rename(path.with_name("moved"))
        assert not is_remembered(audio, "plan"), path
        moved.rename(path)
        settled(audio)
    second.write_bytes(second.read_bytes())
    assert not is_remembered(audio, "plan")
    time.sleep(CALM)
    audio.run("plan")
    audio.put("calls/deeper/c010.wav", second.read_bytes())
    assert not is_remembered(audio, "plan")


LOOKS = """
import runpy, sys
seen = []
sys.addaudithook(lambda event, args: event in ("open", "os.scandir", "os.listdir") and seen.append(str(args[0])))
sys.argv = ["runner", "plan"]
try:
    runpy.run_module("runner", run_name="__main__")
except SystemExit:
    pass
print("\\n".join(seen), file=sys.stderr)
"""


def _ran(lab: Lab, *words: str) -> subprocess.CompletedProcess[str]:
    """Started in the usual way: what it imports and opens is what the test is about."""
    command = [sys.executable, *words]
    return subprocess.run(command, cwd=lab.root, env=lab.environ(), capture_output=True, text=True, check=True)


def test_all_that_a_plan_reads_is_among_what_it_is_held_to(applied: Lab) -> None:
    folder = applied.root / ".runner/memo/unchanged"
    shutil.rmtree(folder)
    done = _ran(applied, "-c", LOOKS)
    assert done.stdout == NOTHING
    (kept,) = folder.iterdir()
    known = {line.partition("\t")[2] for line in kept.read_text().splitlines()}
    seen = {os.path.relpath(applied.root / path, applied.root) for path in done.stderr.splitlines()}
    below = {path for path in seen if not path.startswith(("..", ".runner/memo", ".runner/tmp", "tmp"))}
    below = {path for path in below if not path.isdigit()}  # folders that are open
    assert "specs" in below
    assert below - known <= {".", ".runner", ".runner/state/cache.db-shm"}


def test_nothing_to_do_is_said_without_importing_what_would_find_out(applied: Lab) -> None:
    for words in (["plan"], ["apply", "-y"]):
        _ran(applied, "-m", "runner", *words)  # of this start nothing is remembered yet
        done = _ran(applied, "-X", "importtime", "-m", "runner", *words)
        lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
        names = {line.rpartition("|")[2].strip() for line in lines}
        assert done.stdout == NOTHING
        assert {name for name in names if name.startswith("runner")} == {"runner", "runner.cli", "runner.cli.unchanged"}
        assert not names & {"click", "msgspec", "pydantic", "yaml", "httpx", "rich", "sqlite3", "json", "hashlib"}
