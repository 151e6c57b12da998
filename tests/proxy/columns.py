"""The endpoints of the three APIs, one column of the matrix each, and what a project must look like to meet it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.journeys.audio.lab import sound
from tests.proxy import faults
from tests.proxy.proxy import Strike

ROWS = 4

TEXT = """\
project: {project}
models:
  echo:
    provider: {provider}
    name: accounts/fireworks/models/echo
    params: {{max_tokens: 16}}
datasets:
  rows: {{files: rows.csv, id: id}}
prompts:
  say: {{user: "Say {{{{ word }}}}"}}
  tell: {{user: "Tell {{{{ word }}}}"}}
jobs:
  {jobs}
providers:
"""
JOB_TEXT = "say: {dataset: rows, prompt: say, model: echo, output: results/say.jsonl}"
TWO_JOBS = f"{JOB_TEXT}\n  {JOB_TEXT.replace('say', 'tell')}"
POLLS = "min_poll_s: 2, max_poll_s: 4, settle_s: 6, defer_s: 8"
OPENAI = (
    TEXT + "  {provider}: {{kind: openai, base_url: {url}/v1, api_key_env: LAB_KEY, overrides: {{" + POLLS + "}}}}\n"
)
FIREWORKS = TEXT + "  {provider}: {{overrides: {{" + POLLS + ", ready_s: 30}}}}\n"
TWO, CALLS = ("say", "tell"), ("calls",)
AUDIO = """\
project: {project}
models:
  ear:
    provider: fireworks-audio
    name: whisper-v3
    params: {{response_format: json}}
