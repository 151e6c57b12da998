"""The compile of jobs that ask about the answers of others, made by hand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from runner.job.project import Job, Project
from tests.simulation.author import Author
from tests.simulation.rows import CompiledRows, Row
from tests.simulation.world import World


@dataclass(slots=True)
class SimulatedCompiler:
    """Stands for `apply.desire.Compiler`: its rows are made by hand, of answers as the product wrote them."""

    folder: Path
    author: Author
    world: World

    def place(self, name: str) -> Path:
        return self.folder / name

    def compiled(self, job: Job, project: Project) -> CompiledRows:
        lines = Path(job.dataset.files[0]).read_bytes().splitlines()
        rows = [about(row["custom_id"], *_shown(row)) for row in map(msgspec.json.decode, lines)]
        next(spec for spec in self.author.specs if spec.address == job.address).rows = rows
        self.world.note("runner", f"{job.address} asks about {len(rows)} answers")
        return CompiledRows(rows, self.world)


def _shown(row: dict[str, str]) -> list[str]:
    """The answers that a row asks about."""
    return [row["first"], row["second"]] if "first" in row else [row["answer"]]


def about(custom_id: str, *answers: str) -> Row:
    """The row that asks about an answer, or about two in this order."""
    return custom_id, f"about {' or '.join(answers)}"
