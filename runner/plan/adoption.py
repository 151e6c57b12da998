"""What was found at a remote: whose it is, and how far the remote can be believed about that. Pure.

A create whose answer was lost may have made a batch. It is ours for certain when it shows the label we wrote on it, or
the file that was uploaded for it alone. Where a remote shows neither, a batch that appeared since may be ours or a
stranger's: then nobody knows, and what nobody knows is never sent again unasked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from runner.job.capabilities import Search, Shown
from runner.job.observed import Found, Observed, Origin
from runner.job.recorded import Accounted, Batch, ProjectRecord

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
SHORT = 16  # digits of a request set that fit into every label


class Sorted(msgspec.Struct, frozen=True):
    """What may have come of one create: `ours` did, `doubtful` may have."""

    ours: tuple[Observed, ...] = ()
    doubtful: tuple[Observed, ...] = ()


def mark_of(batch: Batch) -> tuple[str, str]:
    """What the label of a batch says on every remote: its request set, and which attempt it is."""
    return batch.keys_sha256[:SHORT], str(batch.attempt)


def mark_in(seen: Observed) -> tuple[str, str]:
    """The same, as a batch shows it; empty where it shows none."""
    return seen.label.get("runner_set", "")[:SHORT], seen.label.get("runner_attempt", "")


def epoch_of(seen: Observed) -> int:
    """The retry epoch of a batch, as its label says; 0 where it shows none."""
    return number(seen.label.get("runner_generation", ""), 0)


def number(text: str, otherwise: int) -> int:
    """A number in a label, which anybody may have written."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else otherwise


def is_of(batch: Batch, seen: Observed) -> bool:
    """Whether a batch came of this intent: by its label, or by the upload. Either is enough.

    Others may write on a batch what they like: it hides nothing.
    """
    if batch.upload_ref and seen.input_ref == batch.upload_ref:
        return True
    return seen.label.get("runner_project") == batch.project and mark_in(seen) == mark_of(batch)


def is_like(batch: Batch, seen: Observed, slack: timedelta) -> bool:
    """Whether one that shows nothing of whose it is may have come of a create that was given up: by its rows and time.

    slack: what two clocks may differ by.
    """
    since = (batch.given_up_from or batch.intent_at) - slack
    return seen.counts.total == batch.rows and (seen.created_at is None or seen.created_at >= since)


def sort(batch: Batch, found: Found, shown: Shown, known: Collection[str], since: datetime) -> Sorted:
    """What came of an intent, and what may have.

    known: remote ids that are on record, as ours or as somebody else's. since: nothing older came of it.
    A candidate is no doubt where the remote shows what would tell: another file, or labels on all that is ours.
    """
    ours = tuple(seen for seen in found.ours if seen.remote_id not in batch.refused)
    if ours:
        return Sorted(ours)
    doubtful = (
        seen
        for seen in found.candidates
        if seen.remote_id not in known
        and not seen.is_refusal
        and (seen.created_at is None or seen.created_at >= since)
        and is_nameless(seen, shown)
    )
    return Sorted(doubtful=tuple(doubtful))


def is_nameless(seen: Observed, shown: Shown) -> bool:
    """Whether nothing that a batch shows, of what this remote is known to show, says that it is not ours."""
    return is_unread(seen, shown) and (not seen.input_ref or shown.upload is False)


def is_unread(seen: Observed, shown: Shown) -> bool:
    """Whether neither a label nor the name of its input file says whose a batch is."""
    return not shown.label and not any(name.startswith("runner_") for name in seen.label)


def doubtful(
    listed: Iterable[Observed], shown: Shown, known: Collection[str], accounted: Accounted | None, slack: timedelta
) -> tuple[str, ...]:
    """Remote ids of listed batches that may be ours, and that this memory knows nothing of.

    A memory may be gone, or older than what was sent since, as one from a backup is; and another clone may have sent
    something. So what counts is not whether anything is remembered, but whether something is there that says nothing of
    whose it is and was made since all that was there was accounted for.

    known: remote ids on record. accounted: the last list in which nothing was in doubt; None: there was none, and all
    counts. slack: what is listed so late, or dated so wrongly, is still met.
    """
    since = accounted.until - slack if accounted else None
    before = accounted.nameless if accounted else ()
    return tuple(
        seen.remote_id
        for seen in listed
        if is_unread(seen, shown)
        and not seen.is_refusal  # it holds nothing
        and seen.remote_id not in known
        and seen.remote_id not in before
        and (since is None or seen.created_at is None or seen.created_at >= since)
    )


