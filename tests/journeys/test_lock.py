"""`runner lock` and `runner verify`: a clone without keys, network or state holds files to what was locked."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests import warm
from tests.journeys.lab import RUNNER
from tests.journeys.scorelab import TWO_PROMPTS, ScoreLab, score_lab
from tests.journeys.test_report import CHECKS, ROWS, settled

LOCK = "runner.lock"
PRICE = {"input": 1.0, "output": 10.0}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScoreLab]:
    """A project whose two jobs are settled, scored and locked. To be read only."""
    with score_lab(tmp_path_factory.mktemp("lock") / "project") as lab:
        settled(lab)
        lab.run("lock", "specs/")
        yield lab


@pytest.fixture
def clone(made: ScoreLab, tmp_path: Path) -> ScoreLab:
    """What git would bring of it, with a remote that is not there."""
    return cloned(made, tmp_path / "clone")


def cloned(lab: ScoreLab, to: Path) -> ScoreLab:
    for name in ("specs", "data", "results"):
        shutil.copytree(lab.root / name, to / name)
    shutil.copy(lab.root / LOCK, to / LOCK)
    path = to / "specs/lab.yaml"
    path.write_text(path.read_text().replace(lab.remote.url, "http://127.0.0.1:9"))
    return ScoreLab(to, lab.server)


def verify(root: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Without a key in the environment."""
    bare = {name: value for name, value in os.environ.items() if "KEY" not in name}
    return warm.run("runner", "verify", *more, cwd=root, env={**bare, **warm.environ()}, timeout=60)


def test_the_lock_says_what_was_asked_and_what_came(made: ScoreLab) -> None:
    text = (made.root / LOCK).read_text()
    found = yaml.safe_load(text)
    assert (found["version"], found["project"]) == (1, "lab")
    job = found["jobs"]["answers:prompt=short"]
    assert list(job) == sorted(job)
    assert (job["requests"]["wanted"], job["requests"]["distinct"]) == (40, 40)
    assert job["dataset"] == {"rows": 40, "files": {"data/rows.jsonl": sha256(made.root / "data/rows.jsonl")}}
    assert job["model"] == {"provider": "lab", "name": "echo", "params": {"max_tokens": 16}, "price": PRICE}
    assert job["outcomes"] == {"ok": 39, "error": 1}
    assert job["usage"] == {"input_tokens": 390, "output_tokens": 78, "usd": pytest.approx(0.00117)}
    assert job["output"] == {
        "path": "results/answers-short.jsonl",
        "sha256": sha256(made.root / "results/answers-short.jsonl"),
    }
    lines = made.results("results/answers-short.jsonl")
    (batch,) = {(line["batch"], line["origin"]) for line in lines}
    assert job["batches"] == [{"id": batch[0], "origin": batch[1], "rows": 40}]
    shown = made.status_of("answers:prompt=short")["scores"]["checks"]
    for check in shown:
        figure, locked = check["figure"], job["scores"][check["name"]]
        assert locked["signature"] == check["signature"]
        names = ("value", "low", "high", "n")
        assert [locked.get(name) for name in names] == [figure[name] for name in names]
        f1 = check["macro_f1"]
        assert (f1 is not None) is ("macro_f1" in locked) is (check["kind"] == "choice")
        if f1 is not None:
            assert [locked["macro_f1"].get(name) for name in names] == [f1[name] for name in names]
    facts = [line for line in text.splitlines() if ":" in line]
    assert all(len(re.findall(r": ", line)) <= 1 or "- {" in line or "signature" in line for line in facts[1:])


def sha256(path: Path) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_nothing_changed_not_a_byte_does(made: ScoreLab) -> None:
    path = made.root / LOCK
    before = path.read_bytes(), path.stat().st_mtime_ns
    again = made.run("lock", "specs/")
    assert again.stdout == "runner.lock  2 jobs, 80 rows: nothing changed\n"
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    path.unlink()
    made.run("lock", "specs/")
    assert path.read_bytes() == before[0]


@pytest.mark.parametrize("deep", [(), ("--deep",)])
def test_a_strangers_clone_verifies(clone: ScoreLab, deep: tuple[str, ...]) -> None:
    done = verify(clone.root, *deep)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "answers:prompt=short  40 rows, 2 checks scored again\n"
        "answers:prompt=taught  40 rows, 2 checks scored again\n"
        "runner.lock  2 jobs as locked\n"
    )
    assert not (clone.root / ".runner").exists()


