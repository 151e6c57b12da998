"""A project whose provider is `fireworks`, and one account of a server that speaks that API."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.journeys.lab import KEY, Lab, Server

SPEC = """\
project: lab
models:
  echo:
    provider: fireworks
    name: accounts/fireworks/models/echo
    params: {{max_tokens: 64, temperature: 0}}
datasets:
  rows: {{files: data/rows.csv, id: id}}
prompts:
  ask: {{system: Be brief, user: "Say {{{{ word }}}}"}}
jobs:
  answers:
    dataset: rows
    prompt: ask
    model: echo
    output: results/answers.jsonl
providers:
  fireworks:
    overrides: {{settle_s: 0.3, min_poll_s: 0.05, max_poll_s: 0.3}}
"""
KNOBS = "min_poll_s: 0.05"  # further overrides are written behind it
_ROOT = "/v1/accounts/{account}"
DATASETS = f"POST {_ROOT}/datasets"  # routes, as faults and the server's log name them
UPLOAD = f"POST {_ROOT}/datasets/{{dataset}}:upload"
JOBS = f"POST {_ROOT}/batchInferenceJobs"
RESULTS, ERRORS = "BIJOutputSet.jsonl", "error-data"


@dataclass
class Account:
    """One account of a server: its objects, as a client of its own sees them. Faults strike every account."""

    server: Server
    name: str
    _before: Counter[str] = field(default_factory=Counter, repr=False)

    def __post_init__(self) -> None:
        self._before = self._log()

    # -- what was asked

    def fault(self, **faults: Any) -> None:
        self.server.fault(**faults)

    def asked(self) -> dict[str, int]:
        """How often each route was called since this account was first seen here, storage included."""
        return dict(self._log() - self._before)

    def rows_asked(self) -> int:
        """Rows that an engine answered since then."""
        return (self._log() - self._before)["rows"]

    def _log(self) -> Counter[str]:
        log = self.server.get("/_log")
        counts = {name: times for name, times in log["requests"].items() if " /v1/" in name or " /storage/" in name}
        return Counter({**counts, "rows": log["rows_asked"]})

    # -- what there is

    def jobs(self) -> list[dict[str, Any]]:
        """Every job, oldest first."""
        return self._all("batchInferenceJobs")

    def states(self) -> list[str]:
        return [job["state"].removeprefix("JOB_STATE_") for job in self.jobs()]

    def datasets(self) -> dict[str, dict[str, Any]]:
        """Every dataset by its id."""
        return {_id(dataset["name"]): dataset for dataset in self._all("datasets")}

    def uploads(self) -> list[str]:
        """The ids of the datasets that somebody uploaded, oldest first."""
        mine = [dataset for dataset in self.datasets().values() if not dataset["sourceJobName"]]
        return [_id(dataset["name"]) for dataset in sorted(mine, key=lambda dataset: str(dataset["createTime"]))]

    def sent(self) -> list[list[str]]:
        """The user's ids of the rows in every uploaded dataset, oldest first."""
        return [self.ids_in(dataset) for dataset in self.uploads()]

    def asked_of_jobs(self) -> list[int]:
        """How many rows each job had to ask, oldest first."""
        return [int(job["jobProgress"]["totalInputRequests"]) for job in self.jobs() if job["jobProgress"]]

    def ids_in(self, dataset: str) -> list[str]:
        return [row["custom_id"][:-23] for name in self.files(dataset) for row in self.rows(dataset, name)]

    def inputs(self, dataset: str) -> list[dict[str, Any]]:
        return [row for name in self.files(dataset) for row in self.rows(dataset, name)]

    def files(self, dataset: str) -> list[str]:
        return [key.rpartition("/")[2] for key in self.urls(dataset)]

    def rows(self, dataset: str, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.bytes_of(dataset, name).split(b"\n") if line]

    def bytes_of(self, dataset: str, name: str) -> bytes:
        with urllib.request.urlopen(self.urls(dataset)[f"dataset/{dataset}/{name}"], timeout=60) as reply:
            return bytes(reply.read())

    def call(self, method: str, rest: str, body: Any = None) -> Any:
        return json.loads(self.server.raw(method, f"/v1/accounts/{self.name}/{rest}", body))

    def fill(self, dataset: str, rows: bytes) -> None:
        """Upload a dataset as somebody else would."""
        count = str(rows.count(b"\n"))
        self.call("POST", "datasets", {"datasetId": dataset, "dataset": {"userUploaded": {}, "exampleCount": count}})
        disposition = 'Content-Disposition: form-data; name="file"; filename="in.jsonl"'
        body = f"--x\r\n{disposition}\r\n\r\n".encode() + rows + b"\r\n--x--\r\n"
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "multipart/form-data; boundary=x"}
        url = f"{self.server.url}/v1/accounts/{self.name}/datasets/{dataset}:upload"
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=20):
            pass

    def delete(self, rest: str) -> None:
        self.call("DELETE", rest)

    def is_there(self, rest: str) -> bool:
        try:
            self.call("GET", rest)
        except urllib.error.HTTPError as error:
            assert error.code == 404
            return False
        return True

    def urls(self, dataset: str) -> dict[str, str]:
        urls: dict[str, str] = self.call("GET", f"datasets/{dataset}:getDownloadEndpoint")["filenameToSignedUrls"]
        return urls

    def _all(self, collection: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        token = ""
        while True:
            page = self.call("GET", f"{collection}?pageSize=200&pageToken={token}")
            found += page[collection]
            token = page["nextPageToken"]
            if not token:
                return found


@dataclass
class FireLab(Lab):
    """A project folder whose provider is one account; address, account and key come from the environment."""

    account: Account

    def spec(self, text: str = SPEC, name: str = "lab.yaml", **fields: str) -> None:
        super().spec(text, name, **fields)

    def knobs(self, more: str, text: str = SPEC) -> None:
        """The usual spec with further overrides of the provider."""
        self.spec(text.replace(KNOBS, f"{KNOBS}, {more}"))

    def environ(self, **more: str) -> dict[str, str]:
        remote = {
            "FIREWORKS_BASE_URL": self.server.url,
            "FIREWORKS_ACCOUNT_ID": self.account.name,
            "FIREWORKS_API_KEY": KEY,
        }
        return super().environ(**{**remote, **more})

    def whole(self, count: int = 10, output: str = "results/answers.jsonl") -> None:
        """Every row once, in order, answered as it was asked."""
        rows = self.results(output)
        assert [row["custom_id"] for row in rows] == [f"r{n}" for n in range(count)]
        assert [row["answer"] for row in rows] == [f"echo: Say word {n}" for n in range(count)]
        assert all(row["error"] is None for row in rows)

    def done(self) -> None:
        """There is nothing left to do, and to know that nobody is asked."""
        before = self.account.asked()
        assert self.run("plan").stdout == "Nothing to do\n"
        assert self.apply().stdout == "Nothing to do\n"
        assert self.account.asked() == before


def _id(name: str) -> str:
    return name.rpartition("/")[2]
