"""One job as a report has it, made of what its results and scores come to."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from runner.apply.asfacts import check_of, number_of
from runner.apply.gathered import Gathered
from runner.checks import gates
from runner.checks.paired import Paired
from runner.checks.program import Held, Program
from runner.checks.tally import Form
from runner.job.expect import Expectation
from runner.job.finish import FLAWS
from runner.job.project import AnyJob, AudioJob, Job, Prompt
from runner.job.scored import Gate as Judged
from runner.job.scored import Verdict, judge_address
from runner.reports import facts
from runner.results.names import RESULTS
from runner.results.reread import WAITING
from runner.results.scores import paired
from runner.results.splice import ERROR, OK


def cell_of(cell: Gathered, others: Mapping[str, Gathered]) -> facts.Cell:
    """others: all jobs of the report, by address: an expectation may compare with one."""
    states = cell.states
    wanted = sum(states.values()) + cell.job.bad if cell.evidence.has_output else cell.job.rows + cell.job.bad
    return facts.Cell(
        address=cell.address,
        label=" · ".join(cell.spec.cell.values()) or cell.spec.name,
        axes=dict(cell.spec.cell),
        accounting=facts.Accounting(
            wanted=wanted,
            ok=states[OK],
            error=states[ERROR] + cell.job.bad,
            missing=states["missing"] if cell.evidence.has_output else cell.job.rows,
            **{word: states[word] for word in WAITING - {"missing"}},
        ),
        checks=tuple(_check(cell, held) for held in Program(cell.spec.evals).checks),
        gates=tuple(_gate(cell, one, others) for one in cell.spec.evals.expect),
        failures=tuple(_failures(cell)),
        endings=tuple(
            facts.Ending(finish, FLAWS[finish].counted, rows) for finish, rows in cell.finishes.most_common()
        ),
        usage=cell.spent.usage,
        provenance=_provenance(cell),
    )


def _failures(cell: Gathered) -> Iterator[facts.Failure]:
    found = [facts.Failure(code, *told) for code, told in cell.errors.items()]  # type: ignore[arg-type]
    if cell.job.bad:
        found.append(facts.Failure("", f"cannot be sent: `runner show {cell.address}` lists why", cell.job.bad))
    yield from sorted(found, key=lambda one: (-one.rows, one.code))


def _check(cell: Gathered, held: Held) -> facts.Check:
    if not cell.is_scored or held.name in cell.evidence.waiting:
        return facts.Check(
            name=held.name,
            kind=held.kind.value,
            form=held.form.value,
            number=facts.Number(None),
            statuses={},
            better=held.check.better.value,
            waits_for=_why_unscored(cell, held),
        )
    column = cell.sheet.columns[held.name]
    found = cell.sheet.summary(
        held.name, better=held.better, signature=held.signature(column.tally.numbers().n, cell.cluster)
    )
    return check_of(found, held)


def _why_unscored(cell: Gathered, held: Held) -> str:
    if not cell.evidence.has_output:
        return "there are no results yet"
    if held.name in cell.evidence.waiting:
        return f"it waits for `{judge_address(cell.spec, held.name)}`"
    return "these answers are not scored yet; `runner apply` does that at no cost"


def _gate(cell: Gathered, expected: Expectation, others: Mapping[str, Gathered]) -> facts.Gate:
    judged = _judged(cell, expected, others)
    number = number_of(judged.figure)
    return facts.Gate(
        metric=judged.metric,
        expected=judged.expected,
        verdict=judged.verdict.value,
        sentence=judged.sentence,
        number=None if number.value is None else number,
        bound=expected.bound.number if expected.bound else None,
        slice=dict([expected.slice]) if expected.slice else {},
        way_out=gates.way_out(cell.address, judged) if judged.verdict is Verdict.UNDECIDED else "",
    )


def _judged(cell: Gathered, expected: Expectation, others: Mapping[str, Gathered]) -> Judged:
    is_known = cell.is_settled and (cell.is_scored or not cell.program.checks)
    if not is_known or expected.check in cell.evidence.waiting:
        return gates.not_yet(expected)
    is_said = any(check.name == expected.check and check.unanswered is not None for check in cell.spec.evals.checks)
    if expected.bound is not None:
        return gates.judged(expected, cell.sheet, is_said=is_said)
    other = others.get(expected.not_worse_than)
    if other is None or not (other.is_settled and other.is_scored) or expected.check in other.evidence.waiting:
        return gates.not_yet(expected)
    held = next(held for held in cell.program.checks if held.name == expected.check)
    found = Paired(held.counting)
    for mine, theirs in paired(cell.evidence.scores, other.evidence.scores):
        if held.name in mine.checks and held.name in theirs.checks and held.is_counted_by(mine.custom_id):
            found.add(mine.checks[held.name], theirs.checks[held.name], mine.cluster)
    without = found.difference().figure
    return gates.of_difference(
        expected,
        without,
        without if is_said else found.difference(unanswered_is_wrong=True).figure,
        found.unanswered,
        better=held.better,
        is_share=held.form is not Form.NUMBER,
    )


def _provenance(cell: Gathered) -> facts.Provenance:
    session, spec, evidence = cell.session, cell.spec, cell.evidence
    table = evidence.output / RESULTS if evidence.output.is_dir() else evidence.output
    prompt = spec.prompt if isinstance(spec, Job) else None
    return facts.Provenance(
        provider=spec.model.provider,
        model=spec.model.name,
        answered_as=dict(sorted(cell.answered_as.items())),
        params=dict(spec.model.params),
        data=_data_of(spec),
        requests_sha256=cell.keys.hexdigest() if evidence.has_output else "",
        prompt="" if prompt is None else prompt.key,
        prompt_sha256="" if prompt is None else prompt_digest(prompt),
        output=spec.output if evidence.has_output else "",
        output_sha256=session.digests.of(table).hex() if evidence.has_output else "",
        scores=evidence.scores.relative_to(session.outputs_root).as_posix() if cell.is_scored else "",
        scores_sha256=session.digests.of(evidence.scores).hex() if cell.is_scored else "",
        batches=tuple(dict.fromkeys(batch for batch, _ in cell.batches)),
    )


def _data_of(spec: AnyJob) -> tuple[str, ...]:
    """Files or globs; of rows that are answers the jobs that gave them."""
    if isinstance(spec, AudioJob):
        return spec.patterns
    return spec.dataset.files if spec.chain is None else spec.chain.parents


def prompt_digest(prompt: Prompt) -> str:
    """SHA-256 (hex) of a prompt as it is written, with the form of its answers and its tools."""
    parts: list[Any] = [[[one.role, one.shown()] for one in prompt.messages], prompt.response_format, prompt.tools]
    parts += [prompt.beside_texts] if prompt.beside_texts else []
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()
