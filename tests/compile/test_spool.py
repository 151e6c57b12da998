"""Lines that are kept while they are compiled are those that would be rendered again, or they are not used."""

from __future__ import annotations

import io
import os
import random
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.apply.desire import compile_all
from runner.apply.remotes import Remotes
from runner.clock import FastClock
from runner.compile.compile import CompiledJob, compile_job
from runner.compile.spool import Spool
from runner.errors import DataError
from runner.job.project import Job
from runner.remotes.openai import lines as openai
from runner.spec.load import load
from tests.compile.made import job_of, write_rows

OPENAI = openai.LINES
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)
ROWS = st.lists(st.fixed_dictionaries({"t": TEXT, "n": st.integers(0, 10**9), "id": TEXT}), min_size=1, max_size=60)
USERS = ("{{ n }}: {{ t }}", "same for all", "{{ n + 1 }} {{ t | upper }}", "{% if n % 2 %}odd{% endif %} {{ t }}")
DATASETS: tuple[dict[str, Any], ...] = ({}, {"where": "{{ n % 3 }}"}, {"sample_rows": 7}, {"id": "{{ n }}/{{ id }}"})


def written(compiled: CompiledJob, ordinals: list[int] | range) -> bytes:
    out = io.BytesIO()
    assert compiled.write_lines(ordinals, out) == len(out.getvalue())
    return out.getvalue()


def lying_in(folder: Path) -> list[Path]:
    """The files without a name of this process that lie on the disk of a folder, as paths to open."""
    fds = [fd for fd in Path("/proc/self/fd").iterdir() if fd.is_symlink()]
    return [fd for fd in fds if str(fd.readlink()).startswith(f"{folder}/")]


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, user=st.sampled_from(USERS), dataset=st.sampled_from(DATASETS), seed=st.integers(0, 99),
       chunk=st.sampled_from((1, 700, 1 << 18)), replicate=st.integers(1, 2))  # fmt: skip
def test_what_is_kept_is_what_is_rendered_again(
    tmp_path_factory: pytest.TempPathFactory, rows: Any, user: str, dataset: Any, seed: int, chunk: int, replicate: int
) -> None:
    root = tmp_path_factory.mktemp("rows")
    write_rows(root, [{**row, "id": f"{row['id']}{n}"} for n, row in enumerate(rows)])
    job = job_of(user, dataset=dataset, replicate=replicate, allow_empty=True)
    spool = Spool(root, chunk_bytes=chunk)
    kept = compile_job(job, root, OPENAI, spool=spool)
    plain = compile_job(job, root, OPENAI)
    every = range(len(plain.wanted))
    some = sorted(random.Random(seed).sample(every, seed % (len(every) + 1)))
    for ordinals in (every, [], some):
        assert written(kept, ordinals) == written(plain, ordinals)
    spool.close()
    assert written(kept, every) == written(plain, every)


def job_over(root: Path, rows: int = 3000) -> Job:
    write_rows(root, ({"n": n, "t": "x" * (n % 300)} for n in range(rows)))
    return job_of("{{ n }}: {{ t }}")


def test_what_is_not_as_it_was_put_is_rendered_again(tmp_path: Path) -> None:
    job = job_over(tmp_path)
    with closing(Spool(tmp_path, chunk_bytes=10_000)) as spool:
        compiled = compile_job(job, tmp_path, OPENAI, spool=spool)
        (file,) = lying_in(tmp_path)
        with file.open("r+b") as lines:
            lines.seek(lines.seek(0, os.SEEK_END) // 2)
            lines.write(b"spoilt")
        every = range(len(compiled.wanted))
        assert written(compiled, every) == written(compile_job(job, tmp_path, OPENAI), every)


def test_what_finds_no_room_is_rendered_again(tmp_path: Path) -> None:
    job = job_over(tmp_path)
    spool = Spool(tmp_path, most_bytes=50_000, chunk_bytes=10_000)
    compiled = compile_job(job, tmp_path, OPENAI, spool=spool)
    assert not lying_in(tmp_path), "what cannot be used takes no room"
    every = range(len(compiled.wanted))
    assert written(compiled, every) == written(compile_job(job, tmp_path, OPENAI), every)


def test_rows_that_changed_meanwhile_are_not_sent_as_they_were(tmp_path: Path) -> None:
    with closing(Spool(tmp_path)) as spool:
        compiled = compile_job(job_over(tmp_path), tmp_path, OPENAI, spool=spool)
        write_rows(tmp_path, [{"n": 1, "t": "other"}])
        with pytest.raises(DataError, match="changed while it was read"):
            written(compiled, range(5))


def test_a_killed_process_leaves_nothing_behind(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from runner.compile.spool import *\n"
        "lines = KeptLines(Spool(Path(sys.argv[1]), chunk_bytes=10))\n"
        "lines.add([(b'one line of a job\\n',)], 1)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == -9
    assert not list(tmp_path.iterdir())


SPEC = """
models:
  m: {provider: openai, name: x}
datasets:
  d: {files: a.jsonl}
prompts:
  p: "PROMPT {{ n }}"
jobs:
  j: {dataset: d, prompt: p, model: m, output: out.jsonl}
"""


def test_only_jobs_whose_requests_are_all_new_are_kept(tmp_path: Path) -> None:
    """Of a job that was compiled before a few rows are sent, and those are rendered twice for less."""
    (tmp_path / "specs").mkdir()
    (tmp_path / "tmp").mkdir()

    def is_kept(prompt: str, rows: int) -> bool:
        (tmp_path / "specs/a.yaml").write_text(SPEC.replace("PROMPT", prompt))
        (tmp_path / "a.jsonl").write_bytes(b"".join(msgspec.json.encode({"n": n}) + b"\n" for n in range(rows)))
        project = load(["specs"], tmp_path)
        remotes = Remotes(project, environ={}, clock=FastClock(), rng=random.Random(1), may_start=False)
        spool = Spool(tmp_path / "tmp")
        compiled = compile_all(project, remotes, tmp_path / "memo", keeps=True, spool=spool)
        found = bool(lying_in(tmp_path / "tmp"))
        lines = written(compiled["j"], range(rows))  # type: ignore[arg-type]
        assert lines.count(b"\n") == lines.count(f'"{prompt} '.encode()) == rows
        spool.close()
        assert not lying_in(tmp_path / "tmp")
        return found

    assert is_kept("Say", 20)
    assert not is_kept("Say", 21)
    assert is_kept("Tell", 21)