def changed(path: Path, old: str, new: str, line: int | None = None) -> None:
    """Put `new` in place of the one `old`, in a line if it is told."""
    lines = path.read_text().splitlines(keepends=True)
    numbers = [line - 1] if line else [n for n, text in enumerate(lines) if old in text][:1]
    assert old in lines[numbers[0]]
    lines[numbers[0]] = lines[numbers[0]].replace(old, new, 1)
    path.write_text("".join(lines))


@pytest.mark.parametrize("deep", [(), ("--deep",)])
@pytest.mark.parametrize(
    ("file", "line", "old", "new", "told"),
    [
        ("results/answers-short.jsonl", 3, "refund, w2", "refund, w3", r"results/answers-short.jsonl: error: .*locked"),
        ("results/answers-short.jsonl", 3, '"digest":"', '"digest":"0', r"results/answers-short.jsonl:3: error: "),
        ("results/answers-short.jsonl", 5, '"usage"', '"usagf"', r"results/answers-short.jsonl: error: .*locked"),
        ("specs/lab.yaml", None, "Say", "Sai", r"specs/lab.yaml:7:.* error: answers:prompt=short: `prompt` is"),
        ("specs/lab.yaml", None, "max_tokens: 16", "max_tokens: 17", r"specs/lab.yaml:3:.*`model.params.max_tokens`"),
        ("specs/lab.yaml", None, ">= 95 %", ">= 94 %", r"specs/lab.yaml:.*`checks` is"),
        ("data/rows.jsonl", 7, '"w6"', '"w5"', r"data/rows.jsonl: error: .*answers-short.jsonl:7 answers another"),
        ("data/rows.jsonl", 7, '"refund"', '"order"', r"data/rows.jsonl: error: .*row `r6`.*answers-short.jsonl:7"),
        ("results/answers-short.scores.jsonl", 9, '"score":1', '"score":0', r"scores.jsonl:9: error: .*`intent` of"),
        ("results/answers-taught.scores.jsonl", 9, '"got":"', '"got":"x', r"taught.scores.jsonl:9: error: "),
        (LOCK, None, "value: 0.76", "value: 0.86", rf"{LOCK}:\d+: error: .*scores.intent.value` is `0.86"),
        (LOCK, None, "value: 0.77", "value: 0.78", rf"{LOCK}:\d+: error: .*scores.intent.macro_f1.value` is `0.78"),
        (LOCK, None, "ok: 39", "ok: 38", rf"{LOCK}:\d+: error: .*`outcomes.ok` is `38` here, and `39` by"),
        (LOCK, None, 'project: "lab"', 'project: "lob"', rf"{LOCK}:3: error: it is of project `lob`"),
        (LOCK, None, "answers:prompt=short", "answers:prompt=shirt", rf"{LOCK}:5: error: there is no job"),
    ],
)
def test_one_byte_is_named(
    clone: ScoreLab, file: str, line: int | None, old: str, new: str, told: str, deep: tuple[str, ...]
) -> None:
    changed(clone.root / file, old, new, line)
    done = verify(clone.root, *deep)
    assert done.returncode == 1, done.stdout
    first = done.stderr.splitlines()[0]
    assert re.search(told, first), first


def test_lines_and_files_that_lack(clone: ScoreLab) -> None:
    path = clone.root / "results/answers-taught.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-1]))
    done = verify(clone.root, "answers:prompt=taught")
    assert done.stderr.startswith("results/answers-taught.jsonl:39: error: answers:prompt=taught: ")
    assert "it ends after 39 of 40 wanted rows" in done.stderr
    assert verify(clone.root, "answers:prompt=short").returncode == 0
    path.write_text("".join([*lines, lines[-1]]))
    assert "answers-taught.jsonl:41 answers a row too many" in verify(clone.root).stderr
    path.write_text("".join([*lines[:4], lines[5], lines[4], *lines[6:]]))
    assert "answers-taught.jsonl:5 answers another request of row `r5`" in verify(clone.root).stderr
    path.unlink()
    assert (
        "results/answers-taught.jsonl: error: answers:prompt=taught: its results are not" in verify(clone.root).stderr
    )
    (clone.root / LOCK).unlink()
    assert verify(clone.root).returncode == 64


def test_scores_that_lack_a_line(clone: ScoreLab) -> None:
    path = clone.root / "results/answers-short.scores.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    done = verify(clone.root)
    assert "answers-short.scores.jsonl:40: error: answers:prompt=short: a line is missing" in done.stderr
    path.unlink()
    assert "its scores are not there" in verify(clone.root).stderr


