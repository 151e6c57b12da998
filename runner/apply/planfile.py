"""The file that `plan --out` writes and `apply` goes by: what was reviewed, and nothing else.

It holds which requests go where by their digests, what each job comes to, and the options of the plan: no row, no
prompt, no key. Whoever applies it compiles the specs anew and sends what is in both, so a forged file makes nothing
be sent that the specs do not ask for; all the same it is read as what a stranger wrote.
"""

from __future__ import annotations

import base64
import binascii
import math
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from runner import __version__
from runner.errors import BlockedError, RunnerError, UsageError, printable
from runner.files import whole
from runner.job.packed import KEY_BYTES, keys_of
from runner.job.project import Project
from runner.job.selection import ALL_JOBS, Selection
from runner.plan.guard import Guards
from runner.plan.places import Place
from runner.plan.review import Part, Review

KIND = "runner plan"
VERSION = 1
SUFFIX = ".json"
MOST_BYTES = 512 << 20  # of a file: 22 bytes a request
_MOST_USD = 1e15

N = TypeVar("N", int, float)


class SentBy(msgspec.Struct, frozen=True, kw_only=True):
    """What one job sends to one provider, model and window."""

    job: str
    provider: str
    host: str  # empty for the embedded server
    account: str = ""
    endpoint: str
    model: str
    window_hours: int
    options: str = ""  # of the model, for a batch as a whole, as JSON
    epoch: int = 0  # of answered requests that are asked again: the number of the decision to do so
    rows: int
    usd: float | None  # at most; null: not known
    keys: str  # the first 16 bytes of each request digest, sorted, in base64


class Allowed(msgspec.Struct, frozen=True, kw_only=True):
    """The options the plan was made with."""

    max_usd: float | None = None
    max_requests: int | None = None
    max_tokens: int | None = None
    confirm_repay: tuple[str, ...] = ()
    first_run: bool = False
    sample: int | None = None
    select: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


class PlanFile(msgspec.Struct, frozen=True, kw_only=True):
    """A plan to be reviewed and applied."""

    kind: str
    version: int
    runner: str  # the release that wrote it
    project: str
    digest: str
    environment: str = ""  # empty for the specs as they stand
    vars: dict[str, str] = {}  # all of them, as they were
    paths: tuple[str, ...]  # of the specs, from the project root
    options: Allowed
    requests: int
    usd: float | None  # at most; null: not known
    sends: tuple[SentBy, ...]

    @property
    def review(self) -> Review:
        return Review(self.project, tuple(map(_part, self.sends)))

    @property
    def selection(self) -> Selection:
        return Selection(self.options.select, self.options.exclude)

    def narrowed(self, guards: Guards) -> Guards:
        """What is allowed by the plan, where the command line says nothing narrower."""
        mine = self.options
        return msgspec.structs.replace(
            guards,
            max_usd=_least(mine.max_usd, guards.max_usd),
            max_requests=_least(mine.max_requests, guards.max_requests),
            max_tokens=_least(mine.max_tokens, guards.max_tokens),
            confirm_repay=tuple(dict.fromkeys((*mine.confirm_repay, *guards.confirm_repay))),
            first_run=mine.first_run or guards.first_run,
            sample=_least(mine.sample, guards.sample),
        )


def is_one(paths: Sequence[str]) -> bool:
    """Whether what was given in the place of PATHS is a plan. Raises UsageError where it is that and something else."""
    found = [path for path in paths if path.endswith(SUFFIX)]
    if found and len(paths) > 1:
        raise UsageError(
            f"`{printable(found[0])}` stands beside other paths; a plan names its own specs",
            hint=f"give the plan alone: `runner apply {printable(found[0])}`",
        )
    return bool(found)


def write(
    path: Path,
    review: Review,
    paths: Sequence[str],
    guards: Guards,
    selection: Selection = ALL_JOBS,
    *,
    of: Project,
) -> None:
    """Write a plan to be applied. The same plan gives the same bytes. Raises RunnerError, OSError."""
    plan = PlanFile(
        kind=KIND,
        version=VERSION,
        runner=__version__,
        project=review.project,
        digest=review.digest,
        environment=of.environment,
        vars=dict(of.vars),
        paths=tuple(paths),
        options=Allowed(
            max_usd=guards.max_usd,
            max_requests=guards.max_requests,
            max_tokens=guards.max_tokens,
            confirm_repay=guards.confirm_repay,
            first_run=guards.first_run,
            sample=guards.sample,
            select=selection.select,
            exclude=selection.exclude,
        ),
        requests=review.rows,
        usd=review.usd,
        sends=tuple(map(_sent, review.parts)),
    )
    text = msgspec.json.format(msgspec.json.encode(plan), indent=2) + b"\n"
    if len(text) > MOST_BYTES:
        raise RunnerError(
            f"a plan of {review.rows:,} requests is too large for a file",
            hint=f"`runner apply --plan-digest {review.digest}` sends exactly this",
        )
    with whole(path) as out:
        out.write(text)