def accounting(listed: Sequence[Observed], shown: Shown, accounted: Accounted | None, slack: timedelta) -> Accounted:
    """What is kept of a list in which nothing is in doubt."""
    # From now on, only what is made later can be in doubt: that is what the time is for. Near that time two clocks
    # disagree, and a batch may be listed late, so the nameless ones of the last stretch are kept by their ids: seen
    # again they are old acquaintances, and one that is not among them is new, whatever its date says.
    before = accounted or Accounted(_LONG_AGO)
    until = max([before.until, *(seen.created_at for seen in listed if seen.created_at)])
    young = {
        seen.remote_id
        for seen in listed
        if is_unread(seen, shown) and (seen.created_at is None or seen.created_at >= until - slack)
    }
    if until == before.until:  # a list that lags behind may show less than the one before
        young.update(before.nameless)
    return Accounted(until, tuple(sorted(young)))


def accounted_for(project: ProjectRecord | None, batches: Iterable[Batch], origin: Origin) -> Accounted | None:
    """The last list of a remote in which nothing was in doubt.

    A state of an earlier release does not say: then it is taken to have known of all when it last sent or searched.
    """
    if project is None:
        return None
    if found := project.accounted.get(str(origin)):
        return found
    sent = [batch.intent_at for batch in batches if batch.origin == origin and not batch.is_read_back]
    if not sent:
        return None
    return Accounted(max([*sent, *filter(None, [project.searched_at.get(str(origin))])]))


def search_of(declared: Search, shown: Shown) -> Search:
    """How a remote can really be searched: as its profile says, or less, as it was seen to be."""
    # A profile that promises too much is paid for: where a search cannot find what is there, "not found" frees the rows
    # and they are asked again. So a promise counts until a batch of ours is seen without what was promised. An id that
    # we chose needs no such proof: a create under it answers that it is taken.
    if declared in (Search.BY_NAME, Search.NONE):
        return declared
    if shown.lists is False:
        return Search.NONE
    if declared is Search.BY_RESULTS or (declared is Search.BY_LABEL and shown.label is not False):
        return declared
    return Search.NONE if shown.upload is False else Search.BY_UPLOAD


def note_of(provider: str, declared: Search, shown: Shown) -> str:
    """What a user is told of a remote that cannot be searched as its profile says; empty where it can."""
    search = search_of(declared, shown)
    if search is declared:
        return ""
    if search is Search.BY_UPLOAD:
        return f"`{provider}` does not show our label on its batches: they are recognised by their input files"
    why = "refuses to list its batches" if shown.lists is False else "shows neither our label nor the input file"
    return f"`{provider}` {why}: a create without an answer waits for a person there"


def learned_of_receipt(shown: Shown, batch: Batch, seen: Observed) -> Shown:
    """What the answer to a create shows, as long as no list said more. Lists are what is searched."""
    label, upload = _shows(batch, seen)
    return msgspec.structs.replace(
        shown,
        label=label if shown.label is None else shown.label,
        upload=upload if shown.upload is None else shown.upload,
    )


def learned_of_list(shown: Shown, ours: Iterable[tuple[Batch, Observed]]) -> Shown:
    """What a list shows of batches that are on record with their receipts; one that shows less counts."""
    labels, uploads = [], []
    for batch, seen in ours:
        label, upload = _shows(batch, seen)
        labels.append(label)
        uploads += [] if upload is None else [upload]
    return msgspec.structs.replace(
        shown,
        lists=True,
        label=all(labels) if labels else shown.label,
        upload=all(uploads) if uploads else shown.upload,
    )


def _shows(batch: Batch, seen: Observed) -> tuple[bool, bool | None]:
    """Whether a batch of ours shows its label, and its upload (None where it has none of its own)."""
    label = "runner_set" in seen.label
    return label, seen.input_ref == batch.upload_ref if batch.upload_ref else None
