"""`runner fetch --lineage` and `runner show` of a chain of continuations, as Fireworks makes them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.journeys.fireworks.lab import ERRORS, RESULTS, Account, FireLab
from tests.journeys.lab import serving, until


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FireLab]:
    """A settled project whose job was continued twice."""
    folder = tmp_path_factory.mktemp("chain")
    with serving(folder / "server") as server:
        lab = FireLab(folder / "project", server, Account(server, "acme"))
        lab.root.mkdir()
        lab.spec()
        lab.rows(10)
        lab.account.fault(expire_at={"value": 0.5, "count": 2})
        lab.apply()
        yield lab


def ids_of(lab: FireLab) -> list[tuple[str, str]]:
    """(job, output dataset), oldest first."""
    return [(job["name"].rpartition("/")[2], job["outputDatasetId"].rpartition("/")[2]) for job in lab.account.jobs()]


def fetched(lab: FireLab, to: str, *words: str, code: int = 0) -> tuple[dict[str, Any], str]:
    done = lab.run("fetch", "answers", "--to", to, *words, code=code)
    return json.loads((lab.root / to / "manifest.json").read_bytes()), done.stderr


def test_a_chain_as_the_remote_tells_it(chain: FireLab) -> None:
    about, said = fetched(chain, "told", "--lineage")
    links = ids_of(chain)
    parents = ["", *(job for job, _ in links)]
    expected = [
        (f"{dataset}/{name}", dataset, job, parent, kind)
        for (job, dataset), parent in zip(links, parents, strict=False)
        for name, kind in ((RESULTS, "output"), (ERRORS, "error"))
    ]
    told = [(file["path"], file["dataset"], file["job"], file["parent"], file["kind"]) for file in about["files"]]
    assert [one for one in told if one[4] == "output"] == [one for one in expected if one[4] == "output"]
    assert set(told) <= set(expected)
    assert (about["complete"], said) == (True, "")
    for path, dataset, *_ in told:
        held = chain.account.bytes_of(dataset, path.rpartition("/")[2])
        assert (chain.root / "told" / path).read_bytes() == held


def test_a_chain_as_it_is_recorded(chain: FireLab) -> None:
    """The same bytes without the network, under the names of the jobs."""
    before = chain.account.asked()
    about, _ = fetched(chain, "recorded")
    assert chain.account.asked() == before
    links = ids_of(chain)
    parents = ["", *(job for job, _ in links)]
    outputs = [file for file in about["files"] if file["kind"] == "output"]
    assert [(file["job"], file["parent"]) for file in outputs] == [
        (job, parent) for (job, _), parent in zip(links, parents, strict=False)
    ]
    for file, (_, dataset) in zip(outputs, links, strict=True):
        assert (chain.root / "recorded" / file["path"]).read_bytes() == chain.account.bytes_of(dataset, RESULTS)


def test_another_account_falls_back_on_what_is_recorded(chain: FireLab) -> None:
    done = chain.run("fetch", "answers", "--lineage", "--to", "elsewhere", FIREWORKS_ACCOUNT_ID="other")
    assert "taken from what is recorded here" in done.stderr
    about = json.loads((chain.root / "elsewhere/manifest.json").read_bytes())
    assert {file["job"] for file in about["files"]} == {job for job, _ in ids_of(chain)}
    assert about["complete"] is True


def test_show_says_what_continues_what(chain: FireLab) -> None:
    first, second, third = (job for job, _ in ids_of(chain))
    told = [line.split() for line in chain.run("show", "answers").stdout.splitlines()[2:]]
    assert [line[:2] for line in told] == [[first, "expired"], ["└─", second], ["└─", third]]
    view = json.loads(chain.run("show", "answers", "-o", "json").stdout)
    links = view["jobs"][0]["batches"]
    assert [(link["depth"], link["continues"]) for link in links] == [(0, ""), (1, first), (2, second)]
    assert all(first not in link["asks_again"] for link in links[:2])
    assert [link["batch"]["answered"] for link in links] == [5, 2, 3]


def test_a_link_that_the_remote_lost_comes_from_here(chain: FireLab) -> None:
    """Destroys the middle of the chain on the remote; the last test of this module."""
    middle, dataset = ids_of(chain)[1]
    held = chain.account.bytes_of(dataset, RESULTS)
    chain.account.delete(f"batchInferenceJobs/{middle}")
    until(lambda: not chain.account.is_there(f"batchInferenceJobs/{middle}"))  # it holds its dataset until then
    chain.account.delete(f"datasets/{dataset}")
    about, _ = fetched(chain, "mended", "--lineage")
    assert [file["job"] for file in about["files"] if file["kind"] == "output"].count(middle) == 1
    (path,) = [file["path"] for file in about["files"] if file["job"] == middle and file["kind"] == "output"]
    assert (chain.root / "mended" / path).read_bytes() == held
    raw = sorted(file["sha256"] for file in about["files"] if file["kind"] == "output")
    assert len(raw) == len(set(raw)) == 3
