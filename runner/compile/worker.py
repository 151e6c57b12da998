"""The process that renders templates which are more than text and names.

Run as `python -m runner.compile.worker SECONDS`, fed through stdin, ends at its end, so it never outlives its parent.
A row that takes too much processor time ends the process: the kernel does that, also inside one long C call, where a
Python signal handler would wait. Memory is limited by the kernel as well. The parent finds the row and names it.
SECONDS of processor time are for all rows together: a million of them that each keep to half a second take five days.
"""

from __future__ import annotations

import contextlib
import resource
import sys
from pathlib import Path

from runner.compile.frames import Chunk, Readings, Setup, decode_request, encode, framed, frames_of
from runner.compile.reader import Reader
from runner.compile.renderer import Renderer

MEMORY_BYTES = 256 << 20  # beyond what the process has when it starts


def _limit(cpu_seconds: int) -> None:
    """Bound memory and processor time, forbid files, children and core dumps. Each row is bounded as well."""
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if sys.platform == "linux" else 0
    for kind, bound in (
        (resource.RLIMIT_AS, pages * resource.getpagesize() + MEMORY_BYTES if pages else 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NPROC, 0),
    ):
        if bound or kind != resource.RLIMIT_AS:
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(kind, (bound, bound))
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 5))  # SIGXCPU, then SIGKILL


def main() -> None:
    _limit(int(sys.argv[1]))
    renderer = Renderer()
    reader = Reader(renderer)
    at_work: Renderer | Reader = renderer
    out = sys.stdout.buffer
    for request in map(decode_request, frames_of(sys.stdin.buffer)):
        match request:
            case Setup():
                at_work = renderer
                out.write(framed(encode(renderer.setup(request))))
            case Readings():
                at_work = reader
                out.write(framed(encode(reader.setup(request))))
            case Chunk():
                out.write(framed(encode(at_work.chunk(request))))
        out.flush()


if __name__ == "__main__":
    main()
