"""Bytes of strangers through everything that reads them, and the harness that says so through what it is to notice."""

from __future__ import annotations

import io
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.apply import named, rawfolder
from runner.cli.failures import Failures, failures_in
from runner.remotes.registry import built_in_providers, reader_of
from runner.state import lock
from tests.hardening.conftest import sampled
from tests.hardening.fuzz import run
from tests.hardening.fuzz_inputs import HOSTILE
from tests.hardening.fuzz_readers import TARGETS
from tests.hardening.fuzz_target import Ending, Target, Wrong, skeleton
from tests.hardening.fuzz_worker import fuzzed

NEEDS = {"parquet": "pyarrow"}


def _kind(name: str) -> type[Target]:
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    return TARGETS[name]


@pytest.mark.parametrize("name", TARGETS)
def test_changed_bytes_end_in_words(name: str) -> None:
    report = fuzzed(_kind(name), 100, seed=31)
    assert report.failures == []
    assert report.done == 100
    assert len(report.ended) > 1 or report.messages


@pytest.mark.sweep
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", TARGETS)
def test_many_changed_bytes_end_in_words(name: str) -> None:
    kind = _kind(name)
    report = run(kind, 50_000, seed=32, processes=1)
    assert report.failures == []
    assert report.peak_bytes < kind.memory_bytes + (128 << 20)  # what pytest itself has, a process begins with


@pytest.mark.parametrize("name", sampled(TARGETS, "loader", "lines", "jsonl", "csv", "audio", "documents", "journal"))
def test_edited_bytes_end_in_words(name: str, tmp_path: Path) -> None:
    """The same with edits that hypothesis makes, and makes small when one of them goes wrong."""
    target = _kind(name)(tmp_path)
    seeds = st.sampled_from(target.seeds())
    edits = st.tuples(
        st.integers(0, 4000), st.integers(0, 8), st.sampled_from([*HOSTILE, *target.tokens]) | st.binary()
    )

    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(seeds, st.lists(edits, max_size=4))
    def check(data: bytes, edits: list[tuple[int, int, bytes]]) -> None:
        for at, dropped, put in edits:
            at %= len(data) + 1
            data = data[:at] + put + data[at + dropped :]
        assert target.run(data).kind

    check()


@pytest.mark.parametrize("name", ["csv", "parquet"])
def test_many_columns_take_no_time(name: str, tmp_path: Path) -> None:
    columns = [f"c{number}" for number in range(20_000)]
    data = ",".join(columns).encode() + b"\n"
    if name == "parquet":
        pa, out = pytest.importorskip("pyarrow"), io.BytesIO()
        pytest.importorskip("pyarrow.parquet").write_table(
            pa.table({column: pa.array([], "i8") for column in columns}), out
        )
        data = out.getvalue()
    started = time.process_time()
    assert TARGETS[name](tmp_path).run(data) == Ending("no rows")
    assert time.process_time() - started < 3  # twice that where each is looked for among all


NESTED = b'{"custom_id": "a", "error": ' + b"[" * 5000


@pytest.mark.parametrize(
    ("name", "reads", "found"),
    [
        ("raw.jsonl", lambda path: named.keys_in([path], reader_of(built_in_providers()["openai"])), b""),
        ("out.jsonl", failures_in, Failures()),
        ("lock.json", lock._words_of, ""),
        (rawfolder.MANIFEST, lambda path: rawfolder._manifest_in(path.parent), None),
    ],
)
def test_what_is_nested_too_deeply_is_no_json(
    name: str, reads: Callable[[Path], Any], found: Any, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(NESTED + b"\n")
    assert reads(tmp_path / name) == found


class Sensitive(Target):
    """Does what the harness is there to notice."""

    name = "sensitive"
    tokens = (b"kill", b"stop", b"raise", b"wrong", b"loop")
    does = b""

    def seeds(self) -> list[bytes]:
        return [b"sound", b"and sound"]

    def run(self, data: bytes) -> Ending:
        if self.does and self.does in data:
            match self.does:
                case b"kill":
                    os.kill(os.getpid(), signal.SIGKILL)
                case b"stop":
                    os._exit(3)
                case b"raise":
                    raise KeyError("nobody foresaw this")
                case b"wrong":
                    raise Wrong("no place")
                case b"loop":
                    while True:
                        pass
        return Ending("fine", (f"{len(data)} bytes of `{data!r}`",))


@pytest.mark.parametrize(
    ("does", "words"),
    [
        (b"kill", "ended by SIGKILL"),
        (b"stop", "ended with 3"),
        (b"raise", "KeyError"),
        (b"wrong", "no place"),
        (b"loop", "Hung: still at work"),
    ],
)
def test_what_goes_wrong_is_noticed_and_its_input_kept(
    does: bytes, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Sensitive, "does", does)
    monkeypatch.setattr("tests.hardening.fuzz_worker.HUNG_SECONDS", 0.1)
    report = run(Sensitive, 40, seed=1, processes=2)
    assert report.failures
    assert all(words in what and does in data for what, data in report.failures)
    assert report.done >= 40  # those that follow are run all the same


def test_the_same_seed_gives_the_same_inputs() -> None:
    first, second = (fuzzed(TARGETS["loader"], 60, seed=5) for _ in range(2))
    assert first.ended == second.ended
    assert first.messages == second.messages


def test_messages_are_told_apart_by_their_words() -> None:
    assert skeleton("`window` of job `a b` must be at most 12") == "`window` of job `…` must be at most #"
    assert skeleton("the character U+00AD is not allowed here") == "the character # is not allowed here"
