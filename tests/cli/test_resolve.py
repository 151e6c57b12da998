"""What `state resolve` lists, and what each decision leaves on record. No remote is spoken to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from runner.apply import calls
from runner.apply.reporter import Silent
from runner.apply.session import Session
from runner.apply.work import Work
from runner.cli.main import Settings, run
from runner.cli.opening import opened
from runner.clock import FastClock
from runner.job.calls import CallEntry, CallStep, State
from runner.job.capabilities import Content, Delivery
from runner.job.outcomes import Outcome
from runner.job.packed import KEY_BYTES
from runner.job.recorded import Batch, Stage
from runner.remotes.audio import error_line
from tests.journeys.audio.lab import SPEC, sound

NOW = datetime(2026, 11, 22, tzinfo=UTC)
NAMES = ("a", "b", "c", "d")


class Project:
    """Four recordings, asked for in one wave."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "specs").mkdir(parents=True)
        (root / "specs/lab.yaml").write_text(SPEC.format())
        for name in NAMES:
            self.put(name, name)

    def put(self, name: str, content: str) -> None:
        path = self.root / f"calls/{name}.wav"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(sound(content))

    @contextmanager
    def opened(self) -> Iterator[Session]:
        with opened(Settings(self.root, 0), ("specs",), Silent(), writes=True) as session:
            yield session

    def wave(
        self, *entries: tuple[str, CallStep, dict[str, Any]], key: str = "wave-1", comes_home: bool = True
    ) -> None:
        """A wave in which this happened to its recordings, in that order; all others were never sent."""
        with self.opened() as session:
            job = session.desired[0]
            keys = b"".join(sorted(bytes(job.keys[at : at + KEY_BYTES]) for at in range(0, len(job.keys), KEY_BYTES)))
            session.objects.write(f"{key}/keys", keys)
            batch = Batch(
                key=key,
                project="lab",
                owner="calls",
                origin=job.origin,
                endpoint=job.endpoint,
                model=job.model,
                window_hours=24,
                rows=len(keys) // KEY_BYTES,
                size_bytes=1,
                keys_sha256=hashlib.sha256(keys).hexdigest(),
                attempt=1,
                generation=0,
                sequence=1,
                intent_at=NOW,
                stage=Stage.SUBMITTED,
                content=Content.RECORDING,
                delivery=Delivery.CALLS,
            )
            session.records.save(batch)
            with self._journal(session, batch) as wave:
                numbers = self._numbers(wave)
                for name, step, more in entries:
                    if step is CallStep.ANSWERED:
                        wave.journal.answer(numbers[name], Outcome.FINAL, error_line(f"x-{'A' * 22}", "failed", "no"))
                    else:
                        wave.journal.append(CallEntry(numbers[name], step, **more))
            if comes_home:
                calls.abandon(session, batch)

    def states(self, key: str = "wave-1") -> tuple[Stage, dict[str, State]]:
        """How the wave and its recordings stand now."""
        with self.opened() as session:
            batch = session.records.batch(key)
            assert batch is not None
            with self._journal(session, batch) as wave:
                return batch.stage, {name: wave.journal.states[number] for name, number in self._numbers(wave).items()}

    @contextmanager
    def _journal(self, session: Session, batch: Batch) -> Iterator[Work]:
        with Work(session, batch) as work:
            yield work

    def _numbers(self, wave: Work) -> dict[str, int]:
        return {Path(wave.name(number)).stem: number for number in range(len(wave.journal.states))}

    def resolve(self, *words: str, job: str = "calls") -> int:
        return run(["-C", str(self.root), "state", "resolve", job, *words])


def sent(name: str, remote_id: str = "", account: str = "acme") -> list[tuple[str, CallStep, dict[str, Any]]]:
    """A recording that went out; with an id, the remote took it."""
    receipt = [(name, CallStep.RECEIPT, {"remote_id": remote_id, "account": account})] if remote_id else []
    return [(name, CallStep.INTENT, {}), *receipt]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "project")


