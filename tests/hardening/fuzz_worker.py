"""A run of inputs through one reader: each timed, stopped when it hangs, and known even if it ends the process."""

from __future__ import annotations

import mmap
import resource
import signal
import struct
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.hardening.fuzz_inputs import LONGEST, Pool
from tests.hardening.fuzz_target import Ending, Target, Wrong, skeleton

LONGEST_SECONDS = 1.0  # of processor time, for one input
HUNG_SECONDS = 3.0
SPACE_BYTES = 2 << 30  # of addresses: far above what a process may take, far below what the machine has
_HEAD = struct.Struct("<QQI")  # inputs begun, peak bytes, size of the one under way
_MESSAGES = 3_000


class Hung(BaseException):
    """An input took too long. No Exception: nothing may take it for an error of its own."""


class Board:
    """Memory that is shared with the parent process: how far we are, and with which input."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _HEAD.size + LONGEST)

    def begin(self, number: int, data: bytes) -> None:
        _HEAD.pack_into(self._memory, 0, number, peak_bytes(), len(data))
        self._memory[_HEAD.size : _HEAD.size + len(data)] = data

    @property
    def begun(self) -> int:
        return int(_HEAD.unpack_from(self._memory)[0])

    @property
    def peak_bytes(self) -> int:
        return int(_HEAD.unpack_from(self._memory)[1])

    @property
    def data(self) -> bytes:
        size = _HEAD.unpack_from(self._memory)[2]
        return self._memory[_HEAD.size : _HEAD.size + size]


@dataclass
class Report:
    """How it went. `failures`: what an input did that it may not, and the input."""

    ended: Counter[str] = field(default_factory=Counter)
    messages: dict[str, bytes] = field(default_factory=dict)  # without names and numbers -> an input that gave it
    slowest_seconds: float = 0.0
    slowest: bytes = b""
    hungriest_bytes: int = 0  # by which an input raised the peak, when the process was warm
    hungriest: bytes = b""
    peak_bytes: int = 0
    failures: list[tuple[str, bytes]] = field(default_factory=list)

    @property
    def done(self) -> int:
        return self.ended.total()

    def add(self, other: Report) -> None:
        self.ended += other.ended
        self.messages |= other.messages
        self.failures += other.failures
        self.peak_bytes = max(self.peak_bytes, other.peak_bytes)
        if other.slowest_seconds > self.slowest_seconds:
            self.slowest_seconds, self.slowest = other.slowest_seconds, other.slowest
        if other.hungriest_bytes > self.hungriest_bytes:
            self.hungriest_bytes, self.hungriest = other.hungriest_bytes, other.hungriest


def peak_bytes() -> int:
    """Of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def shared_folder() -> str | None:
    """Where files cost no disk, if there is such a place: writing one otherwise takes longer than reading it."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def fuzzed(
    kind: type[Target],
    count: int,
    seed: int,
    board: Board | None = None,
    stop_after: int = 20,
    below: str | None = None,
) -> Report:
    """Run `count` inputs of `seed`; stops early at so many failures. below: where files go, by default a fast place."""
    report = Report()
    with tempfile.TemporaryDirectory(dir=below or shared_folder(), prefix="fuzz-") as folder:
        target = kind(Path(folder))
        pool = Pool(Random(seed), target.seeds(), target.tokens, kind.fresh)
        with _alarmed():
            for number in range(count):
                data = pool.next()
                if board is not None:
                    board.begin(number + 1, data)
                pool.learn(data, _timed(target, data, report, is_warm=number > count // 10))
                if len(report.failures) >= stop_after:
                    break
    report.peak_bytes = peak_bytes()
    return report


def _timed(target: Target, data: bytes, report: Report, *, is_warm: bool) -> frozenset[str]:
    """One input, judged; what was said about it."""
    before, started = peak_bytes(), time.process_time()
    ending = _ending(target, data, report)
    seconds, grown = time.process_time() - started, peak_bytes() - before
    report.ended[ending.kind] += 1
    if seconds > LONGEST_SECONDS and (seconds := min(_again(target, data) for _ in range(3))) > LONGEST_SECONDS:
        report.failures.append((f"{seconds:.2f} s", data))
    if seconds > report.slowest_seconds:
        report.slowest_seconds, report.slowest = seconds, data
    if is_warm and grown > report.hungriest_bytes:
        report.hungriest_bytes, report.hungriest = grown, data
    said = frozenset(map(skeleton, ending.messages[:20]))
    if len(report.messages) < _MESSAGES:
        for words in said - report.messages.keys():
            report.messages[words] = data
    return said | {ending.kind}


def _again(target: Target, data: bytes) -> float:
    """How long an input takes once more: on a busy machine even processor time is several times what it should be."""
    started = time.process_time()
    _ending(target, data, Report())
    return time.process_time() - started


def _ending(target: Target, data: bytes, report: Report) -> Ending:
    signal.setitimer(signal.ITIMER_PROF, HUNG_SECONDS)
    try:
        return target.run(data)
    except Wrong as wrong:
        report.failures.append((str(wrong)[:300], data))
        return Ending("wrong")
    except (Exception, Hung) as error:
        report.failures.append((f"{type(error).__name__}: {error}"[:300], data))
        return Ending(type(error).__name__)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


class _alarmed:
    """Within it, a timer that runs out raises Hung."""

    def __enter__(self) -> None:
        self._before = signal.signal(signal.SIGPROF, _hang)

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, self._before)


def _hang(number: int, frame: object) -> None:
    raise Hung(f"still at work after {HUNG_SECONDS:g} s")
