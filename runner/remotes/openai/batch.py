"""Batches at the remote: created once, looked at, listed back to a time, stopped."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from runner.errors import OutcomeUnknown, Refused
from runner.job.observed import Observed, Phase
from runner.remotes.openai import pages
from runner.remotes.openai.files import path_to
from runner.remotes.openai.labels import metadata_of
from runner.remotes.openai.profiles import Profile
from runner.remotes.openai.wire import observed_of, speaks_of_unseen_file, window_of
from runner.remotes.transport.http import Http
from runner.remotes.transport.listing import Order
from runner.remotes.transport.replies import must_be_about, object_in, shown, text_in
from runner.remotes.vendor import UNSEEN, Submission, Uploaded


def submit(http: Http, profile: Profile, submission: Submission, upload: Uploaded) -> Observed:
    """Create the batch: sent once. A success that names no batch is unknown, not a failure."""
    try:
        answer = object_in(http.create(profile.paths.batches, body_of(profile, submission, upload)), "a create")
    except Refused as refused:
        if speaks_of_unseen_file(refused.words, profile):
            refused.code = UNSEEN
        raise
    if not text_in(answer, "id"):
        raise OutcomeUnknown(f"the answer to a create names no batch: {shown(answer)}")
    return observed_of(answer, profile)


def body_of(profile: Profile, submission: Submission, upload: Uploaded) -> dict[str, Any]:
    """What is sent to create a batch."""
    body: dict[str, Any] = {
        **profile.create_extra,
        "input_file_id": upload.ref,
        "endpoint": submission.endpoint,
        "completion_window": window_of(submission.window_hours, profile),
    }
    metadata = metadata_of(submission.label, profile.metadata)
    if metadata:
        body["metadata"] = {**(profile.create_extra.get("metadata") or {}), **metadata}
    return body


def look(http: Http, profile: Profile, remote_id: str) -> Observed:
    seen = observed_of(http.get_json(path_to(profile.paths.batch, remote_id)), profile)
    must_be_about(remote_id, seen.remote_id)
    return seen


def listed(http: Http, profile: Profile, since: datetime | None) -> Iterator[Observed]:
    """Batches page by page, until a whole page is older than `since` less ten minutes.

    No vendor promises newest first, so an old page ends it only once the order was seen to fall and never to rise.
    """
    order = Order(since)
    for page in pages.walk(http, profile.paths.batches, profile.list, "a list of batches"):
        found = [observed_of(raw, profile) for raw in page]
        yield from found
        if order.has_passed([seen.created_at for seen in found]):
            return


def cancel(http: Http, profile: Profile, remote_id: str) -> Observed:
    """Make sure it stops. A refusal because it already ended, or is ending, is success."""
    try:
        answer = http.post_json(path_to(profile.paths.batch_cancel, remote_id))
    except Refused as refused:
        if refused.status not in (profile.cancel_terminal, 409):
            raise
        seen = look(http, profile, remote_id)
        if not (seen.phase.has_ended or seen.phase is Phase.CANCELLING):
            raise
        return seen
    if isinstance(answer, dict) and text_in(answer, "id") == remote_id:
        return observed_of(answer, profile)
    return look(http, profile, remote_id)
