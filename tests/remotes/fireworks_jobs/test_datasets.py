"""Input datasets: filled once, adopted on doubt, in parts when they are large, never over other content."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from runner.clock import FastClock
from runner.errors import AuthFailed, BlockedError, OutcomeUnknown, Refused, RemoteError
from runner.job.observed import Observed, Phase
from runner.remotes.fireworks.provider import FireworksProvider
from runner.remotes.transport import parts
from runner.remotes.vendor import Uploaded
from tests.remotes.fireworks_jobs.fake import KEY, Call, Fake
from tests.remotes.fireworks_jobs.made import IDS, ROWS, SENT, Opener

DATASET = IDS.input_dataset_id


def test_an_upload_is_ready_when_it_returns(fake: Fake, provider: FireworksProvider, source: Path) -> None:
    fake.looks_until_ready = 3
    assert provider.upload(source, SENT) == Uploaded(DATASET, len(ROWS))
    created = fake.calls[0].json
    assert created == {"datasetId": DATASET, "dataset": {"userUploaded": {}, "exampleCount": "3"}}
    assert fake.stored[DATASET] == {f"{SENT.name}.jsonl": ROWS}
    assert fake.datasets[DATASET]["state"] == "READY"
    assert provider.find_upload(SENT, len(ROWS)) == Uploaded(DATASET, len(ROWS))


def test_what_is_ready_is_not_sent_again(fake: Fake, provider: FireworksProvider, source: Path) -> None:
    provider.upload(source, SENT)
    provider.upload(source, SENT)
    assert fake.count("POST /datasets/*:upload") == 1


@pytest.mark.parametrize("route", ["POST /datasets", "POST /datasets/*:upload", "GET /datasets/*"])
@pytest.mark.parametrize("fault", ["lose", "late", "drop", "503", "429"])
def test_a_lost_reply_changes_nothing(
    route: str, fault: str, fake: Fake, provider: FireworksProvider, source: Path
) -> None:
    fake.faults[route] = [fault]
    assert provider.upload(source, SENT).ref == DATASET
    assert list(fake.datasets) == [DATASET]
    assert fake.stored[DATASET] == {f"{SENT.name}.jsonl": ROWS}


def test_one_stuck_in_uploading_gets_the_same_bytes_again(
    fake: Fake, provider: FireworksProvider, source: Path
) -> None:
    fake.put_dataset(DATASET, {}, state="UPLOADING", exampleCount="3")
    assert provider.find_upload(SENT, len(ROWS)) is None
    provider.upload(source, SENT)
    assert fake.stored[DATASET] == {f"{SENT.name}.jsonl": ROWS}


def test_one_that_never_becomes_ready_is_unknown(fake: Fake, opened: Opener, source: Path) -> None:
    fake.looks_until_ready = 10**9
    clock = FastClock()
    with pytest.raises(OutcomeUnknown, match="did not become READY"):
        opened(clock, ready_s=20).upload(source, SENT)
    assert fake.count("POST /datasets/*:upload") == 3
    assert clock.monotonic() <= 60


def test_a_bad_file_is_refused_in_the_remotes_words(fake: Fake, provider: FireworksProvider, source: Path) -> None:
    fake.looks_until_ready = 10**9
    status = {"code": "INVALID_ARGUMENT", "message": "line 2 is no JSON"}
    fake.put_dataset(DATASET, {}, state="UPLOADING", exampleCount="3", status=status)
    with pytest.raises(Refused, match="line 2 is no JSON"):
        provider.upload(source, SENT)


@pytest.mark.parametrize(
    "other", [{"exampleCount": "4"}, {"userUploaded": None, "splitted": {}}, {"format": "COMPLETION"}]
)
def test_other_content_under_our_id_is_a_conflict(
    other: dict[str, object], fake: Fake, provider: FireworksProvider, source: Path
) -> None:
    fake.put_dataset(DATASET, {}, **{"exampleCount": "3", **other})
    for verb in (lambda: provider.upload(source, SENT), lambda: provider.find_upload(SENT, 1)):
        with pytest.raises(Refused) as caught:
            verb()
        assert caught.value.code == "conflict"
        assert DATASET in caught.value.message
    assert fake.count("POST /datasets/*:upload") == 0


def test_a_wrong_key_is_not_tried_twice(fake: Fake, provider: FireworksProvider, source: Path) -> None:
    fake.faults["POST /datasets"] = ["403"]
    with pytest.raises(AuthFailed):
        provider.upload(source, SENT)
    assert len(fake.calls) == 1


def test_read_only_sends_nothing(fake: Fake, opened: Opener, source: Path) -> None:
    with pytest.raises(BlockedError):
        opened(read_only=True).upload(source, SENT)
    assert fake.calls == []


# -- parts


@pytest.mark.parametrize("largest", [28, 30, 56, 80, 1000])
def test_parts_are_cut_between_lines(largest: int, source: Path) -> None:
    found = parts.cut(source, largest)
    pieces = [ROWS[part.start : part.start + part.size_bytes] for part in found.values()]
    assert b"".join(pieces) == ROWS
    assert all(piece.endswith(b"\n") and len(piece) <= largest for piece in pieces)
    assert next(iter(found)) == "part-000.jsonl"


def test_parts_of_long_lines(tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    path.write_bytes(b"x" * 150_000 + b"\n" + b"y" * 150_000)
    assert [part.size_bytes for part in parts.cut(path, 200_000).values()] == [150_001, 150_000]
    with pytest.raises(Refused, match="larger than"):
        parts.cut(path, 100_000)


def test_a_large_file_goes_in_parts_without_our_key(fake: Fake, opened: Opener, source: Path) -> None:
    provider = opened(upload_bytes=40, part_bytes=30)
    assert provider.upload(source, SENT) == Uploaded(DATASET, len(ROWS))
    assert b"".join(fake.stored[DATASET][name] for name in sorted(fake.stored[DATASET])) == ROWS
    assert sorted(fake.stored[DATASET]) == ["part-000.jsonl", "part-001.jsonl", "part-002.jsonl"]
    assert fake.count("POST /datasets/*:getUploadEndpoint") == 1
    assert fake.count("POST /datasets/*:validateUpload") == 1
    puts = [call for call in fake.calls if call.method == "PUT"]
    assert all(KEY not in str(call.headers) and "transfer-encoding" not in call.headers for call in puts)


@pytest.mark.parametrize("fault", ["lose", "drop", "500", "403"])
def test_a_part_that_got_lost_is_sent_again_under_a_fresh_url(
    fault: str, fake: Fake, opened: Opener, source: Path
) -> None:
    fake.stale_urls = 1 if fault == "403" else 0
    fake.faults["PUT /storage"] = [] if fault == "403" else [fault]
    opened(upload_bytes=40, part_bytes=60).upload(source, SENT)
    assert b"".join(fake.stored[DATASET][name] for name in sorted(fake.stored[DATASET])) == ROWS
    asked = [call.json for call in fake.calls if call.path.endswith(":getUploadEndpoint")]
    assert len(asked) == 2
    assert asked[0] == asked[1]  # the whole map, because each call replaces it


def test_old_upload_urls_are_asked_for_again(fake: Fake, opened: Opener, source: Path) -> None:
    clock = FastClock()

    def slowly(call: Call) -> tuple[int, object, dict[str, str]]:
        clock.sleep(25 * 60)
        return (*fake.answer(call), {})

    fake.hooks["PUT /storage"] = slowly
    opened(clock, upload_bytes=40, part_bytes=30).upload(source, SENT)
    assert fake.count("POST /datasets/*:getUploadEndpoint") == 2  # after 50 minutes, for the third part


def test_an_encrypted_dataset_takes_no_parts(fake: Fake, opened: Opener, source: Path) -> None:
    fake.put_dataset(DATASET, {}, state="UPLOADING", exampleCount="3", encryptionState="ENCRYPTION_STATE_CMEK")
    with pytest.raises(Refused, match="encrypted"):
        opened(upload_bytes=40).upload(source, SENT)


def test_upload_urls_for_other_files_are_refused(fake: Fake, opened: Opener, source: Path) -> None:
    fake.hooks["POST /datasets/*:getUploadEndpoint"] = lambda call: (200, {"filenameToSignedUrls": {"x": "y"}}, {})
    with pytest.raises(OutcomeUnknown):
        opened(upload_bytes=40, part_bytes=30, ready_s=5).upload(source, SENT)
    assert not any(call.method == "PUT" for call in fake.calls)


@pytest.mark.parametrize("url", ["http://evil.example/x", "https://evil.example/x", "https://169.254.169.254/x"])
def test_rows_are_not_sent_to_strangers(url: str, fake: Fake, opened: Opener, source: Path) -> None:
    fake.url_of = lambda dataset, name, own: url
    with pytest.raises(Refused) as caught:
        opened(upload_bytes=40, part_bytes=30).upload(source, SENT)
    assert caught.value.code == "unsafe_url"
    assert not any(call.method == "PUT" for call in fake.calls)


@pytest.mark.parametrize(
    ("status", "headers"), [(302, "location"), (307, "location"), (401, "www-authenticate")], ids=str
)
def test_storage_that_sends_us_on_or_asks_for_the_key_gets_neither_rows_nor_key(
    status: int, headers: str, fake: Fake, opened: Opener, source: Path
) -> None:
    there = f"{fake.base_url}/storage/{DATASET}/elsewhere?X-Goog-Signature=s1gn4ture"
    fake.hooks["PUT /storage"] = lambda call: (status, b"", {headers: there})
    with pytest.raises(RemoteError, match=str(status)):
        opened(upload_bytes=40, part_bytes=30, ready_s=1).upload(source, SENT)
    stored = [call for call in fake.calls if call.path.startswith("/storage/")]
    assert stored and not any(call.path.endswith("elsewhere") for call in stored)
    assert all(KEY not in str(call.headers) for call in stored)


# -- read back


def _seen(dataset_id: str) -> Observed:
    return Observed(IDS.job_id, Phase.RUNNING, "RUNNING", input_ref=dataset_id)


@pytest.mark.parametrize("overrides", [{}, {"upload_bytes": 40, "part_bytes": 30}])
def test_an_input_is_read_back_whole(
    overrides: dict[str, int], opened: Callable[..., FireworksProvider], source: Path, tmp_path: Path
) -> None:
    provider = opened(**overrides)
    provider.upload(source, SENT)
    to = tmp_path / "back.jsonl"
    assert provider.download_input(_seen(DATASET), to) == len(ROWS)
    assert to.read_bytes() == ROWS
    assert sorted(path.name for path in tmp_path.iterdir()) == ["back.jsonl", "in.jsonl"]
