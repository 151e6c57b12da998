"""Projects whose result files are spoiled on their way: a job for each fault, a proxy that hands the files out.

Only the first batch of a job is spoiled. What is asked again is answered well, so in the end every row is there, and
which rows were asked twice says what was read in the first place.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from runner import rawfile
from tests.hardening.conftest import OwnLab
from tests.hardening.reading import Reading, read, whole_number
from tests.hardening.spoiling import BOTH, ERROR, OUTPUT, Fault, Spoil, id_of
from tests.journeys.lab import KEY, Server, serving
from tests.proxy.proxy import Exchange, Proxy, Reply, between

ROWS = 8
FAILING = ("row2", "row5")  # these fail for good, so that each batch has an error file
OPENAI, FIREWORKS = "openai", "fireworks"
STYLES = (OPENAI, FIREWORKS)
DOWNLOADS = {OPENAI: r"^GET /v1/files/[^/]+/content", FIREWORKS: r"^GET /storage/download/"}
NUMBERS = itertools.count(1)

HEAD = """\
project: {project}
models:
  echo: {{provider: {style}, name: accounts/fireworks/models/echo, params: {{max_tokens: 64}}}}
prompts:
  ask: {{user: "Say {{{{ word }}}}"}}
providers:
  {style}: {{{where}overrides: {{settle_s: 0.3, min_poll_s: 0.05, max_poll_s: 0.2}}}}
datasets:
"""
WHERE = {OPENAI: "base_url: {url}/v1, api_key_env: LAB_KEY, ", FIREWORKS: ""}


@dataclass(frozen=True)
class Case:
    """A fault of one file of a job's first batch."""

    fault: Fault
    kind: str

    @property
    def job(self) -> str:
        return f"{re.sub('[^a-z0-9]+', '-', self.fault.name.lower())[:28]}-{self.kind[0]}"

    def __str__(self) -> str:
        return f"{self.fault.name}, {self.kind}"


def cases_of(faults: Iterable[Fault]) -> list[Case]:
    return [Case(fault, kind) for fault in faults for kind in BOTH if kind in fault.kinds]


