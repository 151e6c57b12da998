"""Audio jobs in the server's database, results beside them. A job that was acknowledged survives a power cut."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from runner.server.audio.records import AudioOutcome, StoredAudioJob
from runner.server.world import World

_JOB = msgspec.json.Decoder(StoredAudioJob)
_encode = msgspec.json.Encoder().encode


class AudioJobStore:
    """Every method is one transaction."""

    def __init__(self, world: World) -> None:
        self._world = world

    def add(self, job: StoredAudioJob) -> None:
        with self._world.transaction() as db:
            db.execute(
                "INSERT INTO audio_jobs (id, owner, model, ended, record) VALUES (?,?,?,0,?)",
                (job.id, job.owner, job.wish.model, _encode(job)),
            )

    def get(self, owner: str, job_id: str) -> tuple[StoredAudioJob, str | None] | None:
        """A job of this owner and its body."""
        found = self._world.query("SELECT record, body FROM audio_jobs WHERE id=? AND owner=?", job_id, owner)
        if not found:
            return None
        record, body = found[0]
        return _JOB.decode(record), body if body is None else str(body)

    def waiting_models(self) -> list[str]:
        """The models that jobs wait for."""
        # named, so that ended jobs are not read, whatever SQLite would choose: this is asked fifty times a second
        found = self._world.query("SELECT DISTINCT model FROM audio_jobs INDEXED BY audio_jobs_active WHERE ended=0")
        return [str(model) for (model,) in found]

    def waiting(self, model: str, after: int, limit: int) -> list[tuple[int, StoredAudioJob]]:
        """Jobs for `model` that have not ended, oldest first, numbered; those numbered up to `after` are left out."""
        found = self._world.query(
            "SELECT seq, record FROM audio_jobs WHERE ended=0 AND model=? AND seq>? ORDER BY seq LIMIT ?",
            model, after, limit,
        )  # fmt: skip
        return [(int(seq), _JOB.decode(record)) for seq, record in found]

    def waiting_ids(self) -> set[str]:
        """All of them: a recording that belongs to none is a leftover."""
        return {str(job_id) for (job_id,) in self._world.query("SELECT id FROM audio_jobs WHERE ended=0")}

    def end(self, ended: Iterable[tuple[StoredAudioJob, AudioOutcome]]) -> None:
        """Record how jobs ended. What a power cut takes is transcribed again, as long as the recording is there."""
        with self._world.transaction() as db:
            for job, outcome in ended:
                after = msgspec.structs.replace(
                    job, status=outcome.status, content_type=outcome.content_type, message=outcome.message
                )
                db.execute(
                    "UPDATE audio_jobs SET ended=1, record=?, body=? WHERE id=?", (_encode(after), outcome.body, job.id)
                )
