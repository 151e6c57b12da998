"""A dataset compiled by ranges in several processes: nobody can tell from what comes out, nor from what is said."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runner.compile import pool, shard
from runner.compile.budget import RowBudget
from runner.compile.compile import Crew, compile_job
from runner.compile.job import CompiledJob
from runner.compile.ranges import Range, Work
from runner.compile.spool import Spool
from runner.data.segments import cuts
from runner.errors import DataError, SpecError
from runner.job.project import Job
from runner.remotes.openai import lines as openai
from runner.spec.load import load
from tests.compile.made import job_of
from tests.compile.test_blocks import found

OPENAI = openai.LINES
ALONE, TOGETHER = Crew(1), Crew(3, 0, 1)
LONG = "y" * 400  # a segment has some 70 rows of it
JOBS: dict[str, dict[str, Any]] = {
    "numbered": {},
    "id": {"dataset": {"id": "id"}},
    "where, id": {"dataset": {"where": "{{ keep }}", "id": "x {{ id }}"}},
    "in the worker": {"user": "{{ text | upper }} {{ long }}", "dataset": {"where": "{{ keep }}"}},
    "bad rows": {"dataset": {"skip_bad": True}},
    "bad rows, in the worker": {"user": "{{ text | upper }}", "dataset": {"skip_bad": True, "id": "id"}},
}
ODD = {
    "blank": b"",
    "blanks": b" \t\r",
    "no JSON": b"{not json",
    "no object": b"[1]",
    "no column": b'{"id": "odd", "keep": true}',
    "null": b'{"id": "null", "keep": true, "text": null, "long": "n"}',
    "NaN": b'{"id": "NaN", "keep": true, "text": "t", "long": "n", "other": NaN}',
    "twice": b'{"id": 3, "keep": true, "text": "t", "long": "n"}',
    "conflict": b"<<<<<<< HEAD",
    "carriage return": b'{"id": "cr", "keep": true, "text": "t", "long": "n"}\r',
}


def line(n: int) -> bytes:
    return msgspec.json.encode({"id": n, "keep": n % 3 > 0, "text": f"téxt {n}", "long": LONG})


def write(root: Path, rows: int, odd: list[tuple[int, str]] = [], name: str = "a.jsonl") -> Path:  # noqa: B006
    lines = [line(n) for n in range(rows)]
    for at, kind in odd:
        lines[at % rows : at % rows] = [ODD[kind]]
    path = root / name
    path.write_bytes(b"\n".join(lines) + b"\n" * (rows % 2))
    return path


def all_of(job: Job, root: Path, crew: Crew, spool: Spool | None = None) -> Any:
    """All that comes of it."""
    budget = RowBudget()
    try:
        compiled = compile_job(job, root, OPENAI, budget, spool=spool, crew=crew)
    except (DataError, SpecError) as error:
        return str(error), error.mark if isinstance(error, DataError) else error.problems, getattr(error, "hint", "")
    pieces = compiled.parts.pieces
    assert pieces is not None
    return found(compiled), pieces.segments, pieces.shares, pieces.ids, pieces.modulus, budget.saved()


@example("bad rows", 300, [(0, "no JSON"), (200, "no JSON")], 2, False)
@settings(max_examples=max(10, settings().max_examples // 10), deadline=None)
@given(
    name=st.sampled_from(sorted(JOBS)),
    rows=st.integers(1, 900),
    odd=st.lists(st.tuples(st.integers(0, 899), st.sampled_from(sorted(ODD))), max_size=3),
    files=st.integers(1, 2),
    has_mark=st.booleans(),
)
def test_what_comes_out_is_what_one_process_gives(
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
    rows: int,
    odd: list[tuple[int, str]],
    files: int,
    has_mark: bool,
) -> None:
    root = tmp_path_factory.mktemp("project")
    path = write(root, rows, odd)
    if has_mark:
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    if files == 2:
        lines = [msgspec.json.encode({"id": f"b{n}", "keep": 1, "text": "b", "long": LONG}) for n in range(rows // 2)]
        (root / "b.jsonl").write_bytes(b"\n".join(lines))
    names = ("a.jsonl", "b.jsonl")[:files]
    job = job_of(**{"user": "{{ text }} {{ long }}", "files": names, "allow_empty": True, **JOBS[name]})
    spool = Spool(root, chunk_bytes=10_000)
    together = all_of(job, root, Crew(2, 0, 1), spool)
    spool.close()
    assert together == all_of(job, root, ALONE)


def test_edits_are_compiled_from_what_ranges_left(tmp_path: Path) -> None:
    job = job_of("{{ text }} {{ long }}", dataset={"id": "id"})
    path = write(tmp_path, 700)
    compile_job(job, tmp_path, OPENAI, crew=TOGETHER).save(tmp_path / "memo")
    path.write_bytes(path.read_bytes().replace("téxt 300".encode(), b"other"))
    before = shard.before_of(tmp_path / "memo", job, OPENAI)
    assert before is not None
    edited = compile_job(job, tmp_path, OPENAI, before=before, crew=TOGETHER)
    assert sum(segment.was < 0 for segment in edited.parts.pieces.segments) == 1  # type: ignore[union-attr]
    assert found(edited) == found(compile_job(job, tmp_path, OPENAI, crew=ALONE))
    before.packed.rest.close()


SPEC = """
models:
  m: {provider: openai, name: x, params: {temperature: "{{ n }}"}}