@dataclass
class Hands:
    """What the proxy handed out: by job and kind, the file as it was and as it came."""

    cases: dict[str, Case]
    good: dict[tuple[str, str], list[bytes]] = field(default_factory=dict)
    handed: dict[tuple[str, str], bytes | None] = field(default_factory=dict)
    _first: dict[tuple[str, str], str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def strike(self, exchange: Exchange) -> bool:
        reply = exchange.forward()
        lines = reply.body.removesuffix(b"\n").split(b"\n")
        with self._lock:
            body = self._spoiled(lines, exchange.target.partition("?")[0]) if reply.status == 200 else reply.body
        if body is None:
            exchange.send(Reply(404, "Not Found", (), b'{"error":{"message":"no such file"}}').sized())
        else:
            exchange.send(Reply(reply.status, reply.reason, reply.headers, body or b"").sized())
        return True

    def _spoiled(self, lines: list[bytes], path: str) -> bytes | None:
        whole = b"".join(line + b"\n" for line in lines if line)
        if not lines[0] or b'"messages"' in lines[0]:  # an empty file, or an input
            return whole
        kind = OUTPUT if b'"choices"' in lines[0] else ERROR
        job = id_of(lines[0])[:-23].rpartition("-")[0]
        if self._first.setdefault((job, kind), path) != path:
            return whole
        self.good[job, kind] = lines
        case = self.cases.get(job)
        body: bytes | None = whole
        if case is not None and case.kind == kind:
            body = case.fault.spoil(lines, self.good.get((job, OUTPUT if kind == ERROR else ERROR), []))
        self.handed[job, kind] = body
        return body

    def reading(self, job: str, ids: set[str]) -> Reading:
        """What a simple reader makes of what was handed out. ids: of the rows of the job."""
        return read([body for kind in BOTH if (body := self.handed.get((job, kind))) is not None], ids)


@dataclass
class SpoiledLab(OwnLab):
    """A project of one job for each case, whose remote is seen through the proxy."""

    proxy: Proxy
    style: str
    hands: Hands

    def environ(self, **more: str) -> dict[str, str]:
        where = {"FIREWORKS_BASE_URL": self.proxy.url, "FIREWORKS_ACCOUNT_ID": self.name, "FIREWORKS_API_KEY": KEY}
        return super().environ(**where, **more)

    def prepare(self) -> None:
        jobs = list(self.hands.cases)
        text = HEAD.format(project=self.name, style=self.style, where=WHERE[self.style].format(url=self.proxy.url))
        text += "".join(f"  {job}: {{files: data/{job}.csv, id: id}}\n" for job in jobs) + "jobs:\n"
        for job in jobs:
            text += f"  {job}: {{dataset: {job}, prompt: ask, model: echo, output: results/{job}.jsonl}}\n"
            self.rows({f"{job}-row{n}": f"{self.name} {job} word{n}" for n in range(ROWS)}, f"data/{job}.csv")
        (self.root / "specs").mkdir(exist_ok=True)
        (self.root / "specs/lab.yaml").write_text(text)

    def asked(self) -> Counter[str]:
        """How often the remote was sent each row, by wire id."""
        return Counter(itertools.chain.from_iterable(self.batches()))

    def batches(self) -> list[list[str]]:
        """The wire ids of each batch that was not refused, oldest first."""
        if self.style == OPENAI:
            mine = [b for b in self.server.batches() if (b["metadata"] or {}).get("runner_project") == self.name]
            files = [[self.server.raw("GET", f"/v1/files/{b['input_file_id']}/content")] for b in mine]
        else:
            jobs = self._listed("batchInferenceJobs")
            files = [self._files(job[f"{self._holds_rows(job)}DatasetId"].rpartition("/")[2]) for job in jobs]
        return [[id_of(line) for data in some for line in data.split(b"\n") if line] for some in files]

    def _holds_rows(self, job: dict[str, Any]) -> str:
        """A job that continues another has no input that says what it asked."""
        return OUTPUT if job["continuedFromJobName"] else "input"

    def _files(self, dataset: str) -> list[bytes]:
        raw = self.server.raw("GET", f"/v1/accounts/{self.name}/datasets/{dataset}:getDownloadEndpoint")
        urls = json.loads(raw)["filenameToSignedUrls"].values()
        return [fetched(url) for url in urls]

    def is_quiet(self) -> bool:
        """Whether nothing runs at the remote."""
        if self.style == OPENAI:
            return all(batch["status"] in ("completed", "expired") for batch in self.server.batches())
        ended = ("JOB_STATE_COMPLETED", "JOB_STATE_EXPIRED")
        return all(job["state"] in ended for job in self._listed("batchInferenceJobs"))

    def _listed(self, collection: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        token = ""
        while True:
            raw = self.server.raw("GET", f"/v1/accounts/{self.name}/{collection}?pageSize=200&pageToken={token}")
            page = json.loads(raw)
            found += page[collection]
            token = page["nextPageToken"]
            if not token:
                return found

    def results(self, output: str = "results/answers.jsonl") -> list[dict[str, Any]]:
        """Strict JSON, but for numbers of more digits than Python likes: those are the remote's own words."""
        data = (self.root / output).read_bytes()
        return [json.loads(line, parse_int=whole_number, parse_constant=_no_json) for line in data.split(b"\n") if line]

    def kept(self) -> set[bytes]:
        """Every raw file that is kept, as it came."""
        found = set()
        for path in self.root.glob(".runner/objects/*/*.jsonl*"):
            with rawfile.opened(path.with_name(path.name.removesuffix(".zst"))) as file:
                found.add(file.read())
        return found


def _no_json(word: str) -> None:
    raise AssertionError(f"{word} is no JSON")


def fetched(url: str) -> bytes:
    """What a signed URL leads to."""
    with urllib.request.urlopen(url, timeout=20) as reply:
        return bytes(reply.read())


@dataclass
class EveryOutput:
    """Spoils the answers of every batch in one way."""

    spoil: Spoil

    def strike(self, exchange: Exchange) -> bool:
        reply = exchange.forward()
        lines = reply.body.removesuffix(b"\n").split(b"\n")
        body = (self.spoil(lines, []) or b"") if b'"choices"' in lines[0] else reply.body
        exchange.send(Reply(reply.status, reply.reason, reply.headers, body).sized())
        return True


@contextlib.contextmanager
def remote_in(folder: Path) -> Iterator[tuple[Server, Proxy]]:
    """A server, and a proxy before it."""
    folder.mkdir(exist_ok=True)
    with serving(folder / "server") as server:
        parts = urlsplit(server.url)
        assert parts.hostname and parts.port
        with between((parts.hostname, parts.port)) as proxy:
            yield server, proxy


@contextlib.contextmanager
def spoiled(folder: Path, style: str, cases: Iterable[Case], **faults: Any) -> Iterator[SpoiledLab]:
    """A project that was never applied, on a remote of its own."""
    with remote_in(folder) as (server, proxy):
        yield project_of(folder / "project", server, proxy, style, cases, **faults)


def project_of(
    root: Path, server: Server, proxy: Proxy, style: str, cases: Iterable[Case], **faults: Any
) -> SpoiledLab:
    hands = Hands({case.job: case for case in cases})
    root.mkdir(parents=True)
    lab = SpoiledLab(root, server, proxy, style, hands)
    lab.name = f"spoiled-{next(NUMBERS)}"
    lab.prepare()
    server.fault(row_error={"value": 0.000001, "status": 400, "match": " ".join(FAILING)}, **faults)
    proxy.arm(DOWNLOADS[style], hands.strike, times=None)
    return lab
