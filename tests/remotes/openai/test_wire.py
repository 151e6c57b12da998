"""Reading batches: every terminal state, every odd shape, and nothing guessed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import OutcomeUnknown
from runner.job import project
from runner.job.observed import Counts, FailureKind, Observed, Phase, ResultFile
from runner.remotes.openai.labels import label_in, metadata_of
from runner.remotes.openai.profiles import PROFILES, profile_of
from runner.remotes.openai.wire import observed_of, phase_of
from runner.remotes.reading.values import hours_of, time_of
from tests.remotes.making import SUBMISSION
from tests.remotes.openai.fake import batch

OPENAI = PROFILES["openai"]


def seen(**fields: Any) -> Observed:
    return observed_of(batch(1, **fields), OPENAI)


def test_all_fields() -> None:
    found = seen(
        status="completed",
        output_file_id="file-out",
        error_file_id="file-err",
        completed_at=1_900_000_500,
        usage={"input_tokens": 12, "output_tokens": 34, "total_tokens": 46},
        model="gpt-x",
        new_field={"a": 1},
    )
    assert found == Observed(
        remote_id="batch_1",
        phase=Phase.COMPLETED,
        raw_status="completed",
        counts=Counts(3, 1, 0),
        created_at=datetime.fromtimestamp(1_900_000_001, UTC),
        ended_at=datetime.fromtimestamp(1_900_000_500, UTC),
        expires_at=datetime.fromtimestamp(1_900_086_400, UTC),
        window_hours=24,
        endpoint="/v1/chat/completions",
        label={"runner_project": "capitals"},
        input_ref="file-1",
        result_files=(ResultFile("file-out", "output"), ResultFile("file-err", "error")),
        input_tokens=12,
        output_tokens=34,
    )


@pytest.mark.parametrize(
    ("status", "output", "error", "counts", "is_final"),
    [
        ("completed", "o", None, (3, 3, 0), True),
        ("completed", "o", "e", (3, 2, 1), True),
        ("completed", None, "e", (3, 0, 3), True),  # all rows failed
        ("completed", None, None, (3, 0, 3), False),
        ("completed", None, None, (3, 3, 0), False),  # the id is still to come
        ("completed", None, "e", (3, 2, 1), False),
        ("completed", "", "", (3, 2, 1), False),
        ("completed", None, None, None, False),
        ("completed", None, None, (0, 0, 0), False),
        ("completed", None, "e", None, True),
        ("completed", "o", None, None, True),
        ("expired", "o", "e", (8, 4, 0), True),
        ("expired", None, "e", (8, 0, 0), True),
        ("expired", None, "e", (8, 4, 0), False),  # rows that were paid for are still owed
        ("cancelled", None, None, None, True),
        ("cancelled", None, None, (8, 4, 0), False),
        ("failed", None, None, None, True),
        ("in_progress", None, None, (8, 4, 0), True),
        ("finalizing", None, None, (8, 8, 0), True),
    ],
)
def test_when_results_are_final(
    status: str, output: str | None, error: str | None, counts: tuple[int, int, int] | None, is_final: bool
) -> None:
    named = dict(zip(("total", "completed", "failed"), counts, strict=True)) if counts else None
    found = seen(status=status, output_file_id=output, error_file_id=error, request_counts=named)
    assert found.results_are_final is is_final
    assert len(found.result_files) == bool(output) + bool(error)


@pytest.mark.parametrize(
    ("raw", "phase"),
    [
        ("VALIDATING", Phase.VALIDATING),
        ("Completed", Phase.COMPLETED),
        (" cancelled ", Phase.CANCELLED),
        ("in_queue", Phase.VALIDATING),
        ("ended", Phase.UNKNOWN),
        ("", Phase.UNKNOWN),
    ],
)
def test_status_words(raw: str, phase: Phase) -> None:
    assert phase_of(raw, OPENAI) is phase
    assert not Phase.UNKNOWN.has_ended


@pytest.mark.parametrize(
    ("value", "stamp"),
    [
        (1_900_000_000, 1_900_000_000),
        (1_900_000_000.5, 1_900_000_000.5),
        (1_900_000_000_123, 1_900_000_000.123),
        ("1900000000", 1_900_000_000),
        ("2030-03-17T17:46:40Z", 1_900_000_000),
        ("2030-03-17T18:46:40.000000000+01:00", 1_900_000_000),
        ("2030-03-17 17:46:40", 1_900_000_000),
        (0, None),
        (-1, None),
        (None, None),
        ("", None),
        (True, None),
        ("yesterday", None),
        (10**30, None),
        (float("nan"), None),
        ([], None),
        ("9999999999999999999999999999999999", None),
        (10**400, None),
        ("9" * 5000, None),
        ("0001-01-01T00:00:00+23:59", None),
    ],
)
def test_times(value: Any, stamp: float | None) -> None:
    found = time_of(value)
    assert (found.timestamp() if found else None) == (pytest.approx(stamp) if stamp else None)


@pytest.mark.parametrize(
    ("written", "hours"),
    [
        ("24h", 24),
        ("14d", 336),
        ("86400s", 24),
        (" 24H ", 24),
        ("soon", None),
        (24, None),
        ("", None),
        ("9" * 5000 + "h", None),
    ],
)
def test_hours(written: Any, hours: int | None) -> None:
    assert hours_of(written) == hours


def listed(*errors: Any) -> dict[str, Any]:
    return {"object": "list", "data": list(errors)}


def rejected(code: Any, message: str, param: str | None = None, line: int | None = None) -> dict[str, Any]:
    return listed({"code": code, "line": line, "message": message, "param": param})


BAD, QUOTA, HIDDEN, OTHER = (
    FailureKind.BAD_INPUT,
    FailureKind.QUOTA,
    FailureKind.FILE_NOT_VISIBLE,
    FailureKind.OTHER,
)
FULL = "Enqueued token limit reached for m in organization o. Limit: 1"
NO_FILE = "Cannot find file file-1, or organization o does not have access"


@pytest.mark.parametrize(
    ("errors", "kind", "code", "words"),
    [
        (rejected("invalid_json_line", "not JSON", line=1), BAD, "invalid_json_line", "line 1: not JSON"),
        (rejected("duplicate_custom_id", "twice"), BAD, "duplicate_custom_id", "twice"),
        (rejected("model_mismatch", "m"), BAD, "model_mismatch", "m"),
        (rejected("token_limit_exceeded", FULL), QUOTA, "token_limit_exceeded", "Enqueued"),
        (rejected(None, "Enqueued request limit reached for m"), QUOTA, "", "Enqueued"),
        (rejected("invalid_request", FULL), QUOTA, "invalid_request", "Enqueued"),
        (rejected("invalid_request", NO_FILE, "file_id"), HIDDEN, "invalid_request", "Cannot"),
        (rejected("invalid_request", "not there", "file_id"), HIDDEN, "invalid_request", "not there"),
        (rejected("invalid_request", "no such window", "window"), BAD, "invalid_request", "no such"),
        (rejected(1234, "odd"), OTHER, "1234", "odd"),
        (rejected("TOO_MANY_TASKS", "t"), BAD, "TOO_MANY_TASKS", "t"),
        (listed({"code": "new_thing"}, {"code": "empty_file", "message": "e"}), BAD, "empty_file", "e"),
        ([FULL], QUOTA, "", "Enqueued"),
        (["line 3 is broken", ""], OTHER, "", "line 3 is broken"),
        (NO_FILE, HIDDEN, "", "Cannot"),
        ([{"code": "url_mismatch", "message": "u"}], BAD, "url_mismatch", "u"),
        ({"code": "empty_file", "message": "t"}, BAD, "empty_file", "t"),
        (None, OTHER, "", "no reason"),
        (listed(), OTHER, "", "no reason"),
        (listed(None), OTHER, "", "no reason"),
        (17, OTHER, "", "17"),
    ],
)
def test_failures(errors: Any, kind: FailureKind, code: str, words: str) -> None:
    failure = seen(status="failed", errors=errors).failure
    assert failure is not None
    assert (failure.kind, failure.code) == (kind, code)
    assert words in failure.message


def test_errors_of_a_batch_that_did_not_fail_are_no_failure() -> None:
    assert seen(status="in_progress", errors=listed({"code": "x"})).failure is None


def test_counts_elsewhere_and_as_text() -> None:
    novita = profile_of(
        project.ProviderBlock("n", "openai", overrides={"counts": {"path": ""}, "status_map": {"PROGRESS": "running"}})
    )
    found = observed_of({"id": "b", "status": "PROGRESS", "total": "5", "completed": 2.0, "failed": None}, novita)
    assert (found.phase, found.counts) == (Phase.RUNNING, Counts(5, 2, 0))


@pytest.mark.parametrize("count", [-5, "-5", 10**30, 10**400, "9" * 5000, 1.5, 1e300, True, "²", [7]])
def test_counts_that_nobody_can_have(count: Any) -> None:
    raw = {"id": "b", "status": "completed", "usage": {"input_tokens": count}}
    found = observed_of({**raw, "request_counts": {"total": count, "completed": count, "failed": count}}, OPENAI)
    assert found.counts == Counts()
    assert not found.input_tokens
    assert msgspec.json.decode(msgspec.json.encode(found), type=Observed) == found


@pytest.mark.parametrize("answer", [None, [], "batch_1", {}, {"id": None}, {"id": 7}, {"object": "list", "data": []}])
def test_what_is_no_batch(answer: Any) -> None:
    with pytest.raises(OutcomeUnknown):
        observed_of(answer, OPENAI)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(sorted(batch())), JSON), st.sampled_from(sorted(PROFILES)))
def test_any_shape_of_any_field_is_read(fields: dict[str, Any], name: str) -> None:
    found = observed_of({**batch(), **fields, "usage": fields.get("errors"), "id": "batch_1"}, PROFILES[name])
    assert found.remote_id == "batch_1"


# -- stamps


def test_a_stamp_comes_back_as_it_went() -> None:
    rule = OPENAI.metadata
    assert label_in(metadata_of(SUBMISSION.label, rule), rule) == SUBMISSION.label


def test_a_stamp_in_one_field_keeps_what_identifies_it() -> None:
    rule = PROFILES["dashscope"].metadata
    sent = metadata_of({**SUBMISSION.label, "runner_project": "p" * 40, "runner_job": "j" * 300}, rule)
    assert list(sent) == ["ds_name"]
    assert len(sent["ds_name"]) <= 100
    back = label_in({**sent, "ds_description": "x"}, rule)
    assert back["runner_set"] == SUBMISSION.label["runner_set"]
    assert (back["runner_project"], back["runner_attempt"]) == ("p" * 40, "1")
    assert "runner_job" not in back


def test_a_stamp_stays_within_the_limits() -> None:
    rule = profile_of(
        project.ProviderBlock("x", "openai", overrides={"metadata": {"max_keys": 2, "key_len": 6, "value_len": 3}})
    ).metadata
    assert metadata_of({"much_too_long": "1", "a": "12345", "b": "2", "c": "3"}, rule) == {"a": "123", "b": "2"}


def test_no_stamp_where_none_is_kept() -> None:
    rule = profile_of(project.ProviderBlock("x", "openai", overrides={"metadata": {"supported": False}})).metadata
    assert metadata_of(SUBMISSION.label, rule) == {}
    assert label_in(None, rule) == {}


@given(st.dictionaries(st.sampled_from(sorted(SUBMISSION.label)), st.text("abc=;-_0", min_size=1, max_size=40)))
def test_a_packed_stamp_never_lies(stamp: dict[str, str]) -> None:
    rule = PROFILES["dashscope"].metadata
    back = label_in(metadata_of(stamp, rule), rule)
    assert all(stamp[key] == value for key, value in back.items() if key.startswith("runner_"))
