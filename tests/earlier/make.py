"""Make the projects that `test_earlier.py` reads on: run this with the release whose memory is to be kept.

`python tests/earlier/make.py FOLDER`, from a checkout of that release. Each project is left as a killed or finished
command left it: specs, data, outputs and `.runner/`, and beside it the directory of the server it had spoken to.
Ports are fixed, since the address of a remote is part of what is recorded; windows are long, so that nothing expires.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.journeys.audio.lab import SUBMIT, AudioLab
from tests.journeys.fireworks.lab import Account, FireLab
from tests.journeys.lab import Lab, Server, serving, until

YEARS = "8760h"
TABLES = """\
project: lab
models:
  echo: {{provider: lab, name: echo, params: {{max_tokens: 16}}}}
datasets:
  rows: {{files: data/rows.csv, id: id}}
prompts:
  ask: {{user: "Say {{{{ word }}}}"}}
  shout: {{system: Be loud, user: "Shout {{{{ word }}}}"}}
  spell: {{user: "Spell {{{{ word }}}}"}}
jobs:
  lines: {{dataset: rows, prompt: ask, model: echo, window: 8760h, output: results/lines.jsonl}}
  cells: {{dataset: rows, prompt: shout, model: echo, window: 8760h, output: results/cells.csv}}
  columns: {{dataset: rows, prompt: spell, model: echo, window: 8760h, output: results/columns.parquet}}
providers:
  lab:
    kind: openai
    base_url: {url}
    api_key_env: LAB_KEY
    overrides: {{settle_s: 0.4, min_poll_s: 0.05, window: {{min: 1h, max: 8760h}}}}
"""
ONE = TABLES[: TABLES.index("  cells:")] + TABLES[TABLES.index("providers:") :]
CHAIN = """\
project: lab
models:
  echo: {{provider: fireworks, name: accounts/fireworks/models/echo, params: {{max_tokens: 64, temperature: 0}}}}
datasets:
  rows: {{files: data/rows.csv, id: id}}
prompts:
  ask: {{system: Be brief, user: "Say {{{{ word }}}}"}}
jobs:
  answers: {{dataset: rows, prompt: ask, model: echo, window: 8760h, output: results/answers.jsonl}}
providers:
  fireworks:
    overrides: {{settle_s: 0.3, min_poll_s: 0.05, max_poll_s: 0.3, window: {{allowed: [8760h]}}}}
"""
CALLS = """\
project: lab
models:
  ear: {{provider: fireworks-audio, name: whisper-v3, params: {{response_format: json}}, price: {{per_minute: 0.0015}}}}
jobs:
  calls: {{audio: "calls/**/*.wav", model: ear, output: results/calls.jsonl}}
providers:
  fireworks-audio:
    overrides: {{min_poll_s: 0.05, max_poll_s: 0.2, defer_s: 0.2}}
"""
FOLDER = CALLS.replace("output: results/calls.jsonl", "output: results/calls/")


def settled(folder: Path, server: Server) -> None:
    """Three jobs, one for each format of a table, all done."""
    lab = Lab(_root(folder), server)
    lab.spec(TABLES)
    lab.rows(6)
    lab.apply("-y")
    lab.run("plan")


def running(folder: Path, server: Server) -> None:
    """A batch of six, of which three were answered when everything stopped."""
    lab = Lab(_root(folder), server)
    lab.spec(ONE)
    lab.rows(6)
    server.fault(hold=0.5)
    lab.apply("-y", "--no-wait", code=3)
    until(lambda: [b["request_counts"]["completed"] for b in server.batches()] == [3])
    lab.apply("-y", "--no-wait", code=3)


def chain(folder: Path, server: Server) -> None:
    """A batch inference job that expired half way, and the one that continues it, half way as well."""
    lab = FireLab(_root(folder), server, Account(server, "acme"))
    lab.spec(CHAIN)
    lab.rows(8)
    server.fault(expire_at={"value": 0.5, "count": 1})
    lab.apply("-y", "--no-wait", code=3)
    until(lambda: lab.account.states() == ["EXPIRED"])
    server.fault(hold=0.5)
    lab.apply("-y", "--no-wait", code=3)
    until(lambda: lab.account.states() == ["EXPIRED", "RUNNING"])
    lab.apply("-y", "--no-wait", code=3)


def calls(folder: Path, server: Server) -> None:
    """Forty recordings, killed when a part of them had been sent."""
    _half_sent(folder, server, CALLS)


def transcripts(folder: Path, server: Server) -> None:
    """Recordings as a folder of transcripts, all done."""
    lab = AudioLab(_root(folder), server)
    lab.spec(FOLDER)
    lab.record(4)
    lab.first()


def _half_sent(folder: Path, server: Server, spec: str) -> None:
    lab = AudioLab(_root(folder), server)
    lab.spec(spec)
    lab.record(40)
    server.fault(slow={"value": 0.1, "route": SUBMIT})
    process = lab.start("apply", "specs/", "-y", "--first-run", "--parallelism", "2")
    until(lambda: lab.kept() >= 15)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def _root(folder: Path) -> Path:
    root = folder / "project"
    root.mkdir(parents=True)
    return root


SCENES: dict[str, Callable[[Path, Server], None]] = {
    one.__name__: one for one in (settled, running, chain, calls, transcripts)
}
PORTS = {name: 28741 + number for number, name in enumerate(SCENES)}


@contextlib.contextmanager
def server_of(name: str, directory: Path) -> Iterator[Server]:
    """The server that a project has spoken to, at the address it knows."""
    with serving(directory, "--port", str(PORTS[name]), "--stand-in") as server:
        yield server


def main(target: Path) -> None:
    for name, scene in SCENES.items():
        folder = target / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        with server_of(name, folder / "server") as server:
            scene(folder, server)
        for rest in ("server.log", "home"):
            path = folder / rest
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        print(name, sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
