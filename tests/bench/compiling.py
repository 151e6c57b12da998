"""What compiling costs beside a bare loop: seconds of CPU of one pass over a dataset, without the start of Python; and
how long it takes in one process, and in two.

python -m tests.bench.compiling ROWS.jsonl names|rich floor|runner|alone|together
"""

from __future__ import annotations

import gc
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

TEMPLATES = {
    "names": "Say {{ word }} of {{ topic }}",
    "rich": "{% if n % 2 %}Odd{% else %}Even{% endif %} {{ word | upper | trim }}: "
    "{% for tag in tags %}{{ loop.index }}. {{ tag }}{% if not loop.last %}, {% endif %}{% endfor %}"
    " of {{ topic | title }} ({{ n * 2 }})",
}


def write_rows(path: Path, rows: int) -> None:
    encode = msgspec.json.encode
    with open(path, "wb") as out:
        for n in range(rows):
            word = f'word {n} "quoted"' if n % 5 == 0 else f"word {n}"
            tags = ["red", "green", "blü", "yellow", "of five"]
            row = {"word": word, "topic": "a topic that takes some room", "n": n, "tags": tags, "more": "not asked for"}
            out.write(encode(row) + b"\n")


def _names(row: dict[str, Any]) -> str:
    return f"Say {row['word']} of {row['topic']}"


def _rich(row: dict[str, Any]) -> str:
    tags = ", ".join([f"{number}. {tag}" for number, tag in enumerate(row["tags"], 1)])
    kind = "Odd" if row["n"] % 2 else "Even"
    return f"{kind} {row['word'].upper().strip()}: {tags} of {row['topic'].title()} ({row['n'] * 2})"


def floor(path: Path, text_of: Callable[[dict[str, Any]], str]) -> None:
    """Decode, render by hand, encode, write, and nothing else."""
    decode, encode = msgspec.json.decode, msgspec.json.encode
    with open(path, "rb") as source, open(path.with_suffix(".out"), "wb") as sent:
        for number, line in enumerate(source):
            body = {"model": "gpt-x", "messages": [{"role": "user", "content": text_of(decode(line))}]}
            request = {
                "custom_id": f"row-{number}",
                "method": "POST",
                "url": "/v1/chat/completions",
                "body": body,
            }
            sent.write(encode(request) + b"\n")


def cpu() -> float:
    """Of this process and of those it waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def main(path: Path, kind: str, who: str) -> float:
    from runner.compile.compile import Crew, compile_job
    from runner.remotes.openai.lines import LINES
    from tests.compile.made import job_of

    gc.set_threshold(300_000, 20, 20)  # as the command has it
    job = job_of(TEMPLATES[kind], files=(path.name,))
    if who in ("alone", "together"):
        begun = time.perf_counter()
        compile_job(job, path.parent, LINES, crew=Crew(1 if who == "alone" else 2, 0))
        return time.perf_counter() - begun
    begun = cpu()
    if who == "floor":
        floor(path, _names if kind == "names" else _rich)
    else:
        compile_job(job, path.parent, LINES, crew=Crew(1))
        if "runner.compile.pool" in sys.modules:
            sys.modules["runner.compile.pool"].close()  # a process counts once it has ended
    return cpu() - begun


if __name__ == "__main__":
    print(main(Path(sys.argv[1]), *sys.argv[2:]))
