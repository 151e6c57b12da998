"""From a checked project to what is wanted: every job compiled, or its compiled shard read back."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace as replace_in
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from runner.apply.remotes import Remotes
from runner.apply.tables import Steps, picks_of, problems_in
from runner.compile.audio import CompiledAudio, compile_audio
from runner.compile.budget import RowBudget
from runner.compile.compile import compile_job
from runner.compile.faults import RowsFailed
from runner.compile.job import CompiledJob, load
from runner.compile.render import check_templates
from runner.compile.shard import DigestOf, before_of, identity_of
from runner.compile.spool import Spool
from runner.data.contents import Contents, FileMemo
from runner.data.digests import Digests
from runner.errors import Mark, Problem, SpecError
from runner.files import sha256_of
from runner.job.capabilities import MESSAGE_CHARS, Capabilities, Content, Transport
from runner.job.desired import Desired
from runner.job.params import certain_params
from runner.job.project import ENDPOINTS, AnyJob, AudioJob, Evals, Job, Project, Then
from runner.remotes import registry
from runner.remotes.registry import priced

if TYPE_CHECKING:
    from runner.data.inlined import InlinedFiles

AnyCompiled = CompiledJob | CompiledAudio
_LONGEST = ("max_completion_tokens", "max_tokens", "max_output_tokens")  # what bounds an answer, by any endpoint


def compile_all(
    project: Project,
    remotes: Remotes,
    memo: Path,
    *,
    keeps: bool,
    digests: Digests | None = None,
    steps: Steps = picks_of,
    spool: Spool | None = None,
) -> dict[str, AnyCompiled]:
    """Every job of files compiled, by address, in sort order. Those that ask about the answers of others: see `chains`.

    memo: folder of compiled shards, and of what recordings hold; what did not change is read, not compiled.
    keeps: whether what is new is written there. digests: of files, where they are remembered. spool: for the lines of
    jobs whose requests are all new.
    Raises SpecError with all template and window problems, DataError for a row or for recordings.
    """
    # What can be found without rows is said together, before any is read: a dataset may take minutes
    digest_of = digests.of if digests else sha256_of
    problems = check_extras(project) + check_windows(project, remotes.card)
    row_jobs = [job for job in project.jobs if isinstance(job, Job) and job.chain is None]
    shards = {job.address: _shard(memo, job, remotes) for job in row_jobs}
    files = files_of(row_jobs, project.root, memo)
    read = {} if problems else _read_back(row_jobs, project, remotes, shards, digest_of, files)
    compiled: dict[str, AnyCompiled] = {**read}
    missing = [job for job in row_jobs if job.address not in compiled]
    if missing or len(row_jobs) < len(project.jobs):
        problems += check_templates(project)
    problems += _problems_in_evals(project, memo, keeps=keeps)
    if problems:
        raise SpecError(list(dict.fromkeys(problems)))
    budget = RowBudget()
    for job in missing:
        shard = shards[job.address]
        # Of a job that was compiled before, mostly a few rows were edited: only these are sent, and rendered again
        lines = spool if not shard.exists() else None
        compiled[job.address] = _compiled(
            job, project, remotes, shard, budget, digest_of, files, keeps=keeps, spool=lines
        )
    if files is not None and keeps:
        files.save()
    compiled.update(_recordings(project, memo, keeps=keeps))
    jobs = {job.address: job for job in project.jobs}
    if problems := [
        one
        for address, of_job in compiled.items()
        for one in problems_in(jobs[address], of_job.rows, steps(jobs[address]))
    ]:
        raise SpecError(list(dict.fromkeys(problems)))
    return {address: compiled[address] for address in sorted(compiled)}


def _problems_in_evals(project: Project, memo: Path, *, keeps: bool) -> list[Problem]:
    # most projects hold their answers to nothing, and what does brings patterns and tables with it
    if not any(
        job.evals != Evals() or (isinstance(job, Job) and job.prompt.answer is not None) for job in project.jobs
    ):
        return []
    from runner.apply.checkable import new_problems

    return new_problems(project, memo, keeps=keeps)


class Compiler(msgspec.Struct, frozen=True):
    """Compiles jobs whose rows are answers. `folder` holds these rows, `known` those that earlier commands left."""

    folder: Path
    known: Path
    remotes: Remotes
    keeps: bool
    digests: Digests
    steps: Steps = picks_of

    def compiled(self, job: Job, project: Project) -> CompiledJob:
        """Raises as `compile_all` does."""
        lines, digest_of = self.remotes.lines(job.model.provider), self.digests.of
        identity = _shard(Path(), job, self.remotes).name
        shard = self.place(f"{Path(job.dataset.files[0]).stem}.{identity}")
        files = files_of([job], project.root, self.folder)
        found = load(shard, job, project.root, lines, digest_of, files) if shard.is_file() else None
        try:
            found = found or _compiled(
                job, project, self.remotes, shard, RowBudget(), digest_of, files, keeps=self.keeps
            )
        except RowsFailed as error:
            raise _of_answers(error, job) from error
        if files is not None and self.keeps:
            files.save()
        if len(found.wanted) and (problems := problems_in(job, found.rows, self.steps(job))):
            raise SpecError(list(dict.fromkeys(problems)))
        return found

    def place(self, name: str) -> Path:
        """Where a file of that name is, or is to be written."""
        known = self.known / name
        return known if known.is_file() else self.folder / name


def _of_answers(error: RowsFailed, job: Job) -> RowsFailed:
    """The same by the jobs that answered."""
    assert job.chain is not None, "its rows are answers"
    source = job.chain.source
    problems = [replace_in(problem, mark=Mark(source, problem.mark.line)) for problem in error.problems]
    return RowsFailed(tuple(problems), error.count, job.dataset.key, offers=not job.dataset.skip_bad)


def _compiled(
    job: Job,
    project: Project,
    remotes: Remotes,
    shard: Path,
    budget: RowBudget,
    digest_of: DigestOf,
    files: InlinedFiles | None,
    *,
    keeps: bool,
    spool: Spool | None = None,
) -> CompiledJob:
    lines = remotes.lines(job.model.provider)
    before = before_of(shard, job, lines)
    try:
        fresh = compile_job(job, project.root, lines, budget, digest_of, before, files, spool)
    finally:
        if before is not None:
            before.packed.rest.close()
    if keeps:
        shard.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh.save(shard)
    return fresh


def files_of(jobs: Iterable[Job], root: Path, memo: Path) -> InlinedFiles | None:
    """The files that requests of these jobs are made of, with what is remembered of them; None where there are none."""
    if not any(job.prompt.inlines_files for job in jobs):
        return None
    from runner.data.inlined import InlinedFiles  # few jobs send files

    return InlinedFiles(root, FileMemo(memo / "inlined"))


def _recordings(project: Project, memo: Path, *, keeps: bool) -> dict[str, CompiledAudio]:
    """Every job of recordings compiled. Files are opened once for all jobs, and then remembered by their stat."""
    jobs = [job for job in project.jobs if isinstance(job, AudioJob)]
    if not jobs:
        return {}
    contents = FileMemo(memo / "recordings")
    hashes = Contents(project.root, contents)
    found = {}
    try:
        for job in jobs:
            limits = registry.card_of(project.providers[job.model.provider], Content.RECORDING).limits
            found[job.address] = compile_audio(job, project.root, hashes, limits.line_bytes)
        return found
    finally:
        if keeps:
            contents.save()


def _shard(memo: Path, job: Job, remotes: Remotes) -> Path:
    lines = remotes.lines(job.model.provider)
    read = tuple(Path(file).name for file in job.dataset.files) if job.chain else job.dataset.files
    identity = f"{identity_of(job, lines)} {lines.name} {read}"
    if job.message_chars != MESSAGE_CHARS:  # what compiles under one limit may not under another
        identity += f" {job.message_chars}"
    if job.prompt.inlines_files:
        identity += f" {job.part_limits}"
    return memo / hashlib.sha256(identity.encode()).hexdigest()[:32]


def _read_back(
    jobs: Sequence[Job],
    project: Project,
    remotes: Remotes,
    shards: Mapping[str, Path],
    digest_of: DigestOf,
    files: InlinedFiles | None,
) -> dict[str, CompiledJob]:
    found = {}
    for job in jobs:
        shard = shards[job.address]
        lines = remotes.lines(job.model.provider)
        compiled = load(shard, job, project.root, lines, digest_of, files) if shard.is_file() else None
        if compiled is not None:
            found[job.address] = compiled
    return found


def check_extras(project: Project) -> list[Problem]:
    """Outputs that cannot be written here: it would show only after everything was paid for."""
    if find_spec("pyarrow") is not None:
        return []
    return [
        Problem(
            job.output_mark,
            f"`{job.output}` needs the pyarrow package",
            hint="run `pip install 'runner-batch[parquet]'`",
        )
        for job in project.jobs
        if job.output.endswith(".parquet")
    ]


def check_windows(project: Project, card_of: Callable[[str], Capabilities]) -> list[Problem]:
    """Windows and endpoints the provider's card does not know, at the place where they were written."""
    problems = []
    for job in project.jobs:
        card = _card(job, project, card_of)
        if not card.windows.accepts(job.window_hours):
            problems.append(
                Problem(
                    job.window_mark if job.window_mark.file else job.mark,
                    f"provider `{job.model.provider}` has no window of {job.window_hours}h",
                    hint=f"it offers {card.windows}",
                )
            )
        problems += [
            Problem(
                job.model.mark,
                f"provider `{job.model.provider}` has no {side.transport} endpoint `{job.model.endpoint}`",
                hint=f"it offers {', '.join(side.endpoints)}",
            )
            for side in filter(None, (card, _online(job, project)))
            if isinstance(job, Job) and job.model.endpoint not in side.endpoints
        ]
    return list(dict.fromkeys(problems))


