"""Batches that were adopted with fewer requests than they hold: looked into again before anything is sent.

Where the input of a batch cannot be read, its results say what it holds. A cache may hold such a file cut for longer
than anybody waits, and have all of it later: what it names then was paid for, and is not to be sent.
"""

from __future__ import annotations

from collections.abc import Iterator

from runner.apply import named, wants
from runner.apply.session import Session
from runner.errors import NotFound
from runner.job import lifecycle
from runner.job.observed import Observed, Origin
from runner.job.packed import common, union, without
from runner.job.recorded import Batch, Stage
from runner.remotes.vendor import Provider


def that_say_more(session: Session, provider: Provider) -> Iterator[tuple[Batch, Observed, bytes]]:
    """Each whose results name more by now of what is wanted, as it is shown, and all the requests that are known of it.

    Raises RemoteError where nobody can tell now.
    """
    mine = [batch for batch in session.records.batches() if _may_hold_more(batch, provider.origin)]
    wanted = wants.unsettled(session)[0] if mine else b""
    for batch in mine if wanted else ():
        try:
            seen = provider.look(batch.remote_id)
        except NotFound:
            continue
        if not seen.phase.has_ended:
            continue
        known = session.objects.read(f"{batch.key}/keys", batch.keys_sha256)
        keys = union([known, named.by_results(session, provider, seen) or b""])
        if common(wanted, without(keys, known)):
            yield batch, seen, keys


def _may_hold_more(batch: Batch, origin: Origin) -> bool:
    """Whether its results alone said what it holds, and its remote counts more."""
    is_known_by_results = batch.is_adopted and not batch.size_bytes and not batch.continued_from
    is_here = batch.stage is Stage.COLLECTED and batch.origin == origin
    return is_here and is_known_by_results and named.held_by(lifecycle.as_recorded(batch)) > batch.rows
