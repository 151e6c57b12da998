"""Request lines as the body of a create: joined by commas between a head and a tail, streamed, their length known."""

from __future__ import annotations

from collections.abc import Iterator

from runner.remotes.transport.content import Streamed
from runner.remotes.vendor import Inline


def joined(head: bytes, source: Inline, tail: bytes) -> Streamed:
    """`head`, the lines of `source` as the items of a JSON list, `tail`."""

    def chunks() -> Iterator[bytes]:
        yield head
        with source.path.open("rb", buffering=1 << 18) as lines:
            before = b""
            for line in lines:
                yield before + line.removesuffix(b"\n")
                before = b","
        yield tail

    return Streamed(len(head) + source.size_bytes - 1 + len(tail), chunks)  # a comma for each newline but the last
