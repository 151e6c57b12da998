"""Whoever can change the remote's answers gets no key, no file outside the project and no request anywhere else."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.fireworks.lab import KNOBS, SPEC
from tests.journeys.lab import Lab
from tests.remotes.fireworks_jobs.fake import ACCOUNT, KEY, Call, Fake, serving

PARTS = SPEC.replace(KNOBS, f"{KNOBS}, upload_bytes: 1")
DOWNLOAD = "GET /storage"


class Remote(Fake):
    """A control plane whose jobs end at once, every row answered with its last message."""

    def answer(self, call: Call) -> Any:
        status, body = super().answer(call)
        if call.method == "POST" and call.path.endswith("/batchInferenceJobs") and status == 200:
            self._end_at_once(body["name"].rpartition("/")[2])
        return status, body

    def _end_at_once(self, job_id: str) -> None:
        source = self.jobs[job_id]["inputDatasetId"].rpartition("/")[2]
        rows = [json.loads(line) for part in self.stored[source].values() for line in part.split(b"\n") if line]
        self.end(job_id, ok=b"".join(json.dumps(_answered(row)).encode() + b"\n" for row in rows))


def _answered(row: dict[str, Any]) -> dict[str, Any]:
    message = {"role": "assistant", "content": f"echo: {row['body']['messages'][-1]['content']}"}
    return {"custom_id": row["custom_id"], "response": {"choices": [{"index": 0, "message": message}]}}


@dataclass
class HostileLab(Lab):
    """A project on that control plane, and two more machines: the storage, and one that nobody should ask."""

    remote: Remote
    storage: Fake
    victim: Fake

    def environ(self, **more: str) -> dict[str, str]:
        here = {
            "FIREWORKS_BASE_URL": self.remote.base_url,
            "FIREWORKS_ACCOUNT_ID": ACCOUNT,
            "FIREWORKS_API_KEY": KEY,
        }
        return super().environ(**{**here, **more})

    def refused(self, *words: str) -> None:
        """An `apply` that gets no answers says why, and has written nothing that it should not have."""
        before = self.files()
        passes = [self.apply("--no-wait", code=None) for _ in range(2)]  # one that sends, one that brings home
        assert all(done.returncode in (1, 3, 5) for done in passes), passes
        told = "".join(done.stdout + done.stderr for done in passes)
        assert all(word in told for word in words), told
        assert KEY not in told and "s1gn4ture" not in told
        assert not self.results_there()
        assert self.files() == before

    def results_there(self) -> list[Path]:
        """Results files that hold an answer."""
        found = (self.root / "results").glob("*")
        return [path for path in found if b"echo: " in path.read_bytes()]

    def files(self) -> set[Path]:
        """What there is outside the project's own state and results."""
        kept = (self.root / ".runner", self.root / "results", self.root.parent / "home")
        found = (path for path in self.root.parent.rglob("*") if path.is_file())
        return {path for path in found if not any(path.is_relative_to(folder) for folder in kept)}

    def nobody_got_the_key(self) -> None:
        assert self.storage.calls
        for call in self.storage.calls:
            assert KEY not in str(call) and "authorization" not in call.headers and "cookie" not in call.headers
        assert not self.victim.calls


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[HostileLab]:
    with ExitStack() as stack:
        remote, storage, victim = Remote(), Fake(), Fake()
        for fake in (remote, storage, victim):
            stack.enter_context(serving(fake))
        storage.stored = remote.stored
        remote.url_of = lambda dataset, name, own: own.replace(remote.base_url, storage.base_url)
        root = tmp_path / "project"
        root.mkdir()
        made = HostileLab(root, None, remote, storage, victim)  # type: ignore[arg-type]
        (root / "specs").mkdir()
        (root / "specs/lab.yaml").write_text(PARTS.format())
        made.rows(10)
        yield made


def test_rows_and_answers_pass_through_another_host_without_the_key(lab: HostileLab) -> None:
    lab.apply()
    assert [row["answer"] for row in lab.results()] == [f"echo: Say word {n}" for n in range(10)]
    assert {call.method for call in lab.storage.calls} == {"PUT", "GET"}
    assert all(call.headers["authorization"] == f"Bearer {KEY}" for call in lab.remote.calls)
    lab.nobody_got_the_key()


