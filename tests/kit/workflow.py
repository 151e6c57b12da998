"""Runs workflows of GitHub Actions, job by job and shell by shell, as one of its machines does.

Real: bash as it is called there, the files that steps write to, the environment, `if`, expressions, git, `runner`.
Replaced: `gh` by a program on PATH that keeps pull requests and comments in a file and holds callers to the permissions
of their job; the four `actions/*` by a few lines each. Anything that is not known here (an action, a name in
an expression) fails, so that a slip of the pen does.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

BOT = "github-actions[bot]"
_EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
_TOKEN = re.compile(
    r"\s*(?:(?P<op>==|!=|&&|\|\||[()!])|'(?P<text>(?:[^']|'')*)'|(?P<name>[A-Za-z_][\w.-]*)|(?P<number>\d+))"
)

GH = '''\
#!{python} -P
"""`gh api`, over a file: what the workflows use of it, held to the permissions that the token stands for."""
import json, os, subprocess, sys

store = {store!r}
words = sys.argv[1:]
assert words.pop(0) == "api"
method, path, query, fields, is_silent = "GET", "", "", {{}}, False
while words:
    match words.pop(0):
        case "--paginate": pass
        case "--silent": is_silent = True
        case "--method": method = words.pop(0)
        case "--jq": query = words.pop(0)
        case "-F":
            name, _, value = words.pop(0).partition("=")
            assert value.startswith("@")
            fields[name] = open(value[1:], encoding="utf-8").read()
        case word:
            assert not path and not word.startswith("-"), word
            path = word
may = json.loads(os.environ["GH_TOKEN"])
owner, repository, *rest = path.removeprefix("repos/").split("/")
assert f"{{owner}}/{{repository}}" == os.environ["GITHUB_REPOSITORY"]
if may.get("pull-requests") not in (("write",) if method != "GET" else ("read", "write")):
    sys.exit("gh: Resource not accessible by integration (HTTP 403)")
data = json.load(open(store))
match method, rest:
    case "GET", ["commits", sha, "pulls"]:
        found = [pull for pull in data["pulls"] if sha in pull["commits"]]
    case "GET", ["issues", number, "comments"]:
        found = [one for one in data["comments"] if one["issue"] == int(number)]
    case "POST", ["issues", number, "comments"]:
        found = {{"id": 1 + len(data["comments"]), "issue": int(number), "user": {{"login": {bot!r}}}, **fields}}
        data["comments"].append(found)
    case "PATCH", ["issues", "comments", number]:
        found = data["comments"][int(number) - 1]
        found.update(fields)
    case _:
        sys.exit(f"gh: Not Found (HTTP 404): {{method}} {{path}}")
assert len(fields.get("body", "")) <= 65536
json.dump(data, open(store, "w"))
if not is_silent:
    sys.exit(subprocess.run(["jq", "-r", query or "."], input=json.dumps(found), text=True).returncode)
'''


@dataclass
class Hub:
    """A repository on the hub: its bare git, pull requests, comments, secrets, artifacts."""

    folder: Path
    path: str  # of tools, before that of the machine
    environ: dict[str, str]  # of the machines
    secrets: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    name: str = "acme/batch"
    runs: int = 0

    def __post_init__(self) -> None:
        self.folder.mkdir()
        git(self.folder, "init", "-q", "--bare", "-b", "main", "origin.git")
        self._store({"pulls": [], "comments": []})
        tools = self.folder / "bin"
        tools.mkdir()
        (tools / "gh").write_text(GH.format(python=sys.executable, store=str(self.folder / "hub.json"), bot=BOT))
        (tools / "gh").chmod(0o755)

    @property
    def origin(self) -> Path:
        return self.folder / "origin.git"

    def known(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "hub.json").read_text()))

    def _store(self, data: dict[str, Any]) -> None:
        (self.folder / "hub.json").write_text(json.dumps(data))

    def comments(self, number: int) -> list[str]:
        return [one["body"] for one in self.known()["comments"] if one["issue"] == number]

    def comment(self, number: int, login: str, body: str) -> None:
        """What somebody else writes below a pull request."""
        data = self.known()
        data["comments"].append(
            {"id": 1 + len(data["comments"]), "issue": number, "user": {"login": login}, "body": body}
        )
        self._store(data)

    def opened(self, number: int, branch: str) -> dict[str, Any]:
        """The event of a pull request that was opened or pushed to; its merge is at `refs/pull/N/merge`."""
        trial = self.folder / "trial"
        shutil.rmtree(trial, ignore_errors=True)
        git(self.folder, "clone", "-q", str(self.origin), "trial")
        git(trial, *ME, "merge", "-q", "--no-ff", "-m", f"Merge {branch}", f"origin/{branch}")
        git(trial, "push", "-q", "-f", "origin", f"HEAD:refs/pull/{number}/merge")
        data = self.known()
        if number not in [pull["number"] for pull in data["pulls"]]:
            data["pulls"].append({"number": number, "merged_at": None, "commits": []})
            self._store(data)
        return {"pull_request": {"number": number, "head": {"repo": {"full_name": self.name}}}}

    def merge(self, number: int, branch: str) -> None:
        """As the button does."""
        trial = self.folder / "trial"
        shutil.rmtree(trial, ignore_errors=True)
        git(self.folder, "clone", "-q", str(self.origin), "trial")
        git(trial, *ME, "merge", "-q", "--no-ff", "-m", f"Merge pull request #{number}", f"origin/{branch}")
        git(trial, "push", "-q", "origin", "HEAD:main")
        data = self.known()
        [pull] = [one for one in data["pulls"] if one["number"] == number]
        pull["merged_at"] = "2026-11-30T12:00:00Z"
        pull["commits"] = git(trial, "log", "-1", "--format=%H").split()
        self._store(data)

    def run(self, file: str, event: str, payload: Mapping[str, Any], inputs: Mapping[str, str] | None = None) -> Run:
        """One run of a workflow, as it is on the default branch."""
        self.runs += 1
        text = git(self.origin, "show", f"main:.github/workflows/{file}")
        return Run(
            self, yaml.safe_load(text), event, dict(payload), dict(inputs or {}), self.folder / f"run{self.runs}"
        )


ME = ("-c", "user.name=dev", "-c", "user.email=dev@example.com")


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, f"git {words}: {done.stderr}"
    return done.stdout


class Run:
    """What became of one run."""

    def __init__(
        self,
        hub: Hub,
        workflow: dict[Any, Any],
        event: str,
        payload: dict[str, Any],
        inputs: dict[str, str],
        folder: Path,
    ) -> None:
        self.hub, self.folder, self.said, self.summary = hub, folder, "", ""
        folder.mkdir()
        triggers = workflow[True]  # `on` is a boolean to YAML 1.1, which GitHub's own reader knows of
        assert event in triggers, f"{event} starts no run"
        assert workflow["permissions"] == {}, "a token may do what a job says, and nothing else"
        self.contexts: dict[str, Any] = {
            "github": {
                "event": payload, "repository": hub.name, "token": "", "event_name": event, "ref_name": "main",
            },
            "inputs": inputs, "secrets": hub.secrets, "vars": hub.variables, "steps": {}, "needs": {},
            "runner": {"temp": str(folder / "temp")},
        }  # fmt: skip
        (folder / "temp").mkdir()
        self._fill(workflow.get("concurrency", {}).get("group", ""))
        assert workflow["defaults"] == {"run": {"shell": "bash"}}
        self.failed: list[str] = []
        for name, job in workflow["jobs"].items():
            assert not set(job.get("needs", "").split()) - set(workflow["jobs"])
            if job.get("needs") in self.failed:
                self.failed.append(name)
                continue
            self._job(name, job, workflow.get("env", {}))

    @property
    def is_green(self) -> bool:
        return not self.failed

    def _job(self, name: str, job: dict[str, Any], environ: Mapping[str, str]) -> None:
        assert job["runs-on"] == "ubuntu-latest" and job["timeout-minutes"]
        self.contexts["steps"], self.contexts["env"] = {}, {}
        self.contexts["github"]["token"] = json.dumps(job["permissions"])
        workspace = self.folder / name
        workspace.mkdir()
        self.contexts["env"] = {key: self._fill(str(value)) for key, value in {**environ, **job.get("env", {})}.items()}
        for step in job["steps"]:
            if not self.step(step, workspace, job["permissions"]):
                self.failed.append(name)
                return

    def step(self, step: dict[str, Any], workspace: Path, may: Mapping[str, str]) -> bool:
        """Whether it ended well, or was left out."""
        known = {"name", "id", "if", "env", "run", "uses", "with", "shell", "working-directory"}
        assert not step.keys() - known, step.keys() - known
        if "if" in step and not self._value(str(step["if"])):
            return True
        if "uses" in step:
            filled = {key: self._fill(str(value)) for key, value in step.get("with", {}).items()}
            getattr(self, step["uses"].partition("@")[0].replace("/", "_").replace("-", "_"))(workspace, filled, may)
            return True
        assert "${{" not in step["run"], "what others wrote goes to a shell by its environment alone"
        return self._shell(step, workspace)

    def _shell(self, step: dict[str, Any], workspace: Path) -> bool:
        script, output, summary = (self.folder / name for name in ("step.sh", "output", "summary"))
        script.write_text(step["run"])
        output.write_text("")
        summary.touch()
        mine = {key: self._fill(str(value)) for key, value in step.get("env", {}).items()}
        environ = {
            **self.hub.environ, **self.contexts["env"], **mine,
            "PATH": f"{self.hub.folder / 'bin'}:{self.hub.path}:/usr/bin:/bin", "CI": "true", "GITHUB_ACTIONS": "true",
            "GITHUB_REPOSITORY": self.hub.name, "GITHUB_REF_NAME": "main", "GITHUB_WORKSPACE": str(workspace),
            "GITHUB_OUTPUT": str(output), "GITHUB_STEP_SUMMARY": str(summary), "RUNNER_TEMP": str(self.folder / "temp"),
            "RUNNER_OS": "Linux", "RUNNER_ARCH": "X64", "RUNNER_NAME": "GitHub Actions 2", "RUNNER_DEBUG": "1",
            "RUNNER_ENVIRONMENT": "github-hosted", "RUNNER_TOOL_CACHE": "/opt/hostedtoolcache",
            "RUNNER_WORKSPACE": str(self.folder),
        }  # fmt: skip
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
            cwd=workspace / self._fill(step.get("working-directory", ".")),
            env=environ, capture_output=True, text=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        self.said += f"--- {step['name']}: {done.returncode}\n{done.stdout}{done.stderr}"
        self.summary = summary.read_text()
        told = dict(line.split("=", 1) for line in output.read_text().splitlines())
        if "id" in step:
            self.contexts["steps"][step["id"]] = {"outputs": told}
        return done.returncode == 0

    # --- the actions that are used

    def actions_setup_python(self, workspace: Path, given: Mapping[str, str], may: Mapping[str, str]) -> None:
        assert given.keys() == {"python-version"}

    def actions_checkout(self, workspace: Path, given: Mapping[str, str], may: Mapping[str, str]) -> None:
        assert may["contents"] in ("read", "write") and given.keys() <= {"ref", "persist-credentials", "fetch-depth"}
        git(workspace, "init", "-q", "-b", "main")
        ref, depth = given.get("ref", "main"), given.get("fetch-depth", "1")
        git(workspace, "fetch", "-q", "--depth", depth, f"file://{self.hub.origin}", f"{ref}:refs/remotes/origin/main")
        git(workspace, "reset", "-q", "--hard", "origin/main")
        if may["contents"] == "write":
            git(workspace, "remote", "add", "origin", f"file://{self.hub.origin}")

    def actions_upload_artifact(self, workspace: Path, given: Mapping[str, str], may: Mapping[str, str]) -> None:
        assert given.keys() <= {"name", "path", "if-no-files-found"}
        target = self.folder / "artifacts" / given["name"]
        for name in given["path"].split():
            source = workspace / name
            if given.get("if-no-files-found") == "ignore" and not source.exists():
                continue
            if source.is_dir():
                shutil.copytree(source, target / source.name)
            else:
                target.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target)

    def actions_download_artifact(self, workspace: Path, given: Mapping[str, str], may: Mapping[str, str]) -> None:
        shutil.copytree(self.folder / "artifacts" / given["name"], workspace, dirs_exist_ok=True)

    # --- expressions

    def _fill(self, text: str) -> str:
        return _EXPRESSION.sub(lambda found: _shown(self._value(found[1])), text)

    def _value(self, expression: str) -> Any:
        return Expression(expression.removeprefix("${{").removesuffix("}}"), self.contexts).value()


class Expression:
    """GitHub's, as far as they are used: names, texts, numbers, `==`, `!=`, `!`, `&&`, `||`, parentheses."""

    def __init__(self, text: str, contexts: Mapping[str, Any]) -> None:
        self.contexts, self.tokens, at = contexts, [], 0
        text = text.strip()
        while at < len(text):
            found = _TOKEN.match(text, at)
            assert found, f"{text[at:]!r} in an expression"
            self.tokens.append((found.lastgroup or "", found[found.lastgroup or ""]))
            at = found.end()

    def value(self) -> Any:
        found = self._either()
        assert not self.tokens, self.tokens
        return found

    def _is(self, *ops: str) -> str:
        if self.tokens and self.tokens[0][0] == "op" and self.tokens[0][1] in ops:
            return str(self.tokens.pop(0)[1])
        return ""

    def _either(self) -> Any:
        left = self._both()
        while self._is("||"):
            right = self._both()
            left = left or right
        return left

    def _both(self) -> Any:
        left = self._same()
        while self._is("&&"):
            right = self._same()
            left = left and right
        return left

    def _same(self) -> Any:
        left = self._one()
        while op := self._is("==", "!="):
            left = (_shown(left) == _shown(self._one())) is (op == "==")
        return left

    def _one(self) -> Any:
        if self._is("!"):
            return not self._one()
        if self._is("("):
            found = self._either()
            assert self._is(")")
            return found
        kind, word = self.tokens.pop(0)
        if kind == "text":
            return word.replace("''", "'")
        if kind == "number":
            return int(word)
        assert kind == "name", word
        if word in ("true", "false"):
            return word == "true"
        first, *rest = word.split(".")
        assert first in self.contexts, f"no context {first}"
        found: Any = self.contexts[first]
        is_open = first in ("inputs", "secrets", "vars", "github", "env")  # what is not set there is empty
        for part in rest:
            assert is_open or part in found, f"{word}: nothing is called {part}"
            found = found.get(part, "") if isinstance(found, Mapping) else ""
            is_open = is_open or part == "outputs"
        return found


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)


