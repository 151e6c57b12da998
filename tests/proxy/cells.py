"""One cell of the matrix: a project is applied while one fault strikes one endpoint, then applied again in calm.

The session is the product's own, in this process, so that a cell takes about a second. Its clock runs twenty times as
fast as the machine's: every patience of the product stays as it is and passes in a twentieth of the time. Only the
sockets' timeouts, which no clock of ours moves, are given by hand.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import logging
import random
import re
import shutil
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from runner.apply.desire import compile_all, desire
from runner.apply.reconcile import apply
from runner.apply.remotes import Remotes
from runner.apply.session import Session
from runner.cli import aftermath
from runner.cli.main import words_of
from runner.cli.question import YesOrNo
from runner.errors import RunnerError, SpecError
from runner.job.capabilities import Content, Transport
from runner.job.project import ProviderBlock
from runner.job.recorded import Stage
from runner.plan.guard import Guards
from runner.remotes import addresses, registry
from runner.remotes.fireworks import profile as fireworks
from runner.remotes.fireworks.provider import FireworksProvider
from runner.remotes.fireworks_audio import profile as audio
from runner.remotes.fireworks_audio.provider import FireworksAudioCaller
from runner.remotes.openai.profiles import profile_of
from runner.remotes.openai.provider import OpenAIProvider
from runner.remotes.transport.calls import Calls
from runner.remotes.transport.credentials import Credential, Headers
from runner.remotes.transport.exchange import HttpSettings, Timeouts
from runner.remotes.transport.gate import UrlGate
from runner.remotes.transport.http import Http
from runner.remotes.vendor import Provider
from runner.spec.load import load
from runner.spec.problems import render
from runner.state.memory import open_memory
from tests.journeys.lab import KEY, Server, serving
from tests.proxy.columns import JOB_LISTS, LISTS, ROWS, Column, prepare, recordings
from tests.proxy.faults import Fault
from tests.proxy.proxy import Proxy, between

RATE = 20.0  # seconds of the session in one of the machine
TIMEOUTS = Timeouts(connect=2.0, read=0.7, bulk_read=1.0)  # real seconds
STRUCK_SECONDS = 120.0  # the session's: how long an apply waits while the fault strikes
CALM_SECONDS = 300.0
RUNNING, BLOCKED = 3, 5
HARD_LIMIT = 60.0  # real seconds of a whole cell
MOST_APPLIES = 3  # after the fault has ended
SURE_REQUESTS = 12  # to the struck endpoint, however short the time
REQUESTS_A_SECOND = 1.2  # of the session, beyond those, for each batch or recording in flight
NUMBERS = itertools.count(1)


class Hurried:
    """A clock that runs `RATE` times as fast as the machine's."""

    def __init__(self, stop: threading.Event) -> None:
        self.until: float | None = None
        self.retry_seconds = float("inf")
        self._stop = stop
        self._started = time.monotonic()
        self._began = datetime.now(UTC)
        self._leapt = 0.0

    def now(self) -> datetime:
        return self._began + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        return (time.monotonic() - self._started) * RATE + self._leapt

    def leap(self, seconds: float) -> None:
        """Come back later."""
        self._leapt += seconds

    def sleep(self, seconds: float) -> None:
        self._stop.wait(seconds / RATE)


class HurriedRemotes(Remotes):
    """The project's remotes with short timeouts of their sockets; composed as `registry` does."""

    environ: Mapping[str, str]

    def open(self, name: str, content: Content = Content.TEXT, transport: Transport = Transport.BATCH) -> Provider:
        side = name, content, transport
        if side not in self._open:
            spec = self._spec(name)
            self._open[side] = self._text(spec) if content is Content.TEXT else self._audio(spec)
        return self._open[side]

    def _audio(self, spec: ProviderBlock) -> Provider:
        caller = FireworksAudioCaller(
            http=self._http(spec, ""),
            who=spec.name,
            profile=audio.profile_of(spec),
            card=registry.card_of(spec, Content.RECORDING),
            origin=self.origin(spec.name),
        )
        return Calls(caller, self._clock)

    def _text(self, spec: ProviderBlock) -> Provider:
        if spec.kind == "fireworks":
            return FireworksProvider(
                http=self._http(spec, "Bearer"),
                account=addresses.account_of(spec, self._environ),
                profile=fireworks.profile_of(spec),
                gate=UrlGate(addresses.base_url_of(spec, self._environ)),
                origin=self.origin(spec.name),
                clock=self._clock,
            )
        return OpenAIProvider(
            http=self._http(spec, "Bearer"),
            profile=profile_of(spec),
            gate=UrlGate(addresses.base_url_of(spec, self._environ)),
            origin=self.origin(spec.name),
            clock=self._clock,
        )

    def _http(self, spec: ProviderBlock, scheme: str) -> Http:
        bindings = addresses.bindings_of(self._environ)
        credential = Credential(spec.name, addresses.key_variable_of(spec), self._environ, refusal=bindings.refusal)
        return Http(
            addresses.base_url_of(spec, self._environ),
            who=spec.name,
            headers=Headers(credential, scheme=scheme),
            key_name=credential.name,
            clock=self._clock,
            rng=self._rng,
            settings=HttpSettings(timeouts=TIMEOUTS),
        )


