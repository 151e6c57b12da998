"""Mutated specs and any bytes through the loader: nothing but typed errors, quickly, in little memory.

    python -m tests.hardening.fuzz --inputs 1000000 --seed 1

Prints inputs a second, the slowest, peak memory and how the inputs ended. Needs no server, network or key.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from runner.errors import RunnerError, SpecError
from runner.spec.load import load
from runner.spec.problems import render

HERE = Path(__file__).parents[2]
LONGEST_SECONDS = 1.0  # of processor time
MOST_BYTES = 256 << 20  # of the process
TOKENS = [
    b"\0", b"\xff", b"\xef\xbb\xbf", "\u2028".encode(), b"\t", b"\r", b"\r\n", b"\x85", b"\xed\xa0\x80",
    b"\x1b[2J", b"&a ", b"*a", b"<<: *a", b"!!python/object:os.system ", b"!!binary ", b"!x ", b"? ", b": ",
    b"- ", b"| \n", b">-\n", b"{{ ", b" }}", b"{% for x in y %}", b"{#", b"[", b"]", b"{", b"}", b"'", b'"',
    b"#", b"%YAML 1.1\n", b"---\n", b"...\n", b"0x", b"1e999", b".nan", b"-.inf", b"9" * 400, b"~", b"null",
    b"true", b"NO", b"12:30", b"2026-01-01", b"../../etc/passwd", b"/etc/passwd", b"C:\\", b"**/*", b"[[[",
    b"sk-proj-" + b"a1B2" * 10, b"http://[::1", b"x" * 5000, b"version: ", b"project: ", b"matrix: ",
    b"window: ", b"replicate: ", b"budget: ", b"price: ", b"params: ", b"jobs:\n", b"models:\n",
    b"datasets:\n", b"prompts:\n", b"providers:\n", b"output: ", b"audio: ", b"overrides: ",
]  # fmt: skip


def seeds() -> list[bytes]:
    """Every spec of the repository and of the tests."""
    places = ("specs", "docs/examples", "tests/spec/valid", "tests/spec/broken")
    return [path.read_bytes() for place in places for path in sorted((HERE / place).rglob("*.y*ml"))]


def mutated(rng: random.Random, seed: bytes, other: bytes) -> bytes:
    """A few changes to a spec: bits, cuts, repeats, tokens, lines of another."""
    data = bytearray(seed)
    for _ in range(rng.choice((1, 1, 2, 3, 5, 12))):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(9):
            case 0 if data:
                data[min(at, len(data) - 1)] ^= 1 << rng.randrange(8)
            case 1:
                del data[at : at + rng.choice((1, 2, 8, 40))]
            case 2:
                data[at:at] = data[at : at + rng.choice((4, 40, 400))] * rng.choice((1, 3, 50))
            case 3 | 4:
                data[at:at] = rng.choice(TOKENS)
            case 5:
                data[at:at] = rng.choice(TOKENS) * rng.choice((2, 20, 2000))
            case 6:
                lines = data.split(b"\n")
                rng.shuffle(lines)
                data = bytearray(b"\n".join(lines))
            case 7:
                lines = other.split(b"\n")
                start = rng.randrange(len(lines))
                data[at:at] = b"\n".join(lines[start : start + rng.randrange(1, 8)])
            case _:
                data[at : at + 3] = rng.randbytes(rng.choice((1, 3, 16)))
        del data[1 << 20 :]
    return bytes(data)


def inputs(rng: random.Random, count: int) -> Iterator[bytes]:
    known = seeds()
    for _ in range(count):
        if rng.random() < 0.1:
            yield rng.randbytes(rng.choice((0, 1, 10, 100, 1000)))
        else:
            yield mutated(rng, rng.choice(known), rng.choice(known))


@dataclass
class Report:
    """How it went. `failures`: inputs that ended otherwise than they may, with what they did."""

    ended: Counter[str] = field(default_factory=Counter)
    slowest_seconds: float = 0.0
    slowest: bytes = b""
    failures: list[tuple[str, bytes]] = field(default_factory=list)


def one(root: Path, data: bytes, report: Report) -> None:
    (root / "specs/fuzzed.yaml").write_bytes(data)
    started = time.process_time()
    try:
        load(["specs"], root)
        name = "valid"
    except SpecError as error:
        name = "SpecError"
        words = render(error.problems, root)
        if not error.problems or not words.strip() or any(not problem.message for problem in error.problems):
            report.failures.append(("no words", data))
        if any(problem.mark.file == "" for problem in error.problems):
            report.failures.append(("no place", data))
        if len(words) > 1 << 20:
            report.failures.append((f"{len(words):,} characters of words", data))
    except RunnerError as error:
        name = type(error).__name__
    except Exception as error:
        name = type(error).__name__
        report.failures.append((f"{name}: {error}"[:300], data))
    seconds = time.process_time() - started
    report.ended[name] += 1
    if seconds > report.slowest_seconds:
        report.slowest_seconds, report.slowest = seconds, data
    if seconds > LONGEST_SECONDS:
        report.failures.append((f"{seconds:.2f} s", data))


def fuzzed(count: int, seed: int, stop_after: int = 20) -> Report:
    """Run `count` inputs of `seed`; stops early at so many failures."""
    report = Report()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "specs").mkdir()
        for data in inputs(random.Random(seed), count):
            one(root, data, report)
            if len(report.failures) >= stop_after:
                break
    return report


def peak_bytes() -> int:
    """Of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    before, started = peak_bytes(), time.monotonic()
    report = fuzzed(given.inputs, given.seed)
    seconds = time.monotonic() - started
    done = sum(report.ended.values())
    print(f"{done:,} inputs of seed {given.seed} in {seconds:,.1f} s: {done / seconds:,.0f} inputs/s")
    print(f"slowest {report.slowest_seconds * 1000:,.0f} ms of processor time ({len(report.slowest):,} bytes)")
    print(f"peak memory {peak_bytes() / 1e6:,.0f} MB, {before / 1e6:,.0f} MB of it before the first input")
    for name, times in report.ended.most_common():
        print(f"{times:>12,}  {name}")
    for what, data in report.failures:
        print(f"FAILED {what}: {data[:300]!r}{'…' if len(data) > 300 else ''}")
    return 1 if report.failures or peak_bytes() > MOST_BYTES else 0


if __name__ == "__main__":
    sys.exit(main())
