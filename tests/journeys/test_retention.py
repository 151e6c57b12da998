"""`retention:` of the specs: what a provider has of people leaves it by itself, once the answers are here."""

from __future__ import annotations

import json
from pathlib import Path

from runner.job.project import Retention
from runner.spec.load import load, survey
from tests.journeys.lab import SPEC, Lab, until
from tests.journeys.lookalike import LookAlike, lab_at


def names_of(lab: Lab) -> list[str]:
    return sorted(one["filename"] for one in lab.server.get("/v1/files")["data"])


def asking(retention: str, text: str = SPEC) -> str:
    return text.replace("project: lab\n", f"project: lab\nretention: {{{{{retention}}}}}\n")


def test_uploads_are_gone_when_the_apply_that_sent_them_ends(lab: Lab) -> None:
    lab.spec(asking("uploads: 0d, results: 30d"))
    said = lab.apply()
    assert "deleted 1 upload, as `retention` asks" in said.stderr
    assert [name.rpartition("_")[2] for name in names_of(lab)] == ["output.jsonl"]
    before = lab.server.asked()
    assert lab.apply().stdout == "Nothing to do\n" and lab.server.asked() == before
    # asked for later: what is there from before goes too, and a no-op stays one
    lab.spec(asking("uploads: 0d, results: 0d"))
    assert "deleted 1 result file" in lab.apply().stderr
    assert names_of(lab) == []
    before = lab.server.asked()
    assert lab.apply().stdout == "Nothing to do\n" and lab.server.asked() == before
    assert [row["error"] for row in lab.results()] == [None] * 10
    # and each row that comes later
    lab.rows(11)
    lab.apply()
    assert names_of(lab) == [] and lab.server.creates() == 2


def test_a_plan_shows_what_will_be_deleted(lab: Lab) -> None:
    lab.spec(asking("uploads: 1d"))
    lab.apply()
    # what is due by and by is looked for each time, though nothing else changes
    assert lab.run("plan").stdout == "Nothing to do\n"
    assert not list((lab.root / ".runner/memo").glob("unchanged/*"))
    lab.spec(asking("uploads: 0d, results: 0d"))
    told = lab.run("plan", "--detailed-exitcode", code=2)
    line = "`lab`: 1 result file and 1 upload to be deleted after that, as `retention` asks\n"
    assert told.stdout == f"1 job unchanged\n\n{line}\nPlan: 1 result file and 1 upload to delete\n"
    assert "To do this, run `runner apply specs/`" in told.stderr
    view = json.loads(lab.run("plan", "-o", "json").stdout)
    assert view["deletes"] == {"lab": {"results": 1, "upload": 1}}
    assert "1 result file and 1 upload to delete" in lab.run("plan", "-o", "markdown").stdout
    lab.apply()
    assert names_of(lab) == [] and lab.run("plan").stdout == "Nothing to do\n"
    until(lambda: lab.run("plan") and list((lab.root / ".runner/memo").glob("unchanged/*")))


def test_prune_is_about_the_jobs_that_are_selected(lab: Lab) -> None:
    one, two = SPEC.partition("jobs:\n")[2].partition("providers:")[0], "  more:"
    lab.spec(
        SPEC.replace(
            "providers:",
            one.replace("  answers:", two)
            .replace("answers.jsonl", "more.jsonl")
            .replace("dataset: rows", "dataset: rows\n    columns: [custom_id, row, answer, response, digest, origin]")
            .replace("model: echo", "model: other")
            + "providers:",
            1,
        ).replace("datasets:", "  other: {{provider: lab, name: echo, params: {{max_tokens: 8}}}}\ndatasets:")
    )
    lab.apply()
    assert len(names_of(lab)) == 4
    lab.run("prune", "-y", "-s", "more")
    assert len(names_of(lab)) == 2
    assert "Nothing to delete" in lab.run("prune", "-y", "-s", "more").stderr
    lab.run("prune", "-y")
    assert names_of(lab) == []