jobs:
  calls:
    audio: calls/*.wav
    model: ear
    output: results/calls.jsonl
providers:
  fireworks-audio:
    overrides: {{min_poll_s: 2, max_poll_s: 4, defer_s: 8}}
"""
IN_PARTS = FIREWORKS.replace("ready_s: 30", "ready_s: 30, upload_bytes: 1, part_bytes: 700")


@dataclass(frozen=True)
class Companion:
    """Another fault that has to happen for an endpoint to be asked at all."""

    route: str
    strike: Strike
    times: int | None = 1
    skip: int = 0


@dataclass(frozen=True)
class Column:
    """One endpoint.

    skip: earlier calls to it that are none of ours. cancels: it is met when a batch is stopped. jobs: two where the
    reply about one may be taken for that about the other.
    """

    name: str
    api: str
    route: str
    spec: str
    writes: bool = False
    has_body: bool = False
    skip: int = 0
    companion: Companion | None = None
    cancels: bool = False
    jobs: tuple[str, ...] = ("say",)
    parallelism: int | None = None

    @property
    def is_list(self) -> bool:
        return " list" in self.name or self.name.endswith("files")

    @property
    def may_give_up_a_create(self) -> bool:
        return {self.route, self.companion.route if self.companion else ""} & {CREATE, CREATE_JOB} != set()


ACCOUNT = r"/v1/accounts/[^/]+"
CREATE = r"^POST /v1/batches$"
JOB = rf"^GET {ACCOUNT}/batchInferenceJobs/[^/?]+$"
CREATE_JOB = rf"^POST {ACCOUNT}/batchInferenceJobs\?"
LOST = faults.FAULTS["close at forwarded"].strike
LISTS = r"^GET /v1/batches(\?|$)"
JOB_LISTS = rf"^GET {ACCOUNT}/batchInferenceJobs\?"


def unlisted(route: str, skip: int = 1) -> Companion:
    """Once something is in flight the list is not there, so that each batch is looked at by itself.

    skip: lists before that.
    """
    return Companion(route, faults.not_found, times=None, skip=skip)


COLUMNS: dict[str, Column] = {
    column.name: column
    for column in (
        Column("openai upload", "openai", r"^POST /v1/files$", OPENAI, writes=True, has_body=True),
        Column("openai create", "openai", CREATE, OPENAI, writes=True, has_body=True),
        Column("openai look", "openai", r"^GET /v1/batches/[^/?]+$", OPENAI, companion=unlisted(LISTS), jobs=TWO),
        Column("openai list", "openai", LISTS, OPENAI),
        Column("openai list in doubt", "openai", LISTS, OPENAI, skip=1, companion=Companion(CREATE, LOST)),
        Column(
            "openai files",
            "openai",
            r"^GET /v1/files(\?|$)",
            OPENAI,
            companion=Companion(r"^POST /v1/files$", LOST),
        ),
        Column("openai download", "openai", r"^GET /v1/files/[^/]+/content", OPENAI),
        Column("openai cancel", "openai", r"^POST /v1/batches/[^/]+/cancel", OPENAI, writes=True, cancels=True),
        Column(
            "fireworks create dataset",
            "fireworks",
            rf"^POST {ACCOUNT}/datasets$",
            FIREWORKS,
            writes=True,
            has_body=True,
        ),
        Column("fireworks upload", "fireworks", rf"^POST {ACCOUNT}/datasets/[^/]+:upload", FIREWORKS, True, True),
        Column(
            "fireworks getUploadEndpoint",
            "fireworks",
            rf"^POST {ACCOUNT}/datasets/[^/]+:getUploadEndpoint",
            IN_PARTS,
            writes=True,
            has_body=True,
        ),
        Column(
            "fireworks signed PUT",
            "fireworks",
            r"^PUT /storage/",
            IN_PARTS,
            writes=True,
            has_body=True,
        ),
        Column(
            "fireworks validateUpload",
            "fireworks",
            rf"^POST {ACCOUNT}/datasets/[^/]+:validateUpload",
            IN_PARTS,
            writes=True,
            has_body=True,
        ),
        Column("fireworks get dataset", "fireworks", rf"^GET {ACCOUNT}/datasets/[^/?:]+$", FIREWORKS),
        Column("fireworks create job", "fireworks", CREATE_JOB, FIREWORKS, writes=True, has_body=True),
        Column("fireworks get job", "fireworks", JOB, FIREWORKS, companion=unlisted(JOB_LISTS, skip=3), jobs=TWO),
        Column("fireworks get job in doubt", "fireworks", JOB, FIREWORKS, companion=Companion(CREATE_JOB, LOST)),
        Column("fireworks list jobs", "fireworks", JOB_LISTS, FIREWORKS),
        Column(
            "fireworks getDownloadEndpoint",
            "fireworks",
            rf"^GET {ACCOUNT}/datasets/[^/]+:getDownloadEndpoint",
            FIREWORKS,
        ),
        Column("fireworks signed GET", "fireworks", r"^GET /storage/", FIREWORKS),
        Column(
            "fireworks delete job",
            "fireworks",
            rf"^DELETE {ACCOUNT}/batchInferenceJobs/",
            FIREWORKS,
            writes=True,
            cancels=True,
        ),
        Column(
            "audio submit", "audio", r"^POST /v1/audio/transcriptions", AUDIO, writes=True, has_body=True, jobs=CALLS
        ),
        Column("audio status", "audio", rf"^GET {ACCOUNT}/batch_job/", AUDIO, jobs=CALLS, parallelism=1),
    )
}


def prepare(column: Column, root: Path, project: str, url: str) -> None:
    """The project folder of a cell."""
    provider = "lab" if column.api == "openai" else "fireworks"
    (root / "specs").mkdir(parents=True)
    jobs = TWO_JOBS if column.jobs == TWO else JOB_TEXT
    text = column.spec.format(project=project, provider=provider, url=url, jobs=jobs)
    (root / "specs/lab.yaml").write_text(text)
    if column.api == "audio":
        (root / "calls").mkdir()
        for name in recordings():
            (root / "calls" / f"{name}.wav").write_bytes(sound(f"{project} {name}", 0.02))
    else:
        rows = "".join(f"r{n},{project} {n}\n" for n in range(ROWS))
        (root / "rows.csv").write_text("id,word\n" + rows)


def recordings() -> list[str]:
    return [f"c{n}" for n in range(ROWS)]


def met_by(column: Column) -> Callable[[faults.Fault], bool]:
    """Which faults a column can tell apart."""

    def meets(fault: faults.Fault) -> bool:
        if fault.bodies:
            return column.has_body
        if fault.reads and (column.writes or column.is_list):
            return False  # nobody could know
        if fault.lists:
            return column.is_list
        return column.writes or not fault.writes

    return meets
