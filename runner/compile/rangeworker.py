"""The process that compiles ranges of a dataset beside the one that asks for them, see `ranges`.

Run as `python -m runner.compile.rangeworker`, fed through stdin by its parent alone. It ends when that does: at the end
of its input between two ranges, and within one when nobody holds the other side any more.
"""

from __future__ import annotations

import gc
import pickle
import select
import sys
from contextlib import suppress

from runner.compile.frames import framed, frames_of
from runner.compile.job import program
from runner.compile.program import Program
from runner.compile.ranges import Begun, Came, Range, Work, decode_range, encode_came
from runner.compile.spool import LentSpool


def _came_of(work: Work, ready: Program, asked: Range, spool: LentSpool | None) -> Came | None:
    """What a range came to; None leaves it to the parent, who says what is wrong."""
    if spool is not None:
        spool.room = asked.room
    try:
        cut = work.cut(asked)
        if cut is None:
            return None
        came = work.of(ready, cut, asked.row, spool, _end_alone)
    except Exception:  # noqa: BLE001  # the parent does the range again, and meets it as well
        return None
    if spool is not None:
        came.lines_end = spool.end
    return came


def _end_alone() -> None:
    """End where the parent is gone."""
    poll = select.poll()
    poll.register(sys.stdin.fileno(), select.POLLHUP)  # macOS says it only where it is asked for
    if poll.poll(0):
        raise SystemExit


def main() -> None:
    gc.set_threshold(300_000, 20, 20)  # as the parent has it
    frames, out = frames_of(sys.stdin.buffer), sys.stdout.buffer
    begun: Begun = pickle.loads(next(frames))  # noqa: S301  # what our parent wrote, over a pipe that only it has
    work = begun.work
    ready = program(work.job, work.lines, work.root)
    spool = LentSpool(begun.descriptor, begun.file, begun.chunk_bytes) if begun.chunk_bytes else None
    with suppress(BrokenPipeError):
        for frame in frames:
            out.write(framed(encode_came(_came_of(work, ready, decode_range(frame), spool))))
            out.flush()


if __name__ == "__main__":
    main()
