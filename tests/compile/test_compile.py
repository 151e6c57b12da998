"""One job through compile: which rows, which ids, which errors, and what is kept on disk."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from runner.compile import shard
from runner.compile.compile import CompiledJob, compile_job, identity_of, load
from runner.compile.faults import RowsFailed
from runner.compile.render import check_templates
from runner.errors import DataError, Mark, SpecError
from runner.job.project import Job, Message, Project, Prompt
from runner.job.wireid import key_of
from runner.remotes.fireworks import lines as fireworks
from runner.remotes.openai import lines as openai
from tests.compile.made import COUNTRIES, job_of, write_rows

OPENAI = openai.LINES


def ids_of(root: Path, job: Job) -> list[str]:
    return [row.custom_id for row in compile_job(job, root, OPENAI).rows()]


def texts_of(compiled: CompiledJob) -> list[str]:
    lines = compiled.lines(range(len(compiled.wanted)))
    return [msgspec.json.decode(line.data)["body"]["messages"][-1]["content"] for line in lines]


def numbered(root: Path, count: int) -> None:
    write_rows(root, ({"n": i, "name": f"Ann {i}"} for i in range(count)))


def test_rows_come_back_in_input_order_with_their_digests(tmp_path: Path) -> None:
    write_rows(tmp_path, COUNTRIES)
    compiled = compile_job(job_of(), tmp_path, OPENAI)
    rows = list(compiled.rows())
    assert [row.custom_id for row in rows] == ["row-1", "row-2", "row-3"]
    assert [msgspec.json.decode(row.row_json) for row in rows] == COUNTRIES
    assert b"".join(row.digest[:16] for row in rows) == compiled.wanted.keys
    assert compiled.wanted.tokens == -(-sum(map(len, texts_of(compiled))) // 4)


@pytest.mark.parametrize("template", ["{{ name }} {{ n }}", "{{ name | lower }} {{ n + 1 }}"])
def test_any_lines_again_equal_the_compiled_ones(tmp_path: Path, template: str) -> None:
    numbered(tmp_path, 1000)
    compiled = compile_job(job_of(template), tmp_path, OPENAI)
    ordinals = [0, 1, 255, 256, 257, 700, 999]
    lines = list(compiled.lines(iter(ordinals)))
    assert [line.key for line in lines] == [bytes(compiled.wanted.keys[16 * i : 16 * i + 16]) for i in ordinals]
    assert [len(line.data) for line in lines] == [compiled.wanted.sizes[i] for i in ordinals]
    assert [key_of(msgspec.json.decode(line.data)["custom_id"]) for line in lines] == [line.key for line in lines]
    assert list(compiled.lines([])) == []


@pytest.mark.parametrize(
    "where",
    [
        "{{ n > 500 }}",
        "{% if n > 500 %}1{% endif %}",
        "{{ n > 500 or 0 }}",
        "{{ none if n <= 500 else 'x' }}",
        " {{ keep }}\n",
    ],
)
def test_where_keeps_what_renders_to_something_true(tmp_path: Path, where: str) -> None:
    write_rows(tmp_path, ({"n": i, "keep": i > 500, "name": "Ann"} for i in range(1000)))
    compiled = compile_job(job_of("{{ n }}", dataset={"where": where}), tmp_path, OPENAI)
    assert texts_of(compiled) == [str(i) for i in range(501, 1000)]
    assert next(compiled.rows()).custom_id == "row-502"
    assert [line.data.partition(b"content")[2] for line in compiled.lines([7])] == [b'":"508"}]}}']


def test_a_sample_is_taken_after_where_and_keeps_the_order(tmp_path: Path) -> None:
    numbered(tmp_path, 500)
    job = job_of("{{ n }}", dataset={"where": "{{ n % 2 }}", "sample_rows": 20, "sample_seed": 7})
    texts = texts_of(compile_job(job, tmp_path, OPENAI))
    numbers = [int(text) for text in texts]
    assert len(numbers) == 20
    assert numbers == sorted(numbers)
    assert all(number % 2 for number in numbers)
    write_rows(tmp_path, ({"name": f"Ann {i}", "n": i} for i in reversed(range(500))))
    assert texts_of(compile_job(job, tmp_path, OPENAI)) == texts[::-1]


@pytest.mark.parametrize("identifier", ["{{ code }}", "{{ code | upper }}", "code"])
def test_ids_come_from_a_column_or_a_template(tmp_path: Path, identifier: str) -> None:
    write_rows(tmp_path, COUNTRIES)
    assert ids_of(tmp_path, job_of(dataset={"id": identifier})) == ["PE", "TD", "CI"]


def test_numbers_are_ids_and_long_ids_are_cut_on_the_wire_only(tmp_path: Path) -> None:
    write_rows(tmp_path, [{"id": 5}, {"id": "é" * 50}, {"id": 1.5}])
    compiled = compile_job(job_of("x {{ id }}", dataset={"id": "id"}), tmp_path, OPENAI)
    assert [row.custom_id for row in compiled.rows()] == ["5", "é" * 50, "1.5"]
    for i, line in enumerate(compiled.lines(range(3))):
        assert len(line.data) == compiled.wanted.sizes[i]
        assert len(msgspec.json.decode(line.data)["custom_id"]) <= 63


@pytest.mark.parametrize("identifier", ["id", "{{ id }}", "x{{ id | lower }}"])
def test_doubled_ids_name_both_lines(tmp_path: Path, identifier: str) -> None:
    write_rows(tmp_path, [{"id": str(i)} for i in range(600)] + [{"id": "77"}])
    with pytest.raises(DataError) as caught:
        compile_job(job_of("x", dataset={"id": identifier}), tmp_path, OPENAI)
    assert "at `a.jsonl:78` and at `a.jsonl:601`" in caught.value.message
    assert caught.value.mark == Mark("a.jsonl", 601)


@pytest.mark.parametrize("value", [None, True, [1], {}, "", "  "])
def test_values_that_are_no_ids_are_refused(tmp_path: Path, value: Any) -> None:
    write_rows(tmp_path, [{"id": value}])
    with pytest.raises(DataError, match="the id of the row") as caught:
        compile_job(job_of("x", dataset={"id": "id"}), tmp_path, OPENAI)
    assert caught.value.mark == Mark("a.jsonl", 1)


def test_failing_rows_are_all_counted_and_the_first_listed(tmp_path: Path) -> None:
    write_rows(tmp_path, [{"country": 1} if i % 2 else {"contry": 1} for i in range(100)])
    with pytest.raises(RowsFailed) as caught:
        compile_job(job_of("\n{{ country }}"), tmp_path, OPENAI)
    error = caught.value
    assert (error.count, len(error.problems)) == (50, 20)
    assert error.problems[0].mark == error.mark == Mark("a.jsonl", 1)
    assert error.problems[0].message == (
        "the user message of prompt `capital` (s.yaml:11) uses `country`, which is not a column of this row"
    )
    assert error.hint == (
        "did you mean `contry`? columns: `contry`; `skip_bad: true` in dataset `countries` sends the other rows"
    )
    assert error.message.startswith("50 rows of dataset `countries` cannot become requests\n  a.jsonl:1: ")
    assert error.message.endswith("\n  and 30 more")


def test_a_failing_filter_names_template_line_and_row(tmp_path: Path) -> None:
    write_rows(tmp_path, [{"n": 1}, {"n": "x"}])
    with pytest.raises(RowsFailed) as caught:
        compile_job(job_of("a\nb {{ n + 1 }}"), tmp_path, OPENAI)
    assert caught.value.mark == Mark("a.jsonl", 2)
    assert "(s.yaml:11) fails: can only concatenate str" in caught.value.message
    assert caught.value.problems[0].snippet == "b {{ n + 1 }}"


@pytest.mark.parametrize("where", ["{{ nope }}", "{{ nope | int }}"])
@pytest.mark.parametrize("sample", [None, 2])
def test_a_failing_where_names_the_row(tmp_path: Path, where: str, sample: int | None) -> None:
    write_rows(tmp_path, COUNTRIES)
    with pytest.raises(DataError, match="`where` of dataset `countries`") as caught:
        compile_job(job_of(dataset={"where": where, "sample_rows": sample}), tmp_path, OPENAI)
    assert caught.value.mark == Mark("a.jsonl", 1)


@pytest.mark.parametrize("template", ["{{ t }}", "{{ t | trim }}", "{{ t }}{{ n | string }}"])
def test_a_message_that_is_too_long_is_refused_with_row_length_limit_and_way_out(tmp_path: Path, template: str) -> None:
    write_rows(tmp_path, [{"t": "x" * 999_999, "n": ""}, {"t": "x" * 1_000_001, "n": ""}])
    with pytest.raises(RowsFailed) as caught:
        compile_job(job_of(template), tmp_path, OPENAI)
    assert caught.value.mark == Mark("a.jsonl", 2)
    words = "the user message of prompt `capital` has 1,000,001 characters, and its provider takes 1,000,000"
    assert caught.value.message == words
    assert "truncate" in caught.value.hint and "message_chars" in caught.value.hint


@pytest.mark.parametrize("template", ["{{ t }}", "{{ t | trim }}", "{{ t }}{{ n | string }}"])
def test_the_limit_of_a_message_is_its_providers(tmp_path: Path, template: str) -> None:
    write_rows(tmp_path, [{"t": "x" * 50, "n": ""}, {"t": "x" * 51, "n": ""}])
    with pytest.raises(RowsFailed, match="has 51 characters, and its provider takes 50"):
        compile_job(job_of(template, message_chars=50), tmp_path, OPENAI)
    write_rows(tmp_path, [{"t": "x" * 3_000_000, "n": ""}])
    assert len(compile_job(job_of(template, message_chars=3_000_000), tmp_path, OPENAI).wanted) == 1


def test_every_message_keeps_to_the_limit_and_the_way_out_works(tmp_path: Path) -> None:
    write_rows(tmp_path, [{"t": "x" * 51, "n": "a"}])
    asked = [("system", "{{ t }}"), ("user", "{{ n | upper }}")]  # one rendered here, one in the other process
    with pytest.raises(RowsFailed, match="the system message of prompt `capital` has 51 characters"):
        compile_job(job_of(asked, message_chars=50), tmp_path, OPENAI)
    cut = job_of("{{ t | truncate(40) }}", message_chars=50)
    assert len(compile_job(cut, tmp_path, OPENAI).wanted) == 1
    with pytest.raises(SpecError) as caught:
        compile_job(job_of([("system", "y" * 51), ("user", "{{ n }}")], message_chars=50), tmp_path, OPENAI)
    (problem,) = caught.value.problems
    assert "the system message of prompt `capital` has 51 characters" in problem.message
    assert "message_chars" in problem.hint


def test_an_empty_dataset_is_an_error_unless_allowed(tmp_path: Path) -> None:
    write_rows(tmp_path, [])
    with pytest.raises(DataError, match="has no rows") as caught:
        compile_job(job_of(), tmp_path, OPENAI)
    assert "allow_empty: true" in caught.value.hint
    compiled = compile_job(job_of(allow_empty=True), tmp_path, OPENAI)
    assert list(compiled.rows()) == list(compiled.lines([])) == []
    write_rows(tmp_path, COUNTRIES)
    with pytest.raises(DataError, match="no rows that `where` keeps"):
        compile_job(job_of(dataset={"where": "{{ population > 100 }}"}), tmp_path, OPENAI)


def test_a_dataset_that_changes_is_noticed(tmp_path: Path) -> None:
    write_rows(tmp_path, COUNTRIES)
    compiled = compile_job(job_of(), tmp_path, OPENAI)
    rows = compiled.rows()
    next(rows)
    write_rows(tmp_path, [*COUNTRIES[:2], {"country": "Mali"}])
    for again in (lambda: list(rows), lambda: list(compiled.rows()), lambda: list(compiled.lines([0]))):
        with pytest.raises(DataError, match="changed while it was read"):
            again()


def test_a_request_that_differs_is_noticed(tmp_path: Path) -> None:
    write_rows(tmp_path, COUNTRIES)
    compiled = compile_job(job_of(), tmp_path, OPENAI)
    keys = bytearray(compiled.wanted.keys)
    keys[16] ^= 1
    compiled.wanted.keys = bytes(keys)
    assert len(list(compiled.lines([0, 2]))) == 2
    with pytest.raises(DataError, match="renders to another request now"):
        list(compiled.lines([1]))


JOBS: list[Callable[[], Job]] = [
    job_of,
    lambda: job_of("{{ country | upper }}", dataset={"where": "{{ population > 20 }}", "id": "code"}),
    lambda: job_of(dataset={"sample_rows": 2, "id": "{{ code }}"}),
]


@pytest.mark.parametrize("make", JOBS)
def test_a_saved_job_is_the_compiled_one(tmp_path: Path, make: Callable[[], Job]) -> None:
    write_rows(tmp_path, COUNTRIES)
    compiled = compile_job(make(), tmp_path, OPENAI)
    compiled.save(tmp_path / "saved")
    loaded = load(tmp_path / "saved", make(), tmp_path, OPENAI)
    assert loaded is not None
    assert (loaded.wanted, loaded.positions) == (compiled.wanted, compiled.positions)
    assert list(loaded.rows()) == list(compiled.rows())
    assert list(loaded.lines([0, 1])) == list(compiled.lines([0, 1]))
    assert (tmp_path / "saved").stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", "saved"]


def test_many_rows_are_read_back_after_the_file_is_gone(tmp_path: Path) -> None:
    numbered(tmp_path, 80_000)
    compiled = compile_job(job_of("{{ n }}"), tmp_path, OPENAI)
    compiled.save(tmp_path / "saved")
    loaded = load(tmp_path / "saved", job_of("{{ n }}"), tmp_path, OPENAI)
    (tmp_path / "saved").unlink()
    assert loaded is not None
    assert all(a == b for a, b in zip(loaded.rows(), compiled.rows(), strict=True))
    del loaded, compiled
    gc.collect()


def test_a_saved_job_of_something_else_is_not_loaded(tmp_path: Path) -> None:
    write_rows(tmp_path, COUNTRIES)
    job = job_of()
    saved = tmp_path / "saved"
    compile_job(job, tmp_path, OPENAI).save(saved)
    others = [
        job_of("x"),
        job_of(replicate=2),
        job_of(model={"name": "y"}),
        job_of(model={"params": {"seed": 1}}),
        job_of(dataset={"where": "1"}),
        job_of(dataset={"id": "code"}),
        job_of(dataset={"sample_rows": 3}),
        job_of(prompt={"response_format": {"a": 1}}),
        job_of([("system", "What is the capital of {{ country }}?")]),
    ]
    assert all(load(saved, other, tmp_path, OPENAI) is None for other in others)
    assert len({identity_of(other, OPENAI) for other in [job, *others]}) == len(others) + 1
    assert load(saved, job, tmp_path, fireworks.LINES) is None
    assert load(tmp_path / "gone", job, tmp_path, OPENAI) is None
    assert load(saved, replace(job, window_hours=48, output="y", name="k"), tmp_path, OPENAI) is not None


def test_every_damage_to_a_saved_job_is_noticed(tmp_path: Path) -> None:
    write_rows(tmp_path, COUNTRIES)
    saved = tmp_path / "saved"
    compile_job(job_of(), tmp_path, OPENAI).save(saved)
    whole = saved.read_bytes()
    header_size = whole.index(b"\n") + 1
    for position in range(header_size, len(whole)):
        saved.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        assert load(saved, job_of(), tmp_path, OPENAI) is None
    for size in (0, 1, header_size - 1, header_size, len(whole) - 1):
        saved.write_bytes(whole[:size])
        assert load(saved, job_of(), tmp_path, OPENAI) is None
    saved.write_bytes(whole + b"x")
    assert load(saved, job_of(), tmp_path, OPENAI) is None


def test_content_decides_where_stats_differ(tmp_path: Path) -> None:
    write_rows(tmp_path, COUNTRIES)
    saved = tmp_path / "saved"
    compile_job(job_of(), tmp_path, OPENAI).save(saved)
    os.utime(tmp_path / "a.jsonl", (1, 1))  # checked out anew
    loaded = load(saved, job_of(), tmp_path, OPENAI)
    assert loaded is not None
    assert len(list(loaded.rows())) == 3
    data = (tmp_path / "a.jsonl").read_bytes()
    (tmp_path / "a.jsonl").write_bytes(data.replace(b"Chad", b"Mali"))  # same size
    assert load(saved, job_of(), tmp_path, OPENAI) is None


def test_an_unchanged_dataset_is_not_read_to_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_rows(tmp_path, COUNTRIES)
    compile_job(job_of(), tmp_path, OPENAI).save(tmp_path / "saved")
    later = (tmp_path / "saved").stat().st_mtime + 10
    os.utime(tmp_path / "saved", (later, later))
    (tmp_path / "a.jsonl").chmod(0o600)
    assert load(tmp_path / "saved", job_of(), tmp_path, OPENAI) is not None  # its ctime changed: content is compared
    compile_job(job_of(), tmp_path, OPENAI).save(tmp_path / "saved")
    os.utime(tmp_path / "saved", (later, later))
    monkeypatch.delattr(shard, "content_digest")
    assert load(tmp_path / "saved", job_of(), tmp_path, OPENAI) is not None


def project_of(root: Path, *jobs: Job) -> Project:
    return Project("p", root, jobs, {}, ())


def test_check_templates_finds_everything_at_once(tmp_path: Path) -> None:
    write_rows(tmp_path, COUNTRIES)
    jobs = [
        job_of("{{ contry }}"),
        job_of([("system", "{{ x"), ("user", "{{ country | upper }}")]),
        job_of(dataset={"where": "{{ nope > 1 }}", "id": "cod"}),
        job_of(dataset={"id": "{{ cod }}"}),
        job_of("{{ contry }}"),
    ]
    found = [(str(problem.mark), problem.message) for problem in check_templates(project_of(tmp_path, *jobs))]
    assert found == [
        ("s.yaml:3", "`where` of dataset `countries` uses `nope`, which is not a column"),
        ("s.yaml:4", "`id` of dataset `countries` uses `cod`, which is not a column"),
        ("s.yaml:4", "the `id` of dataset `countries`, `cod`, is not a column"),
        (
            "s.yaml:10",
            "the system message of prompt `capital`: unexpected end of template, expected `}}`",
        ),
        ("s.yaml:10", "the user message of prompt `capital` uses `contry`, which is not a column"),
    ]


def test_check_templates_is_content_with_what_compiles(tmp_path: Path) -> None:
    write_rows(tmp_path, [{"a": 1}, {"a": 1, "b": 2}])
    fine = job_of("{{ a }}{% if b is defined %}{{ b }}{% endif %}{{ b | default('') }}")
    assert check_templates(project_of(tmp_path, fine, job_of("{{ a }}", files=("gone.csv",)))) == []


def test_the_static_half_of_a_surrogate_pair_is_refused(tmp_path: Path) -> None:
    write_rows(tmp_path, COUNTRIES)
    job = job_of("\ud800")
    assert len(identity_of(job, openai.LINES)) == 64
    with pytest.raises(SpecError, match="1 problem"):
        compile_job(job, tmp_path, OPENAI)


def test_a_prompt_without_messages_and_one_of_static_text(tmp_path: Path) -> None:
    write_rows(tmp_path, COUNTRIES[:1])
    static = replace(job_of(), prompt=Prompt("p", (Message("user", "Hi"),)))
    (line,) = compile_job(static, tmp_path, OPENAI).lines([0])
    assert line.data.endswith(b'"messages":[{"role":"user","content":"Hi"}]}}')
    none = replace(job_of(), prompt=Prompt("p", ()))
    (line,) = compile_job(none, tmp_path, OPENAI).lines([0])
    assert line.data.endswith(b'"body":{"model":"gpt-x","messages":[]}}')


MEMORY = """
import sys
from pathlib import Path
from runner.compile.compile import compile_job
from runner.remotes.fireworks import lines as fireworks
from runner.remotes.openai import lines as openai
from runner.remotes.vendor import Lines
from tests.compile.made import job_of
compiled = compile_job(job_of("{{ n }}", dataset={"id": "n"}), Path(sys.argv[1]), openai.LINES)
sum(1 for _ in compiled.rows())
(peak,) = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(peak)
"""


def test_memory_is_flat_in_the_number_of_rows(tmp_path: Path) -> None:
    peaks = []
    for count in (10_000, 200_000):
        numbered(tmp_path, count)
        out = subprocess.run([sys.executable, "-c", MEMORY, str(tmp_path)], capture_output=True, check=True)
        peaks.append(int(out.stdout))
    # 28 bytes a row are packed arrays, which are copied while they grow
    assert peaks[1] - peaks[0] < 190_000 * 60 / 1024 + 4096
