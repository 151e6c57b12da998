"""The provider's verbs: uploads found again, lists paged the vendor's way, cancels that come too late."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from runner.clock import FastClock
from runner.errors import BlockedError, NotFound, OutcomeUnknown, Refused, RemoteError
from runner.job.observed import Phase, ResultFile
from runner.remotes.vendor import Uploaded
from tests.remotes.making import SUBMISSION, provider_at, spec_of
from tests.remotes.openai.fake import Remote, batch

NAME = f"{SUBMISSION.name}.jsonl"


def file(number: int = 1, **fields: Any) -> dict[str, Any]:
    return {
        "id": f"file-{number}",
        "object": "file",
        "bytes": 3,
        "created_at": 1_900_000_000,
        "filename": NAME,
        "purpose": "batch",
        "status": "processed",
        **fields,
    }


def page(*items: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"object": "list", "data": list(items), **more}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"{}\n")
    return path


# -- uploads


def test_an_upload_carries_its_name_and_purpose(source: Path) -> None:
    remote = Remote({"POST /files": file()})
    with provider_at(spec_of(), remote) as provider:
        assert provider.upload(source, SUBMISSION) == Uploaded("file-1", 3)
    body = remote.calls[0].content
    assert f'filename="{NAME}"'.encode() in body
    assert b"application/jsonl" in body
    assert body.index(b"batch\r\n") < body.index(NAME.encode())


@pytest.mark.parametrize("answer", [{}, {"data": {}}, {"id": ""}, [], {"error": None}])
def test_an_upload_without_an_id_is_unknown(answer: Any, source: Path) -> None:
    with provider_at(spec_of(), Remote({"POST /files": answer})) as provider, pytest.raises(OutcomeUnknown):
        provider.upload(source, SUBMISSION)


def test_a_nested_id_may_stand_at_the_top_after_all(source: Path) -> None:
    with provider_at(spec_of("siliconflow"), Remote({"POST /files": file(7)})) as provider:
        assert provider.upload(source, SUBMISSION).ref == "file-7"


def test_an_upload_is_waited_for_where_the_profile_says_so(source: Path) -> None:
    states = iter([httpx.Response(404), file(status="pending"), file(status="Processed")])
    clock = FastClock()
    remote = Remote({"POST /files": file(status="pending"), "GET /files/file-1": lambda r: next(states)}, "/openai/v1")
    with provider_at(spec_of("azure"), remote, clock=clock) as provider:
        assert provider.upload(source, SUBMISSION).ref == "file-1"
    assert clock.monotonic() == 4


@pytest.mark.parametrize(("status", "kind"), [("error", Refused), ("pending", OutcomeUnknown)])
def test_an_upload_that_is_never_processed(status: str, kind: type[Exception], source: Path) -> None:
    clock = FastClock()
    remote = Remote({"POST /files": file(status="pending"), "GET /files/file-1": file(status=status)}, "/openai/v1")
    with provider_at(spec_of("azure"), remote, clock=clock) as provider, pytest.raises(kind):
        provider.upload(source, SUBMISSION)
    assert clock.monotonic() <= 300


@pytest.mark.parametrize(
    ("held", "found"),
    [
        ([], None),
        ([file(1)], "file-1"),
        ([file(1, filename="other.jsonl"), file(2)], "file-2"),
        ([file(1, bytes=4)], None),
        ([file(1, expires_at=1_000_000_000), file(2, expires_at=None)], "file-2"),
        ([file(1, status="error")], None),
        ([file(1, purpose="fine-tune")], None),
        ([{"id": "file-9", "filename": NAME, "bytes": 3}], "file-9"),  # a vendor that shows little
    ],
)
def test_finding_an_upload_again(held: list[dict[str, Any]], found: str | None) -> None:
    with provider_at(spec_of(), Remote({"GET /files": page(*held, has_more=False)})) as provider:
        upload = provider.find_upload(SUBMISSION, 3)
    assert (upload.ref if upload else None) == found


def test_looking_for_an_upload_is_bounded() -> None:
    count = 0

    def endless(request: httpx.Request) -> httpx.Response:
        nonlocal count
        count += 1
        return httpx.Response(200, json=page(file(count, filename="x"), has_more=True))

    with provider_at(spec_of(), endless) as provider:
        assert provider.find_upload(SUBMISSION, 3) is None
    assert count <= 51


def test_an_unreadable_list_is_not_an_absence() -> None:
    for answer in ({"data": [{"no": "id"}]}, {}, {"data": {}}, "nothing"):
        with provider_at(spec_of(), Remote({"GET /files": answer, "GET /batches": answer})) as provider:
            with pytest.raises(OutcomeUnknown):
                provider.find_upload(SUBMISSION, 3)
            with pytest.raises(OutcomeUnknown):
                list(provider.batches())


# -- creates


@pytest.mark.parametrize("answer", [{}, {"id": ""}, {"id": None, "status": "validating"}, [], None, {"job": None}])
def test_a_success_that_names_no_batch_is_unknown(answer: Any) -> None:
    remote = Remote({"POST /batches": httpx.Response(200, json=answer)})
    with provider_at(spec_of(), remote) as provider, pytest.raises(OutcomeUnknown):
        provider.submit(SUBMISSION, Uploaded("file-1", 3))
    assert remote.paths == ["POST /batches"]


def test_extra_fields_of_a_create() -> None:
    extra = {"output_expires_after": {"anchor": "created_at", "seconds": 3600}, "metadata": {"team": "x"}}
    remote = Remote({"POST /batches": batch()})
    with provider_at(spec_of(overrides={"create_extra": extra}), remote) as provider:
        provider.submit(SUBMISSION, Uploaded("file-1", 3))
    assert remote.last_json["output_expires_after"] == extra["output_expires_after"]
    assert remote.last_json["metadata"] == {"team": "x", **SUBMISSION.label}


def test_read_only_blocks_every_verb_that_changes_something(source: Path) -> None:
    remote = Remote({"GET /batches/batch_1": batch()})
    with provider_at(spec_of(), remote, read_only=True) as provider:
        for verb in (
            lambda: provider.upload(source, SUBMISSION),
            lambda: provider.submit(SUBMISSION, Uploaded("file-1", 3)),
            lambda: provider.cancel("batch_1"),
        ):
            with pytest.raises(BlockedError):
                verb()
        assert provider.look("batch_1").remote_id == "batch_1"
    assert remote.paths == ["GET /batches/batch_1"]


def test_query_parameters_of_the_profile_are_on_every_call() -> None:
    remote = Remote({"GET /batches/batch_1": batch(), "GET /batches": page(batch(), has_more=False)})
    with provider_at(spec_of(overrides={"query": {"api-version": "2025"}}), remote) as provider:
        provider.look("batch_1")
        list(provider.batches())
    assert [call.url.params["api-version"] for call in remote.calls] == ["2025", "2025"]


# -- looking


def test_only_404_is_not_found() -> None:
    with provider_at(spec_of(), Remote({})) as provider, pytest.raises(NotFound):
        provider.look("batch_1")
    for status in (401, 403, 410, 429, 500, 503):
        remote = Remote({"GET /batches/batch_1": httpx.Response(status)})
        with provider_at(spec_of(), remote) as provider:
            with pytest.raises(RemoteError) as caught:
                provider.look("batch_1")
            assert not isinstance(caught.value, NotFound)


@pytest.mark.parametrize("remote_id", ["../files/x", "a/b?c#d", "%2e%2e", "batch 1"])
def test_an_id_never_becomes_a_path(remote_id: str) -> None:
    remote = Remote({})
    with provider_at(spec_of(), remote) as provider, pytest.raises(NotFound):
        provider.look(remote_id)
    assert remote.calls[0].url.raw_path.count(b"/") == 3


@pytest.mark.parametrize("remote_id", ["", ".", "..", "a\x00b", "a\nb"])
def test_what_is_no_id_at_all(remote_id: str) -> None:
    remote = Remote({})
    with provider_at(spec_of(), remote) as provider, pytest.raises(NotFound):
        provider.look(remote_id)
    assert remote.calls == []


# -- lists


class Paged:
    """`total` batches in pages, newest first unless `ascending`; how it ends and what it ignores is configurable."""

    def __init__(
        self, total: int, size: int, *, more: bool = True, ascending: bool = False, deaf: bool = False
    ) -> None:
        numbers = range(1, total + 1) if ascending else range(total, 0, -1)
        self.ids = [f"batch_{n}" for n in numbers]
        self.items = [batch(n, created_at=1_900_000_000 + n * 3600) for n in numbers]
        self.size, self.more, self.deaf = size, more, deaf
        self.afters: list[str | None] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        after = request.url.params.get("after")
        self.afters.append(after)
        start = self.ids.index(after) + 1 if after and not self.deaf else 0
        chosen = self.items[start : start + self.size]
        more = {"has_more": start + self.size < len(self.ids)} if self.more else {}
        return httpx.Response(200, json=page(*chosen, **more))


@pytest.mark.parametrize("total", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("more", [True, False])
def test_every_page_is_read(total: int, more: bool) -> None:
    paged = Paged(total, 2, more=more)
    with provider_at(spec_of(), paged) as provider:
        assert [seen.remote_id for seen in provider.batches()] == paged.ids
    if more:
        assert len(paged.afters) == max(1, -(-total // 2))


def test_a_server_that_ignores_the_cursor_does_not_hold_us_for_ever() -> None:
    paged = Paged(5, 2, more=False, deaf=True)
    with provider_at(spec_of(), paged) as provider:
        assert [seen.remote_id for seen in provider.batches()] == ["batch_5", "batch_4"]
    assert len(paged.afters) == 2


@pytest.mark.parametrize(
    ("deaf", "answer"),
    [
        ("says more, and repeats itself", {"data": [batch(2), batch(1)], "has_more": True}),
        ("says more, and gives nothing", {"data": [], "has_more": True}),
        ("a full page, again and again", {"data": [batch(n) for n in range(100)]}),
    ],
)
def test_a_list_that_promises_more_and_gives_none_is_unknown(deaf: str, answer: dict[str, Any]) -> None:
    """Whoever took it for the whole list would create what it leaves out once more."""
    remote = Remote({"GET /batches": answer, "GET /files": {"data": [], "has_more": True}})
    with provider_at(spec_of(), remote) as provider:
        with pytest.raises(OutcomeUnknown, match="promises more"):
            list(provider.batches())
        with pytest.raises(OutcomeUnknown):
            provider.find(SUBMISSION, "file-1", datetime(2020, 1, 1, tzinfo=UTC))
        assert len(remote.calls) <= 4
        assert provider.find_upload(SUBMISSION, 3) is None  # a file left out costs nothing


def test_empty_pages_with_tokens_are_no_end() -> None:
    pages = {"": {"data": [], "next": "t1"}, "t1": {"data": [], "next": "t2"}, "t2": {"data": [batch(1)]}}
    overrides = {"list": {"style": "token", "token_param": "page", "token_field": "next"}}
    with provider_at(
        spec_of(overrides=overrides), lambda r: httpx.Response(200, json=pages[r.url.params.get("page", "")])
    ) as provider:
        assert [seen.remote_id for seen in provider.batches()] == ["batch_1"]


def test_a_list_without_paging_is_one_call() -> None:
    remote = Remote({"GET /batches": {"object": "list", "data": [batch(2), batch(1)]}}, "/openai/v1")
    with provider_at(spec_of("groq"), remote) as provider:
        assert [seen.remote_id for seen in provider.batches()] == ["batch_2", "batch_1"]
    assert [str(call.url.query) for call in remote.calls] == ["b''"]


def test_a_bare_array_and_page_tokens() -> None:
    pages = {
        "": {"data": [batch(3)], "next": "t1"},
        "t1": {"data": [batch(2)], "next": "t2"},
        "t2": {"data": [batch(1)]},
    }
    overrides = {"list": {"style": "token", "token_param": "page", "token_field": "next"}}
    with provider_at(
        spec_of(overrides=overrides), lambda r: httpx.Response(200, json=pages[r.url.params.get("page", "")])
    ) as provider:
        assert [seen.remote_id for seen in provider.batches()] == ["batch_3", "batch_2", "batch_1"]
    remote = Remote({"GET /batches": [batch(1)]})
    with provider_at(spec_of(overrides={"list": {"style": "none"}}), remote) as provider:
        assert len(list(provider.batches())) == 1


def test_a_remote_that_cannot_list_is_not_asked() -> None:
    remote = Remote({})
    with provider_at(spec_of(overrides={"list": {"style": "absent"}}), remote) as provider:
        assert list(provider.batches()) == []
        assert provider.find_upload(SUBMISSION, 3) is None
    assert remote.calls == []


def test_the_list_is_read_back_to_a_time() -> None:
    paged = Paged(20, 2)
    since = datetime.fromtimestamp(1_900_000_000 + 15 * 3600, UTC)
    with provider_at(spec_of(), paged) as provider:
        found = [seen.remote_id for seen in provider.batches(since)]
    assert found == [f"batch_{n}" for n in range(20, 12, -1)]  # one page beyond
    assert len(paged.afters) == 4


def test_ten_minutes_of_slack_between_clocks() -> None:
    paged = Paged(6, 2)
    since = datetime.fromtimestamp(1_900_000_000 + 4 * 3600, UTC) + timedelta(minutes=9)
    with provider_at(spec_of(), paged) as provider:
        assert "batch_4" in [seen.remote_id for seen in provider.batches(since)]


def test_oldest_first_is_read_to_the_end() -> None:
    """Stopping at the first old page would call a running batch absent, and pay for it twice."""
    paged = Paged(20, 2, ascending=True)
    since = datetime.fromtimestamp(1_900_000_000 + 15 * 3600, UTC)
    with provider_at(spec_of(), paged) as provider:
        assert len(list(provider.batches(since))) == 20


def test_batches_without_a_time_never_end_the_list() -> None:
    pages = [[batch(n, created_at=None) for n in (4, 3)], [batch(n, created_at=None) for n in (2, 1)]]
    found = iter(pages)
    handler = lambda r: httpx.Response(200, json=page(*next(found), has_more=r.url.params.get("after") is None))  # noqa: E731
    with provider_at(spec_of(), handler) as provider:
        assert len(list(provider.batches(datetime.now(UTC)))) == 4


# -- files and cancel


def test_results_and_inputs_are_downloaded(tmp_path: Path) -> None:
    remote = Remote(
        {
            "GET /files/file-out/content": httpx.Response(200, content=b"row\n"),
            "GET /files/file-1/content": httpx.Response(200, content=b"line\n"),
            "GET /batches/batch_1": batch(),
            "GET /batches/batch_2": batch(2, input_file_id=""),
        }
    )
    with provider_at(spec_of(), remote) as provider:
        assert provider.download(ResultFile("file-out", "output"), tmp_path / "out") == 4
        assert provider.download_input(provider.look("batch_1"), tmp_path / "in") == 5
        with pytest.raises(NotFound):
            provider.download_input(provider.look("batch_2"), tmp_path / "in2")
        with pytest.raises(NotFound):
            provider.download(ResultFile("file-gone", "output"), tmp_path / "gone")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]


def test_cancel() -> None:
    remote = Remote({"POST /batches/batch_1/cancel": batch(status="cancelling")})
    with provider_at(spec_of(), remote) as provider:
        assert provider.cancel("batch_1").phase is Phase.CANCELLING
    assert remote.calls[0].content == b""


@pytest.mark.parametrize("status", ["completed", "failed", "expired", "cancelled", "cancelling"])
def test_a_cancel_that_comes_too_late_is_done(status: str) -> None:
    late = httpx.Response(409, json={"error": {"message": f"Cannot cancel a batch with status '{status}'"}})
    remote = Remote({"POST /batches/batch_1/cancel": late, "GET /batches/batch_1": batch(status=status)})
    with provider_at(spec_of(), remote) as provider:
        assert provider.cancel("batch_1").raw_status == status


def test_a_cancel_that_is_refused_while_it_runs_is_an_error() -> None:
    remote = Remote({"POST /batches/batch_1/cancel": httpx.Response(409), "GET /batches/batch_1": batch()})
    with provider_at(spec_of(), remote) as provider, pytest.raises(Refused):
        provider.cancel("batch_1")


def test_too_late_is_400_for_some() -> None:
    remote = Remote(
        {"POST /batches/batch_1/cancel": httpx.Response(400), "GET /batches/batch_1": batch(status="expired")}
    )
    with provider_at(spec_of(overrides={"cancel_terminal": 400}), remote) as provider:
        assert provider.cancel("batch_1").phase is Phase.EXPIRED
    with provider_at(spec_of(), remote) as provider, pytest.raises(Refused):
        provider.cancel("batch_1")


def test_a_cancel_that_answers_with_nothing_is_looked_up() -> None:
    remote = Remote(
        {"POST /batches/batch_1/cancel": {"success": True}, "GET /batches/batch_1": batch(status="cancelled")}
    )
    with provider_at(spec_of(), remote) as provider:
        assert provider.cancel("batch_1").phase is Phase.CANCELLED
