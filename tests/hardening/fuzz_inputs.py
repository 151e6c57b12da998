"""Inputs: sound ones, changed; those that were answered as none before are changed further."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence

LONGEST = 1 << 20
_COPIED = 6_000  # longer ones are not changed further: they take the time of a hundred others
_KEPT = 3_000
HOSTILE = (
    b"", b"\0", b"\xff", b"\xef\xbb\xbf", "\u2028".encode(), b"\t", b"\r", b"\n", b"\r\n", b"\x85", b"\xed\xa0\x80",
    b"\x1b[2J", b"9" * 400, b"9" * 5000, b"1e999", b"-1", b"0", b"NaN", b"null", b"x" * 5000, "\u202e".encode(), b"\\",
    b"\\ud800", b"\\u0000", b'"', b"'", b"[", b"]", b"{", b"}", b",", b":", b"../../etc/passwd", b"%00", b"*" * 50,
)  # fmt: skip


class Pool:
    """Sound inputs of one reader, and what grew out of them. The same seed gives the same inputs."""

    def __init__(
        self,
        rng: random.Random,
        seeds: Sequence[bytes],
        tokens: Sequence[bytes] = (),
        fresh: Callable[[random.Random], bytes] | None = None,
    ) -> None:
        """fresh: makes an input of its own, from a grammar."""
        self._rng = rng
        self._seeds = seeds
        self._tokens = (*HOSTILE, *tokens, *tokens, *tokens)
        self._fresh = fresh
        self._kept: list[bytes] = []
        self._seen: set[Collection[str]] = set()

    def next(self) -> bytes:
        rng = self._rng
        chance = rng.random()
        if self._fresh is not None and chance < 0.3:
            made = self._fresh(rng)
            return (made if chance < 0.2 else self._mutated(made))[:LONGEST]
        if chance > 0.98:
            return rng.randbytes(rng.choice((0, 1, 10, 100, 1000)))
        return self._mutated(self._one())

    def learn(self, data: bytes, signature: Collection[str]) -> None:
        """Keep an input to change it further if none before ended like it."""
        if len(data) > _COPIED or signature in self._seen or len(self._kept) >= _KEPT:
            return
        self._seen.add(signature)
        self._kept.append(data)

    def _one(self) -> bytes:
        rng = self._rng
        return rng.choice(self._kept if self._kept and rng.random() < 0.6 else self._seeds)

    def _mutated(self, seed: bytes) -> bytes:
        """A few changes: bits, cuts, repeats, tokens, lines of another."""
        rng = self._rng
        data = bytearray(seed)
        for _ in range(rng.choice((1, 1, 2, 3, 5, 12))):
            self._change(data)
            del data[LONGEST:]
        return bytes(data)

    def _change(self, data: bytearray) -> None:
        rng = self._rng
        at = rng.randrange(len(data) + 1)
        match rng.randrange(10):
            case 0 if data:
                data[min(at, len(data) - 1)] ^= 1 << rng.randrange(8)
            case 1:
                del data[at : at + rng.choice((1, 2, 8, 40))]
            case 2:
                data[at:at] = data[at : at + rng.choice((4, 40, 400))] * rng.choice((1, 1, 3, 3, 50))
            case 3 | 4:
                data[at:at] = rng.choice(self._tokens)
            case 5:
                word = rng.choice(self._tokens)
                data[at:at] = word * min(rng.choice((2, 2, 5, 20, 20, 2000)), 1 + LONGEST // 4 // (len(word) or 1))
            case 6:
                lines = data.split(b"\n")
                one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
                lines[one], lines[other] = lines[other], lines[one]
                data[:] = b"\n".join(lines)
            case 7:
                lines = self._one().split(b"\n")
                start = rng.randrange(len(lines))
                data[at:at] = b"\n".join(lines[start : start + rng.randrange(1, 8)])
            case 8:
                other_data = self._one()
                start = rng.randrange(len(other_data) + 1)
                data[at:] = other_data[start:]
            case _:
                # printable for the most part: most readers refuse other bytes at once
                data[at : at + 3] = bytes(rng.choices(range(32, 127), k=rng.choice((1, 3, 16))))
