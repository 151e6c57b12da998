"""Files held to `runner.lock`: whether specs, data, results and scores are those that were locked.

Nothing is believed but the files themselves: what a line says it answers is compared with what the specs ask of its
row, counts are counted, and scores are made again of the answers.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from runner.apply import lockfile
from runner.apply.evidence import Evidence
from runner.apply.gathered import Gathered
from runner.apply.lockfile import Entry, Lock
from runner.apply.matching import Again, Compared, Matching, OddLine, Unlike
from runner.apply.session import Session
from runner.apply.tables import wanted_of
from runner.checks.program import VERSION, Program
from runner.data.digests import Digests, Forgetful
from runner.errors import DataError, Mark, RunnerError, StateError
from runner.job.desired import Desired
from runner.job.project import AnyJob, AudioJob, Job
from runner.job.scored import judge_address, scores_path, verdicts_path
from runner.results.columns import ROW
from runner.results.locate import locate
from runner.results.merge import merge
from runner.results.names import RESULTS
from runner.results.ours import Ours
from runner.results.readback import read_back
from runner.results.reread import as_text, lines_in
from runner.results.scorer import Scorer, score_all, scorer_of

_AS_WRITTEN = "bring back the one that was locked, or `runner lock` the one that is there"
_decode_row = msgspec.json.Decoder(dict[str, Any]).decode


class Difference(DataError):
    """The first thing that is not as it was locked, and where."""


class Verified(NamedTuple):
    """A job that is as it was locked."""

    address: str
    rows: int
    has_results: bool
    scored: int  # checks that came out again
    is_read: bool  # without it, scores were added up, and not made again: the results do not hold the answers


def verified(session: Session, lock: Lock, addresses: Iterable[str]) -> Iterator[Verified]:
    """Each of some jobs, once it was found to be as it was locked; those whose answers others ask about come first.

    Raises Difference for the first thing that is not, SpecError, DataError, StateError for files that cannot be read,
    OSError.
    """
    session.digests = Digests(Forgetful())  # every byte is read
    specs = {spec.address: spec for spec in session.project.jobs}
    desired = {job.address: job for job in session.desired}
    for address in _in_order(addresses, specs):
        yield _Job(session, lock, specs[address], desired[address]).verified()


def _in_order(addresses: Iterable[str], specs: Mapping[str, AnyJob]) -> list[str]:
    """What went wrong is told where it began: at the job that others follow."""
    found: dict[str, None] = {}

    def put(address: str) -> None:
        chain = specs[address].chain
        for parent in chain.parents if chain is not None else ():
            if parent in wanted:
                put(parent)
        found[address] = None

    wanted = list(addresses)
    for address in wanted:
        put(address)
    return list(found)


def check_jobs(session: Session, lock: Lock) -> None:
    """Raise Difference unless specs and lock are of one project and have the same jobs."""
    if lock.project != session.project.namespace:
        raise Difference(
            f"it is of project `{lock.project}`, and the specs are of `{session.project.namespace}`",
            mark=lock.mark("project"),
        )
    known = {job.address for job in session.desired}
    for address in lock.jobs:
        if address not in known:
            raise Difference(
                f"there is no job `{address}` in the specs",
                hint="name the specs that were locked, or `runner lock` those that are there",
                mark=lock.mark("jobs", address),
            )


class _Odd(NamedTuple):
    """The first line of results that does not answer its row."""

    mark: Mark
    why: str


class _Read(NamedTuple):
    """What one pass over results came to. failure: what is wrong beside them, once they are as they were locked."""

    odd: _Odd | None = None
    failure: RunnerError | None = None
    gathered: Gathered | None = None
    is_scored_again: bool = False


class _Job:
    """One job, its specs and files, and what the lock says of it."""

    def __init__(self, session: Session, lock: Lock, spec: AnyJob, job: Desired) -> None:
        if spec.address not in lock.jobs:
            raise Difference(
                f"`{lock.name}` does not know job `{spec.address}`", hint="`runner lock` it", mark=spec.mark
            )
        self._session, self._lock, self._spec, self._job = session, lock, spec, job
        self._locked: Entry = lock.jobs[spec.address]
        self._output = session.outputs_root / spec.output
        self._table = lockfile.table_of(session.outputs_root, spec)
        self._shown = f"{spec.output}{RESULTS}" if spec.output.endswith("/") else spec.output
        self._scores = session.outputs_root / scores_path(spec.output)
        self._evals = spec.evals.without(Evidence(session.outputs_root, spec).waiting)

    def verified(self) -> Verified:
        spec, locked = self._spec, self._locked
        found = lockfile.of_specs(self._session, spec, self._job)
        self._check_specs(found)
        has_output = self._table.is_file()
        if "output" in locked and not has_output:
            raise Difference(f"{spec.address}: its results are not there", mark=Mark(self._shown))
        read = self._read() if has_output and lockfile.is_legible(spec) else None
        odd = read.odd if read is not None else None
        self._check_data(found, odd)
        self._check("requests", found, spec.mark, odd)
        if has_output:
            self._check_output(odd)
        if odd is not None:
            raise Difference(f"{spec.address}: {odd.why}", mark=odd.mark)
        is_scored_again = has_output and self._check_scores(read)
        if read is not None and read.failure is not None:
            raise read.failure
        if read is not None and read.gathered is not None:
            more = lockfile.of_gathered(read.gathered)
        else:
            more = lockfile.of_files(self._session, spec, self._job)
        self._check_rest(lockfile.joined(found, more))
        scored = len(locked["scores"]) if isinstance(locked.get("scores"), Mapping) else 0
        return Verified(spec.address, self._job.rows, has_output, scored, is_scored_again or not scored)

    # --- what is asked --------------------------------------------------------------------------------------------

    def _check_specs(self, found: Entry) -> None:
        spec = self._spec
        model = {**found["model"]}
        if isinstance(self._locked.get("model"), Mapping) and "answered_as" in self._locked["model"]:
            model["answered_as"] = self._locked["model"]["answered_as"]
        self._check("model", {"model": model}, spec.model.mark)
        if isinstance(spec, Job):
            self._check("prompt", found, spec.prompt.mark)
        self._check("checks", found, spec.mark)

    def _check_data(self, found: Entry, odd: _Odd | None) -> None:
        """The files of the dataset, and those that are joined: the row that is another one is named, if it shows."""
        for name in ("dataset", "references"):
            mine, locked = found.get(name, {}), self._locked.get(name, {})
            files, known = mine.get("files", {}), locked.get("files", {}) if isinstance(locked, Mapping) else {}
            for file in files:
                if isinstance(known, Mapping) and file in known and files[file] != known[file]:
                    place = self._lock.mark("jobs", self._spec.address, name, "files", file)
                    why = (odd and odd.why) or (self._other_row() if name == "dataset" else "")
                    raise Difference(
                        f"it is not the file that was locked at {place}{f': {why}' if why else ''}",
                        hint=_AS_WRITTEN,
                        mark=Mark(file),
                    )
            self._check(name, found, self._spec.mark)

    def _other_row(self) -> str:
        """The first row that is not as its line has it, of results that hold rows; empty where none shows."""
        if self._table.suffix != ".jsonl" or not self._table.is_file() or not isinstance(self._spec, Job):
            return ""
        if self._spec.columns and ROW not in self._spec.columns:
            return ""
        rows = self._session.compiled[self._job.address].rows()
        own = Evidence(self._session.outputs_root, self._spec).own
        for number, (row, line) in enumerate(zip(rows, lines_in(self._output, own), strict=False), 1):
            if {name: as_text(value) for name, value in _decode_row(row.row_json).items()} != line.columns:
                return f"row `{row.custom_id}` is not the one at {self._shown}:{number}"
        return ""

    def _check(self, name: str, found: Entry, mark: Mark, odd: _Odd | None = None) -> None:
        """One fact of the specs."""
        other = _first_difference(self._locked.get(name), found.get(name), (name,))
        if other is None:
            return
        keys, locked, mine = other
        place = self._lock.mark("jobs", self._spec.address, *keys)
        raise Difference(
            f"{self._spec.address}: `{'.'.join(keys)}` is {_said(mine)}, and {_said(locked)} was locked at {place}"
            + (f": {odd.why}" if odd else ""),
            hint=_AS_WRITTEN,
            mark=mark,
        )

    # --- what was answered ----------------------------------------------------------------------------------------

    def _read(self) -> _Read:
        """Read results once: whether each line answers its row, what all come to and, where they hold answers as they
        were scored, whether the scores come out again.
        """
        session, spec, job = self._session, self._spec, self._job
        rows = session.compiled[job.address].rows
        if not self._holds_answers:
            return self._gathered(Matching(rows(), job.rows, self._at))
        with self._scores.open("rb") as file:
            out = Compared(file)
            try:
                scorer = scorer_of(self._evals, session.project.root, rows(), out, self._verdicts)
            except RunnerError:  # it is said in its turn, when scores are made by themselves
                return self._gathered(Matching(rows(), job.rows, self._at))
            with closing(scorer):
                again = Again(scorer, out, spec.address, spec.mark)
                return self._gathered(Matching(rows(), job.rows, self._at, again))

    def _gathered(self, matching: Matching) -> _Read:
        try:
            gathered = Gathered(self._session, self._spec, self._job, {}, matching)
        except OddLine as odd:
            return _Read(_Odd(self._place(odd.number), odd.message))
        except DataError as error:
            if matching.is_over:
                return _Read(failure=matching.failure or error)
            return _Read(_Odd(self._place(matching.number + 1), error.message))
        except StateError as error:  # scores that cannot be read
            return _Read(failure=error)
        return _Read(None, matching.failure, gathered, matching.sheet is not None)

    def _at(self, number: int) -> str:
        return f"{self._shown}:{number}" if self._has_lines else f"row {number:,} of {self._shown}"

    @property
    def _has_lines(self) -> bool:
        """Whether a row is a line: a cell of a .csv may hold several, and a .parquet has none."""
        return self._table.suffix == ".jsonl"

    def _place(self, number: int) -> Mark:
        return Mark(self._shown, number if self._has_lines else 0)

    def _check_output(self, odd: _Odd | None) -> None:
        output = self._locked.get("output")
        if not isinstance(output, Mapping):
            raise Difference(
                f"{self._spec.address}: `{self._lock.name}` knows no results of it",
                hint="`runner lock` them",
                mark=Mark(self._shown),
            )
        place = self._lock.mark("jobs", self._spec.address, "output", "sha256")
        if self._session.digests.of(self._table).hex() != output.get("sha256"):
            raise Difference(
                f"{self._spec.address}: these are not the results that were locked at {place}"
                + (f": {odd.why}" if odd else ""),
                hint=_AS_WRITTEN,
                mark=odd.mark if odd else Mark(self._shown),
            )
        if self._table != self._output:
            self._check_transcripts()

    def _check_transcripts(self) -> None:
        """Files of a folder are those that its table names."""
        for number, listed in enumerate(Ours.lines_in(self._output), 1):
            if not listed.transcript or not listed.sha256:
                continue
            path = self._output / listed.transcript
            if not path.is_file() or self._session.digests.of(path).hex() != listed.sha256:
                raise Difference(
                    f"{self._spec.address}: it is not the transcript that {self._at(number)} tells of",
                    mark=Mark(f"{self._spec.output}{listed.transcript}"),
                )

    # --- what was counted -----------------------------------------------------------------------------------------

    def _check_scores(self, read: _Read | None) -> bool:
        """Tell whether scores came out again. False where the results do not hold what they are made of.

        read: what came of the results; None where these do not say what they answer.
        """
        spec, locked = self._spec, self._locked.get("scores")
        if not isinstance(locked, Mapping) or not spec.evals.checks:
            return True
        for name, score in locked.items():
            signature = str(score.get("signature")) if isinstance(score, Mapping) else ""
            if not signature.endswith(f"|{VERSION}"):
                raise Difference(
                    f"{spec.address}: {name} was counted by the rules of another runner, and this one has {VERSION}",
                    hint="use the runner that counted it, or `runner apply` and `runner lock` to count it anew",
                    mark=self._lock.mark("jobs", spec.address, "scores", name, "signature"),
                )
        self._check_verdicts()
        if not self._can_be_scored:
            return False
        shown = scores_path(spec.output)
        if not self._scores.is_file():
            raise Difference(f"{spec.address}: its scores are not there", mark=Mark(shown))
        try:
            if read is None or not read.is_scored_again:
                self._score_table()
            elif read.failure is not None:
                raise read.failure
        except Unlike as unlike:
            raise Difference(
                f"{spec.address}: {unlike.message} when the answers are held to the checks again",
                hint="`runner apply` makes scores anew, at no cost",
                mark=Mark(shown, unlike.number),
            ) from None
        return True

    def _check_verdicts(self) -> None:
        """Scores are made of what judges said as well: where that is other than was locked, it is what is told."""
        for check, path in self._verdicts.items():
            address = judge_address(self._spec, check)
            shown = verdicts_path(self._spec.output, check)
            if not path.is_file():
                raise Difference(f"{address}: the verdicts that scores are made of are not there", mark=Mark(shown))
            output = self._lock.jobs.get(address, {}).get("output")
            if isinstance(output, Mapping) and self._session.digests.of(path).hex() != output.get("sha256"):
                place = self._lock.mark("jobs", address, "output", "sha256")
                raise Difference(
                    f"{address}: these are not the verdicts that were locked at {place}",
                    hint=_AS_WRITTEN,
                    mark=Mark(shown),
                )

    @property
    def _holds_answers(self) -> bool:
        """Whether lines of the results hold answers as they were scored, as JSON does: tables hold their texts."""
        if self._table.suffix != ".jsonl" or self._table != self._output or isinstance(self._spec, AudioJob):
            return False
        if not (self._evals.checks and self._can_be_scored and self._scores.is_file()):
            return False
        if not isinstance(self._locked.get("scores"), Mapping):
            return False
        return "answer" in self._columns and all(path.is_file() for path in self._verdicts.values())

    @property
    def _columns(self) -> Sequence[str]:
        return self._spec.columns or ("answer", "finish", "response")

    @property
    def _can_be_scored(self) -> bool:
        """Whether the results hold what scores are made of."""
        needs_response = "usage" in Program(self._evals).mentions
        return self._spec.output.endswith("/") or _holds(self._columns, needs_response=needs_response)

    @property
    def _verdicts(self) -> dict[str, Path]:
        """By check with a judge, where its verdicts are."""
        judged = [check.name for check in self._evals.checks if check.judge is not None]
        root = self._session.outputs_root
        return {name: root / verdicts_path(self._spec.output, name) for name in judged}

    def _score_table(self) -> None:
        """Make the scores again of results that are no JSON lines: of the answers that can be read back from them."""
        session, spec, job = self._session, self._spec, self._job
        rows = session.compiled[job.address].rows
        with tempfile.TemporaryDirectory(prefix="runner-verify-") as folder, self._scores.open("rb") as file:
            out = Compared(file)
            sources = [file.source() for file in read_back(self._output, Path(folder)).files]
            chosen, asked = locate(job.keys, sources), wanted_of(spec)

            def feed(scorer: Scorer) -> None:
                merge(
                    rows(),
                    chosen,
                    sources,
                    scorer,
                    wanted=asked,
                    is_strict=spec.strict_answers,
                    retries_invalid=spec.retries_invalid,
                )

            scorer = score_all(self._evals, session.project.root, rows(), feed, out, self._verdicts)
            out.finish()
            scorer.check(spec.address, spec.mark)

    def _check_rest(self, found: Entry) -> None:
        other = _first_difference(self._locked, found, ())
        if other is None:
            return
        keys, locked, mine = other
        raise Difference(
            f"{self._spec.address}: `{'.'.join(keys)}` is {_said(locked)} here, and {_said(mine)} by its files",
            hint="`runner lock` writes what they say",
            mark=self._lock.mark("jobs", self._spec.address, *keys),
        )


def _holds(columns: Sequence[str], *, needs_response: bool) -> bool:
    """Whether results with these columns hold what scores are made of."""
    return "response" in columns or ("answer" in columns and "finish" in columns and not needs_response)


def _first_difference(locked: Any, found: Any, keys: tuple[str, ...]) -> tuple[tuple[str, ...], Any, Any] | None:
    """(keys, locked, found) of the first fact that is not the same."""
    if isinstance(locked, Mapping) and isinstance(found, Mapping):
        for name in sorted({*map(str, locked), *found}):
            other = _first_difference(locked.get(name), found.get(name), (*keys, name))
            if other is not None:
                return other
        return None
    return None if _is_same(locked, found) else (keys, locked, found)


def _is_same(locked: Any, found: Any) -> bool:
    """A number is itself to the last digit, and no text; a list and a tuple are one."""
    if isinstance(locked, Mapping) and isinstance(found, Mapping):
        return locked.keys() == found.keys() and all(_is_same(locked[name], found[name]) for name in locked)
    if isinstance(locked, list) and isinstance(found, list | tuple):
        return len(locked) == len(found) and all(map(_is_same, locked, found))
    return isinstance(locked, bool) is isinstance(found, bool) and bool(locked == found)


def _said(value: Any) -> str:
    if value is None:
        return "nothing"
    text = value if isinstance(value, str) else str(value) if isinstance(value, int | float) else lockfile.flow(value)
    return f"`{text if len(text) <= 80 else f'{text[:79]}…'}`"
