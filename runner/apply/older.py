"""The older text of requests: rendered again from what is here, or read from what the remote still holds.

Whatever is rendered is looked at by its digest: only what is on record as sent is called asked.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from runner.apply.answers import spec_of
from runner.apply.asked import Before
from runner.apply.session import Session
from runner.compile.audio import CompiledAudio
from runner.compile.compile import picked
from runner.compile.compiled import Line
from runner.data.inlined import InlinedFiles
from runner.errors import RunnerError
from runner.job.outcomes import ENTRY_BYTES
from runner.job.packed import restricted
from runner.job.project import AudioJob, Job
from runner.job.wireid import KEY_CHARACTERS, custom_id_of, key_of
from runner.mending import NOT_SO
from runner.plan.compared import RECORDED
from runner.plan.plan import Recorded
from runner.results.reread import holds_rows, merged_in

_MOST_INPUTS = 3  # of a job, that are fetched to be read
_MOST_BYTES = 64 << 20  # of one of them
_ROWS = "rows.jsonl"


class OlderLine(NamedTuple):
    line: Line
    since: str  # `RECORDED`: it was asked, as its digest proves; else what says so


class Older:
    """Looks for older requests. asks_remotes: inputs of batches may be fetched where nothing else tells."""

    def __init__(self, session: Session, recorded: Recorded, *, asks_remotes: bool) -> None:
        self._session, self._recorded, self._asks_remotes = session, recorded, asks_remotes
        self._absent: dict[str, set[str]] = {}  # by address, rows that its results file, which has all, does not have

    def is_new(self, address: str, custom_id: str) -> bool:
        """Whether a row that `of` was asked about is known not to be among those that were asked."""
        going = (entry.batch for entry in self._recorded.batches if entry.batch.is_active)
        return custom_id in self._absent.get(address, ()) and not any(batch.owner == address for batch in going)

    def was_asked(self, key: bytes) -> bool:
        """Whether a request is on record as sent."""
        batches, left = self._recorded.batches, self._recorded.left
        if any(entry.index and restricted(entry.index, key, ENTRY_BYTES) for entry in batches):
            return True
        if any(restricted(one.keys, key) for one in left):
            return True
        return any(restricted(entry.keys, key) for entry in batches)

    def of(
        self, address: str, before: Before | None, ids: Sequence[str], ordinals: Sequence[int]
    ) -> dict[str, OlderLine]:
        """By id, the older requests of some rows of a job, ascending, as far as they can be had."""
        found: dict[str, OlderLine] = {}
        for lines in self._attempts(address, before, ids, ordinals):
            for custom_id, line in lines.items():
                if custom_id not in ids or (custom_id in found and found[custom_id].since == RECORDED):
                    continue
                if self.was_asked(line.key):
                    found[custom_id] = OlderLine(line, RECORDED)
                elif before is not None and before.since != RECORDED:
                    found.setdefault(custom_id, OlderLine(line, before.since))
            if all(custom_id in found and found[custom_id].since == RECORDED for custom_id in ids):
                break
        return found

    def _attempts(
        self, address: str, before: Before | None, ids: Sequence[str], ordinals: Sequence[int]
    ) -> Iterator[Mapping[str, Line]]:
        """From the cheapest to the dearest; what cannot be read says nothing."""
        if before is not None:
            with suppress(RunnerError, OSError):
                yield self._rendered(address, before, ids, ordinals)
            with suppress(RunnerError, OSError):
                yield self._over_results(address, before, ids)
        if self._asks_remotes:
            yield from self._inputs(address, ids)

    def _rendered(
        self, address: str, before: Before, ids: Sequence[str], ordinals: Sequence[int]
    ) -> Mapping[str, Line]:
        """What the job asked of its rows, as they lie where it was declared."""
        if isinstance(before.job, AudioJob):
            compiled = self._session.compiled[address]
            lines = compiled.lines_as(before.job, ordinals) if isinstance(compiled, CompiledAudio) else ()
            return dict(zip(ids, lines, strict=False))
        if before.lines is None:
            return {}
        return picked(before.job, before.root, before.lines, ids, _files_of(before))

    def _over_results(self, address: str, before: Before, ids: Sequence[str]) -> Mapping[str, Line]:
        """The same over the rows that the results file holds: they are those that were answered."""
        job = before.job
        output = self._session.output_file(spec_of(self._session, address).output)
        if not isinstance(job, Job) or before.lines is None or not holds_rows(output):
            return {}
        wanted = set(ids)
        rows = {line.custom_id: line.row for line in merged_in(output) if line.custom_id in wanted}
        self._absent.setdefault(address, set()).update(wanted - rows.keys())
        if not rows:
            return {}
        with tempfile.TemporaryDirectory(prefix="runner-rows-") as folder:
            Path(folder, _ROWS).write_bytes(b"".join(row + b"\n" for row in rows.values()))
            data = replace(
                job.dataset, files=(_ROWS,), where=None, sample_rows=None, delimiter=None, skip_bad=False, chain=None
            )
            names = list(rows) if job.dataset.id is not None else [f"row-{n}" for n in range(1, len(rows) + 1)]
            lines = picked(replace(job, dataset=data), Path(folder), before.lines, names, _files_of(before))
        return {custom_id: lines[name] for custom_id, name in zip(rows, names, strict=True) if name in lines}

    def _inputs(self, address: str, ids: Sequence[str]) -> Iterator[Mapping[str, Line]]:
        """What the inputs of the job's batches hold, as their remote still has them, the newest first."""
        session = self._session
        job = next(job for job in session.desired if job.address == address)
        mine = [entry.batch for entry in self._recorded.batches if entry.batch.owner == address]
        batches = [b for b in reversed(mine) if b.remote_id and b.size_bytes <= _MOST_BYTES and not b.has_journal]
        remote_ids = [batch.remote_id for batch in batches] + sorted(session.left_alone)
        for remote_id in dict.fromkeys(remote_ids[:_MOST_INPUTS]):
            path = session.memory.scratch / f"older-{_name_of(remote_id)}"
            try:
                provider = session.remotes.open(job.provider, job.card.content)
                provider.download_input(provider.look(remote_id), path)
                yield self._in_input(path, job.provider, ids)
            except (RunnerError, OSError):
                continue  # it is gone, or nobody may read it
            finally:
                path.unlink(missing_ok=True)

    def _in_input(self, path: Path, provider: str, ids: Sequence[str]) -> dict[str, Line]:
        reader = self._session.remotes.reader(provider)
        readable = {custom_id_of(custom_id, bytes(16))[: -KEY_CHARACTERS - 1]: custom_id for custom_id in ids}
        found = {}
        with path.open("rb") as lines:
            for line in lines:
                try:
                    name = reader.parts(line)[0]
                except NOT_SO:
                    continue
                key = key_of(name)
                if key is not None and (custom_id := readable.get(name[: -KEY_CHARACTERS - 1])):
                    found[custom_id] = Line(key, line.rstrip(b"\n"))
        return found


def _files_of(before: Before) -> InlinedFiles:
    return before.files or InlinedFiles(before.root)


def _name_of(remote_id: str) -> str:
    """A name of a file for what a remote calls anything."""
    return f"{hashlib.sha256(remote_id.encode()).hexdigest()[:16]}.jsonl"