def test_nothing_goes_while_it_is_needed(lab: Lab) -> None:
    lab.spec(asking("uploads: 0d, results: 0d"))
    lab.server.fault(hold=0.5)
    lab.apply("--no-wait", code=3)
    assert len(names_of(lab)) == 1
    lab.server.calm()
    # its results file cannot be written: the answers are in our memory alone, so they stay there too
    (lab.root / "results").write_text("a file in the way")
    lab.apply(code=None)
    assert len(names_of(lab)) == 2
    (lab.root / "results").unlink()
    lab.apply()
    assert names_of(lab) == [] and len(lab.results()) == 10


def test_jobs_of_other_specs_are_left_alone(lab: Lab) -> None:
    """Even where the specs that are read ask it of the whole project."""
    lab.apply()
    spec = (lab.root / "specs/lab.yaml").read_text()
    top, _, rest = spec.partition("jobs:\n")
    job, _, end = rest.partition("providers:\n")
    (lab.root / "specs/base.yaml").write_text(top + "providers:\n" + end + "retention: {uploads: 0d}\n")
    (lab.root / "specs/lab.yaml").write_text("jobs:\n" + job)
    (lab.root / "specs/more.yaml").write_text("jobs:\n" + job.replace("answers", "more"))
    lab.run("apply", "specs/base.yaml", "specs/more.yaml", "-y")
    assert len(names_of(lab)) == 2
    lab.run("apply", "specs/base.yaml", "specs/lab.yaml", "-y")
    assert len(names_of(lab)) == 1


def test_a_key_that_may_not_delete_is_an_error_and_loses_nothing(remote: LookAlike, tmp_path: Path) -> None:
    remote.life = remote.completed
    lab = lab_at(tmp_path, remote)
    path = lab.root / "specs/lab.yaml"
    path.write_text(path.read_text().replace("project: lab\n", "project: lab\nretention: {uploads: 0d}\n"))
    remote.on["DELETE /files/file-1"] = remote.refuse(403, "this key can only read")
    done = lab.apply(code=1)
    assert "this key may not delete at `lab`" in done.stderr and "can only read" in done.stderr
    assert [row["error"] for row in lab.results()] == [None] * 2
    del remote.on["DELETE /files/file-1"]
    assert "deleted 1 upload" in lab.apply().stderr
    assert len(remote.created) == 1


def test_what_a_job_says_counts_more_than_its_provider_and_that_more_than_the_project(tmp_path: Path) -> None:
    (tmp_path / "specs").mkdir()
    (tmp_path / "d.csv").write_text("word\none\n")
    spec = """\
retention: {uploads: 7d, results: 90d}
models: {m: {provider: mine, name: m}, e: {provider: openai, name: m}}
datasets: {d: {files: d.csv}}
prompts: {p: "{{ word }}"}
providers: {mine: {kind: openai, base_url: "https://ai.example/v1", retention: {results: 30d}}}
jobs:
  own: {dataset: d, prompt: p, model: m, output: a.csv, retention: {uploads: 0d}}
  theirs: {dataset: d, prompt: p, model: m, output: b.csv}
  none: {dataset: d, prompt: p, model: e, output: c.csv}
"""
    (tmp_path / "specs/a.yaml").write_text(spec)
    project = load(["specs"], tmp_path)
    assert {job.name: job.retention for job in project.jobs} == {
        "own": Retention(0, 720),
        "theirs": Retention(168, 720),
        "none": Retention(168, 2160),
    }
    # who cannot delete says so: an error where it was asked of a job, a warning where of all
    audio = "  said: {audio: x.wav, model: w, output: said/%s}\n"
    heard = spec.replace("models: {", "models: {w: {provider: fireworks-audio, name: whisper-v3}, ")
    (tmp_path / "specs/a.yaml").write_text(heard + audio % "")
    found = survey(["specs"], tmp_path)
    assert any("no way to delete" in warning for warning in found.project.warnings)
    (tmp_path / "specs/a.yaml").write_text(heard + audio % ", retention: {results: 1d}")
    found = survey(["specs"], tmp_path)
    assert found.problems.errors == 1