def test_a_line_under_another_name(clone: ScoreLab) -> None:
    """Also where somebody wrote the digest of the edited file into the lock."""
    path = clone.root / "results/answers-short.jsonl"
    before = sha256(path)
    changed(path, '"custom_id":"r4"', '"custom_id":"r5"', 5)
    changed(clone.root / LOCK, before, sha256(path))
    done = verify(clone.root)
    assert done.returncode == 1
    assert "answers-short.jsonl:5 answers another request of row `r5` than the specs ask" in done.stderr


@pytest.mark.parametrize("text", ["{", '{"custom_id":"r8"}', "\xff"])
def test_scores_that_are_none(clone: ScoreLab, text: str) -> None:
    path = clone.root / "results/answers-short.scores.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:8], text.encode("latin-1"), b"\n", *lines[9:]]))
    done = verify(clone.root)
    assert "answers-short.scores.jsonl:9: error: answers:prompt=short: " in done.stderr
    assert "is not what comes out when the answers are held to the checks again" in done.stderr


def test_what_is_not_of_these_specs_is_not_locked(clone: ScoreLab) -> None:
    before = (clone.root / LOCK).read_bytes()
    clone.table([*ROWS, {"id": "new", "word": "x", "intent": "refund", "language": "en"}])
    refused = clone.run("lock", "specs/", code=1)
    assert "its results answer other requests than the specs say now" in refused.stderr
    assert (clone.root / LOCK).read_bytes() == before


def test_scores_of_other_results_are_not_locked(clone: ScoreLab) -> None:
    (clone.root / "results/answers-short.scores.jsonl").unlink()
    refused = clone.run("lock", "specs/", code=1)
    assert "its scores belong to other results" in refused.stderr


@pytest.mark.parametrize("text", ["jobs: [1]\n", "a: 1\n", "version: 9\n", "- x\n", "jobs: {<<<<<<<\n", ""])
def test_what_is_no_lock(clone: ScoreLab, text: str) -> None:
    (clone.root / LOCK).write_text(text)
    done = verify(clone.root)
    assert done.returncode == 1
    assert LOCK in done.stderr and "Traceback" not in done.stderr
    if text:
        assert "runner did not write it" in clone.run("lock", "specs/", code=1).stderr


def test_a_lock_with_conflicts_is_written_anew(clone: ScoreLab) -> None:
    path = clone.root / LOCK
    before = path.read_text()
    path.write_text(before.replace("jobs:\n", "<<<<<<< HEAD\njobs:\n=======\n>>>>>>> other\n"))
    assert verify(clone.root).returncode == 1
    clone.run("lock", "specs/")
    assert path.read_text() == before


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_tables(tmp_path: Path, suffix: str) -> None:
    with score_lab(tmp_path / "project") as lab:
        settled(lab, suffix)
        lab.run("lock", "specs/")
        away = cloned(lab, tmp_path / "clone")
        for deep in ((), ("--deep",)):
            done = verify(away.root, *deep)
            assert done.returncode == 0, done.stderr
            assert "2 checks scored again" in done.stdout


def test_before_anything_was_asked(clone: ScoreLab) -> None:
    shutil.rmtree(clone.root / "results")
    clone.run("lock", "specs/")
    job = yaml.safe_load((clone.root / LOCK).read_text())["jobs"]["answers:prompt=short"]
    assert sorted(job) == ["checks", "dataset", "model", "prompt", "requests"]
    done = verify(clone.root)
    assert done.returncode == 0
    assert "40 rows, no results yet" in done.stdout


MORE = """\
columns: [custom_id, row, answer, digest, origin]
references: {dataset: refs, on: id}
checks:
  length: {measure: "{{ usage.completion_tokens }}"}
  named: {equals: "{{ truth }}"}
cluster: language
slices: [language]
"""


def test_results_without_what_scores_are_made_of(tmp_path: Path) -> None:
    with score_lab(tmp_path / "project") as lab:
        lab.table(ROWS[:10])
        lab.table([{"id": f"r{n}", "truth": "from the remote"} for n in range(9)], "data/refs.jsonl")
        lab.job(
            MORE,
            TWO_PROMPTS.replace("SUFFIX", "jsonl").replace("prompts:", "  refs: {files: data/refs.jsonl}\nprompts:"),
        )
        lab.apply()
        lab.run("lock", "specs/")
        away = cloned(lab, tmp_path / "clone")
        done = verify(away.root)
        assert done.returncode == 0, done.stderr
        assert "2 checks added up again: its results do not hold the answers" in done.stdout
        changed(away.root / "data/refs.jsonl", "remote", "remotf")
        assert verify(away.root).stderr.startswith("data/refs.jsonl: error: it is not the file that was locked at ")