def machine(home: Path, **more: str) -> dict[str, str]:
    """The environment of one of their machines: nothing of ours."""
    return {"HOME": str(home), "LANG": "C.UTF-8", "GIT_CONFIG_GLOBAL": os.devnull, **more}


class Action(Run):
    """A composite action, used by one step of a job that has checked out `workspace`."""

    def __init__(
        self,
        hub: Hub,
        action: Path,
        workspace: Path,
        given: Mapping[str, str],
        event: dict[str, Any],
        may: dict[str, str],
    ) -> None:
        hub.runs += 1
        self.hub, self.folder, self.said, self.summary = hub, hub.folder / f"run{hub.runs}", "", ""
        (self.folder / "temp").mkdir(parents=True)
        told = yaml.safe_load(action.read_text())
        assert not given.keys() - told["inputs"], "an input that there is not"
        self.contexts = {
            "github": {
                "event": event, "token": json.dumps(may), "repository": hub.name, "event_name": "pull_request",
            },
            "env": {}, "steps": {},
            "runner": {"temp": str(self.folder / "temp")},
        }  # fmt: skip
        defaults = {name: self._fill(str(one["default"])) for name, one in told["inputs"].items()}
        self.contexts["inputs"] = {**defaults, **given}
        assert told["runs"]["using"] == "composite"
        assert all("shell" in step for step in told["runs"]["steps"] if "run" in step)
        self.failed = [] if all(self.step(step, workspace, may) for step in told["runs"]["steps"]) else ["action"]
        self.outputs = {name: self._fill(one["value"]) for name, one in told["outputs"].items()}
