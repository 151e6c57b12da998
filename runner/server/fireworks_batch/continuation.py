"""Jobs that continue others: which may be continued, and which rows their whole lineage has left unanswered.

That only unfinished and failed rows are processed is documented; from which states, and how lineage is walked, is our
choice: every end, and by `continuedFromJobName` up to the first job that is gone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import BinaryIO

import msgspec

from runner.server.endpoint import ApiCall
from runner.server.fireworks_batch import names
from runner.server.fireworks_batch.dialect import NAME
from runner.server.fireworks_batch.errors import not_found, wrong_state
from runner.server.fireworks_batch.records import RESULTS, StoredDataset
from runner.server.fireworks_batch.store import DatasetStore
from runner.server.records import BatchState, StoredBatch
from runner.server.world import World


class _Named(msgspec.Struct):
    custom_id: str


_named = msgspec.json.Decoder(_Named)


def find_job(world: World, owner: str, account: str, job_id: str) -> StoredBatch | None:
    job = world.batch(owner, names.batch_id(owner, account, job_id))
    return job if job is not None and job.dialect == NAME else None


def lineage(world: World, owner: str, account: str, job_id: str) -> Iterator[StoredBatch]:
    """A job and those it continued, youngest first."""
    # a job that is gone ends the walk: what it and those before it answered cannot be known any more
    while job_id:
        job = find_job(world, owner, account, job_id)
        if job is None:
            return
        yield job
        job_id = job.spec["parent"]


def parent_of(call: ApiCall, name: str) -> StoredBatch:
    """The job to be continued. Raises ApiError 404 where it is gone, 400 while it is active."""
    account = call.path_params["account"]
    job_id = names.id_in(name, account, names.JOBS, "continued_from_job_name")
    parent = find_job(call.site.world, call.owner, account, job_id)
    if parent is None:
        raise not_found()
    if not parent.state.has_ended:
        raise wrong_state(f"batch inference job {job_id} is still active and cannot be continued")
    if parent.state is BatchState.COMPLETED and parent.failed == 0:
        raise wrong_state(f"batch inference job {job_id} has no unfinished or failed requests")
    return parent


# A continuation asks what no job of its lineage has answered. Successes are read out of their output datasets, not out
# of the table of rows: a job that has ended has none there any more. Failed rows are in no such file, so they are asked
# again by themselves; so are those of a dataset that its owner has deleted.
def keeps(call: ApiCall, datasets: DatasetStore, parent: StoredBatch) -> Callable[[bytes], bool]:
    """Whether an input row is still without a success in the parent and all that it continued."""
    done: set[bytes] = set()
    for job in lineage(call.site.world, call.owner, parent.spec["account"], parent.spec["job"]):
        output = datasets.get(call.owner, job.spec["account"], job.spec["output"])
        if output is not None and output.is_stored and RESULTS in output.files:
            done.update(_answered(call, output))

    def is_left(line: bytes) -> bool:
        try:
            return _key(_named.decode(line).custom_id) not in done
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):  # for validation to find again
            return True

    return is_left


def _answered(call: ApiCall, output: StoredDataset) -> Iterator[bytes]:
    with call.site.home.content(output.files[RESULTS]).open("rb") as lines:
        for line in lines:
            yield _key(_named.decode(line).custom_id)


def copy_rows(source: BinaryIO, out: BinaryIO, is_wanted: Callable[[bytes], bool]) -> int:
    """Copy the wanted rows; how many they were."""
    count = 0
    for line in source:
        if is_wanted(line):
            out.write(line if line.endswith(b"\n") else line + b"\n")
            count += 1
    return count


# A digest for each row of a whole lineage is held in memory: 16 bytes each, however long clients make their ids.
def _key(custom_id: str) -> bytes:
    return hashlib.blake2b(custom_id.encode("utf-8", "surrogatepass"), digest_size=16).digest()