datasets:
  d: {files: a.jsonl, id: n}
prompts:
  p: {messages: {from: turns}}
jobs:
  conversations: {dataset: d, prompt: p, model: m, output: a.out.jsonl}
  ready: {requests: b.jsonl, provider: openai, output: b.out.jsonl}
"""


def test_other_kinds_of_jobs(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": LONG}]
    rows = [{"n": n, "turns": turns} for n in range(300)]
    asked = [
        {"custom_id": f"c{n}", "url": "/v1/chat/completions", "body": {"model": "x", "messages": turns, "seed": n}}
        for n in range(300)
    ]
    for name, values in (("a.jsonl", rows), ("b.jsonl", asked)):
        (tmp_path / name).write_bytes(b"\n".join(map(msgspec.json.encode, values)))
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs/a.yaml").write_text(SPEC)
    for job in load(["specs"], tmp_path).jobs:
        assert isinstance(job, Job)
        with beside() as seen:
            together = all_of(job, tmp_path, TOGETHER)
        assert len(seen) == 2
        assert together == all_of(job, tmp_path, ALONE)


def test_a_file_system_that_gives_less_than_it_is_asked_for(tmp_path: Path) -> None:
    """As one over a network may: this one gives a page at a time."""
    whole = Path("/proc/kallsyms").read_bytes() if Path("/proc/kallsyms").is_file() else b""
    lines, slow = tmp_path / "lines", tmp_path / "slow"
    for root in (lines, slow):
        root.mkdir()
        (root / "a.jsonl").write_bytes(whole)
    mounted = subprocess.run(["mount", "--bind", "/proc/kallsyms", str(slow / "a.jsonl")], capture_output=True)
    if mounted.returncode or len(whole) < 1 << 20:
        pytest.skip("may not mount a file here, or there is none that is large enough")
    dataset = job_of().dataset
    try:
        with open(slow / "a.jsonl", "rb") as file:
            assert len(os.pread(file.fileno(), 1 << 20, 0)) < 1 << 20
        found = list(cuts(dataset, slow, 512 << 10))
        work = Work(job_of(), OPENAI, slow, ("a.jsonl",), False, 0)
        again = [work.cut(Range(cut.file, cut.start, len(cut.data), cut.line, cut.lines, 0)) for cut in found]
    finally:
        subprocess.run(["umount", str(slow / "a.jsonl")], check=True)
    assert found == again == list(cuts(dataset, lines, 512 << 10))


# --- the processes -----------------------------------------------------------------------------------------------


def children_of(pid: int, module: str = "runner.compile.rangeworker") -> list[int]:
    here = []
    for task in Path("/proc").glob("[0-9]*"):
        try:
            is_child = (task / "stat").read_text().rpartition(")")[2].split()[1] == str(pid)
            if is_child and module.encode() in (task / "cmdline").read_bytes():
                here.append(int(task.name))
        except OSError:
            continue
    return here


@contextmanager
def beside(send: signal.Signals | None = None, after: float = 0.0) -> Iterator[set[int]]:
    """The processes that are started meanwhile. send: only those which got this signal, so many seconds after they
    were seen."""
    met: set[int] = set()
    found: set[int] = set()
    is_done = threading.Event()

    def look() -> None:
        while not is_done.wait(0.002):
            for pid in set(children_of(os.getpid())) - met:
                met.add(pid)
                if send is not None:
                    time.sleep(after)
                    try:
                        os.kill(pid, send)
                    except ProcessLookupError:  # it had done its work
                        continue
                found.add(pid)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield found
    finally:
        is_done.set()
        watcher.join()


def slow_job(root: Path, rows: int) -> Job:
    write(root, rows)
    return job_of("{% for a in range(400) %}{{ a * id }}{% endfor %} {{ long }}")


@pytest.mark.parametrize("after", [0.0, 0.4])
def test_a_process_that_is_killed_costs_nothing_but_time(tmp_path: Path, after: float) -> None:
    job = slow_job(tmp_path, 4000)
    with beside(signal.SIGKILL, after) as killed, closing(Spool(tmp_path)) as spool:
        together = all_of(job, tmp_path, Crew(2, 0, 1), spool)
    assert killed
    assert together == all_of(job, tmp_path, ALONE)
    assert not children_of(os.getpid())


@pytest.mark.parametrize("after", [0.0, 0.4])
def test_a_process_that_is_stopped_is_not_waited_for(tmp_path: Path, after: float) -> None:
    job = slow_job(tmp_path, 1500)
    plain = all_of(job, tmp_path, ALONE)
    begun = time.monotonic()
    with beside(signal.SIGSTOP, after) as stopped, closing(Spool(tmp_path)) as spool:
        together = all_of(job, tmp_path, Crew(3, 0, 1), spool)
    assert time.monotonic() - begun < 30
    assert stopped
    assert together == plain
    assert not children_of(os.getpid())


def test_a_process_that_takes_long_is_listened_to(tmp_path: Path) -> None:
    """Its range is begun here as well after a while: what comes first is taken."""
    job = slow_job(tmp_path, 5000)
    size = (tmp_path / "a.jsonl").stat().st_size
    together = all_of(job, tmp_path, Crew(2, 0, size - 40_000))
    assert together == all_of(job, tmp_path, ALONE)


def test_where_none_can_be_started_one_does_it(tmp_path: Path) -> None:
    """The Python that runs us was taken away meanwhile, as an update does."""
    write(tmp_path, 300)
    python = tmp_path / "python"
    python.symlink_to(Path(sys.executable).resolve())
    code = (
        "import os, sys; from pathlib import Path; from tests.compile.test_ranges import *\n"
        "os.unlink(sys.executable)\n"
        "print(len(compile_job(job_of('{{ text }} {{ long }}'), Path(sys.argv[1]), OPENAI, crew=TOGETHER).wanted))\n"
    )
    environ = os.environ | {"PYTHONPATH": ":".join(filter(None, [str(Path.cwd()), *sys.path]))}
    done = subprocess.run(
        [str(python), "-c", code, str(tmp_path)], env=environ, capture_output=True, text=True, check=False
    )
    assert (done.stdout.strip(), python.is_symlink()) == ("300", False), done.stderr


def test_lines_that_cannot_travel_are_made_here(tmp_path: Path) -> None:
    class Stateful(openai.OpenAILines):
        def __init__(self) -> None:
            self.lock = threading.Lock()

    write(tmp_path, 300)
    job = job_of("{{ text }} {{ long }}")
    with beside() as seen:
        keys = compile_job(job, tmp_path, Stateful(), crew=TOGETHER).wanted.keys
    assert not seen
    assert keys == compile_job(job, tmp_path, OPENAI, crew=ALONE).wanted.keys


def test_on_one_core_and_for_little_nothing_is_started(tmp_path: Path) -> None:
    write(tmp_path, 300)
    job = job_of("{{ text }}")
    cores = os.sched_getaffinity(0)
    with beside() as seen:
        compile_job(job, tmp_path, OPENAI)
        os.sched_setaffinity(0, {min(cores)})
        try:
            compile_job(job, tmp_path, OPENAI, crew=Crew(None, 0, 1))
        finally:
            os.sched_setaffinity(0, cores)
        time.sleep(0.05)
    assert not seen


def test_they_end_with_their_parent_and_leave_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    slow_job(tmp_path, 20_000)
    code = (
        "import sys; from pathlib import Path; from tests.compile.test_ranges import *\n"
        "job = job_of('{% for a in range(400) %}{{ a * id }}{% endfor %} {{ long }}'); root = Path(sys.argv[1])\n"
        "compile_job(job, root, OPENAI, spool=Spool(root / 'spool'), crew=Crew(2, 0, 1 << 20))\n"
    )
    environ = os.environ | {"OPENAI_API_KEY": "sk-canary"}
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], env=environ)
    deadline = time.monotonic() + 30
    family: list[int] = []
    while len(family) < 3 and time.monotonic() < deadline:  # one, and the rendering processes of both
        time.sleep(0.02)
        one = children_of(parent.pid)
        family = one + [worker for pid in (*one, parent.pid) for worker in children_of(pid, "runner.compile.worker")]
    assert len(family) == 3
    assert not any(b"sk-canary" in Path(f"/proc/{pid}/environ").read_bytes() for pid in family)
    parent.kill()
    parent.wait()
    while any(Path(f"/proc/{pid}/cmdline").is_file() for pid in family) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(Path(f"/proc/{pid}/cmdline").is_file() and is_running(pid) for pid in family)
    assert not list((tmp_path / "spool").iterdir())


def is_running(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def test_what_finds_no_room_is_rendered_again(tmp_path: Path) -> None:
    write(tmp_path, 600)
    job = job_of("{{ text }} {{ long }}")

    def written(compiled: CompiledJob) -> bytes:
        out = io.BytesIO()
        compiled.write_lines(range(600), out)
        return out.getvalue()

    plain = written(compile_job(job, tmp_path, OPENAI, crew=ALONE))
    for room in (100_000, 10_000_000):
        spool = Spool(tmp_path, most_bytes=room, chunk_bytes=10_000)
        assert written(compile_job(job, tmp_path, OPENAI, spool=spool, crew=Crew(2, 0, 1))) == plain
        spool.close()


def test_a_template_that_does_not_compile_is_told_as_ever(tmp_path: Path) -> None:
    write(tmp_path, 300)
    job = job_of("{{ text | indent(width='" + "x" * 3 + "') }}{% set a = 1 %}{{ a.b.c }}")
    assert all_of(job, tmp_path, Crew(2, 0, 1)) == all_of(job, tmp_path, ALONE)
    pool.close()