def desire(project: Project, compiled: Mapping[str, AnyCompiled], remotes: Remotes) -> list[Desired]:
    """The compiled jobs as the planner reads them, sorted by address."""
    jobs = {job.address: job for job in project.jobs}
    return [desired_of(jobs[address], one, project, remotes) for address, one in sorted(compiled.items())]


def desired_of(job: AnyJob, compiled: AnyCompiled, project: Project, remotes: Remotes) -> Desired:
    """One compiled job as the planner reads it."""
    price = priced(project.providers[job.model.provider], job.model.name, job.model.price)
    refused = remotes.refusal(job.model.provider)
    common = Desired(
        address=job.address,
        declared_at=job.mark,
        provider=job.model.provider,
        origin=remotes.origin(job.model.provider),
        card=_card(job, project, remotes.card),
        model=job.model.name,
        endpoint=job.path if isinstance(job, AudioJob) else job.model.endpoint,
        window_hours=job.window_hours,
        output=job.output,
        keys=compiled.wanted.keys,
        distinct=compiled.wanted.distinct,
        sizes=compiled.wanted.sizes,
        tokens=compiled.wanted.tokens,
        untold=compiled.wanted.untold,
        max_attempts=job.max_attempts,
        on_unknown=job.on_unknown,
        stragglers=job.stragglers,
        online=_online(job, project),
        usd_per_million=(price.input, price.output) if price and price.per_minute is None else None,
        budget_usd=job.budget,
        protect=job.protect,
        evals=job.evals,
        needs=job.needs,
        after=job.chain.parents if job.chain else (),
        is_strict=job.strict_answers,
        retries_invalid=job.retries_invalid,
        bad=compiled.bad,
        barred=refused.why if refused else "",
        unbar=(refused.command,) if refused and refused.command else (),
    )
    if isinstance(job, AudioJob):
        options = {"endpoint_id": job.endpoint_id} if job.endpoint_id else {}
        return replace(
            common,
            params=dict(job.fields),
            options=options,
            seconds=compiled.seconds if isinstance(compiled, CompiledAudio) else None,
            usd_per_minute=price.per_minute if price else None,
        )
    params = certain_params(job)
    limit = next((params[name] for name in _LONGEST if name in params), compiled.wanted.longest_answer)
    return replace(
        common,
        params=params,
        options=job.model.options,
        system_prompt=_system_prompt(job) if common.card.knows_system_prompt else "",
        max_output_tokens=int(limit) if isinstance(limit, int | float) else None,
    )


