"""What somebody wants: a table of rows and a prompt or two, edited as people edit them."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

SPEC = """\
project: lab
models:
  m: {{provider: lab, name: m-1, params: {{max_tokens: 16}}, price: {{input: 0.2, output: 0.2}}}}
datasets:
  rows: {{files: data/rows.csv, id: id}}
  some: {{files: data/some.csv, id: id}}
prompts:
  ask: {{user: "Say {{{{ word }}}}, {version}"}}
jobs:
{jobs}
providers:
  lab:
    kind: openai
    base_url: {url}
    api_key_env: LAB_KEY
    overrides: {overrides}
"""
JOB = "  {name}: {{dataset: {dataset}, prompt: ask, model: m, window: 24h, output: {output}}}\n"


@dataclass(frozen=True, slots=True)
class Job:
    name: str
    dataset: str
    output: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """A project as its files say it. rows: (id, word) in order, by dataset."""

    version: str
    jobs: tuple[Job, ...]
    rows: dict[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)

    def spec(self, url: str, overrides: str) -> str:
        jobs = "".join(JOB.format(name=job.name, dataset=job.dataset, output=job.output) for job in self.jobs)
        return SPEC.format(version=self.version, jobs=jobs.rstrip(), url=url, overrides=overrides)

    def table(self, dataset: str) -> str:
        return "id,word\n" + "".join(f"{name},{word}\n" for name, word in self.rows[dataset])

    def requests(self, job: Job) -> list[tuple[str, str]]:
        """(row id, what its request says) of a job, in order."""
        return [(name, f"Say {word}, {self.version}") for name, word in self.rows[job.dataset]]


class Author:
    """Draws a project and edits of it."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._serial = 0
        self._versions = 1
        rows = tuple(self._row() for _ in range(rng.choice((2, 5, 12, 25))))
        some = tuple(rng.sample(rows, len(rows) // 2 + 1)) + tuple(self._row() for _ in range(2))
        jobs = [Job("answers", "rows", "results/answers.jsonl")]
        jobs += [Job("some", "some", "results/some.jsonl")] * (rng.random() < 0.3)
        self.wanted = Wanted("v1", tuple(jobs), {"rows": rows, "some": some})

    def _row(self) -> tuple[str, str]:
        self._serial += 1
        return f"r{self._serial}", f"word {self._serial}"

    def edit(self) -> str:
        """One edit, in words."""
        name = self._rng.choice(("rows", "rows", "rows", "some"))
        rows = list(self.wanted.rows[name])
        match self._rng.choice(("add", "add", "change", "drop", "turn", "prompt", "back", "output", "rename")):
            case "add":
                rows += [self._row() for _ in range(self._rng.choice((1, 3)))]
                return self._with_rows(name, rows, "adds rows")
            case "change":
                at = self._rng.randrange(len(rows))
                rows[at] = rows[at][0], self._row()[1]
                return self._with_rows(name, rows, f"changes {rows[at][0]}")
            case "drop" if len(rows) > 2:
                del rows[self._rng.randrange(len(rows))]
                return self._with_rows(name, rows, "drops a row")
            case "prompt":
                self._versions += 1
                return self._with(f"edits the prompt to v{self._versions}", version=f"v{self._versions}")
            case "back":
                version = f"v{self._rng.randrange(self._versions) + 1}"
                return self._with(f"turns the prompt back to {version}", version=version)
            case "output":
                first, *more = self.wanted.jobs
                output = f"results/other{self._rng.randrange(3)}.jsonl"
                return self._with(f"writes to {output}", jobs=(replace(first, output=output), *more))
            case "rename":
                first, *more = self.wanted.jobs
                name = f"answers{self._rng.randrange(3)}"
                return self._with(f"calls the job {name}", jobs=(replace(first, name=name), *more))
        self._rng.shuffle(rows)
        return self._with_rows(name, rows, "reorders rows")

    def another(self) -> Wanted:
        """What a colleague has pulled: a row more or less."""
        rows = list(self.wanted.rows["rows"])
        if self._rng.random() < 0.5 and len(rows) > 2:
            del rows[self._rng.randrange(len(rows))]
        else:
            rows.insert(self._rng.randrange(len(rows)), self._row())
        return replace(self.wanted, rows={**self.wanted.rows, "rows": tuple(rows)})

    def _with_rows(self, name: str, rows: list[tuple[str, str]], words: str) -> str:
        self.wanted = replace(self.wanted, rows={**self.wanted.rows, name: tuple(rows)})
        return f"{words} of {name}"

    def _with(self, words: str, **changes: object) -> str:
        self.wanted = replace(self.wanted, **changes)
        return words
