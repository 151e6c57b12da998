"""From a checked project to what is wanted: every job compiled, or its compiled shard read back."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from runner.apply.remotes import Remotes
from runner.compile.compile import compile_job
from runner.compile.job import CompiledJob, load
from runner.compile.render import check_templates
from runner.compile.shard import identity_of
from runner.errors import Problem, SpecError
from runner.job.desired import Desired
from runner.spec.project import Job, Project


def compile_all(project: Project, remotes: Remotes, memo: Path, *, keeps: bool) -> dict[str, CompiledJob]:
    """Every job compiled, by address, in sort order.

    memo: folder of compiled shards; a shard whose specs and files did not change is read, not compiled.
    keeps: whether new shards are written there.
    Raises SpecError with all template and window problems, DataError for a row.
    """
    problems = [*check_windows(project, remotes)]
    shards = {job.address: _shard(memo, job, remotes) for job in project.jobs}
    compiled = {} if problems else _read_back(project, remotes, shards)
    missing = [job for job in project.jobs if job.address not in compiled]
    if missing:
        problems += check_templates(project)
    if problems:
        raise SpecError(problems)
    for job in missing:
        fresh = compile_job(job, project.root, remotes.card(job.model.provider).line_format)
        compiled[job.address] = fresh
        if keeps:
            memo.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh.save(shards[job.address])
    return {address: compiled[address] for address in sorted(compiled)}


def _shard(memo: Path, job: Job, remotes: Remotes) -> Path:
    identity = f"{identity_of(job)} {remotes.card(job.model.provider).line_format.value} {job.dataset.files}"
    return memo / hashlib.sha256(identity.encode()).hexdigest()[:32]


def _read_back(project: Project, remotes: Remotes, shards: Mapping[str, Path]) -> dict[str, CompiledJob]:
    found = {}
    for job in project.jobs:
        shard = shards[job.address]
        if shard.is_file():
            line_format = remotes.card(job.model.provider).line_format
            if (compiled := load(shard, job, project.root, line_format)) is not None:
                found[job.address] = compiled
    return found


def check_windows(project: Project, remotes: Remotes) -> list[Problem]:
    """Windows and endpoints the provider's card does not know, at the place where they were written."""
    problems = []
    for job in project.jobs:
        card = remotes.card(job.model.provider)
        if not card.windows.accepts(job.window_hours):
            problems.append(
                Problem(
                    job.window_mark if job.window_mark.file else job.mark,
                    f"provider `{job.model.provider}` has no window of {job.window_hours}h",
                    hint=f"it offers {card.windows}",
                )
            )
        if job.model.endpoint not in card.endpoints:
            problems.append(
                Problem(
                    job.model.mark,
                    f"provider `{job.model.provider}` has no batch endpoint `{job.model.endpoint}`",
                    hint=f"it offers {', '.join(card.endpoints)}",
                )
            )
    return problems


def desire(project: Project, compiled: Mapping[str, CompiledJob], remotes: Remotes) -> list[Desired]:
    """The compiled jobs as the planner reads them, sorted by address."""
    jobs = {job.address: job for job in project.jobs}
    return [_desired(jobs[address], one, remotes) for address, one in sorted(compiled.items())]


def _desired(job: Job, compiled: CompiledJob, remotes: Remotes) -> Desired:
    wanted = compiled.wanted
    price = job.model.price
    limit = job.model.params.get("max_completion_tokens", job.model.params.get("max_tokens"))
    return Desired(
        address=job.address,
        declared_at=job.mark,
        provider=job.model.provider,
        origin=remotes.origin(job.model.provider),
        card=remotes.card(job.model.provider),
        model=job.model.name,
        endpoint=job.model.endpoint,
        window_hours=job.window_hours,
        output=job.output,
        keys=wanted.keys,
        sizes=wanted.sizes,
        tokens=wanted.tokens,
        max_attempts=job.max_attempts,
        max_output_tokens=int(limit) if isinstance(limit, int | float) else None,
        usd_per_million=(price.input, price.output) if price else None,
        budget_usd=job.budget,
        protect=job.protect,
        tags=job.tags,
    )
