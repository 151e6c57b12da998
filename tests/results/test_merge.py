from __future__ import annotations

import random
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.compile.compiled import RowView
from runner.errors import StateError
from runner.job.observed import Phase
from runner.job.outcomes import Outcome, Unsettled, place
from runner.remotes.reading.verdict import Expected
from runner.results.index import build_index, refused_index
from runner.results.locate import OutcomeSource, locate
from runner.results.merge import Accounting, merge
from runner.results.splice import Merged

from . import made


class Kept:
    """A writer that keeps what it is given, decoded."""

    def __init__(self) -> None:
        self.merged: list[Merged] = []

    def write(self, merged: Merged) -> None:
        assert b"\n" not in b"".join((merged.row, merged.answer, merged.response, merged.error))
        self.merged.append(merged)

    @property
    def answers(self) -> list[Any]:
        return [msgspec.json.decode(one.answer) for one in self.merged]

    @property
    def codes(self) -> list[Any]:
        errors = [msgspec.json.decode(one.error) for one in self.merged]
        return [error and error["code"] for error in errors]


def source(
    folder: Path, names: str, *lines: bytes, generation: int = 0, ended: Phase = Phase.COMPLETED, **more: Any
) -> OutcomeSource:
    file = made.raw(folder / f"raw-{len(list(folder.iterdir()))}", *lines)
    report = build_index([file], made.expected(*names), ended=ended)
    return OutcomeSource(report.index, generation, f"batch-{file.name[4:]}", made.ORIGIN, (file,), **more)


def merged(names: str, sources: list[OutcomeSource], **more: Any) -> tuple[Kept, Accounting]:
    kept = Kept()
    accounting = merge(map(made.row, names), locate(made.keys(*names), sources), sources, kept, **more)
    assert accounting.wanted == len(names) == len(kept.merged)
    assert _sum(accounting) == accounting.wanted
    assert [one.custom_id for one in kept.merged] == list(names)
    assert [one.digest for one in kept.merged] == [made.digest(name).hex() for name in names]
    return kept, accounting


def _sum(counts: Accounting) -> int:
    unsettled = sum(getattr(counts, state.word) for state in Unsettled)
    return counts.ok + counts.error + unsettled + counts.missing


def test_input_order_and_equal_requests(tmp_path: Path) -> None:
    kept, accounting = merged("abcab", [source(tmp_path, "abc", made.ok("c", "C"), made.bare("a", "A"), made.ok("b"))])
    assert kept.answers == ["A", "hello", "C", "A", "hello"]
    assert accounting == Accounting(5, 5, 0)
    first = kept.merged[0]
    assert (first.batch, first.origin, first.error) == ("batch-0", made.ORIGIN, b"null")
    assert msgspec.json.decode(first.response) == made.chat("A")
    assert msgspec.json.decode(kept.merged[1].response) == made.chat("hello")  # unwrapped


def test_the_newest_generation_with_a_success_is_shown(tmp_path: Path) -> None:
    sources = [
        source(tmp_path, "abcd", made.ok("a", "0a"), made.ok("b", "0b"), made.refused("c"), made.refused("d")),
        source(tmp_path, "a", made.ok("a", "late duplicate")),
        source(tmp_path, "abc", made.ok("a", "1a"), made.refused("b"), made.refused("c", 429), generation=1),
    ]
    kept, accounting = merged("abcd", sources)
    assert kept.answers == ["1a", "0b", None, None]
    errors = [msgspec.json.decode(one.error) for one in kept.merged]
    assert errors[2] == {"code": "bad", "message": "no", "status": 429, "retryable": True}
    assert errors[3] == {"code": "bad", "message": "no", "status": 400, "retryable": False}
    assert [one.batch for one in kept.merged] == ["batch-2", "batch-0", "batch-2", "batch-0"]
    assert (accounting.ok, accounting.error) == (2, 2)