def _card(job: AnyJob, project: Project, card_of: Callable[[str], Capabilities]) -> Capabilities:
    """What the remote can do with the requests of a job."""
    name = job.model.provider
    if job.content is Content.RECORDING or job.transport is not Transport.BATCH:
        return _side(job, project, job.transport)
    return card_of(name)


def _online(job: AnyJob, project: Project) -> Capabilities | None:
    """What the side can do that is asked what a batch leaves which took too long; None where none is."""
    asks_online = job.stragglers is not None and job.stragglers.then is Then.ONLINE
    return _side(job, project, Transport.ONLINE) if asks_online else None


def _side(job: AnyJob, project: Project, transport: Transport) -> Capabilities:
    """What one side of the provider of a job can do, at the price of the tier that its model asks for."""
    card = registry.card_of(project.providers[job.model.provider], job.content, transport)
    params = certain_params(job) if isinstance(job, Job) else job.model.params
    tier = card.tiers.get(str(params.get("service_tier")))
    return card if tier is None else replace(card, price_factor=tier)


def _system_prompt(job: Job) -> str:
    """The system message that every row of a job begins with, where it is the same text in all of them."""
    if job.model.endpoint != ENDPOINTS[0] or not job.prompt.messages:
        return ""
    from runner.compile.parse import static_text  # not needed by most plans

    first = job.prompt.messages[0]
    return (static_text(first.content) or "") if first.role == "system" and isinstance(first.content, str) else ""
