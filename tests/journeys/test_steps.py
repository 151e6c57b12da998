"""A score of one's own: a step adds a column to a job's results, and what it comes to is summed up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
import pytest

from runner.apply.reconcile import apply
from runner.apply.reporter import Silent
from runner.cli import aftermath
from runner.cli.main import Settings
from runner.cli.opening import opened
from runner.cli.question import YesOrNo
from runner.errors import SpecError
from runner.job.project import AnyJob
from runner.plan.guard import Guards
from runner.results import kinds
from runner.results.columns import Step
from runner.results.splice import Merged
from tests.journeys.audio.lab import SPEC as AUDIO
from tests.journeys.audio.lab import AudioLab
from tests.journeys.lab import Lab


class Letters:
    """Counts a letter in answers."""

    columns = (("letters", kinds.WHOLE),)

    def __init__(self, letter: str) -> None:
        self._letter = letter
        self._total = 0

    @property
    def made_of(self) -> str:
        return f"letters/1 {self._letter}"

    def value(self, line: Merged) -> Sequence[bytes]:
        found = line.answer.decode().count(self._letter)
        self._total += found
        return (b"%d" % found,)

    def summary(self) -> str:
        return f"{self._total} times `{self._letter}`" if self._total else ""


def counting(letter: str) -> Callable[[AnyJob], Sequence[Step]]:
    return lambda _: [Letters(letter)]


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch, lab: Lab) -> Iterator[None]:
    """The command runs in this process: its environment is the lab's."""
    for name, value in AudioLab(lab.root, lab.server).environ().items():
        monkeypatch.setenv(name, value)
    yield


def applied(lab: Lab, letter: str, capsys: pytest.CaptureFixture[str]) -> tuple[list[str], list[str]]:
    """What `runner apply` says with such a step, and the jobs whose results it wrote."""
    settings = Settings(lab.root, 0)
    with opened(settings, ("specs",), Silent(), writes=True, stop=threading.Event(), steps=counting(letter)) as session:
        result = apply(
            session, Guards(first_run=True), confirm=lambda *_: True, wait_seconds=None, command="runner apply"
        )
        capsys.readouterr()
        code = aftermath.report(session, result, YesOrNo.YES, ("specs",), "text", interrupted=False)
    assert code == 0
    return capsys.readouterr().out.splitlines(), list(result.written)


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_a_step_writes_anew_when_it_changes_and_is_summed_up(
    lab: Lab, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = lab.root / "specs/lab.yaml"
    path.write_text(path.read_text().replace("answers.jsonl", f"answers{suffix}"))
    output = lab.root / f"results/answers{suffix}"
    told, _ = applied(lab, "e", capsys)
    total = sum(letters_in(output))
    assert total and told[1] == f"  {total} times `e`"
    assert applied(lab, "e", capsys) == (["Nothing to do"], [])
    told, written = applied(lab, "o", capsys)
    assert written == ["answers"] and told[1] == f"  {sum(letters_in(output))} times `o`"
    assert lab.server.creates() == 1


def letters_in(output: Path) -> list[int]:
    """The column of the step, as a reader of the results has it."""
    if output.suffix == ".parquet":
        return [int(value) for value in pq.read_table(output).column("letters").to_pylist()]
    if output.suffix == ".csv":
        head, *rows = (line.split(",") for line in output.read_text().splitlines())
        return [int(row[head.index("letters")]) for row in rows]
    return [int(msgspec.json.decode(line)["letters"]) for line in output.read_bytes().splitlines()]


def test_columns_of_a_step_can_be_chosen(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    path = lab.root / "specs/lab.yaml"
    path.write_text(
        path.read_text().replace(
            "    output:", "    columns: [letters, custom_id, digest, origin, answer]\n    output:"
        )
    )
    applied(lab, "e", capsys)
    first = (lab.root / "results/answers.jsonl").read_bytes().splitlines()[0]
    assert list(msgspec.json.decode(first))[:2] == ["letters", "custom_id"]
    with (
        pytest.raises(SpecError) as refused,
        opened(Settings(lab.root, 0), ("specs",), Silent(), writes=False),
    ):
        pass
    assert "`letters`, which is not a column" in refused.value.problems[0].message


def test_a_folder_of_transcripts_has_them_in_its_table(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    audio = AudioLab(lab.root, lab.server)
    audio.spec(AUDIO.replace("results/calls.jsonl", "transcripts/"))
    audio.record(3)
    told, _ = applied(audio, "e", capsys)
    total = sum(letters_in(lab.root / "transcripts/_results.jsonl"))
    assert total and told[1] == f"  {total} times `e`"