def test_rows_without_an_answer_say_why(tmp_path: Path) -> None:
    sources = [
        source(tmp_path, "ab", made.refused("a"), ended=Phase.CANCELLED),
        source(tmp_path, "c", ended=Phase.EXPIRED),
        OutcomeSource(refused_index(made.expected("d", "e"), Outcome.REJECTED), 0, "batch-9", made.ORIGIN, ()),
        OutcomeSource(
            refused_index(made.expected("e"), Outcome.REJECTED),
            0,
            "batch-10",
            made.ORIGIN,
            (),
            {"code": "too_long", "message": "line 3"},
        ),
    ]
    kept, accounting = merged("abcdefgh", sources, states=bytes((2, 0, 4, 0, 0, 3, 1, 0)))
    codes = ["in_flight", "batch_cancelled", "needs_decision", "batch_rejected", "too_long"]
    assert kept.codes == [*codes, "unknown", "not_sent", "missing"]
    told = {"not_sent": 1, "in_flight": 1, "unknown": 1, "needs_decision": 1, "missing": 1}
    assert accounting == Accounting(8, 0, 3, **told)
    assert kept.merged[7].batch is None and kept.merged[7].origin is None
    assert kept.merged[4].batch == "batch-10"


def test_an_answer_wins_over_every_state(tmp_path: Path) -> None:
    sources = [source(tmp_path, "a", made.ok("a"))]
    for state in Unsettled:
        kept, _ = merged("a", sources, states=bytes((state,)))
        assert kept.answers == ["hello"]


def body_line(name: str, body: Any) -> bytes:
    return made.line(name, response={"status_code": 200, "body": body})


TOOL = {"choices": [{"message": {"content": None, "tool_calls": [{"id": "1"}]}}]}
PARTS = [{"type": "text", "text": "a"}, {"type": "image"}, {"type": "text", "text": "b"}]
OUTPUT = [
    {"type": "reasoning", "summary": []},
    {"type": "message", "content": [{"type": "output_text", "text": "x"}, {"type": "output_text", "text": "y"}]},
]


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (made.chat("x\u2028\u0085\u000c\ny"), "x\u2028\u0085\u000c\ny"),
        (made.chat(""), ""),
        (TOOL, None),
        ({"choices": [{"message": {"refusal": "no"}}]}, None),
        ({"choices": [{"message": {"content": PARTS}}]}, "ab"),
        ({"choices": [{"message": {"content": 7}}]}, None),
        ({"choices": [{"text": "completed"}]}, "completed"),
        ({"choices": "odd"}, None),
        ({"output": OUTPUT}, "xy"),
        ({"output": OUTPUT[:1]}, None),
        ({"output": "odd"}, None),
        ({"data": [{"embedding": [0.25, 10**30]}]}, [0.25, 10**30]),
        ({"data": [{"embedding": "base64"}]}, "base64"),
        ({"data": [{}]}, None),
        ({"data": [7]}, None),
        ({"text": "transcript"}, "transcript"),
        ({"text": ["odd"]}, None),
        ("plain transcript", "plain transcript"),
        ({"choices": [{"message": {"content": "x"}}], "data": "odd"}, "x"),
    ],
)
def test_answers_of_all_endpoints(tmp_path: Path, body: Any, answer: Any) -> None:
    kept, accounting = merged("a", [source(tmp_path, "a", body_line("a", body))])
    assert kept.answers == [answer]
    assert msgspec.json.decode(kept.merged[0].response) == body
    assert accounting.ok == 1


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('{"b":1,\n "a":[1e400, 100000000000000000001]}', b'{"b":1,"a":[1e400,100000000000000000001]}'),
        ('"x"', b'"x"'),
        ("17", b"17"),
        ("not json", b'"not json"'),
        ('{"a":NaN}', b'"{\\"a\\":NaN}"'),
        ('{"a":"\\ud800"}', b'"{\\"a\\":\\"\\\\ud800\\"}"'),
        ("", b'""'),
        ("[" * 3000, None),
        ("[" * 100_000 + "]" * 100_000, None),
    ],
)  # fmt: skip
def test_json_answers(tmp_path: Path, text: str, answer: bytes | None) -> None:
    sources = [source(tmp_path, "a", made.ok("a", text))]
    kept, _ = merged("a", sources, wanted=Expected(is_json=True))
    assert kept.merged[0].answer == (answer if answer is not None else msgspec.json.encode(text))
    kept, _ = merged("a", sources)
    assert kept.answers == [text]


def test_a_stray_body_hides_no_answer(tmp_path: Path) -> None:
    line = made.line("a", response={"body": None, "status_code": None, **made.chat("x")})
    assert merged("a", [source(tmp_path, "a", line)])[0].answers == ["x"]