class Telling:
    """A reporter that writes every word down."""

    def __init__(self, words: io.StringIO) -> None:
        self._words = words

    def step(self, text: str) -> None:
        self._words.write(f"{text}\n")

    def warn(self, text: str) -> None:
        self._words.write(f"warning: {text}\n")

    def progress(self, jobs: object) -> None:
        self._words.write(f"{jobs}\n")


@dataclass
class Outcome:
    """What came of a cell. `blames` is empty where the promise held."""

    column: str
    fault: str
    codes: list[int] = field(default_factory=list)
    asked: int = 0  # requests to the endpoint while the fault struck
    strikes: int = 0
    seconds: float = 0.0
    held: int = 0
    words: str = ""
    blames: list[str] = field(default_factory=list)

    def blame(self, what: str) -> None:
        self.blames.append(what)

    def __str__(self) -> str:
        """`ok` at once, else the exit codes of the applies one after the other."""
        if self.blames:
            return "BROKEN"
        if not self.strikes:
            return "not met"
        ways = "ok" if self.codes == [0] else ">".join(str(code) for code in self.codes)
        return ways + (f" held {self.held}" if self.held else "") + f" /{self.asked}"


@dataclass
class Bench:
    """A server, the proxy before it, and room for cells."""

    server: Server
    proxy: Proxy
    folder: Path

    def run(self, column: Column, fault: Fault, *, storm: bool = False) -> Outcome:
        """Play one cell."""
        outcome = Outcome(column.name, fault.name)
        number = next(NUMBERS)
        root = self.folder / f"cell{number}"
        started = time.monotonic()
        cell = _Cell(self, column, fault, root, f"cell-{number}", storm, outcome)
        try:
            cell.play()
        except Exception:
            outcome.blame(traceback.format_exc())
        finally:
            self.proxy.disarm()
            self.server.fault(hold=None)
            outcome.seconds = time.monotonic() - started
            outcome.words = cell.words.getvalue()
            shutil.rmtree(root, ignore_errors=True)
        if outcome.seconds > HARD_LIMIT:
            outcome.blame(f"it took {outcome.seconds:.0f} s")
        return outcome


@contextlib.contextmanager
def bench(folder: Path) -> Iterator[Bench]:
    with serving(folder / "server") as server:
        parts = urlsplit(server.url)
        assert parts.hostname and parts.port
        with between((parts.hostname, parts.port), tick=1 / RATE) as proxy:
            yield Bench(server, proxy, folder)


