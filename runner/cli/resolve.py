"""`runner state resolve`: decide about requests and batches of which nobody knows whether the remote took them."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click
import msgspec

from runner.cli.habits import Consent
from runner.cli.options import addresses, option
from runner.cli.saying import say, say_json
from runner.cli.suggest import as_typed
from runner.job.recorded import Batch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.apply.resolve import Decision, HeldCall

VERSION = 2
BLOCKED = 5


class HeldView(msgspec.Struct, frozen=True):
    """One request, or one batch, that waits for a decision."""

    address: str
    row: str  # a batch's own name
    wave: str
    remote_id: str  # empty where the remote gave none
    why: str


class ResolveView(msgspec.Struct, frozen=True):
    """What is held, and the commands that decide about it; or what was decided just now."""

    version: int
    held: tuple[HeldView, ...] = ()
    ways: tuple[str, ...] = ()
    decided: tuple[HeldView, ...] = ()
    decided_as: str = ""


@click.command("resolve")
@click.argument("address", shell_complete=addresses)
@click.argument("paths", nargs=-1, type=click.Path())
@click.option(
    "--row", "rows", multiple=True, metavar="ID", help="Decide only about this one, as listed; may be repeated."
)
@click.option("--adopt", "remote_id", metavar="REMOTE_ID", help="The remote has it under this id: look at it.")
@click.option("--account", metavar="A", help="The account that REMOTE_ID belongs to; with --adopt.")
@click.option("--look", is_flag=True, help="Ask the remote again about those whose id is on record.")
@click.option("--clear", cls=Consent, is_flag=True, help="It was not accepted: it is free to be sent.")
@click.option(
    "--resubmit", cls=Consent, is_flag=True, help="Send it again all the same; counted as a possible duplicate."
)
@option("-o", "--output", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_context
def command(
    ctx: click.Context,
    address: str,
    paths: tuple[str, ...],
    rows: tuple[str, ...],
    remote_id: str | None,
    account: str | None,
    look: bool,
    clear: bool,
    resubmit: bool,
    form: str,
) -> int:
    """List the requests, recordings and batches of the job ADDRESS that are held, or decide about them.

    Held is what was sent and not answered, or what the remote does not know any more. Without --row all of them are
    meant. The next `runner apply` does as decided. Exits 5 when it lists any.
    """
    from runner.apply.resolve import held, held_batches, resolve, resolve_batches
    from runner.cli.opening import opened
    from runner.cli.progress import aside
    from runner.clock import RealClock

    decision = _decision(remote_id, account, look=look, clear=clear, resubmit=resubmit)
    given = paths or ("specs",)
    if decision is None:
        with opened(ctx.obj, given, aside(RealClock()), writes=False) as session:
            batches = [one for one in held_batches(session, address) if not rows or one.key in rows]
            found: list[HeldCall | Batch] = [*_meant(held(session, address), rows), *batches]
        _list(address, found, form)
        return BLOCKED if found else 0
    with (
        opened(ctx.obj, given, aside(RealClock()), writes=True) as session,
        session.memory.lock(f"runner state resolve {address}", clock=session.clock),
    ):
        batches = held_batches(session, address)
        names = {batch.key for batch in batches}
        of_batches, others = [row for row in rows if row in names], [row for row in rows if row not in names]
        done: list[HeldCall | Batch] = []
        if batches and (of_batches or not rows):
            done += resolve_batches(session, batches, of_batches, decision)
        if others or not batches:  # a job has batches, or calls
            done += resolve(session, address, others, decision)
    _tell(address, done, decision, form)
    return 0


def _decision(
    remote_id: str | None, account: str | None, *, look: bool, clear: bool, resubmit: bool
) -> Decision | None:
    """What the options say; None without one. Raises click.UsageError for more than one."""
    from runner.apply.resolve import Decision
    from runner.job.calls import CallStep

    if (remote_id is not None) + look + clear + resubmit > 1:
        raise click.UsageError("Give only one of --adopt, --look, --clear and --resubmit.")
    if remote_id is not None:
        return Decision(CallStep.RECEIPT, remote_id, account or "")
    if account is not None:
        raise click.UsageError("--account says whose id --adopt gives: give both, or leave it out.")
    if look:
        return Decision(CallStep.RECEIPT)
    if clear:
        return Decision(CallStep.CLEARED)
    return Decision(CallStep.REPEATED) if resubmit else None


def _meant(found: Sequence[HeldCall], rows: Sequence[str]) -> list[HeldCall]:
    return [one for one in found if not rows or one.name in rows]


def _list(address: str, found: Sequence[HeldCall | Batch], form: str) -> None:
    from runner.cli import voice

    view = ResolveView(VERSION, tuple(map(_view, found)), _ways(address) if found else ())
    if form == "json":
        say_json(view)
        return
    if not found:
        say(f"Nothing of `{address}` is held")
        return
    for one in view.held:
        say(f"{one.address}  {voice.plain(one.row)}  {voice.plain(one.why)}")
    batches = sum(isinstance(one, Batch) for one in found)
    kinds = [voice.count(len(found) - batches, _noun(found))] if len(found) > batches else []
    kinds += [voice.count(batches, "batch", "batches")] if batches else []
    say(f"\n{' and '.join(kinds)} held. Decide with")
    for way, meaning in zip(view.ways, _MEANINGS, strict=True):
        say(f"  `{way}`  {meaning}")


def _noun(found: Sequence[HeldCall | Batch]) -> str:
    from runner.job.capabilities import Content

    calls = [one.batch.content for one in found if not isinstance(one, Batch)]
    return "recording" if set(calls) == {Content.RECORDING} else "request"


def _ways(address: str) -> tuple[str, ...]:
    start = as_typed(f"runner state resolve {shlex.quote(address)}")
    return f"{start} --row ID --adopt REMOTE_ID", f"{start} --look", f"{start} --clear", f"{start} --resubmit"


_MEANINGS = (
    "the remote has it under this id",
    "ask the remote again about those whose id is on record",
    "it was not accepted: send it; `--row ID` for one of them",
    "send it again all the same: maybe twice",
)


def _tell(address: str, done: Sequence[HeldCall | Batch], decision: Decision, form: str) -> None:
    from runner.cli import voice
    from runner.job.calls import CallStep

    if form == "json":
        say_json(ResolveView(VERSION, decided=tuple(map(_view, done)), decided_as=decision.step.name.lower()))
        return
    if not done:
        say(f"Nothing of `{address}` is held")
        return
    words = {
        CallStep.CLEARED: "is free again",
        CallStep.REPEATED: "will be sent again, maybe twice",
    }
    for one in done:
        seen_as = voice.plain(decision.remote_id or one.remote_id)
        view = _view(one)
        say(f"{view.address}  {voice.plain(view.row)}  {words.get(decision.step, f'will be looked at as `{seen_as}`')}")
    say("\nNothing was sent. Run `runner apply` to go on", err=True)


def _view(one: HeldCall | Batch) -> HeldView:
    if isinstance(one, Batch):
        why = f"{_UNKNOWN}: {one.why}" if one.why else _UNKNOWN
        return HeldView(one.owner, one.key, one.key, one.remote_id, why)
    why = f"sent as `{one.remote_id}`, and no answer came of it" if one.remote_id else _UNKNOWN
    return HeldView(one.batch.owner, one.name, one.batch.key, one.remote_id, why)


_UNKNOWN = "it is not known whether it was accepted"
