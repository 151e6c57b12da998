"""`runner.lock`: what results were made of and what they came to, one fact a line, to be committed beside them.

It is made of specs, data, results and scores files alone, so that a stranger's clone can hold them to it. Nothing in it
tells when or where it was written: nothing changed, not a byte of it does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from runner.apply.gathered import Gathered
from runner.apply.reportcell import cell_of, prompt_digest
from runner.apply.session import Session
from runner.apply.tables import about_of
from runner.checks import program
from runner.data.files import content_digest, expand
from runner.errors import DataError, Mark
from runner.files import whole
from runner.job.desired import Desired
from runner.job.infile import sha256_in
from runner.job.packed import distinct_in
from runner.job.project import AnyJob, AudioJob, Dataset, Job, Project
from runner.job.scored import Scores
from runner.reports import facts
from runner.results.columns import NEEDED
from runner.results.names import RESULTS

if TYPE_CHECKING:
    from runner.spec import nodes


VERSION = 1
_HEAD = "# What results were made of and came to. `runner lock` writes it, `runner verify` holds the files to it.\n"

Entry = Mapping[str, Any]  # the facts of one job


class NotOfTheseSpecs(DataError):
    """Results are of other requests than the specs say, or scores of other results."""


# --- the facts ----------------------------------------------------------------------------------------------------


def entries(session: Session, addresses: Iterable[str]) -> dict[str, Entry]:
    """The facts of some jobs.

    Raises NotOfTheseSpecs, DataError, StateError for files that cannot be read, OSError.
    """
    wanted = set(addresses)
    specs = {spec.address: spec for spec in session.project.jobs}
    return {job.address: entry_of(session, specs[job.address], job) for job in session.desired if job.address in wanted}


def entry_of(session: Session, spec: AnyJob, job: Desired) -> Entry:
    """The facts of one job; raises as `entries` does."""
    return joined(of_specs(session, spec, job), of_files(session, spec, job))


def joined(found: Entry, more: Entry) -> Entry:
    """The facts of one job: those of its specs, and those of its files."""
    return {**found, **more, "model": {**found["model"], **more.get("model", {})}}


def of_specs(session: Session, spec: AnyJob, job: Desired) -> dict[str, Any]:
    """What is asked, of whom, and what answers are held to. What recordings hold is in their requests' digests."""
    found: dict[str, Any] = {
        "requests": {
            "wanted": job.rows,
            "distinct": distinct_in(job.keys[:]),
            "sha256": sha256_in(job.keys),
        },
        "model": {"provider": spec.model.provider, "name": spec.model.name, "params": _params(spec)},
    }
    if price := _price(spec, job):
        found["model"]["price"] = price
    if isinstance(spec, Job):
        found["dataset"] = {"rows": job.rows, **_source(session, spec)}
        found["prompt"] = prompt_digest(spec.prompt)
    if job.bad:
        found["requests"]["left_out"] = job.bad
    if spec.evals.checks or spec.evals.expect:
        found["checks"] = program.digest_of(spec.evals)
    if spec.evals.references:
        found["references"] = {"files": _files(session, spec.evals.references.dataset)}
    return found


def of_files(session: Session, spec: AnyJob, job: Desired) -> dict[str, Any]:
    """What results and scores files hold; nothing where there are no results."""
    path = table_of(session.outputs_root, spec)
    if not path.is_file():
        return {}
    if not is_legible(spec):
        return {"output": {"path": spec.output, "sha256": session.digests.of(path).hex()}}
    return of_gathered(Gathered(session, spec, job, {}))


def of_gathered(gathered: Gathered) -> dict[str, Any]:
    """What legible results and their scores come to. Raises NotOfTheseSpecs where they are of something else."""
    spec = gathered.spec
    if gathered.is_of_other_requests:
        raise NotOfTheseSpecs(
            f"{spec.address}: its results answer other requests than the specs say now",
            hint=f"`runner plan` shows which; lock them after `runner apply`, or bring back the specs they are of: "
            f"{spec.mark}",
            mark=Mark(spec.output),
        )
    if gathered.program.checks and gathered.is_settled and not gathered.is_scored:
        raise NotOfTheseSpecs(
            f"{spec.address}: its scores belong to other results",
            hint="`runner apply` scores these at no cost",
            mark=Mark(spec.output),
        )
    return _gathered(gathered)


def table_of(root: Path, spec: AnyJob) -> Path:
    """The results file of a job; of a folder the one that tells of its transcripts."""
    return root / spec.output / RESULTS if spec.output.endswith("/") else root / spec.output


def is_legible(spec: AnyJob) -> bool:
    """Whether lines of the results say which requests they answer: a job may choose columns without that."""
    return spec.output.endswith("/") or not spec.columns or {*NEEDED} <= {*spec.columns}


