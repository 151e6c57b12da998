"""What a stranger wrote into results, scores, locks, names and revisions: shown as text, and obeyed by nobody."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.lab import RUNNER
from tests.journeys.scorelab import REMOTE, ScoreLab, score_lab
from tests.security.test_table import KEYS, OBEYED

EVIL = "\n::error file=a::owned\n##vso[task.setvariable variable=PATH]x\x1b[2J"
FORMULAS = ["=1+1", "+1+1", "-1+cmd|' /C calc'!A0", "@SUM(1)", "\t=1", "\r=1", "=HYPERLINK(0)"]
SPEC = (
    """\
project: lab
models:
  echo: {provider: lab, name: echo, params: {max_tokens: 16}}
datasets:
  rows: {files: data/rows.jsonl, id: id}
prompts:
  ask: {user: "Say {{ word }}"}
jobs:
  answers:
    dataset: rows
    prompt: ask
    model: echo
    max_attempts: 1
    output: results/answers.SUFFIX
    checks:
      said: {contains: "{{ word }}"}
    expect: {said: ">= 1"}
%s
"""
    + REMOTE
)
ROWS = [{"id": f"{text}{n}", "word": text} for n, text in enumerate([EVIL, *FORMULAS, "::error::x"])]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScoreLab]:
    yield from hostile(tmp_path_factory.mktemp("hostile") / "project", "jsonl")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScoreLab]:
    yield from hostile(tmp_path_factory.mktemp("hostile") / "project", "csv")


def hostile(root: Path, suffix: str) -> Iterator[ScoreLab]:
    """A project whose every id, column, answer and error is hostile, committed and locked."""
    with score_lab(root) as lab:
        lab.table(ROWS)
        lab.says = lambda row, _: ROWS[int(row[-1])]["word"] if row[-1].isdigit() else EVIL
        lab.job("", SPEC.replace("SUFFIX", suffix))
        lab.run("apply", "-y", "specs/", code=None)
        lab.run("lock", "specs/")
        git(lab.root, "init", "-q")
        git(lab.root, "add", "specs", "data", "results", "runner.lock")
        git(lab.root, "commit", "-qm", "one")
        shutil.rmtree(lab.root / ".runner")
        yield lab


def git(root: Path, *words: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *who, *words], cwd=root, check=True, capture_output=True)


def told(root: Path, *words: str, codes: tuple[int, ...] = (0,)) -> str:
    """All that a command prints, by which no line is obeyed, and in which no key is."""
    environ = {**os.environ, **KEYS}
    done = subprocess.run([*RUNNER, *words], cwd=root, env=environ, capture_output=True, timeout=60, check=False)
    text = (done.stdout + done.stderr).decode(errors="replace")
    assert done.returncode in codes, text
    assert "Traceback" not in text
    assert not OBEYED.search(text.replace("\r\n", "\n")), ascii(text)
    assert not any(canary in text for canary in KEYS.values())
    return text


@pytest.mark.parametrize(
    "words",
    [
        ("report", "specs/", "-o", "markdown"),
        ("report", "specs/", "-o", "json"),
        ("report", "specs/", "--out", "shown/x\n::error::y.html"),
        ("diff", "answers", "answers"),
        ("diff", "answers", "answers", "-o", "markdown"),
        ("diff", "answers", "answers", "-o", "json"),
        ("diff", "HEAD:answers", "answers"),
        ("export", "answers", "shown/x\n::error::y.csv"),
        ("export", "answers", "--to", "hf-folder", "shown/x\n::error::y"),
        ("lock", "specs/"),
        ("verify", "specs/"),
    ],
    ids=" ".join,
)
def test_what_results_hold(made: ScoreLab, table: ScoreLab, words: tuple[str, ...]) -> None:
    told(made.root, *words)
    told(table.root, *words)


def test_a_card_holds_no_more_than_names(made: ScoreLab) -> None:
    told(made.root, "export", "answers", "--to", "hf-folder", "shown/hf")
    card = (made.root / "shown/hf/README.md").read_text()
    assert not OBEYED.search(card) and "answers" in card


@pytest.mark.parametrize("name", ["custom_id", "answer"])
@pytest.mark.parametrize("of", ["made", "table"])
def test_no_cell_of_a_csv_is_a_formula(request: pytest.FixtureRequest, of: str, name: str) -> None:
    made: ScoreLab = request.getfixturevalue(of)
    told(made.root, "export", "answers", "shown/formulas.csv")
    with (made.root / "shown/formulas.csv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    of = {"custom_id": "id", "answer": "word"}[name]
    assert [row[name].removeprefix("'") for row in rows][1:8] == [row[of] for row in ROWS[1:8]]
    for row in rows:
        for column, cell in row.items():
            is_number = re.fullmatch(r"-?[0-9.e-]*", cell)
            assert is_number or cell[:1] not in ("=", "+", "-", "@", "\t", "\r"), (column, cell)


# --- locks --------------------------------------------------------------------------------------------------------

LINE = '"' + json.dumps(EVIL)[1:-1].replace("\\u001b", "\\x1b") + '"'
DEEP = "[" * 5000 + "]" * 5000
BOMB = "".join(
    f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10) if n else '1, 1'}]\n" for n in range(12)
)  # 10^12 items, if they were written out
LOCKS = {
    "a project's name": lambda text: re.sub(r"project: .*", lambda _: f"project: {LINE}", text),
    "a job's name": lambda text: text.replace("  answers:", f"  {LINE}:"),
    "a digest": lambda text: re.sub(r'sha256: ".*"', lambda _: f"sha256: {LINE}", text),
    "a path": lambda text: text.replace('"results/answers', '"../../../../etc/passwd'),
    "a fact of another kind": lambda text: re.sub(r"outcomes:\n( +\w+: .*\n)+", lambda _: f"outcomes: {LINE}\n", text),
    "a number beyond all": lambda text: re.sub(r"wanted: .*", f"wanted: {'9' * 5000}", text),
    "not a number": lambda text: re.sub(r"value: .*", "value: .nan", text),
    "a tag": lambda text: text.replace(
        "outcomes:", "outcomes: !!python/object/apply:os.system ['touch owned']\n    x:"
    ),
    "nested deeply": lambda text: text.replace("jobs:\n", f"more: {DEEP}\njobs:\n"),
    "aliases of aliases": lambda text: text.replace("jobs:\n", f"more:\n{BOMB}jobs:\n"),
    "bytes that are no text": lambda text: text.replace("jobs:", "\udcff\udc80jobs:"),
    "a line's end and more": lambda text: text + "\x85\u2028::error::x: [\n",
}


@pytest.mark.parametrize("what", LOCKS)
def test_a_lock_is_data(made: ScoreLab, tmp_path: Path, what: str) -> None:
    root = tmp_path / "clone"
    shutil.copytree(made.root, root)
    lock = root / "runner.lock"
    text = LOCKS[what](lock.read_text())
    assert text != lock.read_text()
    lock.write_bytes(text.encode(errors="surrogateescape"))
    if what == "a digest":
        told(root, "plan", "--offline", codes=(0, 1, 2))
    said = told(root, "verify", codes=(1,) if "aliases" not in what and "nested" not in what else (0, 1))
    assert len(said) < 4000
    assert not (root / "owned").exists()
    assert lock.read_bytes() == text.encode(errors="surrogateescape")


# --- revisions ----------------------------------------------------------------------------------------------------

REVISIONS = [
    "--output=owned",
    "-h",
    "--upload-pack=touch owned",
    "ext::sh -c touch% owned",
    "HEAD;touch owned",
    "$(touch owned)",
    "HEAD\n::error::x",
    "../../etc",
    ":/one",
    "HEAD^{/one}",
    "@{-1}",
    "\x00",
    "refs/../../../etc/passwd",
]


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_revision_is_a_name(made: ScoreLab, revision: str) -> None:
    if "\x00" in revision:
        revision = "HEAD\\x00"  # no command line holds the byte itself
    before = made.files()
    told(made.root, "diff", "answers", f"{revision}:answers", codes=(0, 64))
    assert made.files() == before


ADDRESSES = ["../../../etc/passwd", "answers/../../x", "answers\n::error::x", "-answers", "*", ""]


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_is_one_of_the_specs(made: ScoreLab, address: str) -> None:
    assert "there is no job" in told(made.root, "diff", "answers", f"HEAD:{address}", codes=(64,))


def test_a_committed_link_is_not_followed(made: ScoreLab, tmp_path: Path) -> None:
    """What git has of it is the text of the link, and that is no line of results."""
    root = tmp_path / "clone"
    shutil.copytree(made.root, root, symlinks=True)
    secret = tmp_path / "secret"
    secret.write_text("canary-file-0009")
    (output,) = (path for path in (root / "results").iterdir() if "scores" not in path.name)
    kept = output.read_bytes()
    output.unlink()
    output.symlink_to(secret)
    git(root, "add", "results")
    git(root, "commit", "-qm", "two")
    output.unlink()
    output.write_bytes(kept)
    said = told(root, "diff", "HEAD:answers", "answers", codes=(0, 1, 4, 64))
    assert "canary-file" not in said


def test_what_a_plan_shows_of_prompts_and_rows(made: ScoreLab, tmp_path: Path) -> None:
    root = tmp_path / "project"
    shutil.copytree(made.root, root, symlinks=True)
    spec = next((root / "specs").glob("*.yaml"))
    spec.write_text(spec.read_text().replace("Say {{ word }}", "Tell {{ word }}"))
    for form in ("text", "json", "markdown"):
        for words in (("plan",), ("explain", "answers")):
            if form == "markdown" and words[0] == "explain":
                continue
            more = ("--diff",) if words == ("plan",) else ()
            told(root, *words, *more, "--against", "HEAD", "-o", form, codes=(0, 1, 5))
