"""Every look-alike by its record alone: what its card says, what it is sent, how its answers read."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from runner.errors import Mark, SpecError
from runner.job import project
from runner.job.capabilities import Search
from runner.job.observed import Counts, Phase
from runner.remotes.addresses import base_url_of
from runner.remotes.openai.profiles import PROFILES, capabilities_of, profile_of
from runner.remotes.registry import card_of
from tests.remotes.making import KEY, SUBMISSION, provider_at, spec_of
from tests.remotes.openai.fake import Remote, batch

# name -> base URL, accepted and refused windows, lines, bytes
CARDS = {
    "openai": ("https://api.openai.com/v1", (24,), (12, 48), 50_000, 190_000_000),
    "groq": ("https://api.groq.com/openai/v1", (24, 168), (1, 36, 192), 50_000, 95_000_000),
    "deepinfra": ("https://api.deepinfra.com/v1/openai", (24,), (48,), 50_000, 190_000_000),
    "dashscope": ("https://dashscope.aliyuncs.com/compatible-mode/v1", (24, 30, 336), (12, 337), 50_000, 475_000_000),
    "siliconflow": ("https://api.siliconflow.cn/v1", (24, 336), (12,), 5_000, 950_000_000),
    "doubleword": ("https://api.doubleword.ai/v1", (1, 24), (2,), 50_000, 190_000_000),
    "azure": ("https://acme.openai.azure.com/openai/v1", (24,), (48,), 50_000, 190_000_000),
}  # fmt: skip


def test_every_profile_is_in_the_table() -> None:
    assert CARDS.keys() == PROFILES.keys()


@pytest.mark.parametrize("name", CARDS)
def test_the_card(name: str) -> None:
    _, accepted, refused, lines, size_bytes = CARDS[name]
    card = card_of(spec_of(name))
    assert (card.search, card.knows_system_prompt, card.can_resume) == (Search.BY_LABEL, False, False)
    assert all(card.windows.accepts(hours) for hours in accepted)
    assert not any(card.windows.accepts(hours) for hours in refused)
    assert (card.limits.lines, card.limits.size_bytes) == (lines, size_bytes)
    assert not card.is_free
    assert 0 < card.min_poll_seconds <= card.max_poll_seconds
    assert "/v1/chat/completions" in card.endpoints


@pytest.mark.parametrize("name", CARDS)
def test_one_batch_from_upload_to_list(name: str, tmp_path: Path) -> None:
    base_url = CARDS[name][0]
    header, value = ("api-key", KEY) if name == "azure" else ("authorization", f"Bearer {KEY}")
    profile = PROFILES[name]
    spec = spec_of(name)
    status = {"groq": "IN_PROGRESS", "siliconflow": "in_queue"}.get(name, "in_progress")
    upload = {"id": "file-1", "status": "processed"}
    remote = Remote(
        {
            "POST /files": {"data": upload} if name == "siliconflow" else upload,
            "POST /batches": lambda request: batch(1, status="validating", metadata=remote.last_json["metadata"]),
            "GET /batches/batch_1": batch(1, status=status),
            "GET /batches": {"object": "list", "data": [batch(1)], "has_more": False},
        },
        prefix=urlsplit(base_url).path,
    )
    source = tmp_path / "in.jsonl"
    source.write_bytes(b"{}\n")
    with provider_at(spec, remote) as provider:
        uploaded = provider.upload(source, SUBMISSION)
        assert (uploaded.ref, uploaded.size_bytes) == ("file-1", 3)
        seen = provider.submit(SUBMISSION, uploaded)
        sent = remote.last_json
        assert (sent["input_file_id"], sent["endpoint"]) == ("file-1", "/v1/chat/completions")
        assert sent["completion_window"] == "24h"
        for key in ("runner_project", "runner_set", "runner_attempt"):
            assert seen.label[key] == SUBMISSION.label[key]
        assert (seen.remote_id, seen.phase) == ("batch_1", Phase.VALIDATING)
        looked = provider.look("batch_1")
        assert looked.phase is (Phase.VALIDATING if name == "siliconflow" else Phase.RUNNING)
        assert looked.raw_status == status
        assert looked.counts == Counts(3, 1, 0)
        assert [listed.remote_id for listed in provider.batches()] == ["batch_1"]
    assert str(remote.calls[0].url).startswith(base_url)
    assert all(call.headers[header] == value for call in remote.calls)
    assert dict(remote.calls[-1].url.params) == ({} if name == "groq" else {"limit": str(profile.list.limit_max)})


@pytest.mark.parametrize(
    ("name", "hours", "written"),
    [("groq", 24, "24h"), ("groq", 48, "2d"), ("groq", 168, "7d"), ("dashscope", 336, "336h"), ("doubleword", 1, "1h")],
)
def test_windows_are_written_as_the_vendor_reads_them(name: str, hours: int, written: str) -> None:
    from runner.remotes.openai.wire import window_of
    from runner.remotes.reading.values import hours_of

    assert window_of(hours, PROFILES[name]) == written
    assert hours_of(written) == hours


# -- overrides


def own(**overrides: object) -> project.ProviderBlock:
    return project.ProviderBlock(
        "mine", "openai", base_url="https://api.mine.example/v1", overrides=overrides, mark=Mark("specs/p.yaml", 3, 5)
    )


def test_overrides_merge_into_the_profile() -> None:
    spec = own(
        window={"min": 24, "max": 72},
        limits={"lines": 10},
        auth={"header": "api-key", "scheme": ""},
        status_map={"in_queue": "validating"},
        query={"api-version": "2025-04-01"},
        metadata={"key_field": "name", "value_len": 100},
        list={"style": "none"},
        min_poll_s=30,
    )
    profile = profile_of(spec)
    card = capabilities_of(profile)
    assert (card.limits.lines, card.limits.size_bytes) == (10, 190_000_000)
    assert card.windows.accepts(48)
    assert card.min_poll_seconds == 30
    assert (profile.status_map["in_queue"], profile.status_map["completed"]) == ("validating", "completed")
    assert profile.auth.env == "OPENAI_API_KEY"


def test_a_listed_window_replaces_a_range() -> None:
    spec = project.ProviderBlock("d", "openai", profile="dashscope", overrides={"window": {"allowed": [24, 48]}})
    windows = card_of(spec).windows
    assert (windows.accepts(48), windows.accepts(100), str(windows)) == (True, False, "24h, 48h")


def test_paths_follow_each_other() -> None:
    paths = profile_of(own(paths={"files": "/v2/files", "batches": "/jobs"})).paths
    assert (paths.upload, paths.file_content) == ("/v2/files", "/v2/files/{id}/content")
    assert (paths.batch, paths.batch_cancel) == ("/jobs/{id}", "/jobs/{id}/cancel")


@pytest.mark.parametrize(
    ("overrides", "search"),
    [
        ({"metadata": {"supported": False}}, Search.BY_UPLOAD),  # its list still shows our input file
        ({"metadata": {"supported": False}, "list": {"echoes_input": False}}, Search.NONE),
        ({"list": {"style": "absent"}}, Search.NONE),
    ],
)
def test_how_it_is_searched_follows_from_the_data(overrides: dict[str, object], search: Search) -> None:
    assert card_of(own(**overrides)).search is search


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"limitz": {}}, "`limitz`"),
        ({"limits": {"linez": 1}}, "`linez`"),
        ({"limits": {"lines": "many"}}, "limits.lines"),
        ({"limits": 7}, "limits"),
        ({"limits": {"lines": 0}}, "positive"),
        ({"limits": {"margin": 2}}, "margin"),
        ({"window": {"min": 24}}, "above"),
        ({"window": {"allowed": []}}, "allows nothing"),
        ({"status_map": {"done": "finished"}}, "`finished`"),
        ({"discount": 2}, "discount"),
        ({"endpoints": []}, "endpoints"),
        ({"paths": {"files": "files"}}, "slash"),
        ({"paths": {"content": "/content"}}, "{id}"),
        ({"query": {"api_key": "x"}}, "keys"),
        ({"min_poll_s": -1}, "negative"),
    ],
)
def test_nonsense_is_refused_at_its_place(overrides: dict[str, object], words: str) -> None:
    with pytest.raises(SpecError) as caught:
        profile_of(own(**overrides))
    (problem,) = caught.value.problems
    assert words in problem.message
    assert "provider `mine`" in problem.message
    assert problem.mark == Mark("specs/p.yaml", 3, 5)


def test_an_unknown_profile() -> None:
    with pytest.raises(SpecError) as caught:
        base_url_of(project.ProviderBlock("x", "openai", profile="grok"), {})
    assert "`groq`" in caught.value.problems[0].hint