def test_what_is_not_json_is_put_right_and_counted(tmp_path: Path) -> None:
    broken = made.ok("a", "HERE").replace(b"HERE", b"\xff\\ud800")
    nan = made.ok("b").replace(b'"index":0', b'"index":NaN')
    kept, accounting = merged("abc", [source(tmp_path, "abc", broken, nan, made.ok("c", "é"))])
    assert kept.answers == ["\ufffd\ufffd", "hello", "é"]
    assert accounting.repaired == 2


def test_damaged_raw_files_stop_the_merge(tmp_path: Path) -> None:
    one = source(tmp_path, "ab", made.ok("a"), made.ok("b"))
    file = one.files[0]
    whole = file.read_bytes()
    for bad in (
        whole[:100],
        b"",
        b"x" * len(whole),
        whole.replace(made.wire_id("a").encode(), made.wire_id("b").encode()),
    ):
        file.write_bytes(bad)
        with pytest.raises(StateError, match="batch `batch-0` are damaged"):
            merged("ab", [one])
    file.unlink()
    with pytest.raises(StateError, match="are damaged"):
        merged("ab", [one])


NUMBERS = {"1e400": b"1e400", "-1e400": b"-1e400", "digits": b"9" * 100_000, "fraction": b"0." + b"9" * 100_000}


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({"output": [{**OUTPUT[1], "n": "HERE"}]}, "xy"),
        ({"choices": [{"message": {"content": [*PARTS, "HERE"]}}]}, "ab"),
        ({**made.chat("x"), "data": "HERE"}, "x"),
        ({"choices": [{"message": {"content": "HERE"}}]}, None),
        ({**made.chat("x"), "usage": {"prompt_tokens": "HERE"}}, "x"),
        ({"text": "x", "words": ["HERE"]}, "x"),
    ],
)
def test_no_number_stops_the_merge(tmp_path: Path, body: Any, answer: Any, number: str) -> None:
    line = body_line("a", body).replace(b'"HERE"', NUMBERS[number])
    for raw in (line, line.replace(b'"status_code":200', b'"status_code":"200"'), line + b"\0"):
        sources = [source(tmp_path, "ab", raw, made.ok("b"))]
        kept, accounting = merged("ab", sources)
        assert kept.answers == [answer, "hello"]
        assert NUMBERS[number] in kept.merged[0].response
        assert accounting.ok == 2


@pytest.mark.parametrize("number", NUMBERS)
def test_an_error_beside_any_number_is_read(tmp_path: Path, number: str) -> None:
    line = made.refused("a").replace(b'"param":null', b'"param":' + NUMBERS[number])
    kept, accounting = merged("a", [source(tmp_path, "a", line)])
    assert (kept.codes, accounting.error) == (["bad"], 1)


def deeper(levels: int, act: Any) -> Any:
    """Call from so much further down the stack."""
    return deeper(levels - 1, act) if levels else act()


@pytest.mark.parametrize("kind", ["ok", "bare", "refused", "output"])
def test_what_could_be_indexed_can_be_merged_from_any_depth_of_the_stack(tmp_path: Path, kind: str) -> None:
    plain = (
        body_line("a", {"output": OUTPUT, "index": 0, "param": None}) if kind == "output" else getattr(made, kind)("a")
    )
    for depth in range(700, 1100, 5):
        nested = b"[" * depth + b"]" * depth
        line = plain.replace(b'"index":0', b'"index":' + nested, 1).replace(b'"param":null', b'"param":' + nested, 1)
        one = source(tmp_path, "a", line)
        kept, _ = deeper(150, lambda one=one: merged("a", [one]))
        assert kept.codes in ([None], ["bad"], ["no_result"])
    assert kept.codes == ["no_result"]


def test_a_dataset_that_changed_stops_the_merge() -> None:
    shown = locate(made.keys("a", "b"), [])
    for names in ("a", "abc"):
        with pytest.raises(StateError, match="dataset changed"):
            merge(map(made.row, names), shown, [], Kept())


def test_no_rows_at_all() -> None:
    assert merged("", [])[1] == Accounting(0, 0, 0)


# --- against a plain implementation -----------------------------------------------------------------------------