def test_nothing_is_held(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert project.resolve() == 0
    assert capsys.readouterr().out == "Nothing of `calls` is held\n"
    assert project.resolve("-o", "json") == 0
    nothing = {"version": 2, "held": [], "ways": [], "decided": [], "decided_as": ""}
    assert json.loads(capsys.readouterr().out) == nothing
    assert project.resolve("--clear") == 0


@pytest.mark.parametrize("comes_home", [True, False])
def test_what_is_held_is_listed_with_the_ways_out(
    project: Project, capsys: pytest.CaptureFixture[str], comes_home: bool
) -> None:
    held: Sequence[Any] = () if comes_home else [("a", CallStep.HELD, {}), ("b", CallStep.HELD, {})]
    project.wave(*sent("a"), *sent("b", "b-1"), *held, comes_home=comes_home)
    assert project.resolve() == 5
    out = capsys.readouterr().out
    assert "calls  calls/a.wav  it is not known whether it was accepted\n" in out
    assert "calls  calls/b.wav  sent as `b-1`, and no answer came of it\n" in out
    assert "2 recordings held" in out
    assert f"`runner -C {project.root} state resolve calls --row ID --adopt REMOTE_ID`" in out
    assert project.resolve("-o", "json", "--row", "calls/b.wav") == 5
    view = json.loads(capsys.readouterr().out)
    assert [(one["row"], one["remote_id"], one["wave"]) for one in view["held"]] == [("calls/b.wav", "b-1", "wave-1")]


@pytest.mark.parametrize(("word", "step"), [("--clear", CallStep.CLEARED), ("--resubmit", CallStep.REPEATED)])
def test_a_decision_is_on_record_and_the_wave_goes_on(project: Project, word: str, step: CallStep) -> None:
    project.wave(*sent("a"), *sent("b"))
    assert project.resolve("--row", "calls/a.wav", word) == 0
    stage, states = project.states()
    assert stage is Stage.SUBMITTED
    assert {name: state.step for name, state in states.items()} == {
        "a": step,
        "b": CallStep.HELD,
        "c": CallStep.ANSWERED,
        "d": CallStep.ANSWERED,
    }


def test_what_may_have_been_accepted_is_not_forgotten(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.wave(*sent("a"), *sent("b"))
    assert run(["-C", str(project.root), "state", "rm", "wave-1", "-y"]) == 64
    told = " ".join(capsys.readouterr().err.split())
    assert "nobody knows whether all of `wave-1` was accepted" in told and "state resolve calls`" in told
    assert project.states()[1]["a"].step is CallStep.HELD
    assert project.resolve("--clear") == 0
    with project.opened() as session:
        calls.abandon(session, session.records.batches()[0])
    assert run(["-C", str(project.root), "state", "rm", "wave-1", "-y"]) == 0


def test_what_was_to_be_sent_once_more_and_is_cancelled_is_in_doubt_as_before(project: Project) -> None:
    project.wave(*sent("a"), *sent("b"))
    assert project.resolve("--row", "calls/a.wav", "--resubmit") == 0
    assert project.resolve("--row", "calls/b.wav", "--clear") == 0
    with project.opened() as session:
        calls.abandon(session, session.records.batches()[0])
    states = project.states()[1]
    assert (states["a"].step, states["b"].outcome) == (CallStep.HELD, Outcome.RETRY)


def test_all_of_them_without_a_row(project: Project) -> None:
    project.wave(*sent("a"), *sent("b"), *sent("c", "b-3"))
    assert project.resolve("--resubmit") == 0
    assert [state.step for state in project.states()[1].values()].count(CallStep.REPEATED) == 3


def test_a_receipt_takes_the_account_of_the_others(project: Project) -> None:
    project.wave(*sent("a"), *sent("b", "b-1"), ("b", CallStep.ANSWERED, {}))
    assert project.resolve("--row", "calls/a.wav", "--adopt", "b-9") == 0
    state = project.states()[1]["a"]
    assert (state.step, state.remote_id, state.account) == (CallStep.RECEIPT, "b-9", "acme")


def test_a_receipt_takes_the_account_of_other_waves(project: Project) -> None:
    project.wave(*sent("a", "b-1", "other"), key="wave-0")
    project.wave(*sent("a"), *sent("b"))
    project.resolve("--row", "calls/b.wav", "--adopt", "b-9")
    assert project.states()[1]["b"].account == "other"


@pytest.mark.parametrize("others", [[], [*sent("b", "b-1", "one"), *sent("c", "b-2", "two")]])
def test_an_account_that_nobody_says_is_asked_for(
    project: Project, capsys: pytest.CaptureFixture[str], others: list[Any]
) -> None:
    project.wave(*sent("a"), *others)
    words = ("--row", "calls/a.wav", "--adopt", "b-9")
    assert project.resolve(*words) == 64
    assert "`--account`" in capsys.readouterr().err
    assert project.states()[0] is Stage.COLLECTED  # and nothing has changed
    assert project.resolve(*words, "--account", "mine") == 0
    assert project.states()[1]["a"].account == "mine"


def test_an_id_that_is_another_recording_is_refused(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.wave(*sent("a"), *sent("b", "b-1"), ("b", CallStep.ANSWERED, {}))
    assert project.resolve("--row", "calls/a.wav", "--adopt", "b-1") == 64
    assert "`b-1` is `calls/b.wav`, which is not held" in capsys.readouterr().err


def test_an_id_that_is_a_recording_of_an_earlier_wave_is_refused(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.wave(*sent("b", "b-1"), ("b", CallStep.ANSWERED, {}), key="wave-0")
    project.wave(*sent("a"))
    assert project.resolve("--row", "calls/a.wav", "--adopt", "b-1") == 64
    assert "`b-1` is a recording of the calls batch `wave-0`" in capsys.readouterr().err


def test_equal_recordings_go_by_either_name(project: Project) -> None:
    project.put("duplicate", "a")
    project.wave(*sent("a"))
    assert project.resolve("--row", "calls/duplicate.wav", "--clear") == 0
    assert project.states()[1]["a"].step is CallStep.CLEARED


def test_what_has_no_file_any_more_goes_by_its_key(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.wave(*sent("a"))
    (project.root / "calls/a.wav").unlink()
    assert project.resolve("-o", "json") == 5
    name = json.loads(capsys.readouterr().out)["held"][0]["row"]
    assert len(bytes.fromhex(name)) == KEY_BYTES
    assert project.resolve("--row", name, "--clear") == 0
    assert project.resolve() == 0


def test_a_decision_that_was_cut_short_can_be_made_again(project: Project) -> None:
    project.wave(*sent("a"), *sent("b"))
    with project.opened() as session:
        batch = session.records.batch("wave-1")
        assert batch is not None
        calls.reopen(session, batch)  # and the process was killed
    assert project.resolve() == 5
    assert project.resolve("--clear") == 0
    assert project.resolve() == 0


def test_a_decision_waits_for_nobody(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.wave(*sent("a"))
    with project.opened() as session, session.memory.lock("runner apply", clock=FastClock(NOW)):
        assert project.resolve("--clear") == 6
        assert f"`runner -C {project.root} apply`" in capsys.readouterr().err
        assert project.resolve() == 5  # to look takes no lock


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--clear", "--resubmit"), "Give only one of --adopt, --look, --clear and --resubmit"),
        (("--adopt", "b-9", "--clear"), "Give only one of"),
        (("--account", "x", "--clear"), "--account says whose id --adopt gives"),
        (("--adopt", "b-9"), "2 are held: name one with `--row`"),
        (("--row", "calls/c.wav", "--clear"), "`calls/c.wav` of `calls` is not held"),
        (("--row", "calls/a.wav", "--adopt", "x" * 513), "takes the id"),
    ],
)
def test_what_cannot_be_decided(
    project: Project, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    project.wave(*sent("a"), *sent("b"))
    assert project.resolve(*words) == 64
    assert said in capsys.readouterr().err
    assert project.states()[0] is Stage.COLLECTED


def test_a_job_that_there_is_not(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert project.resolve(job="coals") == 64
    assert "there is no job `coals`" in capsys.readouterr().err