def test_files_of_an_earlier_version_and_recordings(tmp_path: Path) -> None:
    """Ten jobs of format 1, some of them recordings, one in a folder of transcripts."""
    clone = tmp_path / "old"
    shutil.copytree(Path(__file__).parents[1] / "fixtures/results_1", clone)
    done = subprocess.run([*RUNNER, "lock", "specs/"], cwd=clone, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    for deep in ((), ("--deep",)):
        done = verify(clone, *deep)
        assert done.returncode == 0, done.stderr
    jobs = yaml.safe_load((clone / LOCK).read_text())["jobs"]
    assert "dataset" not in jobs["calls_folder"]
    folder = clone / jobs["calls_folder"]["output"]["path"]
    transcript = next(path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "_results.jsonl")
    transcript.write_bytes(transcript.read_bytes() + b" ")
    done = verify(clone, "calls_folder")
    assert done.returncode == 1
    assert f"{transcript.relative_to(clone)}: error: calls_folder: it is not the transcript" in done.stderr


# --- apply --------------------------------------------------------------------------------------------------------


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[ScoreLab]:
    """Two jobs of ten rows, nothing sent yet."""
    with score_lab(tmp_path / "project") as lab:
        lab.table(ROWS[:10])
        lab.answers = {f"r{n}": f"Intent: {ROWS[n]['intent']}, w{n}" for n in range(10)}
        lab.job(CHECKS, TWO_PROMPTS.replace("SUFFIX", "jsonl"))
        yield lab


def test_what_the_lock_does_not_know_is_not_sent(lab: ScoreLab) -> None:
    refused = lab.apply("--locked", code=5)
    assert "there is no `runner.lock`" in refused.stderr
    lab.run("lock", "specs/")
    before = (lab.root / LOCK).read_bytes()
    lab.apply("--locked")
    assert len(lab.remote.created) == 2
    assert (lab.root / LOCK).read_bytes() == before
    lab.table(ROWS[:11])
    blocked = lab.apply("--locked", code=5)
    assert "runner.lock does not know these requests" in blocked.stdout + blocked.stderr
    assert "runner lock" in blocked.stdout + blocked.stderr
    assert len(lab.remote.created) == 2
    assert (lab.root / LOCK).read_bytes() == before
    lab.table(ROWS[:10])
    lab.apply("--locked")  # nothing to send


def test_apply_keeps_the_lock_current(lab: ScoreLab) -> None:
    lab.apply()
    assert not (lab.root / LOCK).exists()
    lab.run("lock", "specs/")
    for change in (
        lambda: lab.table(ROWS[:11]),  # the new row is answered otherwise
        lambda: lab.job(CHECKS.replace("contains", "equals"), TWO_PROMPTS.replace("SUFFIX", "jsonl")),
        lambda: lab.job(CHECKS, TWO_PROMPTS.replace("SUFFIX", "jsonl").replace("output: 10", "output: 12")),
        lambda: lab.job("", TWO_PROMPTS.replace("SUFFIX", "jsonl")),
    ):
        before = (lab.root / LOCK).read_bytes()
        change()
        assert verify(lab.root).returncode == 1
        lab.run("apply", "-y", "specs/", code=None)
        kept = (lab.root / LOCK).read_bytes()
        assert kept != before
        assert "nothing changed" in lab.run("lock", "specs/").stdout
        done = verify(lab.root, "--deep")
        assert done.returncode == 0, done.stderr
    about = (lab.root / LOCK).stat().st_mtime_ns
    lab.run("apply", "specs/", code=None)
    assert (lab.root / LOCK).stat().st_mtime_ns == about


def test_a_lock_that_cannot_be_read_stops_no_apply(lab: ScoreLab) -> None:
    (lab.root / LOCK).write_text("jobs: {<<<<<<<\n")
    done = lab.apply()
    assert "`runner.lock` was not written: " in done.stderr
    assert (lab.root / LOCK).read_text() == "jobs: {<<<<<<<\n"


def test_jobs_of_other_specs_stay_in_the_lock(lab: ScoreLab) -> None:
    (lab.root / "specs/other.yaml").write_text(
        "jobs: {others: {dataset: rows, prompt: short, model: echo, output: results/others.jsonl}}\n"
    )
    lab.apply()
    lab.run("lock", "specs/")
    before = yaml.safe_load((lab.root / LOCK).read_text())["jobs"]
    lab.table(ROWS[:11])
    lab.run("apply", "-y", "specs/lab.yaml", code=None)
    after = yaml.safe_load((lab.root / LOCK).read_text())["jobs"]
    assert after.keys() == before.keys()
    assert {name for name in after if after[name] != before[name]} == {"answers:prompt=short", "answers:prompt=taught"}
