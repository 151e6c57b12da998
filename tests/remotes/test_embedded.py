"""What the embedded server is to its client: two APIs, free of charge, quick to poll."""

from __future__ import annotations

from runner.job.capabilities import Content, Delivery, Search
from runner.job.project import ProviderBlock
from runner.remotes.registry import card_of, lines_of, place_of

EMBEDDED = ProviderBlock("embedded", "embedded")


def test_it_takes_rows_and_recordings_for_nothing() -> None:
    rows, recordings = card_of(EMBEDDED), card_of(EMBEDDED, Content.RECORDING)
    assert rows.is_free and recordings.is_free
    assert rows.price_factor == recordings.price_factor == 1.0
    assert rows.search is Search.BY_LABEL and rows.windows.accepts(24) and not rows.windows.accepts(48)
    assert (rows.limits.lines, rows.limits.size_bytes) == (50_000, 190_000_000)
    assert (recordings.content, recordings.delivery) == (Content.RECORDING, Delivery.CALLS)
    assert (rows.content, rows.delivery) == (Content.TEXT, Delivery.UPLOAD)
    assert max(rows.max_poll_seconds, recordings.max_poll_seconds) <= 2.0
    assert lines_of(EMBEDDED).name == "openai"


def test_it_has_no_address_and_no_key() -> None:
    place = place_of(EMBEDDED)
    assert place.is_ours and not place.base_url and not place.key_env and not place.hosts
