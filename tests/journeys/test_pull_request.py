"""A pull request that changes one word of a prompt: planned in a clone without state, applied as it was reviewed."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from tests.journeys import gateway as gateways
from tests.journeys.gateway import Gateway
from tests.journeys.lab import Lab, serving
from tests.journeys.test_repay import PRICED

CHANGES = ("POST", "DELETE", "PUT")


def git(root: Path, *words: str) -> None:
    who = ("-c", "user.name=n", "-c", "user.email=e@example.com", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *who, *words], cwd=root, capture_output=True, check=True)


@pytest.fixture(params=["results in git", "results at the remote"])
def repository(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Lab, Gateway]]:
    """Ten answered rows on `main`, and a branch `word` that says another word."""
    (tmp_path / "main").mkdir()
    with serving(tmp_path / "server") as server, gateways.before(server.url) as gateway:
        lab = Lab(tmp_path / "main", server)
        lab.spec(f"repay_usd: 100\n{PRICED}")
        path = lab.root / "specs/lab.yaml"
        path.write_text(path.read_text().replace(server.url, gateway.url))
        lab.rows(10)
        ignored = ".runner/\n" if request.param == "results in git" else ".runner/\nresults/\n"
        (lab.root / ".gitignore").write_text(ignored)
        lab.apply()
        git(lab.root, "init", "-q", "-b", "main")
        git(lab.root, "add", "-A")
        git(lab.root, "commit", "-q", "-m", "ten answers")
        git(lab.root, "switch", "-q", "-c", "word")
        path.write_text(path.read_text().replace('"Say ', '"Tell '))
        git(lab.root, "commit", "-q", "-a", "-m", "another word")
        yield lab, gateway


def clone(lab: Lab, name: str) -> Lab:
    root = lab.root.parent / name / "project"
    git(lab.root.parent, "clone", "-q", "-b", "word", str(lab.root), str(root))
    return Lab(root, lab.server)


def comment(lab: Lab, **environ: str) -> str:
    """What a workflow posts."""
    return lab.run("plan", "specs/", "--against", "origin/main", "--diff", "1", "-o", "markdown", **environ).stdout


def digest_in(told: str) -> str:
    found = re.search(r"`runner apply specs/ --plan-digest ([0-9a-f-]+)`", told)
    assert found, told
    return found[1]


def test_one_word(repository: tuple[Lab, Gateway]) -> None:
    lab, gateway = repository
    sees_answers = (lab.root / ".gitignore").read_text() == ".runner/\n"
    # without a key: what results in git say, and the revision it starts from
    told = comment(clone(lab, "stranger"), LAB_KEY="")
    page = MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(told)
    assert told.startswith("<!-- runner plan lab -->\n\n**at most \\$10.00** · 10 requests to send in 1 batch\n")
    assert "<h4>answers <sub><code>specs/lab.yaml:" in page and "was not asked what it holds" in page
    assert "- Say {{ word }}\n+ Tell {{ word }}\n" in page and "-  Say word 0\n+  Tell word 0" in page
    assert ("10 answered requests are no longer wanted" in page) is sees_answers
    assert ("nothing on record says that it was asked" in page) is not sees_answers
    # with a key that may only read: the same to be paid for, and what was asked is known wherever it lies
    gateway.refused = {call: 403 for call in {*gateway.calls} if call.startswith(CHANGES)}
    gateway.calls.clear()
    reviewed = comment(clone(lab, "reviewer"))
    assert "10 answered requests are no longer wanted" in reviewed and "nothing on record" not in reviewed
    assert digest_in(reviewed) == digest_in(told)
    assert not [call for call in gateway.calls if call.startswith(CHANGES)]
    assert sees_answers or gateway.calls
    # on merge: exactly that, and nothing after another edit
    gateway.refused.clear()
    merged = clone(lab, "merged")
    spec = merged.root / "specs/lab.yaml"
    before = spec.read_text()
    spec.write_text(before.replace('"Tell ', '"Shout '))
    stale = merged.run("apply", "specs/", "--plan-digest", digest_in(told), code=5)
    assert "stale" in stale.stderr and lab.server.creates() == 1
    spec.write_text(before)
    merged.run("apply", "specs/", "--plan-digest", digest_in(told))
    assert lab.server.creates() == 2 and len(merged.results()) == 10
    assert "**Nothing to do** · 1 job unchanged" in comment(merged)


@pytest.mark.parametrize("repository", ["results in git"], indirect=True)
def test_plan_apply_and_rehearsal_see_the_same(repository: tuple[Lab, Gateway]) -> None:
    lab, _ = repository
    planned = json.loads(lab.run("plan", "specs/", "-o", "json", "--max-usd", "1", code=5).stdout)
    applied = json.loads(lab.run("apply", "specs/", "-y", "-o", "json", "--max-usd", "1", code=5).stdout)["plan"]
    assert [group["changed"] for group in applied["groups"]] == [group["changed"] for group in planned["groups"]]
    (changed,) = planned["groups"][0]["changed"]
    assert (changed["before"], changed["after"]) == ("Say {{ word }}", "Tell {{ word }}")
    for words in (("plan",), ("apply", "-y"), ("apply", "--rehearse")):
        done = lab.run(*words, "specs/", "--max-usd", "1", code=5)
        assert "      - Say {{ word }}\n      + Tell {{ word }}\n" in done.stdout + done.stderr, words