def read(path: Path) -> PlanFile:
    """A plan as somebody wrote it, held to what it says of itself. Raises UsageError, RunnerError, BlockedError."""
    name = f"`{printable(str(path))}`"
    data = _bytes_of(path, name)
    try:
        about = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        kind, version = (msgspec.json.decode(about[field]) for field in ("kind", "version"))
    except (msgspec.DecodeError, KeyError, RecursionError, UnicodeDecodeError) as error:
        raise _no_plan(
            name, "is no plan", "is cut short, or was not written by `runner plan --out FILE.json`"
        ) from error
    if kind != KIND:
        raise _no_plan(name, "is no plan", "was not written by `runner plan --out FILE.json`")
    if version != VERSION or isinstance(version, bool):
        raise BlockedError(
            f"{name} is a plan of version {printable(str(version))[:20]}; this release reads version {VERSION}",
            hint="plan and apply with the same release",
        )
    try:
        plan = msgspec.json.decode(data, type=PlanFile)
        _must_be_sound(plan)
        digest = plan.review.digest
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise _no_plan(name, "is damaged", str(error)[:200]) from error
    if digest != plan.digest:
        raise _no_plan(name, "is damaged", f"its digest is `{plan.digest[:80]}`, and what it sends has `{digest}`")
    return plan


def _bytes_of(path: Path, name: str) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise UsageError(f"{name} is no file")
        with open(descriptor, "rb") as file:
            data = file.read(MOST_BYTES + 1)
    except FileNotFoundError as error:
        raise UsageError(f"there is no plan {name}", hint="`runner plan --out plan.json` writes one") from error
    if len(data) > MOST_BYTES:
        raise _no_plan(name, "is no plan", f"has more than {MOST_BYTES >> 20} MB")
    return data


def _no_plan(name: str, what: str, why: str) -> RunnerError:
    return RunnerError(
        f"{name} {what}: it {why}", hint="nothing was sent; `runner plan --out plan.json` writes a plan anew"
    )


def _must_be_sound(plan: PlanFile) -> None:
    """Raises ValueError, in words that follow `it`, for what no plan of ours says."""
    if not plan.paths or any(not path or path.startswith(("/", "-")) for path in plan.paths):
        raise ValueError("does not name the specs it is of")
    costs = [plan.usd, plan.options.max_usd, *(one.usd for one in plan.sends)]
    counts = [
        plan.options.max_requests or 0,
        plan.options.max_tokens or 0,
        plan.options.sample or 1,
        *(one.rows for one in plan.sends),
    ]
    if any(cost is not None and not 0 <= cost < _MOST_USD for cost in costs) or min(counts) < 0:
        raise ValueError("holds an amount that is none")
    for one in plan.sends:
        keys = _unpacked(one.keys)
        if len(keys) != one.rows * KEY_BYTES or keys_of(keys) != keys:
            raise ValueError(f"says of `{printable(one.job)[:80]}` another number of requests than it holds")
    if plan.requests != sum(one.rows for one in plan.sends):
        raise ValueError("holds another number of requests than it says")


def _unpacked(keys: str) -> bytes:
    try:
        return base64.b64decode(keys, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("holds digests that are none") from error


def _sent(part: Part) -> SentBy:
    usd = None if part.usd is None or math.isnan(part.usd) else part.usd
    keys = base64.b64encode(part.keys).decode()
    return SentBy(job=part.address, **part.place._asdict(), rows=part.rows, usd=usd, keys=keys)


def _part(one: SentBy) -> Part:
    place = Place(
        one.provider, one.host, one.account, one.endpoint, one.model, one.window_hours, one.options, one.epoch
    )  # fmt: skip
    return Part(one.job, place, _unpacked(one.keys), one.usd)


def _least(mine: N | None, given: N | None) -> N | None:
    return min((one for one in (mine, given) if one is not None), default=None)
