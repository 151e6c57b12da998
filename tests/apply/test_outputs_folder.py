"""Outputs of a job of recordings: written once, written again at no cost when somebody touched them, read back."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from runner.apply import outputs, readback
from runner.apply.outputs import Drift
from runner.apply.remotes import Remotes
from runner.apply.session import Session
from runner.apply.writing import write
from runner.clock import FastClock
from runner.compile.compiled import Compiled, RowView
from runner.job.observed import Origin, Phase
from runner.job.project import AudioJob, Model, Project, ProviderBlock
from runner.job.recorded import Batch, ProjectRecord, ResultObject, Stage, Tally
from runner.plan.plan import make
from runner.results.index import build_index
from runner.results.names import RESULTS
from runner.state.base import NOTHING, ForkedStore
from runner.state.home import Home
from runner.state.local import LocalMemory
from tests.plan.making import NOW, job
from tests.results import heard, made

ORIGIN = Origin("fireworks-audio", "audio-batch.fireworks.ai", "acme")
PATHS = ("calls/a.wav", "calls/deep/b.wav", "calls/deep/c.wav")
SAID = {"calls/a.wav": "hello", "calls/deep/b.wav": "there", "calls/deep/c.wav": None}


class Recordings:
    """A compiled job of `PATHS`."""

    def made_of(self) -> str:
        return "recordings"

    def rows(self) -> Iterator[RowView]:
        return map(heard.row, PATHS)


class Teller:
    def __init__(self) -> None:
        self.said: list[str] = []

    step = warn = property(lambda self: self.said.append)

    def progress(self, jobs: object) -> None: ...


def session(root: Path, output: str, patterns: tuple[str, ...] = ("calls/**/*",)) -> Session:
    """A session over a memory that is empty."""
    fields = (("response_format", "text"),)
    spec = AudioJob(
        address="calls",
        name="calls",
        cell={},
        model=Model("whisper", "fireworks-audio", "whisper-v3"),
        window_hours=24,
        output=output,
        patterns=patterns,
        path="/v1/audio/transcriptions",
        fields=fields,
    )
    wanted = job("calls", PATHS, provider="fireworks-audio", origin=ORIGIN, output=output)
    memory = root / ".runner"
    memory.mkdir(parents=True, exist_ok=True)
    project = Project("p", root, (spec,), {ORIGIN.provider: ProviderBlock(ORIGIN.provider, "fireworks-audio")}, ())
    clock = FastClock()
    return Session(
        project,
        [wanted],
        cast("dict[str, Compiled]", {"calls": Recordings()}),
        LocalMemory(Home(memory), open_store=lambda folder: ForkedStore(NOTHING)),
        Remotes(project, environ={}, clock=clock, rng=random.Random(7), may_start=False),
        clock,
        Teller(),
        threading.Event(),
    )


def answered(here: Session) -> Session:
    """A wave that was brought home: two answers, and one that failed."""
    raw = here.objects.place("wave/0.jsonl")
    made.raw(
        raw,
        *[
            heard.text(path, said) if said else made.line(path, error={"code": "failed", "message": "no sound"})
            for path, said in SAID.items()
        ],
    )
    keys = made.expected(*PATHS)
    index_sha256 = here.objects.write("wave/index", build_index([raw], keys, ended=Phase.COMPLETED).index)
    batch: dict[str, Any] = {
        "key": "wave",
        "project": "p",
        "owner": "calls",
        "origin": ORIGIN,
        "endpoint": "/v1/audio/transcriptions",
        "model": "whisper-v3",
        "window_hours": 24,
        "rows": len(PATHS),
        "size_bytes": 1,
        "keys_sha256": here.objects.write("wave/keys", keys),
        "attempt": 1,
        "generation": 0,
        "sequence": 1,
        "intent_at": NOW,
        "stage": Stage.COLLECTED,
        "phase": Phase.COMPLETED,
        "results": (ResultObject("0.jsonl", raw.stat().st_size),),
        "index_sha256": index_sha256,
        "tally": Tally(ok=2, final=1),
    }
    here.records.save(Batch(**batch), ProjectRecord("p", NOW))
    return here


def drifts(here: Session) -> list[Drift]:
    """Write what has to be written; why."""
    recorded = here.recorded()
    plan = make(here.desired, recorded, {})
    found = outputs.rewrites(here, plan, recorded)
    for one in found:
        if one.record is None:
            write(here, one.job, one.rows, recorded)
        else:
            here.records.save(one.record)
    return [one.drift for one in found if one.record is None]


def test_a_folder_is_written_once_and_again_when_somebody_changed_it(tmp_path: Path) -> None:
    here = answered(session(tmp_path, "out/"))
    assert drifts(here) == [Drift.NEW]
    assert drifts(here) == []
    whole = heard.tree(tmp_path / "out")
    assert set(whole) == {"a.txt", "deep/b.txt", RESULTS}
    record = here.records.jobs()["calls"]
    assert (record.ok, record.error, record.missing) == (2, 1, 0)

    (tmp_path / "out/notes.md").write_text("mine")
    assert drifts(here) == []
    (tmp_path / "out/deep/b.txt").unlink()
    assert drifts(here) == [Drift.MISSING]
    (tmp_path / "out/a.txt").write_text("edited")
    assert drifts(here) == [Drift.EDITED]
    assert (tmp_path / "out/a.txt").read_text() == "edited"  # a person's correction stays
    assert drifts(here) == []
    (tmp_path / "out/a.txt").unlink()
    assert drifts(here) == [Drift.MISSING]
    (tmp_path / "out" / RESULTS).unlink()
    assert drifts(here) == [Drift.MISSING]
    os.utime(tmp_path / "out/a.txt")
    assert drifts(here) == []
    assert heard.tree(tmp_path / "out") == {**whole, "notes.md": b"mine"}


def test_patterns_that_name_transcripts_otherwise_write_them_again(tmp_path: Path) -> None:
    here = answered(session(tmp_path, "out/"))
    drifts(here)
    spec = session(tmp_path, "out/", ("calls/*.wav", "calls/deep/*.wav")).project
    here.project = spec
    assert drifts(here) == [Drift.ANSWERS]
    assert set(heard.tree(tmp_path / "out")) == {"a.txt", "b.txt", RESULTS}  # the same transcript, under a new name
    assert drifts(here) == []


@pytest.mark.parametrize("output", ["out/", "out.jsonl", "out.csv", "out.parquet"])
def test_a_fresh_memory_reads_its_answers_back(tmp_path: Path, output: str) -> None:
    drifts(answered(session(tmp_path, output)))
    path = tmp_path / output
    before = heard.tree(path) if path.is_dir() else path.read_bytes()

    fresh = read_back(session(tmp_path, output))
    (batch,) = fresh.records.batches()
    assert (batch.origin, batch.tally.ok, batch.found_in) == (ORIGIN, 2, output)
    assert cast("Teller", fresh.reporter).said == [f"calls: read back 2 answers from `{output}`"]
    recorded = fresh.recorded()
    plan = make(fresh.desired, recorded, {})
    assert [len(part.ordinals) for part in plan.submissions] == [1]  # what failed, and nothing that was answered

    fresh = answered_too(fresh)
    assert drifts(fresh) == []
    assert (heard.tree(path) if path.is_dir() else path.read_bytes()) == before
    assert fresh.records.jobs()["calls"].written_sha256
    if path.is_dir():
        fresh = answered_too(read_back(session(tmp_path, output)))
        (path / "deep/b.txt").unlink()
        assert drifts(fresh) == [Drift.THERE]
        assert heard.tree(path) == before


def read_back(here: Session) -> Session:
    readback.remember(here)
    return here


def answered_too(here: Session) -> Session:
    """The same memory, with what failed asked again and failed again in the same way."""
    path = PATHS[-1]
    raw = here.objects.place("again/0.jsonl")
    made.raw(raw, made.line(path, error={"code": "failed", "message": "no sound"}))
    keys = made.expected(path)
    (adopted,) = here.records.batches()
    again = adopted.but(
        key="again",
        remote_id="wave",
        rows=1,
        sequence=2,
        keys_sha256=here.objects.write("again/keys", keys),
        index_sha256=here.objects.write("again/index", build_index([raw], keys, ended=Phase.COMPLETED).index),
        found_in="",
        tally=Tally(final=1),
    )
    here.records.save(again)
    return here


def test_a_folder_that_lost_its_results_is_said_to_be_of_no_use(tmp_path: Path) -> None:
    drifts(answered(session(tmp_path, "out/")))
    (tmp_path / "out" / RESULTS).unlink()
    fresh = session(tmp_path, "out/")
    readback.remember(fresh)
    (said,) = cast("Teller", fresh.reporter).said
    assert said.startswith("calls: `out/` was not read back: its `_results.jsonl` is gone")
    assert fresh.records.batches() == []


@pytest.mark.parametrize("make_it", [False, True])
def test_a_folder_that_holds_nothing_is_no_loss(tmp_path: Path, make_it: bool) -> None:
    if make_it:
        (tmp_path / "out").mkdir()
    fresh = session(tmp_path, "out/")
    readback.remember(fresh)
    assert cast("Teller", fresh.reporter).said == []
    assert fresh.records.batches() == []
