"""A project with checks, before a remote that answers each row as the test says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.journeys.lab import Lab
from tests.journeys.lookalike import LookAlike, Raw, looking_alike

# How specs name the remote of the lab: its address takes the place of URL
REMOTE = """\
providers:
  lab:
    kind: openai
    base_url: URL/v1
    api_key_env: LAB_KEY
    overrides: {settle_s: 0.1, min_poll_s: 0.02}
"""
SPEC = (
    """\
project: lab
models:
  echo: {provider: lab, name: echo, params: {max_tokens: 16}}
datasets:
  rows: {files: data/rows.jsonl, id: id}
prompts:
  ask: {user: "Say {{ word }}"}
jobs:
  answers:
    dataset: rows
    prompt: ask
    model: echo
    max_attempts: 1
    output: results/answers.jsonl
%s
"""
    + REMOTE
)
# One job for each of two prompts, with prices; its outputs end in SUFFIX
TWO_PROMPTS = (
    """\
project: lab
models:
  echo: {provider: lab, name: echo, params: {max_tokens: 16}, price: {input: 1, output: 10}}
datasets:
  rows: {files: data/rows.jsonl, id: id}
prompts:
  short: {user: "Say {{ word }}"}
  taught: {user: "Please say {{ word }}"}
jobs:
  answers:
    matrix: {prompt: [short, taught]}
    dataset: rows
    model: echo
    max_attempts: 1
    output: results/answers-{{ prompt }}.SUFFIX
%s
"""
    + REMOTE
)


# errors: that it was not asked in time, and one that is final; and no line at all
EXPIRED, FAILED, SILENT = object(), object(), object()


@dataclass
class ScoreLab(Lab):
    """Answers by row: a text, the message of a choice, or none."""

    answers: Mapping[str, Any] = field(default_factory=dict)
    says: Callable[[str, str], Any] | None = None  # instead: by row, and `ask` or `beg` by how its prompt begins
    ending: str = "completed"

    @property
    def remote(self) -> LookAlike:
        return self.server  # type: ignore[return-value]

    def job(self, keys: str = "", spec: str = SPEC) -> None:
        """The spec, with more keys of the job."""
        path = self.root / "specs/lab.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        indented = "".join(f"    {line}\n" for line in keys.strip("\n").split("\n") if line)
        path.write_text((spec % indented).replace("URL", self.remote.url))

    def table(self, rows: list[dict[str, Any]], file: str = "data/rows.jsonl") -> None:
        path = self.root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def life(self, batch: Raw, polls: int) -> Mapping[str, Any]:
        """Every line that there is to be, at once."""
        lines = []
        ids = self.remote.ids_of(batch)
        for custom_id in ids:
            said = self.answers.get(custom_id[:-23], "from the remote")
            if self.says is not None:
                said = self.says(
                    custom_id[:-23], "beg" if b"Please" in self.remote.files[batch["input_file_id"]] else "ask"
                )
            if said is not SILENT:
                lines.append(json.dumps({"custom_id": custom_id, "error": None, **_line(said)}))
        output = self.remote.file(f"{batch['id']}-output", lines)
        counts = {"total": len(ids), "completed": len(lines), "failed": 0}
        now = self.remote.now()
        return {"status": self.ending, "output_file_id": output, "completed_at": now, "request_counts": counts}

    def scores(self, output: str = "results/answers.scores.jsonl") -> list[dict[str, Any]]:
        return self.results(output)

    def statuses(self, check: str, output: str = "results/answers.scores.jsonl") -> str:
        """The first letter of what became of each row; `m` for one without an answer, `0` without a reference."""
        letters = {"unanswered": "m", "no_reference": "0"}
        found = [row["checks"][check]["status"] for row in self.scores(output)]
        return "".join(letters.get(one, one[0]) for one in found)

    def status_of(self, address: str = "answers") -> dict[str, Any]:
        """What `status` says of a job, as JSON."""
        view = json.loads(self.run("status", "specs/", "--offline", "-o", "json").stdout)
        return dict(next(job for job in view["jobs"] if job["address"] == address))


def _line(said: Any) -> Raw:
    if said is EXPIRED:
        return {"response": None, "error": {"code": "batch_expired", "message": "not executed in time"}}
    if said is FAILED:
        body: Raw = {"error": {"code": "bad_request", "message": "no such thing"}}
        return {"response": {"status_code": 400, "body": body}}
    message = said if isinstance(said, dict) else {"content": said}
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 10, "completion_tokens": 2}
    return {"response": {"status_code": 200, "body": {"choices": [choice], "usage": usage}}}


@contextmanager
def score_lab(root: Path) -> Iterator[ScoreLab]:
    with looking_alike() as remote:
        lab = ScoreLab(root, remote)  # type: ignore[arg-type]  # of a server a lab needs its URL alone
        root.mkdir()
        remote.life = lab.life
        yield lab
