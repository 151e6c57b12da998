"""Batches that were adopted with fewer requests than they hold: looked into again before anything is sent.

Where the input of a batch cannot be read, its results say what it holds. A cache may hold such a file cut for longer
than anybody waits, and have all of it later: what it names then was paid for, and is not to be sent.
"""

from __future__ import annotations

from msgspec.structs import replace

from runner.apply import named
from runner.apply.session import Session
from runner.errors import NotFound
from runner.job import lifecycle
from runner.job.observed import Origin
from runner.job.packed import common, union, without
from runner.job.recorded import Batch, Stage
from runner.remotes.vendor import Provider


def let_go(session: Session, provider: Provider, wanted: bytes) -> bool:
    """Drop the record of each whose results name more by now, of what is wanted; whether there was one.

    It is to be met anew by a search that reads the whole list: until one did, its requests stand among what was left.
    Raises RemoteError where nobody can tell now.
    """
    has_any = False
    for batch in session.records.batches() if wanted else ():
        if not _may_hold_more(batch, provider.origin):
            continue
        try:
            seen = provider.look(batch.remote_id)
        except NotFound:
            continue
        if not seen.phase.has_ended:
            continue
        known = session.objects.read(f"{batch.key}/keys", batch.keys_sha256)
        keys = union([known, named.by_results(session, provider, seen) or b""])
        if not common(wanted, without(keys, known)):
            continue
        project, origin = session.records.project(), str(provider.origin)
        assert project is not None
        left = {*project.left.get(origin, ()), session.objects.write_set(keys)}
        there = lifecycle.found_again(batch, seen, session.time_at(provider)).but(remote_id="")
        session.records.save(  # both at once: a command that dies here leaves it to the next search
            lifecycle.dropped(there, f"`{seen.remote_id}` holds more than it was adopted with"),
            replace(project, left={**project.left, origin: sorted(left)}),
        )
        has_any = True
    return has_any


def _may_hold_more(batch: Batch, origin: Origin) -> bool:
    """Whether its results alone said what it holds, and its remote counts more."""
    is_known_by_results = batch.is_adopted and not batch.size_bytes and not batch.continued_from
    is_here = batch.stage is Stage.COLLECTED and batch.origin == origin
    return is_here and is_known_by_results and named.held_by(lifecycle.as_recorded(batch)) > batch.rows
