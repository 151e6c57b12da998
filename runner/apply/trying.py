"""Some rows of a job asked now, one by one, through the online side of its provider.

What they answer is kept like any other answer: a calls batch of the project, so that what is sent later leaves these
rows out. Asked anew (`again`), it is kept nowhere: a fork of the memory takes it, and goes with the command.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from enum import StrEnum
from itertools import islice, zip_longest
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from runner.apply import submit
from runner.apply.answers import source_of, sources_of, spec_of
from runner.apply.poll import carry_on
from runner.apply.session import Session
from runner.apply.tables import wanted_of
from runner.compile.compiled import RowView
from runner.errors import BlockedError, DataError, RunnerError, UsageError
from runner.job.capabilities import Content, Transport
from runner.job.cost import Price, Used
from runner.job.desired import Desired
from runner.job.finish import FLAWS
from runner.job.packed import KEY_BYTES
from runner.job.recorded import TRIED
from runner.job.wireid import key_of
from runner.mending import NOT_SO
from runner.plan.change import Change, Cut
from runner.plan.guard import Guards, estimate, over_budget, over_count
from runner.plan.plan import Recorded, make
from runner.plan.remaining import UNDER_WAY, JobRows, Row
from runner.plan.spent import spent_by
from runner.remotes.reading.lines import COMMON
from runner.remotes.reading.verdict import Expected, Unreadable
from runner.remotes.registry import card_of, has_online
from runner.results.columns import counted
from runner.results.locate import locate
from runner.results.merge import merge
from runner.results.splice import Merged

_IS_KNOWN = (Row.OK, Row.ERROR)
_IS_UP_TO_SOMEBODY = (Row.LOST, Row.UNKNOWN, Row.STALLED, Row.ELSEWHERE)


class Came(StrEnum):
    """How an answer came to be shown."""

    ASKED = "asked"  # just now
    KNOWN = "known"  # it was there
    IN_FLIGHT = "in flight"  # a batch has it
    HELD = "held"  # a person decides about it first
    NOT_SENT = "not sent"


class Tried(NamedTuple):
    """One row in one job."""

    address: str
    id: str
    prompt: str  # a line of what is asked: the last one that is not the same for all of the rows
    came: Came
    answer: bytes = b"null"  # JSON
    error: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None
    usd: float | None = None  # None: not known
    ms: float | None = None  # that the call took
    flaw: str = ""  # why the answer is none: cut, refused, not the JSON asked for

    @property
    def is_answered(self) -> bool:
        return not self.error and self.came in (Came.ASKED, Came.KNOWN)


Tell = Callable[[Tried], None]


class Picked(NamedTuple):
    """The rows of one job that are meant."""

    job: Desired  # as its online side has it
    rows: list[tuple[int, RowView]]  # by ordinal, ascending
    states: JobRows


def pick(session: Session, addresses: Sequence[str], rows: int, ids: Sequence[str]) -> list[Picked]:
    """The first `rows` rows of each job, or those of these ids.

    Raises UsageError for a job whose provider has no online side, or whose rows are not known yet, and for an id that
    no row has.
    """
    plan = make(session.desired, session.recorded(), {}, scope=session.project.scope)
    states = dict(zip((job.address for job in session.desired), plan.rows, strict=True))
    jobs = {job.address: job for job in session.desired}
    return [
        Picked(_online(session, jobs[address]), _rows_of(session, address, rows, ids), states[address])
        for address in addresses
    ]


def _online(session: Session, job: Desired) -> Desired:
    block = session.project.providers[job.provider]
    if job.card.content is Content.RECORDING or not has_online(block, job.card.content):
        raise UsageError(
            f"`{job.address}`: `{job.provider}` takes no such requests one by one, so none can be tried",
            hint="`runner apply --sample 3` sends a few rows first, in a batch",
        )
    if job.card.transport is Transport.ONLINE:
        return job
    card = card_of(block, job.card.content, Transport.ONLINE)
    tier = card.tiers.get(str(job.params.get("service_tier")))
    return replace(job, card=card if tier is None else replace(card, price_factor=tier))


def _rows_of(session: Session, address: str, rows: int, ids: Sequence[str]) -> list[tuple[int, RowView]]:
    compiled = session.compiled[address]
    if not ids:
        return list(enumerate(islice(compiled.rows(), rows)))
    left, found = set(ids), []
    for ordinal, view in enumerate(compiled.rows()):
        if view.custom_id in left:
            found.append((ordinal, view))
            left.remove(view.custom_id)
            if not left:
                break
    if left:
        raise UsageError(f"`{address}` has no row {', '.join(f'`{one}`' for one in sorted(left))}")
    return found


def ask(session: Session, picked: Sequence[Picked], guards: Guards, tell: Tell, *, again: bool) -> list[RunnerError]:
    """Ask what is not answered, and tell of every row as soon as it has its answer; what went wrong.

    Under the project's lock. again: all of them anew, and nothing is kept. Raises BlockedError where a limit of money,
    or a key that nobody allowed, is in the way: then nothing is sent.
    """
    asked = _to_ask(picked, again=again)
    _refuse_too_much(session, [(one.job, rows) for one, rows in zip(picked, asked, strict=True) if rows], guards)
    if not again:
        return _ask(session, picked, asked, tell)
    with closing(session.memory.fork()) as fork:
        return _ask(replace(session, memory=fork), picked, asked, tell)


def _ask(session: Session, picked: Sequence[Picked], asked: Sequence[array[int]], tell: Tell) -> list[RunnerError]:
    errors: list[RunnerError] = []
    recorded = session.recorded()
    for one, ordinals in zip(picked, asked, strict=True):
        prompts = _prompts(session, one)
        for ordinal, view in one.rows:
            if ordinal not in ordinals:
                tell(_standing(session, one, recorded, ordinal, view, prompts[ordinal]))
        if ordinals and not session.stop.is_set():
            errors += _send(session, one, ordinals, prompts, tell)
    return errors


def _to_ask(picked: Sequence[Picked], *, again: bool) -> list[array[int]]:
    """By job the ordinals that are sent; of equal requests the first, as everywhere."""
    seen: set[tuple[str, bytes]] = set()
    found = []
    for one in picked:
        ordinals = array("I")
        for ordinal, view in one.rows:
            row = Row(one.states.states[ordinal])
            key = (one.job.provider, view.digest[:KEY_BYTES])
            is_free = row not in (*_IS_KNOWN, *UNDER_WAY, *_IS_UP_TO_SOMEBODY)
            if (again or is_free) and key not in seen:
                seen.add(key)
                ordinals.append(ordinal)
        found.append(ordinals)
    return found


def _refuse_too_much(session: Session, asked: Sequence[tuple[Desired, array[int]]], guards: Guards) -> None:
    """Raises BlockedError with the first limit that would be exceeded."""
    spent = spent_by(session.desired, session.recorded().batches)
    costs = [estimate(job, rows) for job, rows in asked]
    usd = None if any(cost.usd is None for cost in costs) else sum(cost.usd or 0.0 for cost in costs)
    number = sum(len(rows) for _, rows in asked)
    found: list[Change | None] = []
    for (job, _), cost in zip(asked, costs, strict=True):
        if job.barred:
            raise BlockedError(f"{job.address}: {job.barred}", hint=" or ".join(f"`{way}`" for way in job.unbar))
        known = spent[job.address].most_usd if job.address in spent else 0.0
        found.append(over_budget(known, cost.usd, job.budget_usd, f"`budget` of `{job.address}`"))
    found += [
        over_budget(sum(one.most_usd for one in spent.values()), usd, guards.project_budget_usd, "`budget`"),
        over_budget(0.0, usd, guards.max_usd, "`--max-usd`"),
        over_count(0, number, guards.max_requests, "`--max-requests`", "requests"),
    ]
    if asked and (block := next(filter(None, found), None)) is not None:
        raise BlockedError(f"nothing was asked: {block.detail}")


def _standing(session: Session, one: Picked, recorded: Recorded, ordinal: int, view: RowView, prompt: str) -> Tried:
    """A row that is not asked now, as it stands."""
    row = Row(one.states.states[ordinal])
    address = one.job.address
    if row in UNDER_WAY:
        return Tried(address, view.custom_id, prompt, Came.IN_FLIGHT)
    if row in _IS_UP_TO_SOMEBODY:
        return Tried(address, view.custom_id, prompt, Came.HELD)
    spec = spec_of(session, address)
    sources = [source_of(session, entry) for entry in sources_of(session, one.job, one.states, recorded)]
    shown = _Last()
    merge([view], locate(view.digest[:KEY_BYTES], sources), sources, shown, wanted=wanted_of(spec))
    line = shown.line
    if line is None or (line.answer == b"null" and line.batch is None):  # asked above, for an equal row
        return Tried(address, view.custom_id, prompt, Came.IN_FLIGHT)
    said = _Said(line.answer, _words(line.error), line.finish, line.response)
    return _tried(address, view.custom_id, prompt, Came.KNOWN, said, one.job.price)


class _Last:
    """A writer that keeps the line."""

    line: Merged | None = None

    def write(self, merged: Merged) -> None:
        self.line = merged


def _send(
    session: Session, one: Picked, ordinals: array[int], prompts: dict[int, str], tell: Tell
) -> Iterator[RunnerError]:
    job, wanted = one.job, wanted_of(spec_of(session, one.job.address))
    at = {view.digest[:KEY_BYTES]: (ordinal, view.custom_id) for ordinal, view in reversed(one.rows)}
    told: set[int] = set()

    def heard(number: int, line: bytes, ms: float) -> None:
        custom_id, said = _read(line, wanted)
        key = key_of(custom_id)
        if key in at:
            ordinal, name = at[key]
            told.add(ordinal)
            tell(_tried(job.address, name, prompts[ordinal], Came.ASKED, said, job.price, ms))

    session.remotes.make_ready(job.provider, job.model, session.reporter.step)
    sizes = session.compiled[job.address].wanted.sizes
    size_bytes = sum(sizes[ordinal] + 1 for ordinal in ordinals)
    session.heard = heard
    try:
        batch = submit.submit(session, job, Cut(job.address, ordinals, size_bytes, reason=TRIED))
        error = carry_on(session, batch, lambda rest: None).error
        if error is not None:
            yield error
    except DataError as changed:
        yield changed
    for ordinal, view in one.rows:
        if ordinal in ordinals and ordinal not in told:
            tell(Tried(job.address, view.custom_id, prompts[ordinal], Came.NOT_SENT))


class _Said(NamedTuple):
    """What a line of results says: the answer as JSON, the error in words, how the answer ended, and the body."""

    answer: bytes = b"null"
    error: str = ""
    finish: str | None = None
    body: bytes = b"null"


def _read(line: bytes, wanted: Expected) -> tuple[str, _Said]:
    """The custom_id of a line of results, and what it says."""
    try:
        custom_id, body = COMMON.parts(line[:-1])
        parsed = COMMON.parse(line[:-1])
    except (Unreadable, *NOT_SO):
        return "", _Said(error="its answer cannot be read")
    if parsed.fault is not None:
        return custom_id, _Said(error=parsed.fault.message or parsed.fault.code, body=body)
    answer = COMMON.answer(body, wanted)
    return custom_id, _Said(answer.content, "", answer.finish, body)


def _tried(
    address: str, name: str, prompt: str, came: Came, said: _Said, price: Price, ms: float | None = None
) -> Tried:
    told = counted(said.body)
    usd = None
    if told.input_tokens is not None:
        used = Used(1, 0, told.input_tokens, told.output_tokens or 0)
        known, unknown = price.of(used)
        usd = None if unknown else known
    elif price.is_nothing:
        usd = 0.0
    flaw = FLAWS[said.finish].counted if said.finish is not None and said.finish in FLAWS else ""
    tokens = told.input_tokens, told.output_tokens
    return Tried(address, name, prompt, came, said.answer, said.error, *tokens, usd, ms, flaw)


def _words(error: bytes) -> str:
    """The message of an error of a results file."""
    if error == b"null":
        return ""
    found = msgspec.json.decode(error)
    return str(found.get("message") or found.get("code") or "error") if isinstance(found, dict) else str(found)


def _prompts(session: Session, one: Picked) -> dict[int, str]:
    """By ordinal, one line of what each row asks: the last one that is not the same for all of them."""
    ordinals = [ordinal for ordinal, _ in one.rows]
    lines = session.compiled[one.job.address].lines(ordinals)
    asked = {ordinal: _asked_in(line.data) for ordinal, line in zip(ordinals, lines, strict=True)}
    telling = next((at for at, several in enumerate(zip_longest(*asked.values())) if len({*several}) > 1), 0)
    return {ordinal: next(iter(texts[telling:] or texts[:1]), "") for ordinal, texts in asked.items()}


def _asked_in(line: bytes) -> list[str]:
    """The lines of the last text that a request has, the last one first."""
    body: Any = msgspec.json.decode(line).get("body")
    said = body.get("messages") or body.get("input") or body.get("prompt") or "" if isinstance(body, dict) else ""
    return [text.strip() for text in reversed(_text_in(said).splitlines()) if text.strip()]


def _text_in(said: Any) -> str:
    """The last text of a message, of a list of them, or of the parts of one."""
    if isinstance(said, str):
        return said
    if isinstance(said, list):
        return next(filter(None, map(_text_in, reversed(said))), "")
    if isinstance(said, dict):
        return _text_in(said.get("content") or said.get("text") or "")
    return ""
