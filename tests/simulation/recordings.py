"""Jobs of recordings made by hand: a few files that nobody has to read."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from runner.compile.audio import Asked, CompiledAudio
from runner.compile.compiled import RowView, Wanted
from runner.errors import DataError, Mark
from runner.job.calls import CallStep
from runner.job.project import AudioJob, Model, Project, ProviderBlock
from runner.job.wireid import custom_id_of
from runner.state.grouped import Item
from runner.state.journal import DiskJournal
from tests.simulation.rows import MODEL, PROVIDER, JobSpec, Row, digest_of
from tests.simulation.world import Crash, World

PATH = "/v1/audio/transcriptions"


@dataclass(slots=True)
class RecordingsSpec(JobSpec):
    """What a user declares."""

    on_unknown: str = "hold"

    def row_keys(self) -> list[bytes]:
        return [digest_of(text)[:16] for _, text in sorted(self.rows)]


class _File(NamedTuple):
    path: str


class SimulatedAudio(CompiledAudio):
    """A compiled job of recordings without a disk: each has a name, and a text for content."""

    def __init__(self, job: AudioJob, rows: Iterable[Row], world: World) -> None:
        self.job = job
        self.bad, self.notes = 0, ()
        self.root = Path()
        self._rows = sorted(rows)
        self._world = world
        keys = b"".join([digest_of(text)[:16] for _, text in self._rows])
        self.wanted = Wanted(keys, array("I", [1000] * len(self._rows)), 0)
        self.files = [_File(_path(row)) for row in self._rows]  # type: ignore[assignment]  # only names are asked for

    @property
    def seconds(self) -> array[float]:
        return array("f", [60.0] * len(self._rows))

    def made_of(self) -> str:
        return str(self._rows)

    def rows(self) -> Iterator[RowView]:
        for row in self._rows:
            yield RowView(_path(row), b'{"file":"%b","duration_s":60}' % _path(row).encode(), digest_of(row[1]))

    def recording(self, ordinal: int) -> Asked:
        row = self._rows[ordinal]
        if self._world.happens(self._world.fault_rate / 4):
            raise DataError("the recording changed since it was looked at", mark=Mark(_path(row)))
        digest = digest_of(row[1])
        custom_id = custom_id_of(_path(row), digest[:16])
        return Asked(
            digest[:16], custom_id, _path(row), Path(_path(row)), "audio.wav", 1000, digest, 60.0, PATH, "", self.form
        )


def _path(row: Row) -> str:
    return f"calls/{row[0]}.wav"


def project_of(
    name: str, specs: Iterable[RecordingsSpec], root: Path, max_attempts: int, profile: dict[str, float]
) -> Project:
    """A checked project with these jobs."""
    model = Model("m", PROVIDER, MODEL)
    jobs = [
        AudioJob(
            address=spec.address,
            name=spec.address,
            cell={},
            model=model,
            window_hours=24,
            output=spec.output,
            max_attempts=max_attempts,
            on_unknown=spec.on_unknown,
            mark=Mark(spec.file, 1, 1),
            patterns=("calls/*.wav",),
            path=PATH,
            fields=(("response_format", "json"),),
        )
        for spec in sorted(specs, key=lambda spec: spec.address)
    ]
    providers = {PROVIDER: ProviderBlock(PROVIDER, "fireworks-audio", overrides=profile)}
    return Project(name, root, tuple(jobs), providers, ("specs/a.yaml",))


class SimulatedJournal(DiskJournal):
    """A journal whose writer may die before, between, in the middle of, and after its writes."""

    def __init__(self, path: Path, raw: Path, rows: int, world: World) -> None:
        self._world = world
        self._file = path
        super().__init__(path, raw, rows)

    def _make_durable(self, group: list[Item]) -> None:
        world = self._world
        world.boundary("before a commit")
        super()._make_durable(group)
        for item in group:
            for entry in item.entries:
                world.note("journal", entry.ordinal, entry.step.name, entry.remote_id)
                if entry.step is CallStep.INTENT:
                    world.intents[self._file, entry.ordinal] = world.seconds
        world.boundary("after a commit")

    def _put(self, descriptor: int, data: bytes, at: int) -> None:
        if self._world.happens(self._world.crash_rate / 2):
            self._tear(descriptor, data, at)
        super()._put(descriptor, data, at)

    def _tear(self, descriptor: int, data: bytes, at: int) -> None:
        """Only a part of a write came to the disk; the file may be as long as if all of it had."""
        rng = self._world.rng
        kept = rng.randrange(len(data))
        os.pwrite(descriptor, data[:kept], at)
        if rng.random() < 0.5:
            os.ftruncate(descriptor, at + len(data))
        self._world.note("world", "crash in the middle of a commit", kept)
        raise Crash("in the middle of a commit")
