"""Jobs made by hand: a few rows, their requests and lines, behind the protocol that compiled jobs have."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

from runner.compile.compiled import Line, RowView, Wanted
from runner.errors import Mark
from runner.job.capabilities import Transport
from runner.job.pairs import FIRST, Orders
from runner.job.project import Chain, Dataset, Job, Model, Project, Prompt, ProviderBlock, Stragglers
from runner.job.wireid import custom_id_of
from tests.simulation.world import World

PROVIDER = "sim"
MODEL = "accounts/sim/models/m"
Row = tuple[str, str]  # the user's id, and the text that is asked


@cache
def digest_of(text: str) -> bytes:
    return hashlib.sha256(f"simulated {text}".encode()).digest()


@cache
def line_of(row: Row) -> bytes:
    custom_id = custom_id_of(row[0], digest_of(row[1])[:16])
    return b'{"custom_id":"%b","body":{"text":"%b"}}' % (custom_id.encode(), row[1].encode())


@cache
def view_of(row: Row) -> RowView:
    return RowView(row[0], b'{"text":"%b"}' % row[1].encode(), digest_of(row[1]))


@dataclass(slots=True)
class JobSpec:
    """What a user declares."""

    address: str
    rows: list[Row]
    output: str
    window_hours: int = 24
    file: str = "specs/a.yaml"
    after: tuple[str, ...] = ()  # addresses of the job, or the two, whose answers its rows are
    stragglers: Stragglers | None = None
    transport: Transport = Transport.BATCH
    on_unknown: str = ""
    needs: tuple[str, ...] = ()  # addresses of jobs that have to be settled before anything of this one is sent

    def row_keys(self) -> list[bytes]:
        return [digest_of(text)[:16] for _, text in self.rows]


class CompiledRows:
    """Implements `compile.compiled.Compiled`."""

    bad = 0
    notes = ()

    def __init__(self, rows: list[Row], world: World) -> None:
        self._rows = list(rows)
        self._world = world
        keys = b"".join([digest_of(text)[:16] for _, text in rows])
        self.wanted = Wanted(keys, array("I", [len(line_of(row)) for row in rows]), 10 * len(rows))

    def made_of(self) -> str:
        return str(self._rows)

    def rows(self) -> Iterator[RowView]:
        return map(view_of, self._rows)

    def lines(self, ordinals: Iterable[int]) -> Iterator[Line]:
        for ordinal in ordinals:
            row = self._rows[ordinal]
            yield Line(digest_of(row[1])[:16], line_of(row))

    def write_lines(self, ordinals: Iterable[int], out: IO[bytes]) -> int:
        written = 0
        for line in self.lines(ordinals):
            written += out.write(line.data + b"\n")
        self._world.boundary("while it renders")
        return written


def _chain_of(spec: JobSpec) -> Chain | None:
    if len(spec.after) == 2:
        return Chain(spec.after, FIRST, orders=Orders.BOTH)
    return Chain(spec.after) if spec.after else None


def project_of(name: str, specs: Iterable[JobSpec], root: Path, max_attempts: int) -> Project:
    """A checked project with these jobs."""
    model = Model("m", PROVIDER, MODEL, params={"max_tokens": 8})
    jobs = [
        Job(
            address=spec.address,
            name=spec.address,
            cell={},
            dataset=Dataset("d", (), chain=_chain_of(spec)),
            prompt=Prompt("p", ()),
            model=model,
            window_hours=spec.window_hours,
            output=spec.output,
            max_attempts=max_attempts,
            needs=spec.needs,
            stragglers=spec.stragglers,
            transport=spec.transport,
            on_unknown=spec.on_unknown,
            mark=Mark(spec.file, 1, 1),
        )
        for spec in sorted(specs, key=lambda spec: spec.address)
    ]
    providers = {PROVIDER: ProviderBlock(PROVIDER, "openai")}
    return Project(name, root, tuple(jobs), providers, ("specs/a.yaml",))