KINDS = {
    "ok": lambda name, tag: made.ok(name, tag),
    "bare": lambda name, tag: made.bare(name, tag),
    "final": lambda name, tag: made.refused(name),
    "retry": lambda name, tag: made.never_ran(name),
    "lost": lambda name, tag: made.never_ran(name, "batch_cancelled"),
}
NAMES = "abcdefgh"
LINE = st.tuples(st.sampled_from(NAMES), st.sampled_from(list(KINDS)))
BATCH = st.tuples(
    st.sets(st.sampled_from(NAMES)),
    st.lists(st.lists(LINE, max_size=8), max_size=3),
    st.sampled_from([Phase.COMPLETED, Phase.EXPIRED, Phase.CANCELLED]),
    st.integers(0, 2),
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(BATCH, max_size=5),
    st.lists(st.sampled_from(NAMES), max_size=12),
    st.dictionaries(st.sampled_from(NAMES), st.sampled_from(Unsettled)),
)
def test_merge_equals_plain_dicts(batches: list[Any], rows: list[str], states: dict[str, Unsettled]) -> None:
    history: dict[str, list[tuple[int, int, str | None]]] = {name: [] for name in NAMES}  # (generation, -order, answer)
    sources = []
    with TemporaryDirectory() as folder:
        for number, (names, files, ended, generation) in enumerate(batches):
            seen: dict[str, str | None] = {}
            paths = []
            for f, lines in enumerate(files):
                tagged = [(name, kind, f"{number}.{f}.{n}") for n, (name, kind) in enumerate(lines)]
                paths.append(made.raw(Path(folder, f"{number}-{f}"), *[KINDS[k](name, tag) for name, k, tag in tagged]))
                for name, kind, tag in tagged:
                    if seen.get(name) is None and name in names:
                        seen[name] = tag if kind in ("ok", "bare") else None
            for name in names:
                history[name].append((generation, -number, seen.get(name)))
            report = build_index(paths, made.expected(*names), ended=ended)
            assert len(report.index) == 24 * len(names)
            assert report.ok == sum(tag is not None for tag in seen.values())
            assert report.lines == report.duplicates + report.foreign + len(names) - report.missing
            sources.append(OutcomeSource(report.index, generation, str(number), made.ORIGIN, tuple(paths)))
        kept = Kept()
        accounting = merge(
            map(made.row, rows),
            locate(made.keys(*rows), sources),
            sources,
            kept,
            states=bytes(states.get(name, 0) for name in rows),
        )
    plain = [max((one for one in history[name] if one[2]), default=(0, 0, None))[2] for name in rows]
    assert kept.answers == plain
    unanswered = [name for name, answer in zip(rows, plain, strict=True) if answer is None]
    assert accounting.ok == len(rows) - len(unanswered)
    for state in Unsettled:
        assert getattr(accounting, state.word) == sum(states.get(name) == state for name in unanswered)
    assert accounting.error == sum(bool(history[name]) and name not in states for name in unanswered)
    assert _sum(accounting) == len(rows)
    for name, one in zip(rows, kept.merged, strict=True):
        if one.error != b"null" and history[name] and name not in states:
            assert one.batch == str(-max(history[name], key=lambda h: (h[0], -h[1]))[1])  # the last error


@given(st.integers(0, 3000), st.integers(1, 5))
@settings(max_examples=20, deadline=None)
def test_large_and_small_indexes_are_located_alike(rows: int, batches: int) -> None:
    names = list(range(rows))
    random.Random(rows).shuffle(names)
    parts = [refused_index(made.expected(*names[n::batches]), Outcome.REJECTED) for n in range(batches)]
    sources = [OutcomeSource(part, 0, str(n), "", ()) for n, part in enumerate(parts)]
    shown = locate(made.keys(*names, "nobody"), sources)
    assert list(shown.sources)[:-1] == [n % batches for n in range(rows)]
    assert [place(value)[0] for value in shown.places] == [Outcome.REJECTED] * rows + [0]


class Nowhere:
    def write(self, merged: Merged) -> None: ...


def test_memory_is_flat_in_rows(tmp_path: Path) -> None:
    def rows(count: int) -> Iterator[RowView]:
        return map(made.row, range(count))

    def peak(count: int) -> int:
        file = made.raw(tmp_path / f"{count}", *[made.ok(n) for n in range(count)])
        report = build_index([file], made.expected(*range(count)), ended=Phase.COMPLETED)
        one = OutcomeSource(report.index, 0, "b", made.ORIGIN, (file,))
        wanted = made.keys(*range(count))
        tracemalloc.start()
        shown = locate(wanted, [one])
        merge(rows(count), shown, [one], Nowhere())
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    assert peak(20_000) - peak(1_000) < 19_000 * 40