def _gathered(gathered: Gathered) -> dict[str, Any]:
    cell = cell_of(gathered, {})
    rows = cell.accounting
    outcomes = {"ok": rows.ok, "error": rows.error - gathered.job.bad}
    waiting = ("missing", "not_sent", "in_flight", "unknown", "needs_decision")
    outcomes |= {word: getattr(rows, word) for word in waiting if getattr(rows, word)}
    found: dict[str, Any] = {
        "outcomes": outcomes,
        "output": {"path": cell.provenance.output, "sha256": cell.provenance.output_sha256},
        "batches": [
            {"id": batch, "origin": origin, "rows": rows} for (batch, origin), rows in sorted(gathered.batches.items())
        ],
    }
    usage = msgspec.structs.asdict(cell.usage)
    found["usage"] = {name: value for name, value in usage.items() if value is not None and (value or name != "untold")}
    if cell.provenance.answered_as:
        found["model"] = {"answered_as": dict(cell.provenance.answered_as)}
    if gathered.is_scored:
        found["scores"] = {check.name: _score(check) for check in cell.checks if not check.waits_for}
    return {name: value for name, value in found.items() if value}


def _score(check: facts.Check) -> dict[str, Any]:
    told: dict[str, Any] = {**_number(check.number), "signature": check.signature}
    if check.macro_f1 is not None:
        told["macro_f1"] = _number(check.macro_f1)
    if check.agreement is not None:
        told["by_hand"] = {"raw": check.agreement.raw, "kappa": check.agreement.kappa.value}
        told["by_hand"]["rows"] = check.agreement.kappa.n
    if check.corrected is not None:
        told["corrected"] = {"value": check.corrected.value, "low": check.corrected.low, "high": check.corrected.high}
    return told


def _number(number: facts.Number) -> dict[str, Any]:
    ends = {"value": number.value, "low": number.low, "high": number.high}
    told = {name: value for name, value in ends.items() if value is not None}
    return {**told, "n": number.n}


def _params(spec: AnyJob) -> dict[str, Any]:
    return dict(spec.fields) if isinstance(spec, AudioJob) else dict(spec.model.params)


def _price(spec: AnyJob, job: Desired) -> dict[str, float]:
    """What usage is counted by: USD for a million tokens, or for a minute."""
    about = about_of(spec, job)
    told = dict(zip(("input", "output"), about.usd_per_million or (), strict=False))
    return told if about.usd_per_minute is None else {**told, "per_minute": about.usd_per_minute}


def _source(session: Session, spec: Job) -> dict[str, dict[str, str]]:
    """What the rows are read from: files, or what other jobs have answered, by the results of these."""
    if spec.chain is None:
        return {"files": _files(session, spec.dataset)}
    specs = {one.address: one for one in session.project.jobs}
    tables = {address: table_of(session.outputs_root, specs[address]) for address in spec.chain.parents}
    return {"from": {address: session.digests.of(path).hex() for address, path in tables.items() if path.is_file()}}


def _files(session: Session, dataset: Dataset) -> dict[str, str]:
    root = session.project.root
    if dataset.are_paths:
        return {dataset.files[0]: content_digest(dataset, root)}
    return {path: session.digests.of(root / path).hex() for path in expand(dataset, root)}


# --- the file -----------------------------------------------------------------------------------------------------


class Lock(NamedTuple):
    """A lock file as it stands, and where each of its facts does."""

    name: str
    project: str
    jobs: Mapping[str, Entry]
    top: nodes.Mapping

    def mark(self, *keys: str) -> Mark:
        """The line of a fact, or of the nearest one above it that is there."""
        line, entries = 1, self.top.entries
        for key in keys:
            if key not in entries:
                break
            name, value = entries[key]
            line, entries = name.line, getattr(value, "entries", {})
        return Mark(self.name, line)


def read(project: Project) -> Lock | None:
    """The lock of a project, or of its environment; None where there is none.

    Raises DataError for what is no lock, or one of a later version; OSError.
    """
    name = project.lock_name
    path = project.root / name
    if not path.exists():
        return None
    from runner.spec import loader, nodes  # YAML is not needed by most commands
    from runner.spec.problems import Problems

    problems = Problems()
    top = loader.read(path, name, problems)
    if problems.errors or top is None:
        first = problems.found[0]
        raise DataError(first.message, hint="bring it back, or write it anew with `runner lock`", mark=first.mark)
    found = nodes.data_of(top)
    jobs = found.get("jobs")
    jobs = {} if jobs is None else jobs
    is_lock = isinstance(jobs, dict) and all(isinstance(entry, dict) for entry in jobs.values())
    version = found.get("version")
    if not is_lock or not isinstance(version, int) or isinstance(version, bool):
        raise DataError("runner did not write this file", hint="move it away, then run `runner lock`", mark=Mark(name))
    if version != VERSION:
        raise DataError(
            f"it is of version {version}, and this runner writes and reads {VERSION}",
            hint="use the runner that wrote it, or write it anew with `runner lock`",
            mark=Mark(name, top.key("version").line),
        )
    return Lock(name, str(found.get("project")), jobs, top)