@pytest.mark.parametrize("status", [302, 307])
def test_a_redirect_is_followed_nowhere(status: int, lab: HostileLab) -> None:
    there = f"{lab.victim.base_url}/storage/x/y?X-Goog-Signature=s1gn4ture"
    lab.storage.hooks["PUT /storage"] = lambda call: (status, b"", {"location": there})
    lab.refused(f"answered {status}")
    del lab.storage.hooks["PUT /storage"]
    lab.storage.hooks[DOWNLOAD] = lambda call: (status, b"", {"location": there})
    lab.refused(f"answered {status}")
    lab.nobody_got_the_key()


def test_storage_that_asks_for_the_key_does_not_get_it(lab: HostileLab) -> None:
    challenge = {"www-authenticate": 'Bearer realm="send your API key"', "set-cookie": "a=b"}
    lab.storage.hooks["PUT /storage"] = lambda call: (401, b"", challenge)
    lab.refused("401")
    del lab.storage.hooks["PUT /storage"]
    lab.storage.hooks[DOWNLOAD] = lambda call: (401, b"", challenge)
    lab.refused("401")
    lab.nobody_got_the_key()


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1/x?X-Goog-Signature=s1gn4ture",
        "http://169.254.169.254/latest/meta-data/",
        "https://evil.invalid/x?X-Goog-Signature=s1gn4ture",
        "file:///etc/passwd",
        "http://user:pass@127.0.0.1/x",
    ],
)
def test_urls_to_other_places_are_not_followed(url: str, lab: HostileLab) -> None:
    good = lab.remote.url_of
    lab.remote.url_of = lambda dataset, name, own: url
    lab.refused("a signed URL of the remote was not followed")
    lab.remote.url_of = lambda dataset, name, own: good(dataset, name, own) if dataset.endswith("-in") else url
    lab.refused("a signed URL of the remote was not followed")
    lab.nobody_got_the_key()


@pytest.mark.parametrize("key", ["dataset/x/..", "dataset/x/..\\..\\evil"])
def test_names_that_no_file_of_ours_has(key: str, lab: HostileLab) -> None:
    lab.remote.keys_of = lambda dataset, urls: dict.fromkeys([key], next(iter(urls.values())))
    lab.refused("unsafe name")
    lab.nobody_got_the_key()


def test_names_that_climb_end_where_ours_do(lab: HostileLab) -> None:
    lab.remote.keys_of = lambda dataset, urls: {
        f"../../../../{key.rpartition('/')[2]}": url for key, url in urls.items()
    }
    before = lab.files()
    lab.apply()
    assert len(lab.results()) == 10
    lab.run("fetch", "answers", "--lineage", "--to", "taken", code=None)
    assert {path for path in lab.files() - before if not path.is_relative_to(lab.root / "taken")} == set()
    lab.nobody_got_the_key()


def test_a_body_that_inflates_hugely_is_stopped(lab: HostileLab) -> None:
    bomb = gzip.compress(b"\0" * (64 << 20))
    lab.storage.hooks[DOWNLOAD] = lambda call: (200, bomb, {"content-encoding": "gzip"})
    lab.refused("stopped")
    assert sum(path.stat().st_size for path in (lab.root / ".runner").rglob("*") if path.is_file()) < 1 << 20
    lab.nobody_got_the_key()


def test_a_control_plane_that_repeats_the_key_does_not_get_it_shown(lab: HostileLab) -> None:
    told = {"code": 3, "message": f"bad header Bearer {KEY} in {lab.storage.base_url}/?X-Goog-Signature=s1gn4ture"}
    lab.remote.hooks["POST /batchInferenceJobs"] = lambda call: (400, told, {})
    done = lab.apply(code=1)
    assert "answered 400" in done.stderr
    for text in (done.stdout, done.stderr, *_texts(lab.root / ".runner")):
        assert KEY not in text and "s1gn4ture" not in text


def _texts(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        if path.is_file():
            yield path.read_bytes().decode("latin-1")


def test_a_redirect_of_the_control_plane_takes_no_key_along(lab: HostileLab) -> None:
    lab.remote.hooks["POST /datasets"] = lambda call: (307, b"", {"location": f"{lab.victim.base_url}{call.path}"})
    lab.refused("307")
    assert not lab.victim.calls
