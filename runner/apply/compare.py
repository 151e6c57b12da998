"""What became of jobs since they were asked: which parts differ, and some of their requests, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace as replace_in

import msgspec

from runner.apply.answers import spec_of
from runner.apply.asked import Before, Source
from runner.apply.older import Older, OlderLine
from runner.apply.requesttext import diff, text_of
from runner.apply.session import Session
from runner.compile.compiled import Line
from runner.compile.job import CompiledJob
from runner.errors import Mark, RunnerError
from runner.job.project import Job
from runner.plan import parts
from runner.plan.compared import RECORDED, Changed, Compared, RequestDiff
from runner.plan.parts import DATASET, FILES, Altered, Part
from runner.plan.plan import Plan
from runner.plan.remaining import JobRows, Row
from runner.spec.secrets import redact
from runner.spec.within import place_of

_LONGEST = 500  # characters of a value, or of one line of a text


def compare(session: Session, plan: Plan, source: Source, older: Older, *, requests: int = 0) -> dict[str, Compared]:
    """By address, every job that has new requests and was asked before. requests: so many of each, side by side."""
    comparing = Comparing(session, source, older)
    found = {}
    for job, rows in zip(plan.jobs, plan.rows, strict=True):
        if rows.counts[Row.NEW] and (one := comparing.of(job.address, rows, requests)) is not None:
            found[job.address] = one
    return found


class Comparing(msgspec.Struct):
    """Jobs as they are declared now beside what they were."""

    session: Session
    source: Source
    older: Older
    _lines: dict[str, list[str]] = msgspec.field(default_factory=dict)  # of files that texts are written in

    def of(self, address: str, rows: JobRows, requests: int) -> Compared | None:
        before = self.source.before(address)
        if before is None:
            return Compared(diffs=self._diffs(address, rows, None, requests)) if requests else None
        return Compared(self.changed(address, rows, before), before.since, self._diffs(address, rows, before, requests))

    def parts(self, address: str) -> dict[str, Part]:
        """What the requests of a job are made of now."""
        session = self.session
        return parts.parts_of(spec_of(session, address), session.content_of(address), session.files_sha256_of(address))

    def parts_then(self, before: Before) -> dict[str, Part]:
        return parts.parts_of(before.job, before.content, before.files_sha256)

    def changed(self, address: str, rows: JobRows, before: Before) -> tuple[Changed, ...]:
        """What of it differs. What nobody knows of one side is not told."""
        now, then = self.parts(address), self.parts_then(before)
        for name in (DATASET, FILES):
            if not (name in now and name in then):
                now.pop(name, None), then.pop(name, None)
        altered = parts.altered(then, now)
        is_of_rows = all(one.what.startswith(DATASET) for one in altered)
        row = self.first_new(address, rows) if is_of_rows else None
        return tuple(self._changed(address, one, row) for one in altered)

    # --- where, and what -----------------------------------------------------------------------------------------

    def _changed(self, address: str, one: Altered, row: Mark | None) -> Changed:
        before, after = one
        part = after or before
        assert part is not None, "one of them is there"
        if part.is_hidden:
            spec = spec_of(self.session, address)
            files = spec.dataset.files if isinstance(spec, Job) else ()
            file = Mark(files[0]) if len(files) == 1 else part.mark
            return Changed(one.what, _place(row or file), kind="content")
        if not part.is_text:
            values = (_told(side.value if side else None) for side in one)
            return Changed(one.what, _place(part.mark) if after else "", next(values), next(values))
        if before is None or after is None:
            text = part.value.splitlines() or [""]
            old, new = (_told(None if side is None else text[0]) for side in one)
            return Changed(one.what, _place(part.mark) if after else "", old, new, len(text) - 1, kind="text")
        line = parts.first_line(before.value, after.value)
        at = self._line_of(after, line.number)
        return Changed(one.what, _place(at), _told(line.before), _told(line.after), line.more, kind="text")

    def _line_of(self, part: Part, number: int) -> Mark:
        """Where a line of a text is written: YAML folds and indents."""
        mark = part.mark
        if part.is_made:
            return mark
        if mark.file not in self._lines:
            try:
                text = (self.session.project.root / mark.file).read_text(encoding="utf-8", errors="replace")
            except OSError:
                text = ""
            self._lines[mark.file] = text.split("\n")
        offset = sum(len(line) for line in part.value.splitlines(keepends=True)[:number])
        found = place_of(self._lines[mark.file], mark, part.value, offset)
        return found or (Mark(mark.file, mark.line + number) if mark.line else mark)

    def first_new(self, address: str, rows: JobRows) -> Mark | None:
        """Where the first row stands that was not asked as it is now."""
        new = rows.ordinals(Row.NEW)
        return self.place_of_row(address, new[0]) if new else None

    def place_of_row(self, address: str, ordinal: int) -> Mark | None:
        """Where a row is written; None for a recording, and for an answer that is asked about."""
        compiled = self.session.compiled[address]
        if not isinstance(compiled, CompiledJob) or compiled.job.chain is not None:
            return None
        try:
            return compiled.place_of(ordinal)
        except RunnerError:
            return None

    # --- requests, side by side ------------------------------------------------------------------------------------

    def _diffs(self, address: str, rows: JobRows, before: Before | None, number: int) -> tuple[RequestDiff, ...]:
        ordinals = rows.ordinals(Row.NEW)[:number]
        return self.side_by_side(address, before, ordinals) if ordinals else ()

    def side_by_side(self, address: str, before: Before | None, ordinals: Sequence[int]) -> tuple[RequestDiff, ...]:
        """Some requests of a job, ascending, beside what they were."""
        compiled = self.session.compiled[address]
        try:
            ids = [row.custom_id for row in compiled.rows_at(ordinals)]
            lines = dict(zip(ids, compiled.shown(ordinals), strict=True))
        except RunnerError as error:
            return (RequestDiff("", note=f"its rows cannot be read now: {error.message}"),)
        older = self.older.of(address, before, ids, ordinals)
        return tuple(
            self._diff(address, custom_id, line, older.get(custom_id), before) for custom_id, line in lines.items()
        )

    def _diff(
        self, address: str, custom_id: str, line: Line, older: OlderLine | None, before: Before | None
    ) -> RequestDiff:
        if self.older.was_asked(line.key):
            return RequestDiff(custom_id, RECORDED, "as it was asked")
        now = text_of(line.data)
        if older is not None and older.line.key != line.key:
            is_sure = older.since == RECORDED
            note = "" if is_sure else f"as {older.since} has it; nothing on record says that it was asked"
            return RequestDiff(custom_id, older.since, note, diff(text_of(older.line.data), now))
        if before is not None and before.since != RECORDED:
            note = f"as {before.since} has it, too" if older is not None else f"{before.since} has no such row"
        elif self.older.is_new(address, custom_id):
            note = "a new row"
        else:
            note = "a new row, or one whose older text is not kept here: `--against REV` reads that of a git revision"
        return RequestDiff(custom_id, "", note, diff((), now))


def _place(mark: Mark) -> str:
    return str(replace_in(mark, column=0)) if mark.file else ""


def _told(value: str | None) -> str | None:
    if value is None:
        return None
    shown = redact(value)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"
