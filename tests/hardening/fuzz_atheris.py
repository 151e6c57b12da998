"""The same readers, steered by the lines that an input reaches. Needs `atheris` (Linux, Python 3.11 to 3.13).

    python -m tests.hardening.fuzz_atheris loader --seconds 300

Starts from the readers' own seeds and from what earlier runs left in `--corpus`. Ends with 1 at the first input that
ends otherwise than it may, takes longer than a second or more than the memory it may; that input stays in `--keep`.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib
import random
import sys
import tempfile
import time
from pathlib import Path

try:
    import atheris
except ImportError:
    sys.exit("`atheris` is not installed: `pip install atheris`")

# What is imported here is watched; Arrow, zstd and pydantic's core are no Python and are not.
with atheris.instrument_imports(include=["runner", "yaml", "jinja2"], enable_loader_override=False):
    importlib.import_module("runner.compile.tree")  # which the product imports late
    from tests.hardening.fuzz_readers import TARGETS

from tests.hardening.fuzz_inputs import LONGEST
from tests.hardening.fuzz_target import Target
from tests.hardening.fuzz_worker import HUNG_SECONDS, LONGEST_SECONDS, shared_folder

_GROWN = 200  # seeds from a grammar
_SLOWER = 4  # times, when every branch is counted


def _prepared(target: Target, corpus: Path, words: Path) -> None:
    """Seeds as files by their hash, with some of the grammar's, and the words of the format as a dictionary."""
    fresh = type(target).fresh
    grown = [fresh(random.Random(number)) for number in range(_GROWN)] if fresh else []
    for seed in (*target.seeds(), *grown):
        (corpus / hashlib.sha256(seed).hexdigest()[:32]).write_bytes(seed)
    quoted = ("".join(f"\\x{byte:02x}" for byte in token) for token in target.tokens if 0 < len(token) < 64)
    words.write_text("".join(f'"{word}"\n' for word in quoted))


def _checked(target: Target, data: bytes) -> None:
    started = time.process_time()
    target.run(data)
    seconds = time.process_time() - started
    if seconds > _SLOWER * LONGEST_SECONDS:
        raise TimeoutError(f"{seconds:.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--corpus", type=Path, help="folder that keeps inputs from run to run (default: a new one)")
    parser.add_argument("--keep", type=Path, default=Path.cwd(), help="folder for an input that goes wrong")
    given = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=shared_folder(), prefix="atheris-")))
        (folder / "root").mkdir()
        target = TARGETS[given.target](folder / "root")
        corpus = given.corpus or folder / "corpus"
        corpus.mkdir(parents=True, exist_ok=True)
        _prepared(target, corpus, folder / "words")
        options = {
            "max_total_time": given.seconds,
            "seed": given.seed,
            "max_len": LONGEST // 16,
            "timeout": int(_SLOWER * HUNG_SECONDS),
            "rss_limit_mb": (target.memory_bytes >> 20) + 256,  # counters and the corpus are in memory as well
            "dict": folder / "words",
            "artifact_prefix": f"{given.keep}/{given.target}-",
            "print_final_stats": 1,
        }
        atheris.Setup([sys.argv[0], str(corpus), *(f"-{name}={value}" for name, value in options.items())],
                      lambda data: _checked(target, data))  # fmt: skip
        atheris.Fuzz()


if __name__ == "__main__":
    main()
