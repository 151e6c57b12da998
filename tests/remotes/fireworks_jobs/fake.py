"""The control plane and its storage on a loopback socket, in a dictionary: just what the provider's verbs touch.

Faults are scripted by route (`POST /datasets`): each call takes the next of `refuse` (a status, nothing done), `lose`
(done, the connection closed), `drop` (closed, nothing done), `late` (done, then 500).
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

KEY = "fw-canary-0123456789abcdef"
ACCOUNT = "acme"
ROOT = f"/v1/accounts/{ACCOUNT}"
Reply = tuple[int, Any]


def job_named(job_id: str, **fields: Any) -> dict[str, Any]:
    """A job as the control plane prints it: unset fields are there, with their defaults."""
    return {
        "name": f"accounts/{ACCOUNT}/batchInferenceJobs/{job_id}",
        "displayName": "",
        "createTime": "2031-02-03T04:06:00.000001999Z",
        "updateTime": "2031-02-03T04:14:00.500000Z",
        "expireTime": None,
        "state": "JOB_STATE_VALIDATING",
        "status": {"code": "OK", "message": ""},
        "waitingOnCapacity": False,
        "model": "accounts/fireworks/models/small-chat",
        "precision": "BF16",
        "systemPrompt": "",
        "inputDatasetId": f"accounts/{ACCOUNT}/datasets/{job_id}-in",
        "outputDatasetId": f"accounts/{ACCOUNT}/datasets/{job_id}-out",
        "inferenceParameters": {"maxTokens": 0, "temperature": 0, "topP": 0, "topK": 0, "n": 0, "extraBody": "{}"},
        "continuedFromJobName": "",
        "maxJobDuration": None,
        "placement": None,
        "lifecycle": None,
        "jobProgress": None,
        **fields,
    }


@dataclass
class Call:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


@dataclass
class Fake:
    base_url: str = ""
    calls: list[Call] = field(default_factory=list)
    datasets: dict[str, dict[str, Any]] = field(default_factory=dict)
    stored: dict[str, dict[str, bytes]] = field(default_factory=dict)  # dataset -> file name -> bytes
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    looks_until_ready: int = 1
    faults: dict[str, list[str]] = field(default_factory=dict)
    stale_urls: int = 0  # so many signed URLs are refused with 403
    url_of: Any = None  # (dataset, name, url) -> the URL that is told instead
    keys_of: Any = None  # (dataset, {name: url}) -> the keys that are told instead
    page_size: int = 200
    knows_windows: bool = True
    knows_lineage: bool = True
    hooks: dict[str, Any] = field(default_factory=dict)  # route -> callable(call) -> raw reply
    _uploading: dict[str, int] = field(default_factory=dict)

    def count(self, route: str) -> int:
        """Calls by `METHOD /path` below the account; `*` stands for one segment."""
        method, _, path = route.partition(" ")
        pattern = re.compile(re.escape(ROOT + path).replace(r"\*", r"[^/:]+") + r"\Z")
        return sum(call.method == method and bool(pattern.match(call.path)) for call in self.calls)

    def route(self, call: Call) -> str:
        path = call.path.removeprefix(ROOT)
        path = re.sub(r"(?<=/datasets/)[^/:]+|(?<=/batchInferenceJobs/)[^/:]+", "*", path)
        return f"{call.method} {'/storage' if path.startswith('/storage/') else path}"

    # -- what a test does to it

    def put_dataset(self, dataset_id: str, files: dict[str, bytes] | None = None, **fields: Any) -> None:
        self.datasets[dataset_id] = {
            "name": f"accounts/{ACCOUNT}/datasets/{dataset_id}",
            "state": "READY",
            "status": {"code": "OK", "message": ""},
            "format": "FORMAT_UNSPECIFIED",
            "exampleCount": "250",
            "encryptionState": "ENCRYPTION_STATE_PLAINTEXT",
            "createTime": "2031-02-03T04:06:00Z",
            "updateTime": "2031-02-03T04:06:00Z",
            "sourceJobName": "",
            "userUploaded": {},
            **fields,
        }
        self.stored[dataset_id] = dict(files or {})

    def end(self, job_id: str, state: str = "COMPLETED", ok: bytes = b"", error: bytes = b"", **fields: Any) -> None:
        """Bring a job to an end, with its output dataset."""
        job = self.jobs[job_id]
        done, failed = ok.count(b"\n"), error.count(b"\n")
        job["state"] = f"JOB_STATE_{state}"
        job["lifecycle"] = {"endTime": "2031-02-03T04:14:00Z"}
        job["jobProgress"] = {
            "totalInputRequests": 3,
            "totalProcessedRequests": done + failed,
            "successfullyProcessedRequests": done,
            "failedRequests": failed,
            "inputTokens": 40,
            "outputTokens": 3,
        }
        job.update(fields)
        dataset_id = job["outputDatasetId"].rpartition("/")[2]
        self.put_dataset(
            dataset_id,
            {"BIJOutputSet.jsonl": ok, "error-data": error},
            sourceJobName=job["name"],
            userUploaded=None,
        )

    # -- what it answers

    def answer(self, call: Call) -> Reply:
        path = call.path.removeprefix(ROOT)
        if call.path.startswith("/storage/"):
            return self._storage(call)
        if call.headers.get("authorization") != f"Bearer {KEY}":
            return 403, {"error": {"message": "The API key you provided is invalid.", "code": "UNAUTHORIZED"}}
        if call.method == "GET" and call.body:
            return 400, {"code": 3, "message": "a GET has no body", "details": []}
        if not call.path.startswith(ROOT):
            return _missing()
        match path.removeprefix("/").replace(":", "/").split("/"):
            case ["datasets"] if call.method == "POST":
                return self._create_dataset(call.json)
            case ["datasets"]:
                return 200, {"datasets": list(self.datasets.values()), "nextPageToken": ""}
            case ["datasets", dataset_id, *verb] if dataset_id in self.datasets:
                return self._dataset(call, dataset_id, verb[0] if verb else "")
            case ["batchInferenceJobs"] if call.method == "POST":
                return self._create_job(call)
            case ["batchInferenceJobs"]:
                return self._list(call)
            case ["batchInferenceJobs", job_id] if job_id in self.jobs:
                if call.method == "DELETE":
                    del self.jobs[job_id]
                    return 200, {}
                return 200, self.jobs[job_id]
        return _missing()

    def _create_dataset(self, body: dict[str, Any]) -> Reply:
        dataset_id, dataset = body["datasetId"], body["dataset"]
        if "exampleCount" not in dataset:
            return 400, {"code": 3, "message": "error validating dataset: example_count is required", "details": []}
        if dataset_id in self.datasets:
            return _exists("dataset")
        self.put_dataset(dataset_id, state="UPLOADING", exampleCount=str(dataset["exampleCount"]))
        return 200, self.datasets[dataset_id]

    def _dataset(self, call: Call, dataset_id: str, verb: str) -> Reply:
        dataset = self.datasets[dataset_id]
        match verb:
            case "":
                if dataset_id in self._uploading:
                    self._uploading[dataset_id] -= 1
                    if self._uploading[dataset_id] <= 0:
                        dataset["state"] = "READY"
                return 200, dataset
            case "upload":
                if dataset["state"] == "READY":
                    return 400, {"code": 9, "message": "dataset is READY", "details": []}
                name = re.search(rb'filename="([^"]+)"', call.body)
                start = call.body.index(b"\r\n\r\n") + 4
                content = call.body[start : call.body.rindex(b"\r\n--", 0, -4)]
                self.stored[dataset_id] = {name[1].decode() if name else "x": content}
                self._uploading[dataset_id] = self.looks_until_ready
                return 200, {"id": dataset["name"], "object": "file", "bytes": len(content)}
            case "getUploadEndpoint":
                names = call.json["filenameToSize"]
                return 200, {"filenameToSignedUrls": {name: self._url(dataset_id, name) for name in names}}
            case "validateUpload":
                self._uploading[dataset_id] = self.looks_until_ready
                return 200, {}
            case "getDownloadEndpoint":
                return 200, {"filenameToSignedUrls": self._offers(call, dataset_id)}
        return _missing()

    def _offers(self, call: Call, dataset_id: str) -> dict[str, str]:
        ids = [dataset_id]
        if call.query.get("downloadLineage") == "true" and self.knows_lineage:
            job_id = self.datasets[dataset_id]["sourceJobName"].rpartition("/")[2]
            while parent := self.jobs[job_id]["continuedFromJobName"].rpartition("/")[2]:
                ids.append(self.jobs[parent]["outputDatasetId"].rpartition("/")[2])
                job_id = parent
        urls = {f"dataset/{one}/{name}": self._url(one, name) for one in ids for name in self.stored[one]}
        return self.keys_of(dataset_id, urls) if self.keys_of else urls

    def _url(self, dataset_id: str, name: str) -> str:
        url = f"{self.base_url}/storage/{dataset_id}/{name}?X-Goog-Expires=599&X-Goog-Signature=s1gn4ture"
        return self.url_of(dataset_id, name, url) if self.url_of else url

    def _storage(self, call: Call) -> Reply:
        _, _, dataset_id, name = call.path.split("/")
        if "authorization" in call.headers:
            return 400, b"<Error>a signed URL takes no key</Error>"
        if self.stale_urls or call.query.get("X-Goog-Signature") != "s1gn4ture":
            self.stale_urls -= 1
            return 403, b"<Error>ExpiredToken</Error>"
        if call.method == "GET":
            return 200, self.stored[dataset_id][name]
        size = len(call.body)
        signed = (call.headers.get("content-type"), call.headers.get("x-goog-content-length-range"))
        if signed != ("application/octet-stream", f"{size},{size}"):
            return 403, b"<Error>SignatureDoesNotMatch</Error>"
        self.stored[dataset_id][name] = call.body
        return 200, b""

    def _create_job(self, call: Call) -> Reply:
        job_id, body = call.query["batchInferenceJobId"], call.json
        if "maxJobDuration" in body and not self.knows_windows:
            return 400, {"code": 3, "message": 'unknown field "maxJobDuration"', "details": []}
        if job_id in self.jobs:
            return _exists("job")
        if body["outputDatasetId"].rpartition("/")[2] in self.datasets:
            return _exists("dataset")
        parent = body.get("continuedFromJobName", "").rpartition("/")[2]
        if parent:
            body.setdefault("inputDatasetId", self.jobs[parent]["inputDatasetId"])
        self.jobs[job_id] = job_named(job_id, **body)
        return 200, self.jobs[job_id]

    def _list(self, call: Call) -> Reply:
        jobs = list(self.jobs.values())
        at = int(call.query.get("pageToken") or 0)
        following = str(at + self.page_size) if at + self.page_size < len(jobs) else ""
        page = jobs[at : at + self.page_size]
        return 200, {"batchInferenceJobs": page, "nextPageToken": following, "totalSize": len(jobs)}


def _missing() -> Reply:
    return 404, {"code": 5, "message": "resource not found", "details": []}


def _exists(what: str) -> Reply:
    return 409, {"code": 6, "message": f"{what} already exists", "details": []}


@contextmanager
def serving(fake: Fake) -> Iterator[Fake]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except OSError:
                self.close_connection = True

        def _any(self) -> None:
            parts = urlsplit(self.path)
            query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
            headers = {key.lower(): value for key, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", 0)))
            call = Call(self.command, parts.path, query, headers, body)
            with lock:
                fake.calls.append(call)
                route = fake.route(call)
                fault = fake.faults[route].pop(0) if fake.faults.get(route) else ""
                if route in fake.hooks:
                    status, answer, extra = fake.hooks[route](call)
                    return self._send(status, answer, extra)
                if fault.isdigit():
                    return self._send(int(fault), {"code": 13, "message": "made up", "details": []}, {})
                if fault == "drop":
                    return self._hang_up()
                status, answer = fake.answer(call)
            if fault == "lose":
                return self._hang_up()
            if fault == "late":
                status, answer = 500, {"code": 13, "message": "after the effect", "details": []}
            return self._send(status, answer, {})

        def _hang_up(self) -> None:
            self.close_connection = True

        def _send(self, status: int, answer: Any, extra: dict[str, str]) -> None:
            data = answer if isinstance(answer, bytes) else msgspec.json.encode(answer)
            self.send_response_only(status)  # without a `Date`: its objects are of another time than this machine's
            for name, value in {"content-type": "application/json", "content-length": str(len(data)), **extra}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_DELETE = _any

        def log_message(self, format: str, *args: Any) -> None:
            pass

    lock = threading.Lock()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    fake.base_url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
