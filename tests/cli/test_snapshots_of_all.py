"""The words of the commands that no other test of snapshots shows, on one project with two jobs and checks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from runner.server.weights import WEIGHTS
from tests.cli.snapshots import COLUMNS, Shots, must_fit, shown, too_wide
from tests.journeys.lab import Lab

SPEC = """\
project: lab
models:
  echo: {{provider: lab, name: echo, params: {{max_tokens: 16}}, price: {{input: 1, output: 2}}}}
datasets:
  rows: {{files: data/rows.csv, id: id}}
prompts:
  ask: {{user: "Say {{{{ word }}}}"}}
  beg: {{user: "Please say {{{{ word }}}}, and nothing else"}}
jobs:
  answers:
    matrix: {{prompt: [ask, beg]}}
    dataset: rows
    model: echo
    output: results/{{{{ prompt }}}}.jsonl
    checks:
      said: {{contains: "{{{{ word }}}}"}}
      short: {{expression: "{{{{ answer | wordcount < 5 }}}}"}}
    expect: {{said: ">= 0.9", short: ">= 0.5"}}
providers:
  lab:
    kind: openai
    base_url: {url}
    api_key_env: LAB_KEY
    overrides: {{settle_s: 0.4, min_poll_s: 0.05}}
"""
REQUEST = (r"req_[0-9a-f]{24}", "req_" + 24 * "0")
COST = (r"\b\d+\.\d kB", "0.0 kB")
OF_THE_MACHINE = (
    r"(?s)(python|packages|limits|extras|proxy|disk|state \.runner/|file system): .*?(?=\n(?:\x1b\[[0-9;]*m)*[✓✗!])",
    r"\1: as it is",
)
HOW_FAST = [(r"reached in \S+ ms", "reached in 0 ms"), (r"within \S+ s", "within 0 s"), (r"\d+ ok, .*", "so many ok")]
SERIAL = (r"serial \d+, begun .*? UTC", "serial 00, begun then")


@pytest.fixture
def lab(lab: Lab) -> Lab:
    lab.spec(SPEC)
    lab.rows(4)
    return lab


def test_before_anything_is_sent(lab: Lab, shots: Shots) -> None:
    shots("validate-fine", lab, "validate", "specs/")
    shots("render", lab, "render", "answers:prompt=ask", "--rows", "1", is_raw=True)
    shots("schema", lab, "schema", "history", is_raw=True)
    shots("render-nobody", lab, "render", "anwsers", "specs/", code=64)
    shots("keys-list", lab, "keys", "list")
    shots("state-show-nothing", lab, "state", "show", "answers", code=64, forms=())
    shots("verify-no-lock", lab, "verify", code=64)
    shots("cancel-nothing", lab, "cancel", "answers", code=64)
    shots("plan-select-nobody", lab, "plan", "-s", "tag:nightly", code=64, forms=())
    shots("plan-select-unknown-state", lab, "plan", "-s", "state:old", code=64, forms=())
    shots("init", lab, "init", "demo", "--ci", "none", before=lambda: shutil.rmtree(lab.root / "demo", True))
    served = [(r"(?<=data  ).*", "SRV"), (r"(?<=token  ).*", "as given")]
    words = ("serve", "--dir", "srv", "--port", "0", "--engine", "echo", "--token", "t")
    shots("serve", lab, *words, stop_at="/srv\r\n", code=0, varying=served)
    shots("doctor", lab, "doctor", varying=[OF_THE_MACHINE, *HOW_FAST], forms=())
    for columns in COLUMNS:
        assert not too_wide(shown(lab, ["doctor"], columns, code=0), columns)
    must_fit(json.loads(lab.run("doctor", "-o", "json").stdout), "doctor")


def test_once_answers_are_there(lab: Lab, shots: Shots) -> None:
    lab.apply(code=4)  # what is begged for is long
    shots("apply-unmet", lab, "apply", "specs/", "-y", code=4)
    shots("report", lab, "report", "specs/", before=lambda: (lab.root / "report.html").unlink(True), varying=[COST])
    shots("diff", lab, "diff", "answers:prompt=ask", "answers:prompt=beg")
    shots("export", lab, "export", "answers", "all.csv", before=lambda: (lab.root / "all.csv").unlink(True))
    files = lab.root / "answers-files"
    shots("fetch", lab, "fetch", "answers", before=lambda: shutil.rmtree(files, True), varying=[COST])
    shots("retry-nothing", lab, "retry", "answers")
    shots("import-nothing", lab, "import", "answers:prompt=ask", "batch_none", code=1, varying=[REQUEST])
    shots("lock", lab, "lock", before=lambda: (lab.root / "runner.lock").unlink(True))
    shots("verify", lab, "verify")
    path = lab.root / "results/ask.jsonl"
    path.write_text(path.read_text().replace("echo: Say", "echo: Sad", 1))
    shots("verify-changed", lab, "verify", code=1)
    shots("plan-sample", lab, "plan", "-s", "answers:prompt=beg", "--sample", "1")
    shots("state-mv-nobody", lab, "state", "mv", "replies", "answers", code=64)


def test_what_is_recorded(lab: Lab, shots: Shots) -> None:
    """One state for all of it: two batches, one of which was answered."""
    lab.apply(code=4)
    home, kept = lab.root / ".runner", lab.root / "kept"
    shutil.copytree(home, kept)

    def anew() -> None:
        shutil.rmtree(home)
        shutil.copytree(kept, home)

    shots("state-list", lab, "state", "list")
    shots("state-show", lab, "state", "show", "answers:prompt=ask", varying=[COST])
    first = json.loads(lab.run("state", "list", "-o", "json").stdout)["batches"][0]
    shots("state-mv", lab, "state", "mv", "answers", "replies", before=anew)
    shots("state-rm-job", lab, "state", "rm", "answers:prompt=ask", before=anew)
    shots("state-rm-batch", lab, "state", "rm", first["key"], "-y", before=anew)
    shots("state-rm-nobody", lab, "state", "rm", first["key"], before=anew, typed="\x04", code=5)
    anew()
    shots("state-pull", lab, "state", "pull", "-o", "state.tar", varying=[COST, SERIAL])
    shots("state-push", lab, "state", "push", "state.tar")
    shots("state-rebuild", lab, "state", "rebuild", before=anew, varying=[(r"replaced/\d+T\d+", "replaced/then")])
    anew()
    shots("cache-clear", lab, "cache", "clear", before=lambda: cached(home), varying=[COST])
    shots("import", lab, "import", first["owner"], first["remote_id"], before=lambda: forget(lab))
    shots("keys-bind", lab, "keys", "bind", "LAB_KEY", "127.0.0.1", varying=[(r"/\S+/key-hosts", "KEY-HOSTS")])
    shots("keys-unbind", lab, "keys", "unbind", "LAB_KEY", "127.0.0.1", before=lambda: bind(lab))


def test_a_batch_that_is_given_up(lab: Lab, shots: Shots) -> None:
    lab.server.fault(fail_before={"value": 10_000, "route": "GET /v1/files/*/content", "status": 503})
    lab.apply("--wait", "3s", code=3)
    home, kept = lab.root / ".runner", lab.root / "kept"
    shutil.copytree(home, kept)

    def anew() -> None:
        shutil.rmtree(home)
        shutil.copytree(kept, home)

    batch = json.loads(lab.run("state", "list", "-o", "json").stdout)["batches"][0]
    shots("state-rm-out-of-reach", lab, "state", "rm", batch["key"], code=64)
    shots("state-give-up", lab, "state", "give-up", batch["remote_id"], before=anew)


def bind(lab: Lab) -> None:
    lab.run("keys", "bind", "LAB_KEY", "127.0.0.1")


def test_an_origin_that_moved(lab: Lab, shots: Shots) -> None:
    lab.apply(code=4)
    home, kept = lab.root / ".runner", lab.root / "kept"
    shutil.copytree(home, kept)
    lab.spec(SPEC.replace("{url}", lab.server.url.replace("127.0.0.1", "localhost") + "/v1"))

    def anew() -> None:
        shutil.rmtree(home)
        shutil.copytree(kept, home)

    shots("state-accept-origin", lab, "state", "accept-origin", "lab", before=anew)
    shots("state-accept-origin-nobody", lab, "state", "accept-origin", "lib", code=64)


def test_models_of_the_embedded_server(lab: Lab, shots: Shots) -> None:
    """With no weights, and with those that are there: whether the extra `local` is installed is left open."""
    extra = [
        (r"\nThe extra `local` is not[^`]*`[^`]*`\n", ""),
        (r'("name": "smollm2[^}]*"is_installed"): \w+', r"\1: false"),
    ]
    shots("models-list", lab, "models", "list", varying=extra)
    shots("models-pull-nobody", lab, "models", "pull", "smollm", code=64)
    weights = WEIGHTS["smollm2-135m"]
    path = weights.path(lab.root.parent / "home/models")
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        file.truncate(weights.size_bytes)
    shots("models-pull", lab, "models", "pull", weights.model, varying=[(r"/\S+/", "/MODELS/")])
    ready = [*extra, (r"ready     (?=  SmolLM2)|no runtime", "as it is  ")]
    shots("models-list-pulled", lab, "models", "list", varying=ready)


def cached(home: Path) -> None:
    shutil.rmtree(home / "memo", ignore_errors=True)
    (home / "memo").mkdir()
    (home / "memo/shard").write_bytes(bytes(1500))


def forget(lab: Lab) -> None:
    """As a clone without results has it."""
    for name in (".runner", "results"):
        shutil.rmtree(lab.root / name, ignore_errors=True)


def test_what_is_in_flight(lab: Lab, shots: Shots) -> None:
    lab.server.fault(hold=0.0, stuck_cancelling=True)
    lab.apply("--no-wait", code=3)
    home, kept = lab.root / ".runner", lab.root / "kept"
    shutil.copytree(home, kept)

    def anew() -> None:
        shutil.rmtree(home)
        shutil.copytree(kept, home)

    shots("apply-waits", lab, "apply", "specs/", "-y", "--wait", "1s", "-q", code=3, before=anew, forms=())
    shots("cancel", lab, "cancel", "answers", before=anew)
