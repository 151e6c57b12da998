"""Processes of ours that end at any time: what is heard of them is what they said, and no row is lost."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from runner.compile import pool
from runner.compile.frames import Setup
from runner.compile.pool import Worker, WorkerDied
from runner.compile.through import Chunk, through_worker
from runner.data.block import Block, SourceRow
from runner.errors import Mark
from runner.job.source import Source
from tests.compile.test_ranges import children_of, is_running

UPPER = Setup(["{{ text | upper }}"], -1)
ROW = msgspec.Raw(b'{"text": "a"}')


def kill(pids: list[int]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    while any(map(is_running, pids)):
        time.sleep(0.002)


def test_what_is_asked_of_one_that_is_gone_touches_no_other_file(tmp_path: Path) -> None:
    """A file that is opened next may get the number of a pipe that was closed."""
    worker = Worker()
    assert worker.setup(UPPER) is None
    kill(children_of(os.getpid(), "runner.compile.worker"))
    with pytest.raises(WorkerDied) as first:
        worker.send([ROW])
    (tmp_path / "a").write_bytes(b"\0" * 100)
    opened = [open(tmp_path / "a", "rb", buffering=0) for _ in range(20)]  # noqa: SIM115
    try:
        for ask in (worker.receive, lambda: worker.send([ROW]), worker.receive):
            with pytest.raises(WorkerDied) as then:
                ask()
            assert then.value.code == first.value.code == -signal.SIGKILL
        assert not any(file.tell() for file in opened)
    finally:
        for file in opened:
            file.close()


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("at", range(5))
def test_rows_of_a_process_that_was_killed_are_rendered_by_another(at: int, size: int) -> None:
    """Also where that is seen when it is given more, and not when its answer is waited for."""
    pool.close()

    def chunks() -> Iterator[Chunk[SourceRow]]:
        for number in range(5):
            if number == at:
                kill(children_of(os.getpid(), "runner.compile.worker"))
            rows = [{"text": f"{letter}{number}"} for letter in "ab"[:size]]
            encoded = [msgspec.Raw(msgspec.json.encode(row)) for row in rows]
            yield Block("a.jsonl", range(size), range(size), rows), encoded

    found = through_worker(chunks(), [Source("", Mark("s.yaml", 1), "template")], lambda _: UPPER)
    texts = [text for _, results in found for text in results]
    assert texts == [[f"{letter}{number}"] for number in range(5) for letter in "AB"[:size]]
    pool.close()