REPLY = {"type": "message", "content": [{"type": "output_text", "text": '{"a":1}'}]}
WORDS = {"type": "message", "content": [{"type": "output_text", "text": "Let me see. "}]}
DECLINED = {"type": "message", "content": [{"type": "refusal", "refusal": "no"}]}


@pytest.mark.parametrize(
    ("body", "is_json", "answer", "finish"),
    [
        ({"status": "completed", "output": [WORDS, REPLY]}, True, {"a": 1}, "stop"),
        ({"status": "completed", "output": [REPLY, WORDS]}, True, {"a": 1}, "stop"),
        ({"status": "completed", "output": [WORDS, REPLY]}, False, 'Let me see. {"a":1}', "stop"),
        ({"status": "completed", "output": [WORDS, WORDS]}, True, "Let me see. Let me see. ", "not_json"),
        ({"status": "completed", "output": [DECLINED]}, False, None, "refusal"),
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}, "output": [WORDS]}, False,
         "Let me see. ", "length"),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}, "output": []}, False, None,
         "content_filter"),
        ({"status": "incomplete", "incomplete_details": None, "output": [WORDS]}, False, "Let me see. ", "incomplete"),
        ({"status": "completed", "output": [{"type": "function_call", "name": "f"}]}, False, None, "tool_calls"),
        ({"status": "completed", "output": [{"type": "custom_tool_call"}, WORDS]}, False, "Let me see. ", "tool_calls"),
        # the remote searched by itself: nobody has to answer that call
        ({"status": "completed", "output": [{"type": "web_search_call"}, WORDS]}, False, "Let me see. ", "stop"),
        ({"results": [{"flagged": True, "categories": {}}]}, True, {"flagged": True, "categories": {}}, None),
        ({"results": [{"flagged": True}], "data": 1}, True, {"flagged": True}, None),
        ({"results": [{"index": 0, "relevance_score": 1}]}, False, None, "empty"),  # of a server that ranks
        ({"choices": [{"text": "half", "finish_reason": "length"}]}, False, "half", "length"),
        ({"choices": [{"message": {"content": "x"}, "finish_reason": "eos"}]}, False, "x", "stop"),
        ({"choices": [{"message": {"content": "x"}, "finish_reason": "odd"}]}, False, "x", "odd"),
        ({"choices": [{"message": {"content": None}, "finish_reason": "stop"}]}, False, None, "empty"),
        ({"choices": [{"message": {"content": {"a": 1}}, "finish_reason": "stop"}]}, True, {"a": 1}, "stop"),
        ({"choices": [{"message": {"content": {"a": 1}}, "finish_reason": "stop"}]}, False, '{"a":1}', "stop"),
        ({"choices": [{"message": {"content": {"a": 1}}, "finish_reason": "length"}], "data": 1}, False, '{"a":1}',
         "length"),  # the rest of the body is odd
        ({"choices": [{"message": {"content": {"type": "text", "text": "x"}}, "finish_reason": "stop"}]}, False, "x",
         "stop"),
        ({"choices": [{"message": {"content": {}}, "finish_reason": "stop"}]}, False, None, "empty"),
        ({"data": [{"embedding": []}]}, False, [], "empty"),
        ({"text": ""}, False, "", None),  # silence is an answer
    ],
)  # fmt: skip
@pytest.mark.parametrize("folded", [False, True])
def test_how_answers_end_in_every_shape(
    tmp_path: Path, body: Any, is_json: bool, answer: Any, finish: str | None, folded: bool
) -> None:
    """Also where the body is JSON text that holds it."""
    given = msgspec.json.encode(body).decode() if folded else body
    wanted = Expected(is_json, is_object=is_json)
    kept, accounting = merged("a", [source(tmp_path, "a", body_line("a", given))], wanted=wanted)
    assert (kept.answers, kept.merged[0].finish) == ([answer], finish)
    assert msgspec.json.decode(kept.merged[0].response) == body
    assert accounting.ok == 1