def locked(lock: Lock | None, project: str, desired: Sequence[Desired]) -> tuple[str, ...]:
    """The jobs that ask for just what the lock says of them, in its order."""
    if lock is None or lock.project != project:
        return ()
    known = {address: entry.get("requests") for address, entry in lock.jobs.items()}
    return tuple(
        job.address
        for job in desired
        if isinstance(asked := known.get(job.address), dict) and asked.get("sha256") == sha256_in(job.keys)
    )


def keep_current(session: Session, lock: Lock) -> bool:
    """Write what is there now of the jobs of these specs; what other specs say of theirs stays, but not what is of a
    job that was moved. True if it changed.

    Results are read only where the lock does not have them as they are. A job whose results are not of its specs, since
    something holds it back, keeps what was locked. Raises DataError, StateError for files that cannot be read, OSError.
    """
    moved = session.project.called_now  # what goes by another name is of that one
    jobs = {address: entry for address, entry in lock.jobs.items() if moved(address) == address}
    records = session.records.jobs()
    for spec, job in zip(session.project.jobs, session.desired, strict=True):
        record = records.get(job.address)
        scores = record.scores if record is not None and record.scores is not None and record.scores.path else None
        if not _stands(session, spec, job, jobs.get(job.address), scores):
            with suppress(NotOfTheseSpecs):
                jobs[job.address] = entry_of(session, spec, job)
    return write(session.project, jobs)


_OF_SPECS = ("requests", "dataset", "references", "prompt", "checks")


def _stands(session: Session, spec: AnyJob, job: Desired, entry: Entry | None, scores: Scores | None) -> bool:
    """Whether an entry is of the specs and results that are there, as far as digests tell, and has these scores."""
    if entry is None or not _has(entry, scores):
        return False
    found = of_specs(session, spec, job)
    model = {**entry.get("model", {})}
    model.pop("answered_as", None)
    if model != found["model"] or any(entry.get(name) != found.get(name) for name in _OF_SPECS):
        return False
    path = table_of(session.outputs_root, spec)
    output = {"path": spec.output, "sha256": session.digests.of(path).hex()} if path.is_file() else None
    return bool(entry.get("output") == output)


def _has(entry: Entry, scores: Scores | None) -> bool:
    """Whether an entry has the numbers that were scored: verdicts of a judge may change though results do not."""
    locked = entry.get("scores", {})
    known = {} if scores is None else {check.name: check.figure for check in scores.checks}
    if not isinstance(locked, Mapping) or locked.keys() != known.keys():
        return False
    told = [(locked[name], figure) for name, figure in known.items()]
    return all(
        isinstance(one, Mapping) and (one.get("value"), one.get("n")) == (figure.value, figure.n)
        for one, figure in told
    )


def write(project: Project, jobs: Mapping[str, Entry]) -> bool:
    """Write the lock of a project, or of its environment; one with the same bytes is left as it is. True if it was not.

    Raises DataError where a file of that name is none of ours, OSError.
    """
    name = project.lock_name
    path = project.root / name
    before = path.read_bytes() if path.exists() else b""
    if before and not before.startswith(_HEAD[: len("# What results were made of")].encode()):
        raise DataError(f"`{name}` is there already, and runner did not write it", hint="move it away", mark=Mark(name))
    text = text_of(project.namespace, jobs).encode()
    if text == before:
        return False
    with whole(path) as out:
        out.write(text)
    return True


def text_of(project: str, jobs: Mapping[str, Entry]) -> str:
    """The lock as YAML: sorted, one fact a line."""
    lines = [f"version: {VERSION}\n", f"project: {_scalar(project)}\n"]
    return "".join([_HEAD, *lines, *_lines("jobs", jobs, "")])


def _lines(name: str, value: Any, indent: str) -> Iterator[str]:
    key = f"{indent}{_key(name)}:"
    if isinstance(value, Mapping) and value:
        yield f"{key}\n"
        for inner in sorted(value):
            yield from _lines(inner, value[inner], f"{indent}  ")
    elif _is_table(value):
        yield f"{key}\n"
        for item in value:
            yield f"{indent}  - {flow(item)}\n"
    else:
        yield f"{key} {flow(value)}\n"


def _is_table(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and any(isinstance(one, Mapping) for one in value)


_PLAIN_KEY = re.compile(r"[a-z][a-z0-9_]{3,}|id|ok|low|usd")
_WORDS = frozenset(("true", "false", "null"))


def _key(name: str) -> str:
    """Plain where every reader of YAML takes it for the same text."""
    return name if _PLAIN_KEY.fullmatch(name) and name not in _WORDS else _scalar(name)


def flow(value: Any) -> str:
    """A value on one line of YAML."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(name)}: {flow(value[name])}" for name in sorted(value)) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(flow, value)) + "]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, float):
        # every digit; with a point, since readers of YAML 1.1 take `1e-05` for a text
        digits, _, exponent = float.__repr__(value).partition("e")
        return (digits if "." in digits or not exponent else f"{digits}.0") + (f"e{exponent}" if exponent else "")
    return '"' + "".join(map(_escaped, str(value))) + '"'


def _escaped(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    if char.isprintable():
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 1 << 16 else f"\\U{code:08x}"
