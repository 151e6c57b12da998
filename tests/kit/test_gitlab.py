"""The pipelines that `runner init --ci gitlab` writes, run shell by shell, against an API of GitLab's shape."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.journeys.lab import KEY, Lab
from tests.journeys.test_repay import PRICED
from tests.kit.conftest import initialised, pushed
from tests.kit.workflow import ME, Hub, git

TOKEN = "glpat-canary"
_RULE = re.compile(r'\$(\w+) == (?:"([^"]*)"|\$(\w+))')


class Api(ThreadingHTTPServer):
    """Notes of merge requests, by page; commits and the merge request they came with; whose token it is."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.notes: list[dict[str, Any]] = []
        self.merged: dict[str, int] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/api/v4"


class _Handler(BaseHTTPRequestHandler):
    server: Api

    def _answer(self) -> None:
        assert self.headers["PRIVATE-TOKEN"] == TOKEN
        path, _, query = self.path.removeprefix("/api/v4").partition("?")
        size = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(size)) if size else {}
        headers: dict[str, str] = {}
        match self.command, path.removeprefix("/projects/7").split("/")[1:]:
            case "GET", ["user"]:
                found: Any = {"id": 42}
            case "GET", ["merge_requests", "5", "notes"]:
                page = int(dict(part.split("=") for part in query.split("&"))["page"])
                found = self.server.notes[page - 1 : page]  # one a page
                headers["x-next-page"] = str(page + 1) if page < len(self.server.notes) else ""
            case "POST", ["merge_requests", "5", "notes"]:
                found = {"id": 1 + len(self.server.notes), "author": {"id": 42}, **body}
                self.server.notes.append(found)
            case "PUT", ["merge_requests", "5", "notes", number]:
                found = self.server.notes[int(number) - 1]
                found.update(body)
            case "GET", ["repository", "commits", sha, "merge_requests"]:
                found = [{"iid": self.server.merged[sha], "state": "merged"}] if sha in self.server.merged else []
            case _:
                raise AssertionError(self.path)
        data = json.dumps(found).encode()
        self.send_response(200)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = _answer

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def api() -> Iterator[Api]:
    with Api() as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.02,))
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def ran(hub: Hub, api: Api, branch: str, code: int = 0, **predefined: str) -> str:
    """The jobs of one pipeline, each in a clone of its own; what they said."""
    hub.runs += 1
    told = yaml.safe_load(git(hub.origin, "show", f"{branch}:.gitlab-ci.yml"))
    said = ""
    given = {
        "CI_API_V4_URL": api.url, "CI_PROJECT_ID": "7", "CI_DEFAULT_BRANCH": "main", "RUNNER_GITLAB_TOKEN": TOKEN,
        "CI_COMMIT_SHA": git(hub.origin, "rev-parse", branch).strip(), **predefined,
    }  # fmt: skip
    assert any(_holds(rule["if"], given) for rule in told["workflow"]["rules"])
    jobs = [job for job in told.values() if isinstance(job, dict) and "script" in job]
    chosen = [job for job in jobs if any(_holds(rule["if"], given) for rule in job["rules"])]
    assert len(jobs) == 2 and len(chosen) == 1 and chosen[0]["stage"] in told["stages"]
    for job in chosen:
        workspace = hub.folder / f"pipeline{hub.runs}"
        git(hub.folder, "clone", "-q", "-b", branch, str(hub.origin), str(workspace))
        script = "\n".join(line for part in job["script"] for line in ([part] if isinstance(part, str) else part))
        path = f"{hub.folder / 'bin'}:{Path(sys.executable).parent}:/usr/bin:/bin"
        environ = {**hub.environ, **told["variables"], **job.get("variables", {}), **given, "PATH": path}
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", script], cwd=workspace, env=environ, capture_output=True, text=True,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        said += done.stdout + done.stderr
        assert done.returncode == code, said
    assert KEY not in said and TOKEN not in said
    return said


def _holds(rule: str, given: dict[str, str]) -> bool:
    found = _RULE.fullmatch(rule)
    assert found, rule
    other = found[2] if found[2] is not None else given.get(found[3], "")
    return given.get(found[1], "") == other


def test_a_note_on_a_merge_request_and_exactly_that_on_merge(hub: Hub, dev: Lab, api: Api) -> None:
    initialised(dev, "gitlab")
    pushed(dev, "main", "Pipelines of GitLab")
    base = git(dev.root, "rev-parse", "HEAD").strip()
    dev.spec(PRICED)
    dev.rows(10)
    pushed(dev, "first", "Ask")
    merge_request = {
        "CI_PIPELINE_SOURCE": "merge_request_event", "CI_MERGE_REQUEST_IID": "5",
        "CI_MERGE_REQUEST_DIFF_BASE_SHA": base,
    }  # fmt: skip
    ran(hub, api, "first", **merge_request)
    api.notes.append({"id": 2, "author": {"id": 1}, "body": api.notes[0]["body"].replace("10-", "11-")})
    ran(hub, api, "first", **merge_request)
    assert [note["author"]["id"] for note in api.notes] == [42, 1] and "10 requests" in api.notes[0]["body"]
    git(dev.root, "checkout", "-q", "-B", "main", "origin/main")
    git(dev.root, *ME, "merge", "-q", "--no-ff", "-m", "Merge branch 'first'", "origin/first")
    git(dev.root, "push", "-q", "origin", "main")
    pipeline = {"CI_COMMIT_BRANCH": "main", "LAB_KEY": KEY}
    said = ran(hub, api, "main", code=5, **pipeline)
    assert "Reviewed: nothing" in said and dev.server.sent() == []
    api.merged[git(dev.root, "rev-parse", "main").strip()] = 5
    ran(hub, api, "main", **pipeline)
    said = ran(hub, api, "main", **pipeline, CI_PIPELINE_SOURCE="schedule")
    assert "Reviewed: 10-" in said and [len(ids) for ids in dev.server.sent()] == [10]
    # by hand, and without a token
    dev.rows(11)
    pushed(dev, "main", "A row more")
    digest = json.loads(dev.run("plan", "specs/", "-o", "json").stdout)["digest"]
    assert digest.startswith("1-")
    ran(hub, api, "main", **pipeline, RUNNER_GITLAB_TOKEN="", RUNNER_PLAN_DIGEST=digest)
    assert [len(ids) for ids in dev.server.sent()] == [10, 1]
