"""A bare thread loop, or an apply that is opened already, against a server that answers a call a request: seconds.

python -m tests.bench.online bare|ours URL ROWS CONNECTIONS FOLDER
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path

import httpx

SPEC = """\
project: {name}
models:
  echo: {{provider: mine, name: echo, params: {{max_tokens: 16}}}}
datasets:
  rows: {{files: data/rows.csv, id: id}}
prompts:
  ask: {{user: "Say {{{{ word }}}}"}}
jobs:
  answers: {{dataset: rows, prompt: ask, model: echo, output: results/answers.jsonl}}
providers:
  mine: {{kind: openai, base_url: {url}, batch: false, parallelism: {connections}}}
"""


def bare(url: str, rows: int, connections: int, folder: Path) -> None:
    """What a script does: a client a thread, one answer a line."""
    asked = ({"model": "echo", "messages": [{"role": "user", "content": f"Say word {n}"}]} for n in range(rows))
    lock = threading.Lock()
    with open(folder / "answers.jsonl", "wb") as out:

        def work() -> None:
            with httpx.Client(trust_env=False, timeout=60) as client:
                while True:
                    with lock:
                        body = next(asked, None)
                    if body is None:
                        return
                    reply = client.post(f"{url}/chat/completions", content=json.dumps(body))
                    reply.raise_for_status()
                    answer = reply.json()["choices"][0]["message"]["content"]
                    with lock:
                        out.write(json.dumps({"answer": answer}).encode() + b"\n")

        threads = [threading.Thread(target=work) for _ in range(connections)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def main() -> None:
    kind, url, rows, connections, folder = (
        sys.argv[1],
        sys.argv[2],
        int(sys.argv[3]),
        int(sys.argv[4]),
        Path(sys.argv[5]),
    )
    if kind == "bare":
        began = time.perf_counter(), time.process_time()
        bare(url, rows, connections, folder)
        _tell(began)
        return
    from runner.apply.reconcile import apply
    from runner.cli.main import Settings
    from runner.cli.opening import opened
    from runner.cli.progress import aside
    from runner.clock import RealClock
    from runner.plan.guard import Guards

    (folder / "specs").mkdir()
    (folder / "data").mkdir()
    (folder / "specs/lab.yaml").write_text(SPEC.format(name=folder.name, url=url, connections=connections))
    (folder / "data/rows.csv").write_text("id,word\n" + "".join(f"r{n},word {n}\n" for n in range(rows)))
    os.chdir(folder)
    with opened(Settings(folder, 0), ("specs",), aside(RealClock()), writes=True) as session:
        began = time.perf_counter(), time.process_time()
        apply(session, Guards(), confirm=lambda plan: True, wait_seconds=None)
        _tell(began)
    assert (folder / "results/answers.jsonl").read_bytes().count(b"\n") == rows


def _tell(began: tuple[float, float]) -> None:
    print(time.perf_counter() - began[0], time.process_time() - began[1])


if __name__ == "__main__":
    main()
