"""Whatever a stranger may hand us, through what reads it: nothing but typed errors, quickly, in little memory.

    python -m tests.hardening.fuzz --inputs 1000000 --seed 1 --processes 2
    python -m tests.hardening.fuzz --target results --inputs 100000

Prints a line a minute and a summary. What went wrong, the slowest input and one for each message are kept in a folder.
Needs no server, network or key.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from tests.hardening.fuzz_readers import TARGETS
from tests.hardening.fuzz_target import Target
from tests.hardening.fuzz_worker import SPACE_BYTES, Board, Report, fuzzed, shared_folder

SILENCE_SECONDS = 120  # at one input, of the clock: longer than any load of the machine explains
_FORK = multiprocessing.get_context("fork")
_STRIDE = 1_000_003  # between the seeds of processes


@dataclass
class Worker:
    """A process at work, and what it shares with us."""

    process: BaseProcess
    ear: Connection
    board: Board
    seed: int
    count: int
    moved_at: float
    begun: int = 0

    def is_stuck(self, now: float) -> bool:
        if self.board.begun != self.begun:
            self.begun, self.moved_at = self.board.begun, now
        return now - self.moved_at > SILENCE_SECONDS


def _work(kind: type[Target], count: int, seed: int, board: Board, mouth: Connection, below: str) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (SPACE_BYTES, SPACE_BYTES))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    mouth.send(fuzzed(kind, count, seed, board, below=below))


def _started(kind: type[Target], count: int, seed: int, below: str) -> Worker:
    board = Board()
    ear, mouth = _FORK.Pipe(duplex=False)
    process = _FORK.Process(target=_work, args=(kind, count, seed, board, mouth, below), daemon=True)
    process.start()
    mouth.close()
    return Worker(process, ear, board, seed, count, time.monotonic())


def run(kind: type[Target], count: int, seed: int, processes: int, every_seconds: float = 60) -> Report:
    """All inputs in processes of their own. One that dies or hangs is a failure, and is followed by another."""
    shares = [count // processes + (n < count % processes) for n in range(processes)]
    total, deaths = Report(), 0
    workers: list[Worker] = []
    # Ours: a process that dies leaves its files behind
    with tempfile.TemporaryDirectory(dir=shared_folder(), prefix="fuzz-") as below, _ended(workers):
        workers += [_started(kind, share, seed + n * _STRIDE, below) for n, share in enumerate(shares) if share]
        started = told_at = time.monotonic()
        while workers:
            ready = wait([worker.ear for worker in workers], timeout=1)
            now = time.monotonic()
            for worker in [worker for worker in workers if worker.ear in ready or worker.is_stuck(now)]:
                workers.remove(worker)
                left = _heard(worker, total)
                if left and deaths < 20:
                    deaths += 1
                    workers.append(_started(kind, left, worker.seed + 7 * deaths, below))
            if now - told_at > every_seconds:
                told_at = now
                _tell(total, workers, now - started)
    return total


def _heard(worker: Worker, total: Report) -> int:
    """Take in what a process reports; where it can report no more, its last input. How many inputs are left."""
    try:
        if worker.ear.poll():
            total.add(worker.ear.recv())
            worker.process.join()
            return 0
    except EOFError:
        pass
    else:
        worker.process.kill()
    worker.process.join()
    code = worker.process.exitcode or 0
    how = f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
    total.failures.append((f"{how} at input {worker.board.begun:,} of seed {worker.seed}", worker.board.data))
    total.ended["died"] += worker.board.begun
    total.peak_bytes = max(total.peak_bytes, worker.board.peak_bytes)
    return worker.count - worker.board.begun


@contextlib.contextmanager
def _ended(workers: Sequence[Worker]) -> Iterator[None]:
    try:
        yield
    finally:
        for worker in workers:
            worker.process.kill()
            worker.process.join()


def _tell(total: Report, workers: Sequence[Worker], seconds: float) -> None:
    done = total.done + sum(worker.board.begun for worker in workers)
    peak = max([total.peak_bytes, *(worker.board.peak_bytes for worker in workers)])
    print(f"{seconds:,.0f} s: {done:,} inputs, {done / seconds:,.0f}/s, peak {peak / 1e6:,.0f} MB", flush=True)


def _keep(report: Report, folder: Path) -> None:
    """The inputs that are worth another look, one file each."""
    kept = {"slowest": report.slowest, "hungriest": report.hungriest}
    kept |= {f"failure-{number:02}": data for number, (_, data) in enumerate(report.failures)}
    kept |= {f"message-{number:04}": data for number, data in enumerate(report.messages.values())}
    for name, data in kept.items():
        (folder / name).write_bytes(data)
    words = [f"message-{number:04} {words}\n" for number, words in enumerate(report.messages)]
    (folder / "messages.txt").write_text("".join(words))


def _sum_up(report: Report, name: str, seconds: float, folder: Path) -> None:
    print(
        f"{name}: {report.done:,} inputs in {seconds:,.0f} s ({report.done / seconds:,.0f}/s), slowest "
        f"{report.slowest_seconds * 1000:,.0f} ms of processor time ({len(report.slowest):,} bytes), peak "
        f"{report.peak_bytes / 1e6:,.0f} MB, {len(report.messages):,} distinct messages, "
        f"{len(report.failures)} failures; "
        + ", ".join(f"{kind} {times:,}" for kind, times in report.ended.most_common())
        + f"; kept in {folder}"
    )
    for number, (what, data) in enumerate(report.failures):
        print(f"FAILED {what} (failure-{number:02}): {data[:200]!r}{'…' if len(data) > 200 else ''}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", choices=sorted(TARGETS), default="loader")
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for inputs worth another look (default: a new one)")
    parser.add_argument("--replay", type=Path, help="run this one file instead, and say how it ends")
    given = parser.parse_args()
    kind = TARGETS[given.target]
    if given.replay:
        with tempfile.TemporaryDirectory() as root:
            started = time.process_time()
            print(kind(Path(root)).run(given.replay.read_bytes()), f"{time.process_time() - started:.3f} s")
        return 0
    folder = given.keep or Path(tempfile.mkdtemp(prefix=f"fuzz-{given.target}-"))
    folder.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # and leave nothing behind
    started = time.monotonic()
    report = run(kind, given.inputs, given.seed, given.processes)
    _keep(report, folder)
    _sum_up(report, given.target, time.monotonic() - started, folder)
    return 1 if report.failures or report.peak_bytes > kind.memory_bytes else 0


if __name__ == "__main__":
    sys.exit(main())