class _Cell:
    def __init__(
        self, bench: Bench, column: Column, fault: Fault, root: Path, name: str, storm: bool, outcome: Outcome
    ) -> None:
        self.bench, self.column, self.fault, self.root = bench, column, fault, root
        self.proxy, self.server = bench.proxy, bench.server
        self.name, self.storm, self.outcome = name, storm, outcome
        self.words = io.StringIO()
        self.logs = io.StringIO()
        self.stop = threading.Event()
        self.clock = Hurried(self.stop)

    def play(self) -> None:
        prepare(self.column, self.root, self.name, self.proxy.url)
        before = self._tally()
        if self.column.cancels:
            self.server.fault(hold=0.0)
            self._applied(0.0)
            self._strike(self._cancelled)
            self._cancel_until_done()
            self.server.fault(hold=None)
        else:
            self._strike(lambda: self._applied(STRUCK_SECONDS))
        for turn in range(MOST_APPLIES):
            if self.outcome.codes[-1] in (0, BLOCKED) and (turn or not self.column.cancels):
                break
            self.outcome.codes.append(self._applied(CALM_SECONDS))
            if self.outcome.codes[-1] == RUNNING:
                self._come_back_later()
        self._judge(before)
        self._judge_words()

    def _strike(self, act: Callable[[], int]) -> None:
        """Do it under the fault, and count."""
        column, asked = self.column, self.proxy.count(self.column.route)
        strayed = self.proxy.strayed
        if column.companion:
            other = column.companion
            self.proxy.arm(other.route, other.strike, times=other.times, skip=other.skip)
        rule = self.proxy.arm(column.route, self.fault.strike, times=None if self.storm else 1, skip=column.skip)
        started = self.clock.monotonic()
        self.outcome.codes.append(act())
        seconds = self.clock.monotonic() - started
        self.proxy.disarm()
        self.outcome.strikes = rule.struck
        self.outcome.asked = self.proxy.count(column.route) - asked
        things = ROWS if column.api == "audio" else len(column.jobs)
        if self.outcome.asked > SURE_REQUESTS + REQUESTS_A_SECOND * seconds * things:
            self.outcome.blame(f"{self.outcome.asked} requests in {seconds:.0f} s of the session")
        if self.proxy.strayed != strayed:
            self.outcome.blame("a redirect to another host was followed")

    def _come_back_later(self) -> None:
        """Where the remote asked for a long wait, which is kept to."""
        waits = re.findall(r"the same upload is submitted again in (\d+) s", self.words.getvalue())
        if waits:
            self.clock.leap(float(waits[-1]))

    # -- what a user does

    def _applied(self, wait_seconds: float) -> int:
        def act(session: Session) -> int:
            result = apply(session, Guards(first_run=True), confirm=lambda plan: True, wait_seconds=wait_seconds)
            return aftermath.report(session, result, YesOrNo.YES, ("specs",), "text", interrupted=False)

        return self._run("apply", act)

    def _cancelled(self) -> int:
        """As the command does it."""

        def act(session: Session) -> int:
            with session.memory.lock("runner cancel", clock=session.clock):
                for batch in session.records.batches():
                    if batch.is_active and batch.stage is Stage.SUBMITTED:
                        session.remote_of(batch).cancel(batch.remote_id)
            return 0

        return self._run("cancel", act)

    def _cancel_until_done(self) -> None:
        for _ in range(MOST_APPLIES):
            if self.outcome.codes[-1] == 0:
                break
            self.outcome.codes.append(self._cancelled())

    def _run(self, what: str, act: Callable[[Session], int]) -> int:
        """The exit code, as the command line would give it. Every word and log line is kept."""
        self.words.write(f"$ runner {what}\n")
        self.stop.clear()
        impatient = threading.Timer(HARD_LIMIT, self.stop.set)  # a Ctrl-C, where it would never end
        impatient.start()
        with (
            contextlib.redirect_stdout(self.words),
            contextlib.redirect_stderr(self.words),
            _logged(self.logs),
            warnings.catch_warnings(record=True) as caught,
        ):
            warnings.simplefilter("always")
            try:
                with self._session() as session:
                    code = act(session)
            except SpecError as error:
                self.outcome.blame(render(error.problems, self.root))
                code = error.exit_code
            except RunnerError as error:
                self.words.write(words_of(error) + "\n")
                code = error.exit_code
            except Exception:
                self.outcome.blame(traceback.format_exc())
                code = -1
            finally:
                impatient.cancel()
        if self.stop.is_set():
            self.outcome.blame(f"{what} did not end within {HARD_LIMIT:.0f} s")
        for warning in caught:
            self.outcome.blame(f"warning: {warning.message}")
        self.words.write(f"exit code {code}\n")
        return code

    @contextlib.contextmanager
    def _session(self) -> Iterator[Session]:
        environ = {
            "LAB_KEY": KEY,
            "FIREWORKS_API_KEY": KEY,
            "FIREWORKS_ACCOUNT_ID": self.name,
            "FIREWORKS_BASE_URL": self.proxy.url,
            "FIREWORKS_AUDIO_BASE_URL": self.proxy.url,
        }
        memory = open_memory(self.root, writes=True)
        project = load(["specs"], self.root)
        remotes = HurriedRemotes(project, environ=environ, clock=self.clock, rng=random.Random(7), may_start=False)
        try:
            compiled = compile_all(project, remotes, memory.caches / "compiled", keeps=True)
            yield Session(
                project=project,
                desired=desire(project, compiled, remotes),
                compiled=compiled,
                memory=memory,
                remotes=remotes,
                clock=self.clock,
                reporter=Telling(self.words),
                stop=self.stop,
                parallelism=self.column.parallelism,
            )
        finally:
            remotes.close()
            memory.close()

    # -- what came of it

    def _tally(self) -> Mapping[str, Any]:
        return dict(self.server.get("/_log"))

    def _judge(self, before: Mapping[str, Any]) -> None:
        """One batch a job, every row asked once and answered; what is held is named."""
        blame, after = self.outcome.blame, self._tally()
        jobs, last = self.column.jobs, self.outcome.codes[-1]
        if self.column.api == "audio":
            self._judge_audio(after["audio_jobs_created"] - before["audio_jobs_created"])
        elif self.column.cancels:
            if last != BLOCKED:
                blame(f"a cancelled job ends with exit code {last}")
        else:
            asked = after["rows_asked"] - before["rows_asked"]
            if last != 0:
                blame(f"it did not converge: {self.outcome.codes}")
            if asked != ROWS * len(jobs):
                blame(f"{asked} rows were asked instead of {ROWS * len(jobs)}")
            for job in jobs:
                wanted = [(f"r{n}", f"echo: {job.capitalize()} {self.name} {n}") for n in range(ROWS)]
                if [(row["custom_id"], row["answer"]) for row in self._rows(job)] != wanted:
                    blame(f"rows of {job}: {json.dumps(self._rows(job))[:600]}")
        made = {"openai": self._batches, "fireworks": self._jobs, "audio": lambda: ["one"]}[self.column.api]()
        if len(made) != len(jobs) and not (self.column.cancels and self.column.api == "fireworks" and not made):
            blame(f"batches at the remote: {made}")
        if self.fault.harmless and self.outcome.codes[0] != 0:
            blame(f"harmless, and yet exit code {self.outcome.codes[0]}")
        if last == 0:
            self._judge_rest()

    def _judge_audio(self, kept: int) -> None:
        """No recording is accepted twice, none has the answer of another, none is held without a way out."""
        last, said, rows = self.outcome.codes[-1], self.words.getvalue(), self._rows("calls")
        self.outcome.held = held = said.count("is held")
        answers = [row["text"] for row in rows if row["text"]]
        if kept > ROWS:
            self.outcome.blame(f"{kept} submissions were accepted for {ROWS} recordings")
        if len(set(answers)) != len(answers):
            self.outcome.blame(f"two recordings have one answer: {answers}")
        if held and (last != BLOCKED or "runner state resolve calls" not in said):
            self.outcome.blame(f"{held} are held and the exit code is {last}")
        names = [f"calls/{name}.wav" for name in recordings()]
        if not held and (last != 0 or [row["custom_id"] for row in rows] != names or len(answers) != ROWS):
            self.outcome.blame(f"it did not converge: {self.outcome.codes}, {json.dumps(rows)[:600]}")

    def _judge_rest(self) -> None:
        """Once done, another apply does nothing and asks nobody, but for a list where a create was given up."""
        before = len(self.proxy.asked)
        is_done = self._applied(0.0) == 0
        asked = self.proxy.asked[before:]
        if self.column.may_give_up_a_create and asked and re.search(f"{LISTS}|{JOB_LISTS}", asked[0]):
            del asked[0]  # one that came late would be stopped and counted
            asked = [one for one in asked if ":getDownloadEndpoint" not in one]  # what is listed comes with its files
        if asked or not is_done:
            self.outcome.blame(f"applied again, it asks {asked}")

    def _judge_words(self) -> None:
        said = self.words.getvalue() + self.logs.getvalue()
        if KEY in said:
            self.outcome.blame("the key is in the output")
        if "Traceback" in said:
            self.outcome.blame("a traceback is in the output")
        signatures = {target.partition("?")[2] for target in self.proxy.asked if "/storage/" in target}
        if any(signature and signature in said for signature in signatures):
            self.outcome.blame("a signed URL is in the output")
        for path in (self.root / ".runner").rglob("*"):
            if path.is_file() and KEY.encode() in path.read_bytes():
                self.outcome.blame(f"the key is in {path.name}")

    def _rows(self, job: str) -> list[dict[str, Any]]:
        path = self.root / f"results/{job}.jsonl"
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_bytes().split(b"\n") if line]

    def _batches(self) -> list[str]:
        return [
            f"{batch['id']} {batch['status']}"
            for batch in self.server.batches()
            if (batch["metadata"] or {}).get("runner_project") == self.name
        ]

    def _jobs(self) -> list[str]:
        raw = self.server.raw("GET", f"/v1/accounts/{self.name}/batchInferenceJobs?pageSize=200")
        return [f"{job['name']} {job['state']}" for job in json.loads(raw)["batchInferenceJobs"]]


@contextlib.contextmanager
def _logged(words: io.StringIO) -> Iterator[None]:
    """Everything that is logged, down to the last detail."""
    handler = logging.StreamHandler(words)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
