"""Records that a person moves, forgets, or takes in: `moved:`, `state mv`, `state rm`, `import`."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.scorelab import REMOTE, ScoreLab, score_lab

SPEC = (
    """\
project: lab
models:
  echo: {provider: lab, name: echo, params: {max_tokens: 16}, price: {input: 1, output: 1000}}
datasets:
  rows: {files: data/rows.jsonl, id: id}
prompts:
  ask: {user: "Say {{ word }}"}
jobs:
  old: {dataset: rows, prompt: ask, model: echo, output: results/old.jsonl}
%s
"""
    + REMOTE
)
NEW = SPEC.replace("  old: {", "  new: {").replace("results/old", "results/new")
MATRIX = (
    NEW.replace("new: {", "new: {matrix: {model: [echo, twin]}, ")
    .replace(" model: echo,", "")
    .replace("results/new.jsonl", '"results/new-{{ model }}.jsonl"')
    .replace("datasets:", "  twin: {provider: lab, name: echo, params: {max_tokens: 17}}\ndatasets:")
)
ROWS = ["r0", "r1"]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[ScoreLab]:
    with score_lab(tmp_path / "project") as lab:
        lab.table([{"id": row, "word": row} for row in ROWS])
        lab.job("", SPEC)
        lab.says = lambda row, kind: f"{kind} {row}"
        yield lab


def recorded(lab: ScoreLab, name: str, code: int = 0) -> list[dict[str, object]]:
    view = json.loads(lab.run("state", "show", name, "-o", "json", code=code).stdout)
    return [*view["jobs"], *view["batches"], *view["retries"]]


def spent(lab: ScoreLab) -> dict[str, float]:
    view = json.loads(lab.run("status", "specs/", "--offline", "-o", "json").stdout)
    return {job["address"]: job["spent"]["usd"] for job in view["jobs"]}


@pytest.mark.parametrize("way", ["moved", "mv"])
def test_what_a_job_has_spent_goes_with_it_to_its_new_name(lab: ScoreLab, way: str) -> None:
    lab.apply()
    before = spent(lab)["old"]
    assert before > 0
    lab.job("", NEW)
    assert spent(lab) == {"new": 0}  # its answers are found all the same
    if way == "mv":
        assert lab.run("state", "mv", "old", "new").stdout == "old -> new\n"
    else:
        lab.job("", NEW.replace("jobs:\n", "moved: {old: new}\njobs:\n"))
        told = lab.run("plan", "specs/")
        assert "`new` takes over what is recorded of `old`" in told.stderr and "results/new.jsonl" in told.stdout
        assert spent(lab) == {"new": 0}  # a plan changes nothing
        told = lab.apply()
        assert "new: takes over what is recorded of `old`" in told.stderr + told.stdout
    assert lab.apply().stdout.startswith("Nothing" if way == "moved" else "new  2 ok")
    assert spent(lab) == {"new": before} and len(lab.remote.sent) == 1
    assert {one.get("owner", one.get("address")) for one in recorded(lab, "new")} == {"new"}
    assert "there is no job `old`" in lab.run("state", "show", "old", code=64).stderr
    assert "job.moved" in lab.run("history", "-o", "json").stdout
    # a second time: nothing is left to move
    assert "there is no job `old`" in lab.run("state", "mv", "old", "new", code=64).stderr


def test_a_job_with_a_matrix_is_moved_with_its_cells(lab: ScoreLab) -> None:
    lab.job("", MATRIX.replace("new: {", "old: {"))
    lab.apply()
    assert lab.run("state", "mv", "old", "new:model=echo", code=64).stderr.count("a job and a cell")
    assert lab.run("state", "mv", "old", "new").stdout.splitlines() == [
        "old:model=echo -> new:model=echo",
        "old:model=twin -> new:model=twin",
    ]
    lab.job("", MATRIX)
    lab.apply()
    assert len(lab.remote.sent) == 2
    told = lab.run("state", "mv", "new:model=echo", "new:model=twin", code=64).stderr
    assert "something is recorded of `new:model=twin` already" in told


MOVED = NEW.replace("jobs:\n", "moved: {old: mid, mid: new}\njobs:\n")


def test_a_job_that_was_renamed_twice_and_more_of_it_that_is_found_later(lab: ScoreLab) -> None:
    lab.apply()
    before = spent(lab)["old"]
    lab.job("", NEW.replace("jobs:\n", "moved: {mid: new, old: mid}\njobs:\n"))  # in any order, at once
    assert "`new` takes over what is recorded of `old`" in lab.run("plan", "specs/").stderr
    lab.run("retry", "new", "specs/", "--replace", "--row", "r0")  # before anything was moved
    lab.apply("--confirm-repay")
    assert spent(lab)["new"] == pytest.approx(before * 1.5) and len(lab.remote.sent) == 2
    log = [one["event"] for one in json.loads(lab.run("history", "-o", "json").stdout)["events"]]
    assert log.count("job.moved") == 1 and log.count("job.written") == 2  # taking over a record writes no file
    # a batch that bears the old name, of a clone that has lost its memory
    lab.apply_anew()
    lab.job("", MOVED)
    lab.apply()
    assert len(lab.remote.sent) == 2 and {one.get("owner", "new") for one in recorded(lab, "new")} == {"new"}
    assert spent(lab)["new"] == pytest.approx(before * 1.5)
    assert "takes over" not in lab.run("plan", "specs/").stderr


def test_a_lock_has_a_moved_job_by_its_new_name_alone(lab: ScoreLab) -> None:
    lab.apply()
    lab.run("lock")
    lab.job("", MOVED)
    assert "wrote `runner.lock`" in lab.apply().stderr
    assert "  old:" not in (lab.root / "runner.lock").read_text()
    lab.run("verify")


def test_cells_of_two_values_keep_what_is_not_moved(lab: ScoreLab) -> None:
    two = MATRIX.replace("matrix: {", "matrix: {prompt: [ask, beg], ").replace(" prompt: ask,", "")
    two = two.replace("prompts:\n", 'prompts:\n  beg: {user: "Please {{ word }}"}\n').replace(
        "-{{ model", "-{{ prompt }}-{{ model"
    )
    lab.job("", two)
    lab.apply()
    assert lab.run("state", "mv", "new:model=twin", "new:model=third").stdout.splitlines() == [
        "new:model=twin,prompt=ask -> new:model=third,prompt=ask",
        "new:model=twin,prompt=beg -> new:model=third,prompt=beg",
    ]
    lab.job(
        "", two.replace("twin", "third").replace("prompts:", "moved: {'new:model=twin': 'new:model=third'}\nprompts:")
    )
    lab.apply()
    assert len(recorded(lab, "new:model=third")) == 4 and len(lab.remote.sent) == 4
    for target, words in (
        ("new:model=third", "its address already"),
        ("a b", "no address of a job"),
        ("", "no address"),
    ):
        source = "new:model=third" if ":" in target else "new"
        assert words in lab.run("state", "mv", source, target, code=64).stderr


def test_an_environment_that_there_is_not(lab: ScoreLab) -> None:
    for name in ("nope", "../../nope"):
        for words in (("state", "list"), ("state", "mv", "a", "b"), ("history",), ("cost",)):
            assert "environment" in lab.run("--env", name, *words, code=None).stderr
    assert not list(lab.root.parent.rglob("*nope*"))


@pytest.mark.parametrize(
    ("moved", "complaint"),
    [
        ("{old: new, older: old}", ""),
        ("{old: nwe}", "6:14: error: `old` is moved to the unknown job `nwe`"),
        ("{new: old}", "there still is such a job"),
        ("{a: b, b: a}", "`a` is moved in a circle"),
        ("{old: 'new:model=x'}", "are a job and a cell"),
        ("[old, new]", "moved"),
        ("{old: {to: new}}", "moved"),
    ],
)
def test_a_move_that_cannot_be(lab: ScoreLab, moved: str, complaint: str) -> None:
    lab.job("", NEW.replace("prompts:", f"moved: {moved}\nprompts:"))
    told = lab.run("validate", "specs/", code=1 if complaint else 0)
    assert complaint in told.stdout + told.stderr


def test_what_is_forgotten_is_found_again_or_asked_anew(lab: ScoreLab) -> None:
    lab.apply()
    key = next(str(one["key"]) for one in recorded(lab, "old") if "key" in one)
    assert "nothing was forgotten" in lab.run("state", "rm", key, code=5).stderr
    assert lab.run("state", "rm", "old").stdout == "old  what it wrote last is forgotten\n"
    assert "forgotten, with its answers" in lab.run("state", "rm", key, "-y").stdout
    assert not (lab.root / ".runner/objects" / key).exists()
    lab.apply()  # the results file has them
    assert len(lab.remote.sent) == 1 and len(lab.results("results/old.jsonl")) == 2
    assert "there is no job `nobody`" in lab.run("state", "rm", "nobody", code=64).stderr
    life, lab.remote.life = lab.remote.life, lambda batch, polls: {"status": "in_progress"}
    lab.table([{"id": "r9", "word": "r9"}])
    lab.apply("--no-wait", code=3)
    assert "is in flight" in lab.run("state", "rm", "batch_2", code=64).stderr
    lab.remote.life = life


def by_hand(lab: ScoreLab, lines: bytes) -> str:
    """A batch as a script makes one: an upload and a create, with no label of ours."""
    body = b'--b\r\nContent-Disposition: form-data; name="file"; filename="mine.jsonl"\r\n\r\n' + lines + b"\r\n--b--"
    head = {"content-type": "multipart/form-data; boundary=b"}
    upload = urllib.request.Request(f"{lab.remote.url}/v1/files", body, head, method="POST")
    ref = json.loads(urllib.request.urlopen(upload, timeout=10).read())["id"]
    create = {"input_file_id": ref, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    post = urllib.request.Request(f"{lab.remote.url}/v1/batches", json.dumps(create).encode(), method="POST")
    return str(json.loads(urllib.request.urlopen(post, timeout=10).read())["id"])


def test_a_batch_that_was_sent_by_hand_is_taken_in(lab: ScoreLab) -> None:
    lines = lab.run("render", "old", "specs/").stdout.encode()
    mine = by_hand(lab, lines)
    assert f"`{mine}` " in lab.run("import", "old", mine, "specs/").stdout
    assert "on record already" in lab.run("import", "old", mine, "specs/", code=64).stderr
    assert "2 ok, 0 error of 2" in lab.apply().stdout
    assert len(lab.remote.sent) == 1 and spent(lab)["old"] > 0
    assert "batch.imported" in lab.run("history", "-o", "json").stdout
    # what is no batch of these rows, or none at all
    other = by_hand(
        lab, lines.replace(b'"custom_id":"r', b'"custom_id":"x').replace(b"r0-", b"x-").replace(b"r1-", b"y-")
    )
    foreign = by_hand(lab, b'{"custom_id":"mine-1","method":"POST","url":"/v1/chat/completions","body":{}}\n')
    assert "is answered already" in lab.run("import", "old", other, code=64).stderr
    assert "nothing says which requests" in lab.run("import", "old", foreign, code=1).stderr
    assert "no-such" in lab.run("import", "old", "no-such", code=1).stderr
    assert len(lab.remote.asked) and lab.run("plan").stdout == "Nothing to do\n"
